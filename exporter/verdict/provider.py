"""All standings of one agent, by provider: who may serve, who does, and whether anything works."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice

from exporter.model import Dialect, Status
from exporter.verdict.inputs import VerdictInputs
from exporter.verdict.profile import ProfileVerdict

#: Providers that cannot work without a credential. A source without OpenClaw's own word of what is
#: missing alarms for these only: ollama, say, needs none.
NEEDS_CREDENTIAL = frozenset({"anthropic", "openai", "google", "openrouter", "xai", "mistral", "groq", "deepseek"})


class ProviderProfiles:
    """The standings, and the questions about more than one of them. Each costs its answer's size once."""

    def __init__(self, view: VerdictInputs, stands: list[ProfileVerdict]) -> None:
        self.view = view
        self._stands = stands
        self._by_provider: dict[str, list[ProfileVerdict]] = {}
        for stand in stands:
            self._by_provider.setdefault(stand.provider, []).append(stand)
        self.usable = cache(self._usable)
        self.serving = cache(self._serving)
        self.selected = cache(self._selected)
        self._serving_ids = cache(lambda provider: frozenset(s.seen.id for s in self.serving(provider)))

    def __iter__(self) -> Iterator[ProfileVerdict]:
        return iter(self._stands)

    def of(self, provider: str) -> list[ProfileVerdict]:
        return self._by_provider.get(provider, [])

    def _usable(self, provider: str) -> tuple[ProfileVerdict, ...]:
        """Those that can serve: usable, and not excluded by an explicit order.

        A credential in the environment serves only where nothing is left in the order: expired tokens
        leave it, a login or a profile that cools down does not, and neither does what an explicit
        order names: then OpenClaw lists the provider as missing (seen on 2026.9.6).
        """
        usable = [s for s in self.of(provider) if s.is_usable and self.view.is_in_order(s.seen)]
        stored = [s for s in self.of(provider) if not s.is_from_environment]
        gone = all(s.status in (Status.EXPIRED, Status.MISSING) and s.seen.kind != "oauth" for s in stored)
        if gone and not self.view.lists_as_missing(provider):
            return tuple(usable)
        return tuple(s for s in usable if not s.is_from_environment)

    def _serving(self, provider: str) -> tuple[ProfileVerdict, ...]:
        """Those that may serve now. Where none is usable by itself and OpenClaw, which knows of cooldowns,
        still finds a route, it goes over one that cools down for another model."""
        usable = self.usable(provider)
        if usable or not self.view.counts_as_working(provider):
            return usable
        alive = (s for s in self.of(provider) if s.status not in (Status.EXPIRED, Status.MISSING))
        return tuple(s for s in alive if self.view.is_in_order(s.seen))

    def works(self, provider: str) -> bool:
        """Whether anything can serve."""
        return bool(self.serving(provider))

    def may_serve(self, stand: ProfileVerdict) -> bool:
        return stand.seen.id in self._serving_ids(stand.provider)

    def has_spare(self, stand: ProfileVerdict) -> bool:
        """Whether something other than ``stand`` serves its provider."""
        if any(other is not stand for other in islice(self.usable(stand.provider), 2)):
            return True
        # None is usable by itself: then a route that OpenClaw finds goes over one that cools down.
        return not self.usable(stand.provider) and self.works(stand.provider) and len(self.of(stand.provider)) > 1

    def _selected(self, provider: str) -> ProfileVerdict | None:
        """The one that serves now; None where nothing does or it is not told which."""
        serving, usable = self.serving(provider), self.usable(provider)
        profiles = {stand.seen.id: stand for stand in serving if not stand.is_from_environment}
        if not profiles:
            return serving[0] if serving else None
        if len(profiles) == 1:
            return next(iter(profiles.values()))
        order = self.view.seen.order.get(provider, ()) if self.view.seen and usable else ()
        return next((profiles[name] for name in order if name in profiles), None)

    def is_missing(self, provider: str) -> bool:
        """A provider in use without any credential, by OpenClaw's word where it has one."""
        seen = self.view.seen
        if self.of(provider) or seen is None:
            return False
        if self.view.dialect in (Dialect.STATUS, Dialect.LISTING, Dialect.ROUTES):
            return provider in seen.missing_providers | (seen.indeterminate_providers - seen.refreshing_providers)
        # A gateway says it of providers its configuration expects a login for, and of no others.
        return provider in NEEDS_CREDENTIAL | seen.missing_providers
