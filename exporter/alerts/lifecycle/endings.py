"""How an alert ends: for each agent, and for all together. A message claims only what the report shows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from exporter.alerts.lifecycle.facts import ReportIndex, is_renewed, rank, subject_of
from exporter.alerts.lifecycle.policy import AlertPolicy
from exporter.alerts.values import (
    AgentFact,
    AlertState,
    Credential,
    NotificationReason,
    Resolution,
    ResolutionCause,
)
from exporter.model import ConditionName, Family, ProfileReport, Status

#: The agents of an alert may lose their trouble in different ways. The message is about the first of these that
#: happened to one of them: what a person did, before what happened by itself.
_ORDER = (
    (NotificationReason.RENEWED, ResolutionCause.OVER),
    (NotificationReason.RESOLVED, ResolutionCause.OVER),
    (NotificationReason.RESOLVED, ResolutionCause.REPLACED),
    (NotificationReason.RESOLVED, ResolutionCause.OTHER_PROBLEM),
    (NotificationReason.RESOLVED, ResolutionCause.NOT_NEEDED),
    (NotificationReason.RESOLVED, ResolutionCause.IGNORED),
    (NotificationReason.RESOLVED, ResolutionCause.PROFILE_REMOVED),
    (NotificationReason.RESOLVED, ResolutionCause.TARGET_REMOVED),
)


def resolution(state: AlertState, index: ReportIndex, policy: AlertPolicy, now: float) -> Resolution:
    """How an alert ended that none of its agents has any more."""
    worst = rank(state.severity, state.condition)
    left = left_well(state, index, lambda fact: min(rank(fact.severity, fact.condition), worst))
    facts = {**left, **state.facts} if left else state.facts
    # Whoever is notified of the end was notified of the confirmed ones.
    facts = {agent: fact for agent, fact in facts.items() if fact.confirmed} or facts
    if len(facts) == 1:
        ((agent, fact),) = facts.items()
        return end_of_agent(state, agent, fact, index, policy, now)
    return together([end_of_agent(state, agent, fact, index, policy, now) for agent, fact in facts.items()], now)


def left_well(
    state: AlertState, index: ReportIndex, least: Callable[[AgentFact], tuple[int, int]]
) -> dict[str, AgentFact]:
    """The agents that lost the trouble earlier, and have none that is as bad as ``least`` says.

    An agent that took a credential of its own may have left the alert, and not the trouble.
    """
    return {
        agent: fact
        for agent, fact in state.ended.items()
        if index.has_seen(state, agent) and not _has_trouble(state, agent, least(fact), index)
    }


def _has_trouble(state: AlertState, agent: str, least: tuple[int, int], index: ReportIndex) -> bool:
    """Whether an agent has a condition of the alert's subject that is as bad as ``least``."""
    report = index.agent(state.subject, agent)
    return report is not None and any(
        subject_of(report.target, condition) == state.subject and rank(condition.severity, condition.name) >= least
        for condition in report.conditions
    )


def together(ends: Sequence[Resolution], now: float) -> Resolution:
    """The end that a message reports of the ends of all agents: the first in ``_ORDER``, and whose it is."""
    if not ends:
        return Resolution(now, NotificationReason.RESOLVED)
    kind = min(((end.reason, end.cause) for end in ends), key=_ORDER.index)
    alike = [end for end in ends if (end.reason, end.cause) == kind]
    dates = [(end.until, end.is_assumed) for end in alike if end.until is not None]
    # Nothing holds longer than the date that comes first.
    until, is_assumed = min(dates) if dates and len(dates) == len(alike) else (None, False)
    return Resolution(now, *kind, until, is_assumed, tuple(agent for end in alike for agent in end.agents))


