"""The inputs of one verdict, and the questions that rules ask of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from exporter.config import Policy, ProfilePolicy
from exporter.lib.durations import format_duration
from exporter.model import Dialect, Observation, ObservedProfile
from exporter.state.history import CredentialHistory
from exporter.verdict.remedies import CommandContext

#: A clock earlier than this is wrong: no release of OpenClaw that we watch existed. 2026-01-01 UTC.
EARLIEST = 1767225600.0
#: How far the clock may lag what is stored before dates are not judged, seconds.
CLOCK_SLACK = 300.0


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is judged: one agent of a target, and how its OpenClaw is called in a remedy
    (``openclaw``, ``docker exec -it gw openclaw``, ``ssh -t me@vps openclaw``)."""

    target: str
    agent: str
    source: str
    openclaw: str = "openclaw"


@dataclass(frozen=True)
class VerdictInputs:
    """One agent at one moment. Times are Unix seconds."""

    subject: Subject
    seen: Observation | None
    history: CredentialHistory
    policy: Policy
    now: float

    @property
    def dialect(self) -> Dialect:
        return self.seen.dialect if self.seen else Dialect.ROUTES

    @property
    def clock_is_wrong(self) -> bool:
        return self.now < EARLIEST or self.now < self.history.latest - CLOCK_SLACK

    @property
    def providers_in_use(self) -> tuple[str, ...]:
        return (self.seen.providers_in_use or ()) if self.seen else ()

    def said(self, profile: str) -> ProfilePolicy:
        return self.policy.of(self.subject.target, self.subject.agent, profile)

    def is_in_use(self, provider: str) -> bool | None:
        """None where the source does not tell which providers are in use."""
        if self.seen is None or self.seen.providers_in_use is None:
            return None
        return provider in self.seen.providers_in_use

    def lists_as_missing(self, provider: str) -> bool:
        """OpenClaw counts the provider among those in use without a usable credential."""
        return self.seen is not None and provider in self.seen.missing_providers

    def counts_as_working(self, provider: str) -> bool:
        """OpenClaw knows of cooldowns (from 2026.8 on) and still finds a route for the provider."""
        return (
            self.seen is not None
            and self.dialect is Dialect.ROUTES
            and bool(self.is_in_use(provider))
            and provider not in self.seen.missing_providers | self.seen.faulty_providers
            and provider not in self.seen.indeterminate_providers - self.seen.refreshing_providers
        )

    def is_in_order(self, profile: ObservedProfile) -> bool:
        """Whether the profile may serve: an explicit order excludes what it does not name.

        Credentials in the environment stand behind every order.
        """
        order = self._orders.get(profile.provider)
        return order is None or profile.id in order or profile.id.startswith("env:")

    @cached_property
    def _orders(self) -> dict[str, frozenset[str]]:
        return {provider: frozenset(order) for provider, order in self.seen.order.items()} if self.seen else {}

    @cached_property
    def expired_logins(self) -> Counter[str]:
        """How many OAuth profiles OpenClaw calls expired, by provider."""
        profiles = self.seen.profiles if self.seen else ()
        return Counter(p.provider for p in profiles if p.kind == "oauth" and p.status == "expired")

    def remedy(self, make: Callable[..., tuple[str, ...]], *what: object) -> tuple[str, ...]:
        """A remedy's commands for this agent, release and way of calling OpenClaw."""
        return make(*what, self._spelling)

    @cached_property
    def _spelling(self) -> CommandContext:
        life = format_duration(self.policy.setup_token_lifetime)
        return CommandContext(self.subject.agent, self.dialect, self.subject.openclaw, life)
