"""Gathers the facts of a Report that alerts are about: one fact per credential, with all agents that share it.

A Report is kept per agent. A fact belongs to a credential, a provider or a target and lists its
agents. Facts about a provider come before those about its profiles, which they inhibit. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

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
from exporter.verdict.remedies import NEEDS_PERSON

#: Dates that differ by less than this many seconds are the same date, rounded differently.
SAME_DATE = 60.0

#: Within a family and a severity, a later condition is worse.
_BADNESS = {name: index for index, name in enumerate(ConditionName)}


@dataclass(frozen=True, slots=True)
class Fact:
    """One condition of one credential, over all agents that share it."""

    subject: AlertSubject
    worst: Condition
    agents: tuple[str, ...]
    since: float | None
    secret: str | None = None  # keyed hash
    self_healing: bool = False
    inhibited: bool = False
    checks: Mapping[str, float] = field(default_factory=dict)  # agent -> time of the check that found it
    credentials: tuple[Credential, ...] = ()


@dataclass(slots=True)
class ReportIndex:
    """A report, indexed for the questions that the lifecycle asks."""

    targets: dict[str, TargetReport]
    agents: dict[tuple[str, str], AgentReport]

    @classmethod
    def of(cls, report: Report) -> ReportIndex:
        targets = {target.target: target for target in report.targets}
        agents = {(target.target, agent.agent): agent for target in report.targets for agent in target.entries}
        return cls(targets, agents)

    def is_unknown(self, state: AlertState, agent: str) -> bool:
        """Whether the report has nothing new about the agent, so that its part of the alert cannot be over."""
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
        # While the clock is wrong, the verdict evaluates neither dates nor what depends on them.
        return state.condition is not ConditionName.CLOCK and any(
            condition.name is ConditionName.CLOCK for condition in found.conditions
        )

    def profiles(self, state: AlertState) -> Iterator[tuple[str, ProfileReport]]:
        """The alert's profiles as they are now, each with its agent."""
        for agent in state.agents:
            report = self.agents.get((state.subject.target, agent))
            for profile in report.profiles if report else ():
                if profile.provider == state.subject.provider and state.subject.profile in ("", profile.id):
                    yield agent, profile


def gather(report: Report, policy: AlertPolicy, now: float) -> list[Fact]:
    """All facts of a report, those about providers before those about profiles."""
    found: dict[AlertSubject, list[_Finding]] = {}
    for target in report.targets:
        if target.target in policy.targets:
            for agent in target.entries:
                for finding in _findings(agent, policy, now):
                    found.setdefault(finding.subject, []).append(finding)
    facts = [_fact(subject, group) for subject, findings in found.items() for group in _by_credential(findings)]
    return sorted(facts, key=_providers_first)


def _providers_first(fact: Fact) -> tuple[bool, str, str, str, str, tuple[str, ...]]:
    subject = fact.subject
    return bool(subject.profile), subject.target, subject.provider, subject.profile, subject.topic, fact.agents


@dataclass(frozen=True, slots=True)
class _Finding:
    """One condition at one agent."""

    subject: AlertSubject
    agent: AgentReport
    condition: Condition
    secret: str | None
    inhibited: bool


def _findings(agent: AgentReport, policy: AlertPolicy, now: float) -> Iterator[_Finding]:
    profiles = {(profile.provider, profile.id): profile for profile in agent.profiles}
    down = {c.provider for c in agent.conditions if c.name is ConditionName.NO_USABLE_PROFILE}
    has_deadline_condition = set()
    for condition in agent.conditions:
        profile = profiles.get((condition.provider or "", condition.profile or ""))
        reminder = None
        if profile is not None and condition.name is ConditionName.UNDATED:
            reminder = _reminder(agent, profile, policy, now, "undated")
        if condition.family is Family.DEADLINE:
            has_deadline_condition.add((condition.provider, condition.profile))
        inhibited = (
            condition.provider in down and condition.name.definition.causes_outage and condition.profile is not None
        )
        secret = profile.secret_hash if profile else None
        yield _Finding(_subject(agent.target, condition), agent, reminder or condition, secret, inhibited)
    for key, profile in profiles.items():
        if key not in has_deadline_condition and (reminder := _reminder(agent, profile, policy, now)) is not None:
            yield _Finding(_subject(agent.target, reminder), agent, reminder, profile.secret_hash, False)


