"""The profiles of one agent grouped by provider: which may serve, which one does, whether any works."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice

from exporter.model import Use
from exporter.verdict.inputs import VerdictInputs
from exporter.verdict.logins import delegates, lenders
from exporter.verdict.profile import ProfileVerdict, is_for

#: Providers that cannot work without a credential. If a source does not report what is missing, only
#: these are: ollama, for example, needs none.
NEEDS_CREDENTIAL = frozenset(
    {
        *("anthropic", "openai", "openai-codex", "google", "openrouter", "xai", "mistral", "groq", "deepseek"),
        *("cerebras", "github-copilot", "minimax", "minimax-portal", "moonshot", "nvidia", "together", "zai"),
    }
)


class ProviderProfiles:
    """The verdicts on all profiles of an agent. Answers questions that involve more than one profile.

    Answers are cached, so that ten thousand profiles of one provider cost linear time.
    """

    def __init__(self, inputs: VerdictInputs, profiles: Sequence[ProfileVerdict]) -> None:
        self._inputs = inputs
        self._profiles = profiles
        self._by_provider: dict[str, list[ProfileVerdict]] = {}
        for profile in profiles:
            self._by_provider.setdefault(profile.provider, []).append(profile)
        self.usable = cache(self._usable)
        self.serving = cache(self._serving)
        self.selected = cache(self._selected)
        self._serving_ids = cache(lambda provider: frozenset(p.id for p in self.serving(provider)))

    def __iter__(self) -> Iterator[ProfileVerdict]:
        return iter(self._profiles)

    def of(self, provider: str) -> list[ProfileVerdict]:
        """The profiles that sign in to ``provider``: its own, and those of providers whose login serves it."""
        own = self._by_provider.get(provider, [])
        lent = [p for name in lenders(self._inputs.observation, provider) for p in self._by_provider.get(name, ())]
        return [*own, *lent] if lent else own

    def is_reported_elsewhere(self, provider: str) -> bool:
        """Whether trouble of ``provider`` is trouble of the provider whose login serves it."""
        if self._by_provider.get(provider):
            return False
        names = delegates(self._inputs.observation, provider)
        return any(self.is_missing(name) or (not self.works(name) and self.of(name)) for name in names)

    def _usable(self, provider: str) -> tuple[ProfileVerdict, ...]:
        """The profiles that can serve: usable, and not excluded by an explicit order.

        A credential from the environment serves only if nothing is left in the order. Expired tokens
        leave the order. Logins, profiles in cooldown and profiles named by an explicit order do not:
        OpenClaw then lists the provider as missing (seen on 2026.9.6).
        """
        usable = [p for p in self.of(provider) if p.is_usable and self._inputs.is_in_order(p.observed)]
        stored = [p for p in self.of(provider) if not p.is_from_environment]
        order_is_empty = all(p.is_gone and p.observed.kind != "oauth" for p in stored)
        if order_is_empty and not self._inputs.is_listed_missing(provider):
            return tuple(usable)
        return tuple(p for p in usable if not p.is_from_environment)

    def _serving(self, provider: str) -> tuple[ProfileVerdict, ...]:
        """The profiles that may be serving now.

        If none is usable and OpenClaw, which takes cooldowns into account, still finds a route, then a
        profile serves that is in cooldown for another model.
        """
        usable = self.usable(provider)
        if usable or not self._inputs.has_route(provider):
            return usable
        return tuple(p for p in self.of(provider) if not p.is_gone and self._inputs.is_in_order(p.observed))

    def works(self, provider: str) -> bool:
        """Whether any profile can serve, or another program's login does."""
        return bool(self.serving(provider)) or self._inputs.is_borrowed(provider)

    def unserved(self, provider: str) -> tuple[Use, ...]:
        """The uses beside chat that fail although the provider works: their model alone is in cooldown."""
        serving = self.serving(provider)
        beside_chat = [use for use in self._inputs.uses(provider) if not use.purpose.is_chat]
        return tuple(use for use in beside_chat if serving and all(is_for(p.unusable, use) for p in serving))

    def may_serve(self, profile: ProfileVerdict) -> bool:
        return profile.id in self._serving_ids(profile.provider)

    def has_spare(self, profile: ProfileVerdict) -> bool:
        """Whether another profile than ``profile`` serves its provider."""
        usable = self.usable(profile.provider)
        if usable:
            return any(other is not profile for other in islice(usable, 2))
        # The route that OpenClaw still finds goes through a profile in cooldown, or through another program's login.
        is_another = len(self.of(profile.provider)) > 1 or self._inputs.is_borrowed(profile.provider)
        return self.works(profile.provider) and is_another

    def _selected(self, provider: str) -> ProfileVerdict | None:
        """The profile that serves now; None if none does, or if it is unknown which one."""
        serving = self.serving(provider)
        stored = {p.id: p for p in serving if not p.is_from_environment}
        if not stored:
            return serving[0] if serving else None
        if len(stored) == 1:
            return next(iter(stored.values()))
        order = self._inputs.observation.order.get(provider, ()) if self.usable(provider) else ()
        return next((stored[id] for id in order if id in stored), None)

    def is_missing(self, provider: str) -> bool:
        """Whether a provider in use has no credential at all, as OpenClaw reports it if it does."""
        inputs, missing = self._inputs, self._inputs.observation.missing_providers
        if self._by_provider.get(provider) or inputs.is_keyless(provider) or inputs.is_borrowed(provider):
            return False
        if self.of(provider):
            # A route that does not use the login of another provider has no credential.
            return provider in missing and self.works(provider)
        # OpenClaw lists the provider of the model, or the one whose login serves it.
        names = {provider, *(name for name, lent in inputs.observation.served_by.items() if provider in lent)}
        if inputs.is_command and inputs.is_examined(provider):
            return bool(names & (missing | inputs.unready_providers))
        # A gateway lists only providers whose configuration expects a login. The command examines chat routes.
        return bool(names & (NEEDS_CREDENTIAL | missing))
