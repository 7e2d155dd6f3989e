"""Groups alerts: what begins together shares one message per channel.

A message is made once the first pending alert has waited ``group_wait``. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from exporter.alerts.lifecycle.decisions import Candidate
from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy
from exporter.alerts.values import NotificationReason, States, SuppressedAlert, changed, with_changes, without

#: Resolutions are grouped for at most this many seconds: the person who renewed a credential waits for them.
RESOLUTION_WAIT = 2.0


class Group(NamedTuple):
    """What one message holds: the alerts a channel is notified of, the lines of its summary, what it takes away."""

    channel: str
    alerts: Collection[Candidate]
    summary: Collection[SuppressedAlert]
    withdrawn: tuple[str, ...] = ()  # fingerprints


def group_wait(reason: NotificationReason, policy: AlertPolicy) -> float:
    """How long a notification waits for others, in seconds.

    Reminders and repeats do not wait: what is due by time alone is due together.
    """
    if reason in (NotificationReason.REMINDER, NotificationReason.REPEAT):
        return 0.0
    return min(policy.group_wait, RESOLUTION_WAIT) if reason.ends else policy.group_wait


def group_is_due(candidates: Iterable[Candidate], channel: ChannelPolicy, policy: AlertPolicy, now: float) -> bool:
    """Whether one of the candidates has waited long enough; the others then go with it."""
    return any(now - state.pending.get(channel.name, now) >= group_wait(reason, policy) for state, reason in candidates)


def drop_stale_pending(states: States, candidates: Collection[Candidate], channel: ChannelPolicy) -> States:
    """Stops waiting for alerts that the channel need not be notified of any more, or must not be now."""
    wanted = {state.key for state, _ in candidates}
    stale = {k: s for k, s in states.items() if channel.name in s.pending and k not in wanted}
    return with_changes(states, {k: changed(s, pending=without(s.pending, channel.name)) for k, s in stale.items()})


def mark_pending(states: States, candidates: Iterable[Candidate], channel: ChannelPolicy, now: float) -> States:
    """Records that the candidates wait for their group since ``now``, or since they already did."""
    return with_changes(
        states,
        {
            state.key: changed(states[state.key], pending={**state.pending, channel.name: now})
            for state, _ in candidates
            if channel.name not in state.pending
        },
    )
