"""Takes notifications away from a phone that are no longer true, or that another notification took over. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from exporter.alerts.lifecycle.decisions import Candidate, end_waits_until
from exporter.alerts.lifecycle.policy import ChannelPolicy
from exporter.alerts.values import AlertState, States, changed, with_changes, without


def to_withdraw(states: States, candidates: Iterable[Candidate], channel: ChannelPolicy, now: float) -> list[str]:
    """The keys of alerts that the phone still shows and must not.

    An end may wait for another message; until then nothing is shown. An alert that merged with another, or that
    ``no_usable_profile`` inhibits, is part of that one's notification. What is sent now replaces its own.
    """
    if not channel.can_withdraw:
        return []
    sent = {state.key for state, _ in candidates}
    return [key for key, state in states.items() if key not in sent and _is_stale(state, channel, now)]


def _is_stale(state: AlertState, channel: ChannelPolicy, now: float) -> bool:
    last = state.notified.get(channel.name)
    if last is None or last.is_withdrawn:
        return False
    if state.inhibited or state.merged:
        return True
    until = end_waits_until(state, channel)
    return until is not None and until > now


def mark_withdrawn(states: States, keys: Iterable[str], channel: ChannelPolicy) -> States:
    """Records what the phone shows no longer."""
    return with_changes(states, {key: _withdrawn(states[key], channel.name) for key in keys})


def _withdrawn(state: AlertState, channel: str) -> AlertState:
    last = replace(state.notified[channel], is_withdrawn=True)
    return changed(state, notified={**state.notified, channel: last})


def forget_merged(states: States, channel: ChannelPolicy) -> States:
    """Forgets what people were notified of alerts that another one goes on with. A program is sent their end."""
    name = channel.name
    if channel.for_machines:
        return states
    merged = {key: state for key, state in states.items() if state.merged and name in state.notified}
    return with_changes(states, {k: changed(s, notified=without(s.notified, name)) for k, s in merged.items()})
