"""Renewals to a date that is itself within the reminders: the alert ends, and is silent until the next step. Pure."""

from __future__ import annotations

from exporter.alerts.lifecycle.endings import end_of_agent, left_well, together
from exporter.alerts.lifecycle.facts import SAME_DATE, Fact, Finding, ReportIndex, rank
from exporter.alerts.lifecycle.policy import AlertPolicy, passed_step
from exporter.alerts.values import AgentFact, AlertState, NotificationReason, Resolution, ResolutionCause
from exporter.model import ConditionName, Family, Severity


def is_renewed_to_near_date(state: AlertState, fact: Fact, policy: AlertPolicy, now: float) -> bool:
    """Whether the credential was renewed and works, but to a date that is itself within the reminders."""
    if state.family is not Family.DEADLINE:
        return False
    worst = min(fact.findings.values(), key=_deadline_of)
    condition = worst.condition
    if any(one.condition.name is not ConditionName.EXPIRING for one in fact.findings.values()):
        return False
    if condition.severity is not Severity.INFO or not all(map(_works, fact.findings.values())):
        return False
    was_undated = state.condition is ConditionName.UNDATED
    is_new = fact.secret is not None and state.secret is not None and fact.secret != state.secret
    # The assumed date of an undated token may come near without a renewal.
    if not is_new and not all(_has_moved(state.facts.get(a), one, was_undated) for a, one in fact.findings.items()):
        return False
    if was_undated:
        return not worst.profile.assumed if worst.profile is not None else True
    steps = policy.steps_of(state)
    before = _stage(state.condition, state.deadline, steps, now)
    return _stage(condition.name, condition.deadline, steps, now) < before


def _has_moved(before: AgentFact | None, finding: Finding, was_undated: bool) -> bool:
    """Whether the date of the credential that an agent has is a later one, or the first."""
    deadline = finding.condition.deadline
    if deadline is None or before is None:
        return False
    if before.deadline is None:
        return True
    moved = deadline - before.deadline
    return abs(moved) > SAME_DATE if was_undated else moved > SAME_DATE


def _deadline_of(finding: Finding) -> float:
    return finding.condition.deadline if finding.condition.deadline is not None else float("inf")


def _works(finding: Finding) -> bool:
    return finding.profile is not None and finding.profile.usable


def end_by_renewal(begun: AlertState, fact: Fact, index: ReportIndex, policy: AlertPolicy, at: float) -> Resolution:
    """How the alert about the old date ended, when it has begun again with the new one."""

    def end(agent: str, now: AgentFact) -> Resolution:
        found = fact.findings.get(agent)
        if found is not None and not _works(found):
            return Resolution(at, NotificationReason.RESOLVED, ResolutionCause.REPLACED, agents=(agent,))
        is_assumed = now.is_assumed and now.deadline is not None
        return Resolution(at, NotificationReason.RENEWED, until=now.deadline, is_assumed=is_assumed, agents=(agent,))

    # Whoever has what the channels were last notified of has not lost it.
    told = [rank(last.severity, last.condition) for last in begun.notified.values()]
    left = left_well(begun, index, lambda earlier: min([rank(earlier.severity, earlier.condition), *told]))
    ends = [end_of_agent(begun, agent, earlier, index, policy, at) for agent, earlier in left.items()]
    return together([*ends, *(end(agent, now) for agent, now in begun.facts.items())], at)


def is_undated_again(state: AlertState) -> bool:
    """Whether the channels were notified of a missing date, and what has replaced the renewed credential has none."""
    was_undated = any(last.condition is ConditionName.UNDATED for last in state.notified.values())
    return was_undated and any(
        fact.is_assumed or fact.condition is ConditionName.UNDATED for fact in state.facts.values()
    )


def is_past_acknowledged_step(state: AlertState, new: AlertState, policy: AlertPolicy, now: float) -> bool:
    """Whether the deadline has come closer than the step that a renewal acknowledged, or the verdict now warns."""
    if new.severity is not Severity.INFO:
        return True
    step = state.acknowledged_step
    return step is not None and _stage(new.condition, new.deadline, policy.steps_of(new), now) > (1, -step)


def _stage(name: ConditionName, deadline: float | None, steps: tuple[float, ...], now: float) -> tuple[int, float]:
    """How near a deadline is, as a sort key: undated, then step by step, then expired."""
    if name is ConditionName.EXPIRING:
        step = passed_step(steps, deadline, now) if deadline is not None else None
        return (1, -step if step is not None else float("-inf"))
    return (0, 0.0) if name is ConditionName.UNDATED else (2, 0.0)