def _subject(target: str, condition: Condition) -> AlertSubject:
    topic: str = condition.family
    if condition.family is Family.NOTICE:
        topic = f"{topic}:{condition.name}"
        if condition.name is ConditionName.QUOTA:
            topic = f"{topic}:{condition.reason or ''}"
    return AlertSubject(target, condition.provider or "", condition.profile or "", topic)


def _reminder(
    agent: AgentReport, profile: ProfileReport, policy: AlertPolicy, now: float, reason: str | None = None
) -> Condition | None:
    """An ``expiring`` of severity info once the first reminder step has passed, before the verdict warns.

    ``reason`` is ``undated`` if the date is an assumption.
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
        steps=policy.renew(agent, profile),
        reason=reason,
        deadline=deadline,
        seen_at=agent.checked_at if agent.failure is not None else None,
        rule="a reminder step has passed",
    )


def _by_credential(findings: list[_Finding]) -> Iterator[list[_Finding]]:
    """Groups findings by credential: agents whose secrets are known to differ hold different credentials."""
    secrets = {finding.secret for finding in findings if finding.secret is not None}
    if len(secrets) <= 1:
        yield findings
        return
    groups: dict[str | None, list[_Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.secret, []).append(finding)
    yield from groups.values()


def rank(severity: Severity, name: ConditionName) -> tuple[int, int]:
    """How bad a condition is within its family, as a sort key."""
    return (severity.rank, _BADNESS[name])


def _fact(subject: AlertSubject, findings: list[_Finding]) -> Fact:
    shown = [finding for finding in findings if not finding.inhibited] or findings
    worst = max((f.condition for f in shown), key=lambda c: (rank(c.severity, c.name), c.seen_at is None))
    if worst.family in (Family.DEADLINE, Family.AVAILABILITY):
        # Each agent with a store of its own needs its own steps; for heirs they are the same.
        steps = (step for f in shown if f.condition.name is worst.name for step in f.condition.steps)
        worst = replace(worst, steps=tuple(dict.fromkeys(steps)))
    is_provider_down = not subject.profile and subject.topic == Family.AVAILABILITY
    return Fact(
        subject=subject,
        worst=worst,
        agents=tuple(dict.fromkeys(finding.agent.agent for finding in shown)),
        since=min((f.condition.since for f in shown if f.condition.since is not None), default=None),
        secret=next((finding.secret for finding in shown if finding.secret is not None), None),
        self_healing=all(_is_self_healing(finding) for finding in shown),
        inhibited=shown[0].inhibited,
        checks=_check_times(shown),
        credentials=_failing_credentials(subject, shown) if is_provider_down else (),
    )


def _check_times(findings: list[_Finding]) -> dict[str, float]:
    """When each agent's check found it, for conditions that several checks in a row must find."""
    name, agents = findings[0].condition.name, [finding.agent for finding in findings]
    if name is ConditionName.CHECK_FAILED:
        return {agent.agent: agent.failure.at for agent in agents if agent.failure is not None}
    if name is ConditionName.REPORTED:
        return {agent.agent: agent.checked_at for agent in agents if agent.checked_at is not None}
    return {}


def _is_self_healing(finding: _Finding) -> bool:
    """Whether it may recover on its own: a cooldown, or a provider with a profile in cooldown."""
    if finding.condition.name is ConditionName.UNUSABLE:
        return finding.condition.reason not in NEEDS_PERSON
    if finding.condition.name is ConditionName.NO_USABLE_PROFILE:
        return any(
            profile.provider == finding.condition.provider
            and profile.unusable is not None
            and profile.unusable.reason not in NEEDS_PERSON
            and profile.status not in (Status.EXPIRED, Status.MISSING)
            for profile in finding.agent.profiles
        )
    return False


def _failing_credentials(subject: AlertSubject, findings: list[_Finding]) -> tuple[Credential, ...]:
    found = {
        Credential(profile.id, profile.secret_hash, profile.expires_at)
        for finding in findings
        for profile in finding.agent.profiles
        if profile.provider == subject.provider
    }
    return tuple(sorted(found, key=lambda c: (c.profile, c.secret or "", c.deadline or 0.0)))


def is_renewed(before: Credential, now: ProfileReport, *, undated: bool = False) -> bool:
    """Whether a profile holds a different credential than before, or the same one with a later date.

    ``undated`` says that the problem was a missing date, so that any date counts as renewed.
    """
    if before.secret and now.secret_hash:
        if before.secret != now.secret_hash:
            return True
    elif before.deadline is not None and now.expires_at is None:
        return True  # replaced by a login that refreshes itself
    if now.expires_at is None:
        return False
    return undated or before.deadline is None or now.expires_at > before.deadline + SAME_DATE
