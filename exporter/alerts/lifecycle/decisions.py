"""Decides whether a channel should be notified of an alert, and why.

The decision compares the alert with the last notification of it on that channel. It therefore
survives restarts, edited thresholds and hours in which the channel was silent. Pure. Silences,
quiet hours and grouping are later stages (``pipeline``).
"""

from __future__ import annotations

from exporter.alerts.lifecycle.agents import new_agents
from exporter.alerts.lifecycle.arrivals import retry_at
from exporter.alerts.lifecycle.facts import rank
from exporter.alerts.lifecycle.flapping import first_at, stable_at, times_today
from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy, passed_step
from exporter.alerts.values import AlertState, LastNotification, NotificationReason
from exporter.model import ConditionName, Severity

#: An alert that a channel should be notified of, and why.
Candidate = tuple[AlertState, NotificationReason]

DAY = 86400.0


def reason_to_notify(
    state: AlertState, channel: ChannelPolicy, policy: AlertPolicy, now: float
) -> NotificationReason | None:
    """Why ``channel`` should be notified of ``state`` at ``now``; None if it should not."""
    last = state.notified.get(channel.name)
    if last is not None and state.resolution is not None:
        at = end_at(state, last)
        if state.merged and not channel.for_machines:
            return None
        return state.resolution.reason if at is not None and at <= now else None
    if not state.firing or not state.confirmed or state.inhibited or state.dormant:
        return None
    if now < retry_at(state, channel, policy, now) or not channel.route.fits(state):
        return None
    if last is None:
        is_due = (
            channel.accepts(state.severity)
            and not _is_acknowledged_by_renewal(state, policy, now)
            and has_escalated_to(channel, state, policy, now)
            and not _waits(state, channel, policy, now)
        )
        return NotificationReason.FIRST if is_due else None
    if state.severity.rank > last.severity.rank:
        return NotificationReason.ESCALATED if channel.accepts(state.severity) else None
    if state.severity.rank < last.severity.rank:
        return NotificationReason.EASED if channel.accepts(last.severity) else None
    if not channel.accepts(state.severity):
        return None
    return _change(state, last) or _reminder_or_repeat(state, last, policy, now)


def end_at(state: AlertState, last: LastNotification) -> float | None:
    """When the end of an alert is due (Unix seconds).

    None while it waits for that of ``no_usable_profile``, and while the trouble is back but not yet confirmed.
    """
    waits_for_outage = state.inhibited and not state.firing
    waits_for_confirmation = state.firing and not state.confirmed
    if state.resolution is None or waits_for_outage or waits_for_confirmation:
        return None
    is_flapping = last.times > 0 and not _has_begun_again(state)
    return stable_at(state) if is_flapping else state.resolution.at


def _waits(state: AlertState, channel: ChannelPolicy, policy: AlertPolicy, now: float) -> bool:
    """Whether a first notification waits, because the channel knows that the alert flaps."""
    at = first_at(state, channel.name, policy, now)
    return at is not None and at > now


def _change(state: AlertState, last: LastNotification) -> NotificationReason | None:
    """Reports another condition of the same severity, or trouble that has reached a further agent."""
    if new_agents(state, last.agents):
        return NotificationReason.ESCALATED
    if state.condition is last.condition:
        return None
    if state.condition is ConditionName.EXPIRING and last.condition is ConditionName.UNDATED:
        return NotificationReason.REMINDER
    is_worse = rank(state.severity, state.condition) > rank(last.severity, last.condition)
    return NotificationReason.ESCALATED if is_worse else NotificationReason.EASED


def _reminder_or_repeat(
    state: AlertState, last: LastNotification, policy: AlertPolicy, now: float
) -> NotificationReason | None:
    if state.condition is ConditionName.EXPIRING and state.deadline is not None:
        step = passed_step(policy.steps_of(state), state.deadline, now)
        if step is not None and (last.step is None or step < last.step):
            return NotificationReason.REMINDER
    times = (repeat_at(state, last, policy), still_fails_at(state, last, now), shown_again_at(state, last, policy))
    return NotificationReason.REPEAT if any(at is not None and at <= now for at in times) else None


def repeat_at(state: AlertState, last: LastNotification, policy: AlertPolicy) -> float | None:
    """When a critical alert that nobody acknowledged is repeated (Unix seconds)."""
    if state.severity is not Severity.CRITICAL or policy.acknowledged_at(state) is not None:
        return None
    return last.at + policy.repeat_every


def still_fails_at(state: AlertState, last: LastNotification, now: float) -> float | None:
    """When a flapping alert that began again since the last notification has failed for long enough to say so."""
    has_begun_again = last.times > 0 and state.firing and state.started_at > last.at
    return stable_at(state) if has_begun_again and times_today(state, now) else None


def shown_again_at(state: AlertState, last: LastNotification, policy: AlertPolicy) -> float | None:
    """When an alert is shown again whose notification was taken away (Unix seconds).

    At once if it was part of an outage that is over. Trouble that heals by itself, and came back before its end was
    sent, is shown if it lasts.
    """
    if not last.is_withdrawn or policy.acknowledged_at(state) is not None:
        return None
    is_brief = state.self_healing and state.severity is not Severity.CRITICAL
    return state.started_at + policy.repeat_every if is_brief else last.at


def _is_acknowledged_by_renewal(state: AlertState, policy: AlertPolicy, now: float) -> bool:
    """Whether someone renewed the credential after the latest reminder step had already passed."""
    if state.acknowledged_step is None or state.severity is not Severity.INFO or state.deadline is None:
        return False
    step = passed_step(policy.steps_of(state), state.deadline, now)
    return step is None or step >= state.acknowledged_step


def has_escalated_to(channel: ChannelPolicy, state: AlertState, policy: AlertPolicy, now: float) -> bool:
    """Whether ``channel`` is up in the escalation order. An acknowledgement before its turn keeps it out."""
    if policy.escalate_after is None or channel.step == 0:
        return True
    at = escalates_at(channel, state, policy)
    if at is None:
        return False
    acknowledged = policy.acknowledged_at(state)
    return at <= (now if acknowledged is None else min(now, acknowledged))


def escalates_at(channel: ChannelPolicy, state: AlertState, policy: AlertPolicy) -> float | None:
    """When an unacknowledged critical alert reaches a later channel of the order (Unix seconds); else None."""
    if policy.escalate_after is None or channel.step == 0 or state.severity is not Severity.CRITICAL:
        return None
    return state.worsened_at + channel.step * policy.escalate_after


def end_waits_until(state: AlertState, channel: ChannelPolicy) -> float | None:
    """Until when an end that is no news waits for another message (Unix seconds); None if it does not wait.

    Trouble that healed by itself and was not critical needs nobody. A program gets every end at once.
    """
    last, end = state.notified.get(channel.name), state.resolution
    if last is None or end is None or channel.for_machines or last.severity is Severity.CRITICAL:
        return None
    return end.at + DAY if state.self_healing and not _has_begun_again(state) else None


def _has_begun_again(state: AlertState) -> bool:
    """Whether an alert that still has an end to send fires again, for certain."""
    return state.firing and state.confirmed
