"""The notification pipeline: from alert states to at most one message per channel, in named stages.

For each channel: find candidates, hold back what is suppressed, note what ended while it was
suppressed, wait for the group, compose, mark as notified. Each stage is a pure function that
returns new states. Alertmanager's ``notify`` package has the same shape.
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.alerts.lifecycle.compose import compose
from exporter.alerts.lifecycle.decisions import Candidate, end_waits_until, reason_to_notify
from exporter.alerts.lifecycle.flapping import DAY, times_today
from exporter.alerts.lifecycle.grouping import Group, drop_stale_pending, group_is_due, mark_pending
from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy, passed_step
from exporter.alerts.lifecycle.suppression import (
    Suppression,
    allowed,
    drop_lines,
    note_held,
    note_suppressed,
    silenced_keys,
    summary_lines,
)
from exporter.alerts.lifecycle.withdrawal import forget_merged, mark_withdrawn, to_withdraw
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

#: An ended alert is kept for so many seconds, so that an Alertmanager learns how it ended.
KEEP_ENDED = 900.0


def notify(states: States, policy: AlertPolicy, now: float) -> tuple[dict[str, AlertState], tuple[Message, ...]]:
    """Runs the pipeline of every channel: the states afterwards, and at most one message per channel."""
    silenced = silenced_keys(states, policy, now)
    groups = []
    for channel in policy.channels:
        states, group = notify_channel(states, channel, policy, now, silenced)
        if group is not None:
            groups.append(group)
    return drop_finished(states, policy, now), compose(groups, now)


def notify_channel(
    states: States, channel: ChannelPolicy, policy: AlertPolicy, now: float, silenced: frozenset[str] = frozenset()
) -> tuple[States, Group | None]:
    """The states afterwards, and what ``channel`` is sent at ``now``. ``silenced`` holds keys of alerts."""
    states = forget_origins(states, channel)
    suppression = Suppression.on(channel, silenced, now)
    found = find_candidates(states, channel, policy, now)
    candidates = allowed(found, channel, suppression)
    if len(candidates) < len(found):
        states = note_held(states, found, channel, suppression, now)
    states = note_suppressed(states, channel, now)
    states = drop_stale_pending(states, candidates, channel)
    summary = summary_lines(states, channel, suppression)
    due = [candidate for candidate in candidates if not _may_wait(candidate, channel, now)]
    if due and not group_is_due(due, channel, policy, now):
        return mark_pending(states, due, channel, now), None
    if not due and not summary:
        candidates = []
    withdrawn = to_withdraw(states, candidates, channel, now)
    states = forget_merged(mark_withdrawn(states, withdrawn, channel), channel)
    states = drop_lines(mark_notified(states, candidates, channel, policy, now), summary, channel)
    has_news = bool(candidates or summary or withdrawn)
    fingerprints = tuple(states[key].fingerprint for key in withdrawn)
    return states, Group(channel.name, candidates, summary.values(), fingerprints) if has_news else None


def forget_origins(states: States, channel: ChannelPolicy) -> States:
    """Forgets what the channel was notified of by the alert that a fork comes from, once that one has ended.

    Its end says nothing of the fork, whose trouble goes on: the channel is notified of it. So it is where the
    notification is taken away, because ``no_usable_profile`` inhibits the other alert, or goes on with its life. One
    that merged with the fork has an end for programs alone.
    """
    name = channel.name
    forks = {
        key: state
        for key, state in states.items()
        if state.forked_from is not None and name in state.notified and state.notified[name].is_inherited
    }
    if not forks:
        return states
    origins = {state.fingerprint: state for state in states.values()}
    ended = {
        key: changed(fork, notified=without(fork.notified, name))
        for key, fork in forks.items()
        if (origin := origins.get(fork.forked_from or "")) is not None and not _says_it(origin, fork, channel)
    }
    return with_changes(states, ended)


def _says_it(origin: AlertState, fork: AlertState, channel: ChannelPolicy) -> bool:
    """Whether what the channel was notified of under the origin's fingerprint still stands for the fork."""
    if origin.subject != fork.subject:
        return False
    return (
        not (origin.inhibited and channel.can_withdraw) if origin.firing else origin.merged and not channel.for_machines
    )


def _may_wait(candidate: Candidate, channel: ChannelPolicy, now: float) -> bool:
    """Whether the candidate is an end that goes with the next message."""
    state, reason = candidate
    until = end_waits_until(state, channel) if reason.ends else None
    return until is not None and until > now


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
        notified = without(state.notified, name) if state.notified else {}
        resolution, ended, flapped = state.resolution, state.ended, state.flapped
        if not reason.ends:
            notified[name] = last = _notification(state, reason, state.notified.get(name), policy, now)
            if last.times and reason is NotificationReason.FIRST:
                flapped = {**flapped, name: now}
        elif state.firing and not notified:
            resolution, ended = None, {}  # every channel has it, and the alert fires again
        changes[state.key] = changed(
            state,
            notified=notified,
            pending=without(state.pending, name) if state.pending else state.pending,
            held=without(state.held, name) if state.held else state.held,
            resolution=resolution,
            ended=ended,
            flapped=flapped,
        )
    return with_changes(states, changes)


def _notification(
    state: AlertState, reason: NotificationReason, last: LastNotification | None, policy: AlertPolicy, now: float
) -> LastNotification:
    step = passed_step(policy.steps_of(state), state.deadline, now) if state.deadline is not None else None
    if last is not None and last.step is not None:
        step = last.step if step is None else min(step, last.step)  # setting the clock back repeats no reminder
    agents = tuple(agent for agent, fact in state.facts.items() if fact.confirmed and not fact.inhibited)
    times = times_today(state, now)
    return LastNotification(
        state.severity, state.condition, reason, now, step, agents, since=state.since, times=times, before=last
    )


def drop_finished(states: States, policy: AlertPolicy, now: float) -> dict[str, AlertState]:
    """Drops alerts that have ended, that no channel is still to be notified of, and that do not show flapping."""
    names = {channel.name for channel in policy.channels}
    return {
        key: state
        for key, state in states.items()
        if state.firing
        or not names.isdisjoint(state.notified)
        or not names.isdisjoint(state.suppressed)
        or _is_recent(state, now)
    }


def _is_recent(state: AlertState, now: float) -> bool:
    """Whether an ended alert still counts for flapping, or is new to an Alertmanager."""
    if state.begun_at and state.begun_at[-1] > now - DAY and state.subject.target:
        return True
    return state.resolution is not None and state.resolution.at > now - KEEP_ENDED
