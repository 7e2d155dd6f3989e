"""Builds a message: which alerts it lists, worst first. ``exporter.alerts.message`` renders the words. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from exporter.alerts.lifecycle.agents import new_agents
from exporter.alerts.lifecycle.flapping import times_today
from exporter.alerts.lifecycle.grouping import Group
from exporter.alerts.message import text
from exporter.alerts.values import (
    AgentNote,
    Alert,
    AlertState,
    LastNotification,
    Message,
    NotificationReason,
    Resolution,
    identity,
)


def compose(groups: Iterable[Group], now: float) -> tuple[Message, ...]:
    """One message per group.

    Channels share the Alert objects, which halves the work: an alert reads the same on every
    channel, except what depends on what this channel was notified of.
    """
    shared: dict[tuple[object, ...], Alert] = {}
    messages = []
    for channel, candidates, summary, withdrawn in groups:
        alerts = []
        for state, reason in candidates:
            last = state.notified.get(channel)
            known = _known(reason, last)
            alert = shared.get((state.key, reason, known))
            if alert is None:
                shared[state.key, reason, known] = alert = alert_of(state, reason, now, last)
            alerts.append(alert)
        messages.append(Message(channel, now, tuple(sorted(alerts, key=_worst_first)), tuple(summary), withdrawn))
    return tuple(messages)


def _known(reason: NotificationReason, last: LastNotification | None) -> tuple[object, ...] | None:
    """What an alert's text depends on, of what the channel was notified of."""
    if last is None:
        return None
    if reason.ends:
        return last.severity, last.condition, last.since, last.times
    return last.agents if reason is NotificationReason.ESCALATED else None


def alert_of(state: AlertState, reason: NotificationReason, now: float, last: LastNotification | None = None) -> Alert:
    """The alert as it is reported at ``now``.

    A resolution carries the condition and severity of ``last``, the notification that it ends.
    """
    resolution = state.resolution if reason.ends else None
    if resolution is not None:
        return _ended(state, resolution, last, now)
    alert = Alert(
        fingerprint=state.fingerprint,
        reason=reason,
        family=state.condition.family,
        condition=state.condition,
        severity=state.severity,
        target=state.subject.target,
        agents=state.agents,
        provider=state.subject.provider or None,
        profile=state.subject.profile or None,
        since=state.since,
        deadline=state.deadline,
        seen_at=state.seen_at,
        cause=state.cause,
        summary=state.summary,
        remedy=state.remedy,
        exporter=state.exporter,
        key=key_of(state),
        until=state.until,
        is_assumed=state.is_assumed,
        times=times_today(state, now),
        notes=_notes(state),
        new_agents=new_agents(state, last.agents)
        if reason is NotificationReason.ESCALATED and last is not None
        else (),
        labels=state.labels,
    )
    return alert if alert.summary else replace(alert, summary=text.sentence(alert, now))


def key_of(state: AlertState) -> str:
    """32 hex characters for exporter, target, credential and family, whatever the alert's fingerprint is."""
    return identity(state.exporter, state.key)


def _notes(state: AlertState) -> tuple[AgentNote, ...]:
    """The confirmed facts of agents that have another condition, or another date."""
    if len(state.facts) == len(state.agents):
        return ()
    return tuple(
        AgentNote(agent, fact.condition, fact.deadline)
        for agent, fact in state.facts.items()
        if agent not in state.agents and fact.confirmed and not fact.inhibited
    )


def _ended(state: AlertState, resolution: Resolution, last: LastNotification | None, now: float) -> Alert:
    reason = resolution.reason
    is_same = last is None or last.condition is state.condition
    facts: dict[str, Any] = {  # ``replace`` takes twice as long
        "fingerprint": state.fingerprint,
        "reason": reason,
        "family": (last or state).condition.family,
        "condition": (last or state).condition,
        "severity": (last or state).severity,
        "target": state.subject.target,
        "agents": resolution.agents or state.agents,
        "provider": state.subject.provider or None,
        "profile": state.subject.profile or None,
        "since": state.since if is_same or last is None or last.since is None else last.since,
        "deadline": resolution.until if reason is NotificationReason.RENEWED else state.deadline,
        "ended_at": resolution.at,
        "resolution_cause": resolution.cause,
        "cause": state.cause if is_same else None,
        "exporter": state.exporter,
        "key": key_of(state),
        "labels": state.labels,
        "is_assumed": resolution.is_assumed if reason is NotificationReason.RENEWED else state.is_assumed,
        "times": max(times_today(state, now), last.times if last is not None else 0) if last and last.times else 0,
    }
    return Alert(**facts, summary=text.sentence(Alert(**facts), now))


def _worst_first(alert: Alert) -> tuple[int, bool, str, str, str, str]:
    """Sorts by severity; among equals, what still needs someone comes before what is over."""
    return (
        -alert.severity.rank,
        alert.reason.ends,
        alert.target,
        alert.provider or "",
        alert.profile or "",
        alert.fingerprint,
    )
