"""The inputs of one verdict about one agent, and the facts that several rules derive from them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from exporter.config import Policy, ProfilePolicy
from exporter.lib.durations import format_duration
from exporter.model import SHARED_AGENT, Dialect, Failure, Observation, ObservedProfile, Use, most_important_first
from exporter.state.history import EARLIEST as EARLIEST
from exporter.state.history import CredentialHistory, CredentialRecord
from exporter.verdict.invocation import Invocation, Programs
from exporter.verdict.logins import AWS, configured_lenders, delegates, with_delegates
from exporter.verdict.releases import commands_of
from exporter.verdict.remedies import CommandContext

#: How far the clock may lag behind the latest stored time before dates are ignored, seconds.
CLOCK_SLACK = 300.0


class Subject(NamedTuple):
    """The agent that a verdict is about, and how remedies call its programs."""

    target: str
    agent: str
    source: str
    programs: Programs = Programs()
    shared: tuple[ObservedProfile, ...] = ()  # what SHARED_AGENT has, if that is another agent

    @property
    def openclaw(self) -> Invocation:
        return self.programs.openclaw

    def __str__(self) -> str:
        return f"{self.target}/{self.agent}"


@dataclass(frozen=True)
class VerdictInputs:
    """Everything a verdict depends on. Times are Unix seconds.

    ``observation`` is the last one that could be read, ``failure`` the failed check after it, if any.
    Before the first observation (``was_observed`` is false), one without facts takes its place.
    """

    subject: Subject
    observation: Observation
    was_observed: bool
    failure: Failure | None
    history: CredentialHistory
    policy: Policy
    now: float

    @property
    def dialect(self) -> Dialect:
        return self.observation.dialect

    @property
    def is_command(self) -> bool:
        """Whether OpenClaw's own check reported it, with its lists of providers."""
        return self.dialect in (Dialect.DATES, Dialect.STATUS, Dialect.LISTING, Dialect.ROUTES)

    @property
    def observed_at(self) -> float:
        """When the observation was made; now if there is none."""
        return self.observation.observed_at

    @property
    def clock_is_wrong(self) -> bool:
        return self.now < EARLIEST or self.now < self.history.latest - CLOCK_SLACK

    @cached_property
    def providers_in_use(self) -> tuple[str, ...]:
        """The providers that models in use need, and those whose login serves them."""
        return with_delegates(self.observation, self.observation.providers_in_use or ())

    @property
    def sees_unusable(self) -> bool:
        """Whether the source reports cooldowns and disables."""
        return "unusable" not in self.observation.blind_to

    def profile_policy(self, profile: str) -> ProfilePolicy:
        return self.policy.of(self.subject.target, self.subject.agent, profile)

    def expiring_within(self, provider: str, profile: str) -> tuple[float, str]:
        """How near a deadline of the profile is a warning, in seconds, and the key that decides it."""
        return self.policy.expiring_within_of(self.subject.target, self.subject.agent, provider, profile)

    def record(self, profile: str) -> CredentialRecord | None:
        """What the history holds about a profile."""
        return self.history.profiles.get(profile)

    def is_in_use(self, provider: str) -> bool | None:
        """Whether a model in use needs the provider; None if the source does not report it."""
        return None if self.observation.providers_in_use is None else provider in self.providers_in_use

    def is_unused(self, provider: str) -> bool:
        """Whether the source reports what is in use, and the provider is not."""
        return self.is_in_use(provider) is False

    @property
    def sees_uses(self) -> bool:
        """Whether every model that the configuration names was seen, not only those of OpenClaw's own check."""
        return "uses" not in self.observation.blind_to

    @property
    def nothing_in_use(self) -> str:
        """The subject of the sentence "… uses the provider", if it is unused: what was not seen may use it."""
        return "nothing in the configuration" if self.sees_uses else "no model that could be seen"

    def uses(self, provider: str) -> tuple[Use, ...]:
        """The uses of the provider's models, and of those that its login serves, the most important first."""
        return self._uses.get(provider, ())

    @cached_property
    def _uses(self) -> dict[str, tuple[Use, ...]]:
        found = defaultdict[str, list[Use]](list)
        for use in self.observation.uses:
            for provider in dict.fromkeys((use.provider, *delegates(self.observation, use.provider))):
                found[provider].append(use)
        return {provider: most_important_first(uses) for provider, uses in found.items()}

    def serves_chat(self, provider: str) -> bool:
        """Whether a chat route uses the provider, or may: then its trouble is critical."""
        if not self.is_in_use(provider):
            return not self.is_unused(provider)
        uses = self.uses(provider)
        return not uses or any(use.purpose.is_chat for use in uses) or self._is_listed_for_chat(provider)

    def _is_listed_for_chat(self, provider: str) -> bool:
        """Whether OpenClaw's own check lists the provider, and only a chat route can be why."""
        seen = self.observation
        listed = seen.missing_providers | seen.indeterminate_providers | seen.faulty_providers
        return (
            self.is_command and provider in listed and not any(use.purpose.is_examined for use in self.uses(provider))
        )

    def is_examined(self, provider: str) -> bool:
        """Whether OpenClaw's own check examines the provider: not if only the heartbeat uses it, for example."""
        uses = self.uses(provider)
        is_known = any(use.purpose.is_examined for use in uses) or self._is_listed_for_chat(provider)
        return not self.is_unused(provider) and (not uses or is_known)

    def needs_credential(self, provider: str | None) -> bool:
        """False if the policy says that the provider needs no credential: then nothing about it is reported."""
        return provider is None or self.policy.needs_credential(provider)

    def is_listed_missing(self, provider: str) -> bool:
        """Whether OpenClaw lists the provider as in use without a usable credential."""
        return provider in self.observation.missing_providers and not self.is_keyless(provider)

    def is_keyless(self, provider: str) -> bool:
        """Whether the provider needs no credential of OpenClaw's.

        Up to 2026.7 OpenClaw lists a provider that signs in through AWS as missing although it works.
        """
        if self.dialect is Dialect.ROUTES and provider in self.observation.missing_providers:
            return False
        return provider in AWS | self.observation.keyless_providers

    @cached_property
    def unready_providers(self) -> frozenset[str]:
        """Providers whose route OpenClaw cannot call ready, for a reason other than a login that refreshes."""
        unready = self.observation.indeterminate_providers - self.observation.refreshing_providers
        return frozenset(p for p in unready if not self.is_borrowed(p) and self.needs_credential(p))

    def is_borrowed(self, provider: str) -> bool:
        """Whether the login that serves the provider is another program's, such as Claude Code's."""
        names = {provider, *configured_lenders(self.observation, provider)} & self.observation.borrowed_logins
        return bool(names - self.observation.missing_providers)

    def has_route(self, provider: str) -> bool:
        """Whether OpenClaw, taking cooldowns into account (from 2026.8), still finds a route for the provider."""
        blocked = self.observation.missing_providers | self.observation.faulty_providers | self.unready_providers
        is_examined = bool(self.is_in_use(provider)) and self.is_examined(provider)
        return self.dialect is Dialect.ROUTES and is_examined and provider not in blocked

    def is_in_order(self, profile: ObservedProfile) -> bool:
        """Whether the profile may serve: an explicit order excludes every profile it does not name.

        Credentials from the environment come after every order.
        """
        order = self._orders.get(profile.provider)
        return order is None or profile.id in order or profile.id.startswith("env:")

    @cached_property
    def _orders(self) -> dict[str, frozenset[str]]:
        return {provider: frozenset(order) for provider, order in self.observation.order.items()}

    @cached_property
    def expired_logins(self) -> Counter[str]:
        """How many OAuth profiles OpenClaw reports as expired, by provider."""
        profiles = self.observation.profiles
        return Counter(p.provider for p in profiles if p.kind == "oauth" and p.status == "expired")

    def owner_of(self, profile: ObservedProfile) -> str | None:
        """The agent whose store has the profile; None if unknown.

        Where no store was read, a credential that the shared agent has too is that agent's.
        """
        if profile.owner is not None:
            return profile.owner
        twin = self._shared.get(profile.id)
        if twin is None or (twin.provider, twin.kind) != (profile.provider, profile.kind):
            return None
        hashes = {profile.secret_hash, twin.secret_hash} - {None}
        dates = sorted(date for date in (profile.expires_at, twin.expires_at) if date is not None)
        is_same = len(hashes) < 2 and (len(dates) < 2 or dates[1] - dates[0] < 1)
        return SHARED_AGENT if is_same else None

    @cached_property
    def _shared(self) -> dict[str, ObservedProfile]:
        return {profile.id: profile for profile in self.subject.shared}

    @cached_property
    def commands(self) -> CommandContext:
        """How the commands of remedies are spelled for this agent and release."""
        seen, programs = self.observation, self.subject.programs
        return CommandContext(
            self.subject.agent,
            commands_of(seen.openclaw_version, seen.dialect),
            programs,
            format_duration(self.policy.setup_token_lifetime),
            seen.agent_dir,
            is_claude_code=seen.dialect is Dialect.LOGIN or self.subject.source == "claude",
        )
