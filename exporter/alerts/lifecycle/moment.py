"""The report of a moment, and what the invariant checker asks of it.

It shares no code with what makes messages: it would share the mistakes. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
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
#: A target and one of its agents.
Place = tuple[str, str]


def is_later(date: float | None, other: float | None) -> bool:
    return date is not None and other is not None and date > other + SAME_DATE


@dataclass(frozen=True, slots=True)
class Moment:
    """The report of a moment, and what is asked of it. Each answer is found by its key: reports may be large."""

    now: float
    policy: AlertPolicy
    agents: dict[Place, AgentReport]
    listed: frozenset[str]  # targets whose agents are known
    by_subject: Mapping[tuple[Place, str | None, str | None], Sequence[Condition]]  # place, provider, profile
    of_provider: Mapping[tuple[Place, str | None], Sequence[ProfileReport]]
    by_id: Mapping[tuple[Place, str | None, str], Sequence[ProfileReport]]

    @classmethod
    def of(cls, report: Report, policy: AlertPolicy, now: float) -> Moment:
        agents = {(target.target, agent.agent): agent for target in report.targets for agent in target.entries}
        listed = frozenset(target.target for target in report.targets if target.failure is None)
        by_subject: dict[tuple[Place, str | None, str | None], list[Condition]] = defaultdict(list)
        of_provider: dict[tuple[Place, str | None], list[ProfileReport]] = defaultdict(list)
        by_id: dict[tuple[Place, str | None, str], list[ProfileReport]] = defaultdict(list)
        for place, agent in agents.items():
            for condition in agent.conditions:
                by_subject[place, condition.provider, condition.profile].append(condition)
            for profile in agent.profiles:
                of_provider[place, profile.provider].append(profile)
                by_id[place, profile.provider, profile.id].append(profile)
        return cls(now, policy, agents, listed, by_subject, of_provider, by_id)

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
        of_agent = self.by_subject.get(((alert.target, agent), None, None), ())
        has_clock = any(condition.name is ConditionName.CLOCK for condition in of_agent)
        return has_clock and alert.condition is not ConditionName.CLOCK

    def profiles(self, alert: Alert, agent: str) -> Sequence[ProfileReport]:
        """The profiles that the alert is about, at one agent."""
        place = alert.target, agent
        if alert.profile is None:
            return self.of_provider.get((place, alert.provider), ())
        return self.by_id.get((place, alert.provider, alert.profile), ())

    def held(self, alert: Alert) -> frozenset[Held]:
        return frozenset(
            (agent, profile.id, profile.secret_hash, profile.expires_at)
            for agent in alert.agents
            for profile in self.profiles(alert, agent)
        )

    def verdict(self, alert: Alert, agent: str, name: ConditionName) -> list[Condition]:
        """The conditions of this name that the verdict has about the alert's subject at one agent."""
        return [
            condition
            for condition in self.by_subject.get(((alert.target, agent), alert.provider, alert.profile), ())
            if condition.name is name and (name is not ConditionName.QUOTA or condition.reason == alert.cause)
        ]

    def facts(self, alert: Alert, agent: str, name: ConditionName) -> list[Condition]:
        """These, and an early reminder of a deadline, which the verdict does not have."""
        found = self.verdict(alert, agent, name)
        if found or name is not ConditionName.EXPIRING:
            return found
        steps = self.policy.steps(alert.target, (agent,), alert.provider, alert.profile)
        if not steps:
            return found
        return [
            Condition(name, Severity.INFO, profile.provider, profile.id, deadline=profile.expires_at)
            for profile in self.profiles(alert, agent)
            if profile.expires_at is not None
            and self.now < profile.expires_at < self.now + steps[0] + ROUNDING
            and profile.status not in (Status.EXPIRED, Status.MISSING)
            and not self.policy.verdict.of(alert.target, agent, profile.id).ignore
        ]

    def has_trouble(self, alert: Alert, agent: str, least: Severity = Severity.INFO) -> bool:
        """Whether an agent has, or was last seen to have, a condition of the alert's family and subject.

        Milder ones than ``least`` do not count. An agent of which nothing is known may have it.
        """
        names = (name for name in ConditionName if name.family is alert.family)
        if any(one.severity.rank >= least.rank for name in names for one in self.facts(alert, agent, name)):
            return True
        return self.is_unknown(alert, agent) and not self.profiles(alert, agent)

    def is_down(self, target: str, agent: str, provider: str | None) -> bool:
        """Whether no credential of the provider works at the agent."""
        of_provider = self.by_subject.get(((target, agent), provider, None), ())
        return any(condition.name is ConditionName.NO_USABLE_PROFILE for condition in of_provider)

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
