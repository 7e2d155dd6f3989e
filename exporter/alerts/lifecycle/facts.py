"""Gathers the facts of a Report that alerts are about: one fact per credential, with what each agent finds of it.

A fact belongs to a credential, a provider or a target. Facts about a provider come before those about its profiles,
which they inhibit. Pure.
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
from exporter.verdict.remedies import NEEDS_PERSON

#: Dates that differ by less than this many seconds are the same date, rounded differently.
SAME_DATE = 60.0

#: Within a family and a severity, a later condition is worse.
_BADNESS = {name: index for index, name in enumerate(ConditionName)}


@dataclass(frozen=True, slots=True)
class Finding:
    """The worst condition of one family that one agent has of one credential."""

    subject: AlertSubject
    agent: AgentReport
    condition: Condition
    profile: ProfileReport | None
    inhibited: bool

    @property
    def secret(self) -> str | None:
        """The keyed hash of the credential's secret, if it is known."""
        return self.profile.secret_hash if self.profile is not None else None


@dataclass(frozen=True, slots=True)
class Fact:
    """One credential, provider or target that has conditions of one family, with the finding of each agent."""

    subject: AlertSubject
    findings: Mapping[str, Finding]  # by agent
    secret: str | None = None  # keyed hash
    waiting: frozenset[str] = frozenset()  # agents whose finding is part of a provider's alert that waits


@dataclass(slots=True)
class ReportIndex:
    """A report, indexed for the questions that the lifecycle asks."""

    targets: dict[str, TargetReport]
    agents: dict[tuple[str, str], AgentReport]
    _profiles: dict[tuple[str, str], dict[tuple[str, str], ProfileReport]] = field(default_factory=dict)

    @classmethod
    def of(cls, report: Report) -> ReportIndex:
        targets = {target.target: target for target in report.targets}
        agents = {(target.target, agent.agent): agent for target in report.targets for agent in target.entries}
        return cls(targets, agents)

    def agent(self, subject: AlertSubject, agent: str) -> AgentReport | None:
        return self.agents.get((subject.target, agent))

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
        return found.failure is not None or found.checked_at is None or _is_clock_wrong(found, state)

    def is_last_seen_without(self, state: AlertState, agent: str) -> bool:
        """Whether what was last seen at an agent whose check fails no longer shows the trouble, as of now.

        Only a clock that was set back does that: a date that had passed is ahead again. The report has no finding.
        """
        found = self.agent(state.subject, agent)
        is_failing = found is not None and found.failure is not None and found.checked_at is not None
        return found is not None and is_failing and self.has_seen(state, agent) and not _is_clock_wrong(found, state)

    def has_seen(self, state: AlertState, agent: str) -> bool:
        """Whether the report has anything of the agent that the alert is about, if only from an earlier check."""
        return not self.is_unknown(state, agent) or bool(
            self.profile(state.subject, agent)
            if state.subject.profile
            else self.provider_profiles(state.subject, agent)
        )

    def profile(self, subject: AlertSubject, agent: str) -> ProfileReport | None:
        """The subject's profile at an agent as it is now."""
        place = (subject.target, agent)
        known = self._profiles.get(place)
        if known is None:
            report = self.agents.get(place)
            known = {(profile.provider, profile.id): profile for profile in (report.profiles if report else ())}
            self._profiles[place] = known
        return known.get((subject.provider, subject.profile))

    def provider_profiles(self, subject: AlertSubject, agent: str) -> list[ProfileReport]:
        """All profiles of the subject's provider at an agent as they are now."""
        report = self.agent(subject, agent)
        return [profile for profile in (report.profiles if report else ()) if profile.provider == subject.provider]


def _is_clock_wrong(found: AgentReport, state: AlertState) -> bool:
    """Whether the verdict evaluates neither dates nor what depends on them, because the clock is wrong."""
    return state.condition is not ConditionName.CLOCK and any(
        condition.name is ConditionName.CLOCK for condition in found.conditions
    )


