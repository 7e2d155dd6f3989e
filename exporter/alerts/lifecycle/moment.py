"""The report of a moment, and what the invariant checker asks of it.

It shares no code with what makes messages: it would share the mistakes. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.alerts.lifecycle.policy import AlertPolicy
from exporter.alerts.values import Alert
from exporter.model import AgentReport, Condition, ConditionName, Family, ProfileReport, Report, Severity, Status
from exporter.verdict.remedies import NEEDS_PERSON

#: Dates that differ by less than this many seconds are the same date, rounded differently.
SAME_DATE = 60.0
#: A clock that is read twice, and rounded, differs by less than this many seconds.
ROUNDING = 1.0

#: One profile's credential at one agent: agent, profile, keyed hash of the secret, deadline.
Held = tuple[str, str, str | None, float | None]


def is_later(date: float | None, other: float | None) -> bool:
    return date is not None and other is not None and date > other + SAME_DATE


@dataclass(frozen=True, slots=True)
class Moment:
    """The report of a moment, and what is asked of it."""

    now: float
    policy: AlertPolicy
    agents: dict[tuple[str, str], AgentReport]
    listed: frozenset[str]  # targets whose agents are known

    @classmethod
    def of(cls, report: Report, policy: AlertPolicy, now: float) -> Moment:
        agents = {(target.target, agent.agent): agent for target in report.targets for agent in target.entries}
        listed = frozenset(target.target for target in report.targets if target.failure is None)
        return cls(now, policy, agents, listed)

    def of_target(self, target: str) -> Iterator[AgentReport]:
        return (agent for (name, _), agent in self.agents.items() if name == target)

    def is_unknown(self, alert: Alert, agent: str) -> bool:
        """Whether the report has nothing new about the agent, so that what was last seen there stands."""
        found = self.agents.get((alert.target, agent))
        if found is None:
            return alert.target not in self.listed and agent != "*"
        if alert.family is Family.WATCH:
            return False
        if found.failure is not None or found.checked_at is None:
            return True
        has_clock = any(condition.name is ConditionName.CLOCK for condition in found.conditions)
        return has_clock and alert.condition is not ConditionName.CLOCK

    def profiles(self, alert: Alert, agent: str) -> list[ProfileReport]:
        """The profiles that the alert is about, at one agent."""
        found = self.agents.get((alert.target, agent))
        profiles = found.profiles if found is not None else ()
        return [p for p in profiles if p.provider == alert.provider and alert.profile in (None, p.id)]

    def held(self, alert: Alert) -> frozenset[Held]:
        return frozenset(
            (agent, profile.id, profile.secret_hash, profile.expires_at)
            for agent in alert.agents
            for profile in self.profiles(alert, agent)
        )

    def verdict(self, alert: Alert, agent: str, name: ConditionName) -> list[Condition]:
        """The conditions of this name that the verdict has about the alert's subject at one agent."""
        found = self.agents.get((alert.target, agent))
        return [
            condition
            for condition in (found.conditions if found is not None else ())
            if condition.name is name
            and (condition.provider, condition.profile) == (alert.provider, alert.profile)
            and (name is not ConditionName.QUOTA or condition.reason == alert.cause)
        ]

    def facts(self, alert: Alert, agent: str, name: ConditionName) -> list[Condition]:
        """These, and an early reminder of a deadline, which the verdict does not have."""
        found = self.verdict(alert, agent, name)
        if found or name is not ConditionName.EXPIRING or not self.policy.remind_before:
            return found
        return [
            Condition(name, Severity.INFO, profile.provider, profile.id, deadline=profile.expires_at)
            for profile in self.profiles(alert, agent)
            if profile.expires_at is not None
            and self.now < profile.expires_at < self.now + self.policy.remind_before[0] + ROUNDING
            and profile.status not in (Status.EXPIRED, Status.MISSING)
            and not self.policy.verdict.of(alert.target, agent, profile.id).ignore
        ]

    def has_trouble(self, alert: Alert, agent: str) -> bool:
        """Whether an agent has, or was last seen to have, a condition of the alert's family and subject."""
        names = (name for name in ConditionName if name.family is alert.family)
        return self.is_unknown(alert, agent) or any(self.facts(alert, agent, name) for name in names)

    def is_down(self, target: str, agent: str, provider: str | None) -> bool:
        """Whether no credential of the provider works at the agent."""
        found = self.agents.get((target, agent))
        return found is not None and any(
            condition.name is ConditionName.NO_USABLE_PROFILE and condition.provider == provider
            for condition in found.conditions
        )

    def works(self, alert: Alert, agent: str) -> bool:
        """Whether the profile, or the provider, works at the agent."""
        found = self.agents.get((alert.target, agent))
        usable = any(profile.usable for profile in self.profiles(alert, agent))
        if alert.profile is not None or found is None or alert.provider is None:
            return usable
        return found.providers_usable.get(alert.provider, usable)


def heals_itself(condition: Condition, agent: AgentReport) -> bool:
    if condition.name is ConditionName.UNUSABLE:
        return condition.reason not in NEEDS_PERSON
    return condition.name is ConditionName.NO_USABLE_PROFILE and any(
        profile.provider == condition.provider
        and profile.unusable is not None
        and profile.unusable.reason not in NEEDS_PERSON
        and profile.status not in (Status.EXPIRED, Status.MISSING)
        for profile in agent.profiles
    )
