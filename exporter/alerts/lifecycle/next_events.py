"""Computes when time alone next changes what is sent about an alert: reminders, the end of quiet hours. Pure.

The lifecycle runs again at the earliest of these times; ``overview`` shows people the next
reminder or repeat.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

from exporter.alerts.lifecycle.agents import confirmed_at
from exporter.alerts.lifecycle.arrivals import retry_at
from exporter.alerts.lifecycle.decisions import (
    end_at,
    end_waits_until,
    escalates_at,
    reason_to_notify,
    repeat_at,
    shown_again_at,
    still_fails_at,
)
from exporter.alerts.lifecycle.flapping import first_at
from exporter.alerts.lifecycle.grouping import group_wait
from exporter.alerts.lifecycle.policy import EPSILON, AlertPolicy, ChannelPolicy
from exporter.alerts.values import AlertState, LastNotification
from exporter.model import ConditionName


class EventKind(enum.Enum):
    """What happens to an alert by time alone."""

    CONFIRMED = enum.auto()  # a self-healing alert, or a failing check, has lasted long enough
    EXPIRED = enum.auto()  # the deadline passes
    FIRST_REMINDER = enum.auto()  # the first step after a renewal to a near date
    REMINDER = enum.auto()
    REPEAT = enum.auto()
    ESCALATED = enum.auto()  # the next channel of ``order`` is notified
    GROUP_DUE = enum.auto()
    END_DUE = enum.auto()  # an end that waits for a stable state, or for another message
    LASTS = enum.auto()  # a flapping alert has lasted long enough to be sent
    RETRY = enum.auto()  # what was lost is sent again
    SILENCE_ENDS = enum.auto()
    QUIET_HOURS_END = enum.auto()


#: When (Unix seconds), and what.
NextEvent = tuple[float, EventKind]


def next_events(state: AlertState, policy: AlertPolicy, now: float) -> Iterator[NextEvent]:
    """The events of ``state`` from ``now`` on, in no order, over all channels.

    If a silence or quiet hours hold a reminder or repeat back, its time is when those end.
    """
    if state.firing:
        for fact in state.facts.values():
            if not fact.confirmed and (at := confirmed_at(fact, policy)) is not None:
                yield at, EventKind.CONFIRMED
        if state.condition is ConditionName.EXPIRING and state.deadline is not None:
            yield state.deadline + EPSILON, EventKind.EXPIRED
    silenced_until = policy.silenced_until(state, now) if policy.silences else None
    if silenced_until is not None:
        yield silenced_until, EventKind.SILENCE_ENDS
    is_active = state.firing and state.confirmed and not state.inhibited and not state.dormant
    for channel in policy.channels:
        if channel.name in state.pending or channel.quiet is not None:
            yield from _held_back(state, channel, policy, now)
        if state.resolution is not None and (last := state.notified.get(channel.name)) is not None:
            yield from _ending(state, last, channel)
        if is_active and channel.accepts(state.severity) and channel.route.fits(state):
            for at, kind in _scheduled(state, channel, policy, now):
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


def _ending(state: AlertState, last: LastNotification, channel: ChannelPolicy) -> Iterator[NextEvent]:
    """When an end that waits is due: for the alert to be stable, or for another message to go with."""
    for at in (end_at(state, last), end_waits_until(state, channel)):
        if at is not None:
            yield at, EventKind.END_DUE


def _scheduled(state: AlertState, channel: ChannelPolicy, policy: AlertPolicy, now: float) -> Iterator[NextEvent]:
    """What the channel is sent next if only time changes. The time may be past if it is held back."""
    if (again := retry_at(state, channel, policy, now)) > now:
        yield again, EventKind.RETRY
    last = state.notified.get(channel.name)
    if last is None:
        if (at := first_at(state, channel.name, policy, now)) is not None:
            yield at, EventKind.LASTS
        at = escalates_at(channel, state, policy)
        if at is not None and policy.acknowledged_at(state) is None:
            yield at, EventKind.ESCALATED
        if state.acknowledged_step is not None:
            yield from _next_step(state, state.acknowledged_step, EventKind.FIRST_REMINDER, policy)
        return
    yield from _next_step(state, last.step, EventKind.REMINDER, policy)
    if (at := repeat_at(state, last, policy)) is not None:
        yield at, EventKind.REPEAT
    for at in (still_fails_at(state, last, now), shown_again_at(state, last, policy)):
        if at is not None:
            yield at, EventKind.LASTS


def _next_step(state: AlertState, after: float | None, kind: EventKind, policy: AlertPolicy) -> Iterator[NextEvent]:
    """The reminder step that follows step ``after``."""
    if state.condition is ConditionName.EXPIRING and state.deadline is not None:
        for step in policy.steps_of(state):
            if after is None or step < after:
                yield state.deadline - step + EPSILON, kind
                return