def end_of_agent(
    state: AlertState, agent: str, fact: AgentFact, index: ReportIndex, policy: AlertPolicy, now: float
) -> Resolution:
    """How the trouble of one agent ended."""

    def ended(cause: ResolutionCause) -> Resolution:
        return Resolution(now, NotificationReason.RESOLVED, cause, agents=(agent,))

    subject = state.subject
    if subject.target not in policy.targets:
        return ended(ResolutionCause.TARGET_REMOVED)
    if index.agent(subject, agent) is None and agent != "*":
        return ended(ResolutionCause.PROFILE_REMOVED)
    if state.condition is ConditionName.QUOTA and not _is_reported(state, agent, index):
        return ended(ResolutionCause.NOT_NEEDED)  # nobody knows how much is used
    if state.family not in (Family.DEADLINE, Family.AVAILABILITY):
        is_ignored = bool(subject.profile) and policy.verdict.of(subject.target, agent, subject.profile).ignore
        return ended(ResolutionCause.IGNORED if is_ignored else ResolutionCause.OVER)
    if not subject.profile:
        return _provider_end(state, agent, fact, index, now)
    profile = index.profile(subject, agent)
    if profile is None:
        return ended(ResolutionCause.PROFILE_REMOVED)
    if policy.verdict.of(subject.target, agent, profile.id).ignore:
        return ended(ResolutionCause.IGNORED)
    was_own = fact.owner == agent and profile.owner is not None
    if was_own and profile.owner != agent:
        return ended(ResolutionCause.PROFILE_REMOVED)  # it has the credential of another agent again
    before = fact.credentials or (Credential(subject.profile, state.secret, fact.deadline),)
    is_new = _is_another(before, profile, undated=fact.condition is ConditionName.UNDATED)
    if profile.status in (Status.EXPIRED, Status.MISSING) or not profile.usable:
        return ended(ResolutionCause.REPLACED if is_new else ResolutionCause.OTHER_PROBLEM)
    return _renewed(profile, agent, now) if is_new else ended(ResolutionCause.OVER)


def _is_reported(state: AlertState, agent: str, index: ReportIndex) -> bool:
    """Whether an agent's report has the usage window that the alert is about."""
    report = index.agent(state.subject, agent)
    windows = report.usage if report is not None else ()
    return any((usage.provider, usage.window) == (state.subject.provider, state.cause) for usage in windows)


def _renewed(profile: ProfileReport, agent: str, now: float) -> Resolution:
    is_assumed = profile.assumed and profile.expires_at is not None
    return Resolution(now, NotificationReason.RENEWED, until=profile.expires_at, is_assumed=is_assumed, agents=(agent,))


def _provider_end(state: AlertState, agent: str, fact: AgentFact, index: ReportIndex, now: float) -> Resolution:
    """How it ended that no credential of a provider worked: by a new credential, or because one works again."""
    report = index.agent(state.subject, agent)
    if report is None or not report.providers_usable.get(state.subject.provider):
        return Resolution(now, NotificationReason.RESOLVED, ResolutionCause.NOT_NEEDED, agents=(agent,))
    working = [profile for profile in index.provider_profiles(state.subject, agent) if profile.usable]
    if not working or any(not _is_another(fact.credentials, profile) for profile in working):
        return Resolution(now, NotificationReason.RESOLVED, agents=(agent,))
    # While one of them works, the provider does.
    last = max(working, key=lambda profile: profile.expires_at if profile.expires_at is not None else float("inf"))
    return _renewed(last, agent, now)


def _is_another(before: Iterable[Credential], profile: ProfileReport, *, undated: bool = False) -> bool:
    """Whether the profile holds none of the credentials that failed."""
    return all(is_renewed(known, profile, undated=undated) for known in before if known.profile == profile.id)


def has_same_deadline(state: AlertState, index: ReportIndex, policy: AlertPolicy, now: float) -> bool:
    """Whether an expiring credential is unchanged, so that only edited steps or the clock moved it out of reach."""
    if state.condition is not ConditionName.EXPIRING or state.deadline is None or state.deadline <= now:
        return False
    subject = state.subject
    before = Credential(subject.profile, state.secret, state.deadline)
    return any(
        (profile := index.profile(subject, agent)) is not None
        and profile.expires_at is not None
        and not is_renewed(before, profile)
        and not policy.verdict.of(subject.target, agent, subject.profile).ignore
        for agent in state.facts
    )
