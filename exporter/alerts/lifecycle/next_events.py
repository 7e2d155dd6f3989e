"""Computes when time alone next changes what is sent about an alert: reminders, the end of quiet hours. Pure.

The lifecycle runs again at the earliest of these times; ``overview`` shows people the next
reminder or repeat.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

from exporter.alerts.lifecycle.decisions import escalates_at, reason_to_notify, repeat_at
from exporter.alerts.lifecycle.grouping import group_wait
from exporter.alerts.lifecycle.policy import EPSILON, AlertPolicy, ChannelPolicy
from exporter.alerts.values import AlertState
from exporter.model import ConditionName


class EventKind(enum.Enum):
    """What happens to an alert by time alone."""

    CONFIRMED = enum.auto()  # a self-healing alert has lasted long enough
    EXPIRED = enum.auto()  # the deadline passes
    FIRST_REMINDER = enum.auto()  # the first step after a renewal to a near date
    REMINDER = enum.auto()
    REPEAT = enum.auto()
    ESCALATED = enum.auto()  # the next channel of ``order`` is notified
    GROUP_DUE = enum.auto()
    SILENCE_ENDS = enum.auto()
    QUIET_HOURS_END = enum.auto()


#: When (Unix seconds), and what.
NextEvent = tuple[float, EventKind]


def next_events(state: AlertState, policy: AlertPolicy, now: float) -> Iterator[NextEvent]:
    """The events of ``state`` from ``now`` on, in no order, over all channels.

    If a silence or quiet hours hold a reminder or repeat back, its time is when those end.
    """
    if state.firing and state.self_healing and not state.confirmed:
        yield min(state.since, state.started_at) + policy.cooldown_after, EventKind.CONFIRMED
    if state.firing and state.condition is ConditionName.EXPIRING and state.deadline is not None:
        yield state.deadline + EPSILON, EventKind.EXPIRED
    silenced_until = policy.silenced_until(state, now) if policy.silences else None
    if silenced_until is not None:
        yield silenced_until, EventKind.SILENCE_ENDS
    for channel in policy.channels:
        if channel.name in state.pending or channel.quiet is not None:
            yield from _held_back(state, channel, policy, now)
        if state.firing and state.confirmed and not state.inhibited and channel.accepts(state.severity):
            for at, kind in _scheduled(state, channel, policy):
                yield channel.next_allowed(state.severity, max(at, silenced_until or now)), kind


def _held_back(state: AlertState, channel: ChannelPolicy, policy: AlertPolicy, now: float) -> Iterator[NextEvent]:
    """The end of what keeps a notification waiting now: its group, or quiet hours."""
    if channel.name in state.pending:
        reason = reason_to_notify(state, channel, policy, now)
        wait = group_wait(reason, policy) if reason is not None else 0.0
        yield state.pending[channel.name] + wait, EventKind.GROUP_DUE
    elif (
        channel.quiet is not None
        and channel.quiet.is_active(now)
        and (channel.name in state.suppressed or reason_to_notify(state, channel, policy, now) is not None)
    ):
        yield channel.quiet.end(now), EventKind.QUIET_HOURS_END


def _scheduled(state: AlertState, channel: ChannelPolicy, policy: AlertPolicy) -> Iterator[NextEvent]:
    """What the channel is sent next if only time changes. The time may be past if it is held back."""
    last = state.notified.get(channel.name)
    if last is None:
        at = escalates_at(channel, state, policy)
        if at is not None and policy.acknowledged_at(state) is None:
            yield at, EventKind.ESCALATED
        if state.acknowledged_step is not None:
            yield from _next_step(state, state.acknowledged_step, EventKind.FIRST_REMINDER, policy)
        return
    yield from _next_step(state, last.step, EventKind.REMINDER, policy)
    if (at := repeat_at(state, last, policy)) is not None:
        yield at, EventKind.REPEAT


def _next_step(state: AlertState, after: float | None, kind: EventKind, policy: AlertPolicy) -> Iterator[NextEvent]:
    """The reminder step that follows step ``after``."""
    if state.condition is ConditionName.EXPIRING and state.deadline is not None:
        for step in policy.remind_before:
            if after is None or step < after:
                yield state.deadline - step + EPSILON, kind
                return
