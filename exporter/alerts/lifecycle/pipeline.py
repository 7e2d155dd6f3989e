"""The notification pipeline: from alert states to at most one message per channel, in named stages.

For each channel: find candidates, hold back what is suppressed, note what ended while it was
suppressed, wait for the group, compose, mark as notified. Each stage is a pure function that
returns new states. Alertmanager's ``notify`` package has the same shape.
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.alerts.lifecycle.compose import compose
from exporter.alerts.lifecycle.decisions import Candidate, reason_to_notify
from exporter.alerts.lifecycle.grouping import Group, drop_stale_pending, group_is_due, mark_pending
from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy
from exporter.alerts.lifecycle.suppression import (
    Suppression,
    allowed,
    drop_lines,
    note_suppressed,
    silenced_keys,
    summary_lines,
)
from exporter.alerts.values import (
    AlertState,
    LastNotification,
    Message,
    NotificationReason,
    States,
    changed,
    with_changes,
    without,
)


def notify(states: States, policy: AlertPolicy, now: float) -> tuple[dict[str, AlertState], tuple[Message, ...]]:
    """Runs the pipeline of every channel: the states afterwards, and at most one message per channel."""
    silenced = silenced_keys(states, policy, now)
    groups = []
    for channel in policy.channels:
        states, group = notify_channel(states, channel, policy, now, silenced)
        if group is not None:
            groups.append(group)
    return drop_finished(states, policy), compose(groups, now)


def notify_channel(
    states: States, channel: ChannelPolicy, policy: AlertPolicy, now: float, silenced: frozenset[str] = frozenset()
) -> tuple[States, Group | None]:
    """The states afterwards, and what ``channel`` is sent at ``now``. ``silenced`` holds keys of alerts."""
    suppression = Suppression.on(channel, silenced, now)
    candidates = allowed(find_candidates(states, channel, policy, now), channel, suppression)
    states = note_suppressed(states, channel, policy, now, suppression)
    states = drop_stale_pending(states, candidates, channel)
    if candidates and not group_is_due(candidates, channel, policy, now):
        return mark_pending(states, candidates, channel, now), None
    summary = summary_lines(states, channel, suppression)
    states = drop_lines(mark_notified(states, candidates, channel, policy, now), summary, channel)
    return states, Group(channel.name, candidates, summary.values()) if candidates or summary else None


def find_candidates(states: States, channel: ChannelPolicy, policy: AlertPolicy, now: float) -> list[Candidate]:
    """Every alert that the channel should be notified of, suppressed or not."""
    return [
        (state, reason)
        for state in states.values()
        if (reason := reason_to_notify(state, channel, policy, now)) is not None
    ]


def mark_notified(
    states: States, candidates: Iterable[Candidate], channel: ChannelPolicy, policy: AlertPolicy, now: float
) -> States:
    """Records that the channel was notified of the candidates. A resolution removes the channel from the alert."""
    changes, name = {}, channel.name
    for candidate, reason in candidates:
        state = states[candidate.key]
        notified, resolution = without(state.notified, name), state.resolution
        if not reason.ends:
            notified[name] = _notification(state, reason, state.notified.get(name), policy, now)
        elif state.firing and not notified:
            resolution = None  # every channel has it, and the alert fires again
        pending = without(state.pending, name)
        changes[state.key] = changed(state, notified=notified, pending=pending, resolution=resolution)
    return with_changes(states, changes)


def _notification(
    state: AlertState, reason: NotificationReason, last: LastNotification | None, policy: AlertPolicy, now: float
) -> LastNotification:
    step = policy.step_at(state.deadline, now) if state.deadline is not None else None
    if last is not None and last.step is not None:
        step = last.step if step is None else min(step, last.step)  # setting the clock back repeats no reminder
    return LastNotification(state.severity, state.condition, reason, now, step)


def drop_finished(states: States, policy: AlertPolicy) -> dict[str, AlertState]:
    """Drops alerts that have ended and that no channel is still to be notified of."""
    names = {channel.name for channel in policy.channels}
    return {
        key: state
        for key, state in states.items()
        if state.firing or not names.isdisjoint(state.notified) or not names.isdisjoint(state.suppressed)
    }
