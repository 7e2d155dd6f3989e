"""Decides whether a channel should be notified of an alert, and why.

The decision compares the alert with the last notification of it on that channel. It therefore
survives restarts, edited thresholds and hours in which the channel was silent. Pure. Silences,
quiet hours and grouping are later stages (``pipeline``).
"""

from __future__ import annotations

from exporter.alerts.lifecycle.facts import rank
from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy
from exporter.alerts.values import AlertState, LastNotification, NotificationReason
from exporter.model import ConditionName, Severity

#: An alert that a channel should be notified of, and why.
Candidate = tuple[AlertState, NotificationReason]


def reason_to_notify(
    state: AlertState, channel: ChannelPolicy, policy: AlertPolicy, now: float
) -> NotificationReason | None:
    """Why ``channel`` should be notified of ``state`` at ``now``; None if it should not."""
    last = state.notified.get(channel.name)
    if last is not None and state.resolution is not None:
        return state.resolution.reason
    if not state.firing or not state.confirmed or state.inhibited:
        return None
    if last is None:
        is_due = (
            channel.accepts(state.severity)
            and not _is_acknowledged_by_renewal(state, policy, now)
            and has_escalated_to(channel, state, policy, now)
        )
        return NotificationReason.FIRST if is_due else None
    if state.severity.rank > last.severity.rank:
        return NotificationReason.ESCALATED if channel.accepts(state.severity) else None
    if state.severity.rank < last.severity.rank:
        return NotificationReason.EASED if channel.accepts(last.severity) else None
    if not channel.accepts(state.severity):
        return None
    return _condition_change(state, last) or _reminder_or_repeat(state, last, policy, now)


def _condition_change(state: AlertState, last: LastNotification) -> NotificationReason | None:
    """Reports another condition of the same severity, or a provider that is now down at more agents."""
    if state.condition is last.condition:
        return NotificationReason.ESCALATED if state.credentials and state.worsened_at > last.at else None
    if state.condition is ConditionName.EXPIRING and last.condition is ConditionName.UNDATED:
        return NotificationReason.REMINDER
    is_worse = rank(state.severity, state.condition) > rank(last.severity, last.condition)
    return NotificationReason.ESCALATED if is_worse else NotificationReason.EASED


def _reminder_or_repeat(
    state: AlertState, last: LastNotification, policy: AlertPolicy, now: float
) -> NotificationReason | None:
    if state.condition is ConditionName.EXPIRING and state.deadline is not None:
        step = policy.step_at(state.deadline, now)
        if step is not None and (last.step is None or step < last.step):
            return NotificationReason.REMINDER
    at = repeat_at(state, last, policy)
    return NotificationReason.REPEAT if at is not None and at <= now else None


def repeat_at(state: AlertState, last: LastNotification, policy: AlertPolicy) -> float | None:
    """When a critical alert that nobody acknowledged is repeated (Unix seconds)."""
    if state.severity is not Severity.CRITICAL or policy.acknowledged_at(state) is not None:
        return None
    return last.at + policy.repeat_every


def _is_acknowledged_by_renewal(state: AlertState, policy: AlertPolicy, now: float) -> bool:
    """Whether someone renewed the credential after the latest reminder step had already passed."""
    if state.acknowledged_step is None or state.severity is not Severity.INFO or state.deadline is None:
        return False
    step = policy.step_at(state.deadline, now)
    return step is None or step >= state.acknowledged_step


def has_escalated_to(channel: ChannelPolicy, state: AlertState, policy: AlertPolicy, now: float) -> bool:
    """Whether ``channel`` is up in the escalation order. An acknowledgement before its turn keeps it out."""
    at = escalates_at(channel, state, policy)
    if at is None:
        return True
    acknowledged = policy.acknowledged_at(state)
    return at <= (now if acknowledged is None else min(now, acknowledged))


def escalates_at(channel: ChannelPolicy, state: AlertState, policy: AlertPolicy) -> float | None:
    """When an unacknowledged critical alert reaches ``channel`` (Unix seconds); None if it does not have to wait."""
    if policy.escalate_after is None or channel.step == 0 or state.severity is not Severity.CRITICAL:
        return None
    return state.worsened_at + channel.step * policy.escalate_after
