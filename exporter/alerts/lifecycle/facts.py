"""From a Report to facts that alerts are about: agents gathered, causes put before what they cause.

The lifecycle's eyes. A Report is kept per agent; a fact belongs to a credential (or a provider, or a
target) and lists its agents. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from exporter.alerts.lifecycle.policy import AlertPolicy
from exporter.alerts.values import AlertState, AlertSubject, Credential
from exporter.model import (
    AgentReport,
    Condition,
    ConditionName,
    Family,
    ProfileReport,
    Report,
    Severity,
    Status,
    TargetReport,
)
from exporter.verdict.remedies import PERSON

#: Within a family and a severity, the later is the worse.
ORDER = tuple(ConditionName)
#: Dates that differ by less than this many seconds are the same date told twice.
SAME_DATE = 60.0


@dataclass(frozen=True, slots=True)
class Fact:
    """One condition of one credential, over all agents that have it."""

    subject: AlertSubject
    worst: Condition
    agents: tuple[str, ...]
    since: float | None
    secret: str | None = None
    self_healing: bool = False
    inhibited: bool = False
    checks: Mapping[str, float] = field(default_factory=dict)  # agent -> the look that showed it
    credentials: tuple[Credential, ...] = ()


@dataclass(slots=True)
class ReportIndex:
    """A report, indexed for the questions the lifecycle asks."""

    targets: dict[str, TargetReport]
    agents: dict[tuple[str, str], AgentReport]

    @classmethod
    def of(cls, report: Report) -> ReportIndex:
        targets = {target.target: target for target in report.targets}
        agents = {(target.target, agent.agent): agent for target in report.targets for agent in target.entries}
        return cls(targets, agents)

    def holds(self, state: AlertState, agent: str) -> bool:
        """Whether nothing new is known of an agent, so that nothing about it can be over."""
        target = self.targets.get(state.subject.target)
        if target is None:
            return True
        found = self.agents.get((target.target, agent))
        if state.subject.topic == Family.WATCH:
            return found is None and target.failure is not None and agent != "*"
        if found is None:
            return target.failure is not None
        if found.failure is not None or found.checked_at is None:
            return True
        # While the clock is wrong no date is judged, nor what rests on dates: a provider without a credential.
        return state.condition is not ConditionName.CLOCK and any(
            c.name is ConditionName.CLOCK for c in found.conditions
        )

    def profiles(self, state: AlertState) -> Iterator[tuple[str, ProfileReport]]:
        """The profiles an alert is about, as its agents have them now."""
        for agent in state.agents:
            report = self.agents.get((state.subject.target, agent))
            for profile in report.profiles if report else ():
                if profile.provider == state.subject.provider and state.subject.profile in ("", profile.id):
                    yield agent, profile


def gather(report: Report, policy: AlertPolicy, now: float) -> list[Fact]:
    """Every fact of a report, those of whole providers before those of their profiles."""
    found: dict[AlertSubject, list[_Seen]] = {}
    for target in report.targets:
        if target.target in policy.targets:
            for agent in target.entries:
                for seen in _seen_at(agent, policy, now):
                    found.setdefault(seen.subject, []).append(seen)
    facts = [_fact(slot, group) for slot, all_seen in found.items() for group in _credentials(all_seen)]
    return sorted(facts, key=lambda fact: (bool(fact.subject.profile), fact.subject, fact.agents))


@dataclass(frozen=True, slots=True)
class _Seen:
    """One condition at one agent."""

    subject: AlertSubject
    agent: AgentReport
    condition: Condition
    secret: str | None
    inhibited: bool


def _seen_at(agent: AgentReport, policy: AlertPolicy, now: float) -> Iterator[_Seen]:
    profiles = {(profile.provider, profile.id): profile for profile in agent.profiles}
    dead = {c.provider for c in agent.conditions if c.name is ConditionName.NO_USABLE_PROFILE}
    judged = set()
    for condition in agent.conditions:
        profile = profiles.get((condition.provider or "", condition.profile or ""))
        undated = profile if condition.name is ConditionName.UNDATED else None
        ahead = _ahead(agent, undated, policy, now, "undated") if undated else None
        if condition.family is Family.DEADLINE:
            judged.add((condition.provider, condition.profile))
        inhibited = (
            condition.provider in dead and condition.name.definition.causes_outage and condition.profile is not None
        )
        secret = profile.secret_hash if profile else None
        yield _Seen(_slot(agent.target, condition), agent, ahead or condition, secret, inhibited)
    for key, profile in profiles.items():
        if key not in judged and (ahead := _ahead(agent, profile, policy, now)) is not None:
            yield _Seen(_slot(agent.target, ahead), agent, ahead, profile.secret_hash, False)


def _slot(target: str, condition: Condition) -> AlertSubject:
    topic: str = condition.family
    if condition.family is Family.NOTICE:
        topic = f"{topic}:{condition.name}"
        if condition.name is ConditionName.QUOTA:
            topic = f"{topic}:{condition.reason or ''}"
    return AlertSubject(target, condition.provider or "", condition.profile or "", topic)


def _ahead(
    agent: AgentReport, profile: ProfileReport, policy: AlertPolicy, now: float, reason: str | None = None
) -> Condition | None:
    """What reminds before the verdict warns: a deadline within the first reminder step, as info.

    ``reason``: ``undated`` where the date is assumed.
    """
    deadline = profile.expires_at
    if deadline is None or not policy.remind_before or deadline <= now:
        return None
    if deadline - policy.remind_before[0] >= now or profile.status in (Status.EXPIRED, Status.MISSING):
        return None
    if any(condition.name is ConditionName.CLOCK for condition in agent.conditions):
        return None
    if policy.verdict.of(agent.target, agent.agent, profile.id).ignore:
        return None
    return Condition(
        ConditionName.EXPIRING,
        Severity.INFO,
        provider=profile.provider,
        profile=profile.id,
        remedy=policy.renew(agent, profile),
        reason=reason,
        deadline=deadline,
        seen_at=agent.checked_at if agent.failure is not None else None,
        rule="a reminder step has passed",
    )


def _credentials(seen: list[_Seen]) -> Iterator[list[_Seen]]:
    """One group per credential: agents whose secrets are known to differ hold different ones."""
    secrets = {one.secret for one in seen if one.secret is not None}
    if len(secrets) <= 1:
        yield seen
        return
    groups: dict[str | None, list[_Seen]] = {}
    for one in seen:
        groups.setdefault(one.secret, []).append(one)
    yield from groups.values()


def rank(severity: Severity, name: ConditionName) -> tuple[int, int]:
    """How bad a condition is within its family."""
    return (severity.rank, ORDER.index(name))


def _fact(slot: AlertSubject, seen: list[_Seen]) -> Fact:
    told = [one for one in seen if not one.inhibited] or seen
    worst = max((one.condition for one in told), key=lambda one: (rank(one.severity, one.name), one.seen_at is None))
    starts = [one.condition.since for one in told if one.condition.since is not None]
    agents = tuple(dict.fromkeys(one.agent.agent for one in told))
    return Fact(
        subject=slot,
        worst=worst,
        agents=agents,
        since=min((s for s in starts if s is not None), default=None),
        secret=next((one.secret for one in told if one.secret is not None), None),
        self_healing=all(_heals(one) for one in told),
        inhibited=told[0].inhibited,
        checks=_looks(told),
        credentials=_in_trouble(slot, told) if not slot.profile and slot.topic == Family.AVAILABILITY else (),
    )


def _looks(seen: list[_Seen]) -> dict[str, float]:
    """The look that showed it, where several in a row must."""
    if seen[0].condition.name is ConditionName.CHECK_FAILED:
        return {one.agent.agent: one.agent.failure.at for one in seen if one.agent.failure is not None}
    if seen[0].condition.name is ConditionName.REPORTED:
        return {one.agent.agent: one.agent.checked_at for one in seen if one.agent.checked_at is not None}
    return {}


def _heals(seen: _Seen) -> bool:
    """Whether what is wrong may be over by itself in a moment."""
    if seen.condition.name is ConditionName.UNUSABLE:
        return seen.condition.reason not in PERSON
    if seen.condition.name is ConditionName.NO_USABLE_PROFILE:
        theirs = [p for p in seen.agent.profiles if p.provider == seen.condition.provider]
        return any(
            p.unusable is not None
            and p.unusable.reason not in PERSON
            and p.status not in (Status.EXPIRED, Status.MISSING)
            for p in theirs
        )
    return False


def _in_trouble(slot: AlertSubject, seen: list[_Seen]) -> tuple[Credential, ...]:
    found = {
        Credential(profile.id, profile.secret_hash, profile.expires_at)
        for one in seen
        for profile in one.agent.profiles
        if profile.provider == slot.provider
    }
    return tuple(sorted(found, key=lambda c: (c.profile, c.secret or "", c.deadline or 0.0)))


def is_renewed(before: Credential, now: ProfileReport, *, undated: bool = False) -> bool:
    """Whether a profile holds another credential than it did, or the same with a later date.

    ``undated``: what was wrong is that it had no date, so any date is news.
    """
    if before.secret and now.secret_hash:
        if before.secret != now.secret_hash:
            return True
    elif before.deadline is not None and now.expires_at is None:
        return True  # a login that needs nobody any more
    if now.expires_at is None:
        return False
    return undated or before.deadline is None or now.expires_at > before.deadline + SAME_DATE