def gather(report: Report, policy: AlertPolicy, now: float) -> list[Fact]:
    """All facts of a report, those about providers before those about profiles."""
    found: dict[AlertSubject, list[Finding]] = {}
    for target in report.targets:
        if target.target in policy.targets:
            for agent in target.entries:
                for finding in _findings(agent, policy, now):
                    found.setdefault(finding.subject, []).append(finding)
    facts = [_fact(subject, group) for subject, findings in found.items() for group in _by_credential(findings)]
    return sorted(facts, key=_providers_first)


def _providers_first(fact: Fact) -> tuple[bool, str, str, str, str, tuple[str, ...]]:
    subject = fact.subject
    return bool(subject.profile), subject.target, subject.provider, subject.profile, subject.topic, (*fact.findings,)


def _findings(agent: AgentReport, policy: AlertPolicy, now: float) -> Iterator[Finding]:
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
        yield Finding(subject_of(agent.target, condition), agent, reminder or condition, profile, inhibited)
    for key, profile in profiles.items():
        if key not in has_deadline_condition and (reminder := _reminder(agent, profile, policy, now)) is not None:
            yield Finding(subject_of(agent.target, reminder), agent, reminder, profile, False)


def subject_of(target: str, condition: Condition) -> AlertSubject:
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
    if deadline is None or deadline <= now:
        return None
    steps = policy.steps(agent.target, (agent.agent,), profile.provider, profile.id)
    if not steps or deadline - steps[0] >= now or profile.status in (Status.EXPIRED, Status.MISSING):
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


def _by_credential(findings: list[Finding]) -> Iterator[list[Finding]]:
    """Groups findings by credential: agents whose secrets are known to differ hold different credentials."""
    secrets = {finding.secret for finding in findings if finding.secret is not None}
    if len(secrets) <= 1:
        yield findings
        return
    groups: dict[str | None, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.secret, []).append(finding)
    yield from groups.values()


def rank(severity: Severity, name: ConditionName) -> tuple[int, int]:
    """How bad a condition is within its family, as a sort key."""
    return (severity.rank, _BADNESS[name])


def _fact(subject: AlertSubject, findings: list[Finding]) -> Fact:
    if len(findings) == 1:
        (only,) = findings
        return Fact(subject, {only.agent.agent: only}, only.secret)
    by_agent: dict[str, Finding] = {}
    for finding in findings:
        known = by_agent.get(finding.agent.agent)
        if known is None or _weight(finding) > _weight(known):
            by_agent[finding.agent.agent] = finding
    secret = next((finding.secret for finding in findings if finding.secret is not None), None)
    return Fact(subject, by_agent, secret)


def _weight(finding: Finding) -> tuple[bool, tuple[int, int]]:
    """An agent's worst condition of a family stands for the others; one that is not inhibited comes first."""
    return not finding.inhibited, rank(finding.condition.severity, finding.condition.name)


def checked_at(finding: Finding) -> float | None:
    """When the agent's check found it (Unix seconds), for conditions that several checks in a row must find."""
    agent = finding.agent
    if finding.condition.name is ConditionName.CHECK_FAILED:
        return agent.failure.at if agent.failure is not None else None
    return agent.checked_at if finding.condition.name is ConditionName.REPORTED else None


def is_self_healing(finding: Finding) -> bool:
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


def failing_credentials(finding: Finding) -> tuple[Credential, ...]:
    """The agent's credentials that do not work: of a provider that has none that works, all."""
    subject = finding.subject
    if subject.topic != Family.AVAILABILITY:
        return ()
    if subject.profile:
        profile = finding.profile
        return (Credential(profile.id, profile.secret_hash, profile.expires_at),) if profile is not None else ()
    return tuple(
        Credential(profile.id, profile.secret_hash, profile.expires_at)
        for profile in finding.agent.profiles
        if profile.provider == subject.provider
    )


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
