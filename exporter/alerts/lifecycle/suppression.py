"""Holds notifications back: silences and quiet hours.

An alert that fires and ends while its first notification is held back is never sent as such. It becomes one line of
the summary that the channel gets with its next message. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.alerts.lifecycle.decisions import Candidate
from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy, QuietPeriod
from exporter.alerts.values import (
    AlertState,
    AlertSubject,
    NotificationReason,
    States,
    SuppressedAlert,
    changed,
    with_changes,
    without,
)
from exporter.model import ConditionName, Family, Severity


def silenced_keys(states: States, policy: AlertPolicy, now: float) -> frozenset[str]:
    """The keys of all alerts that a silence matches at ``now``."""
    if not policy.silences:
        return frozenset()
    return frozenset(key for key, state in states.items() if policy.is_silenced(state, now))


@dataclass(frozen=True, slots=True)
class Suppression:
    """What must not be sent on one channel at one moment."""

    silenced: frozenset[str]  # keys of alerts
    quiet: QuietPeriod | None  # set while the channel's quiet hours are active

    @classmethod
    def on(cls, channel: ChannelPolicy, silenced: frozenset[str], now: float) -> Suppression:
        is_quiet = channel.quiet is not None and channel.quiet.is_active(now)
        return cls(silenced, channel.quiet if is_quiet else None)

    def holds_back(self, candidate: Candidate, channel: ChannelPolicy) -> bool:
        """Quiet hours hold back what is not severe enough; a silence everything but the end of what was sent."""
        state, reason = candidate
        if state.key in self.silenced and not reason.ends:
            return True
        return self.is_quiet_for(_severity(candidate, channel))

    def is_quiet_for(self, severity: Severity) -> bool:
        return self.quiet is not None and not self.quiet.lets_through(severity)


def allowed(candidates: Iterable[Candidate], channel: ChannelPolicy, suppression: Suppression) -> list[Candidate]:
    """The candidates that may be sent now. An end goes with that of the outage that it was part of."""
    candidates = list(candidates)
    if suppression.quiet is None and not suppression.silenced:
        return candidates
    sent = [candidate for candidate in candidates if not suppression.holds_back(candidate, channel)]
    if len(sent) == len(candidates):
        return sent
    over = {state.subject for state, reason in sent if reason.ends and _is_of_outage(state, channel)}
    if not over:
        return sent
    keys = {state.key for state, _ in sent}
    return [(s, reason) for s, reason in candidates if s.key in keys or (reason.ends and _provider(s) in over)]


def _is_of_outage(state: AlertState, channel: ChannelPolicy) -> bool:
    return state.notified[channel.name].condition is ConditionName.NO_USABLE_PROFILE


def _provider(state: AlertState) -> AlertSubject | None:
    if not state.condition.definition.causes_outage:
        return None
    return AlertSubject(state.subject.target, state.subject.provider, "", Family.AVAILABILITY)


def _severity(candidate: Candidate, channel: ChannelPolicy) -> Severity:
    """A resolution counts with the severity that was notified, a change with the worse of both sides."""
    state, reason = candidate
    last = state.notified.get(channel.name)
    if last is None:
        return state.severity
    return last.severity if reason.ends else _worse(last.severity, state.severity)


def _worse(severity: Severity, other: Severity) -> Severity:
    return severity if severity.rank > other.rank else other


def note_held(
    states: States, candidates: Iterable[Candidate], channel: ChannelPolicy, suppression: Suppression, now: float
) -> States:
    """Records which first notifications are held back."""
    name = channel.name
    return with_changes(
        states,
        {
            candidate[0].key: changed(states[candidate[0].key], held={**candidate[0].held, name: now})
            for candidate in candidates
            if candidate[1] is NotificationReason.FIRST
            and name not in candidate[0].held
            and suppression.holds_back(candidate, channel)
        },
    )


def note_suppressed(states: States, channel: ChannelPolicy, now: float) -> States:
    """Adds to the channel's summary each alert that ended while its first notification was held back."""
    ended = {
        key: _with_line(state, channel, now)
        for key, state in states.items()
        if state.held and channel.name in state.held and not state.firing
    }
    return with_changes(states, ended)


def _with_line(state: AlertState, channel: ChannelPolicy, now: float) -> AlertState:
    """``state`` with its line in the summary of ``channel``; an alert that came back has one line for all its times.

    What had become too mild for the channel has none.
    """
    subject, earlier = state.subject, state.suppressed.get(channel.name)
    severity = _worse(state.severity, earlier.severity) if earlier else state.severity
    if not channel.accepts(severity):
        return changed(state, held=without(state.held, channel.name))
    line = SuppressedAlert(
        fingerprint=state.fingerprint,
        condition=state.condition,
        severity=severity,
        target=subject.target,
        agents=state.agents,
        provider=subject.provider or None,
        profile=subject.profile or None,
        # Before it was held back, it may have been sent as part of an outage.
        began_at=earlier.began_at if earlier else max(state.since, state.held[channel.name]),
        ended_at=state.resolution.at if state.resolution is not None else now,
        times=earlier.times + 1 if earlier else 1,
    )
    suppressed = {**state.suppressed, channel.name: line}
    return changed(state, suppressed=suppressed, held=without(state.held, channel.name))


def summary_lines(states: States, channel: ChannelPolicy, suppression: Suppression) -> dict[str, SuppressedAlert]:
    """The summary lines that the channel may be sent now, by the alert's key."""
    lines = {key: state.suppressed[channel.name] for key, state in states.items() if channel.name in state.suppressed}
    return {
        key: line
        for key, line in lines.items()
        if key not in suppression.silenced and not suppression.is_quiet_for(line.severity)
    }


def drop_lines(states: States, keys: Iterable[str], channel: ChannelPolicy) -> States:
    """Removes the lines that were sent."""
    of = {key: states[key] for key in keys}
    return with_changes(states, {k: changed(s, suppressed=without(s.suppressed, channel.name)) for k, s in of.items()})
