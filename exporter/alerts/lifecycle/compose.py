"""Builds a message: which alerts it lists, worst first. ``exporter.alerts.message`` renders the words. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from exporter.alerts.lifecycle.grouping import Group
from exporter.alerts.message import text
from exporter.alerts.values import Alert, AlertState, LastNotification, Message, NotificationReason, ResolutionCause


def compose(groups: Iterable[Group], now: float) -> tuple[Message, ...]:
    """One message per group.

    Channels share the Alert objects, which halves the work: an alert reads the same on every
    channel, except a resolution, which names the severity that this channel was notified of.
    """
    shared: dict[tuple[str, NotificationReason], Alert] = {}
    messages = []
    for channel, candidates, summary in groups:
        alerts = []
        for state, reason in candidates:
            alert = shared.get((state.key, reason))
            if alert is None:
                alert = alert_of(state, reason, now, state.notified.get(channel))
                if not reason.ends:
                    shared[state.key, reason] = alert
            alerts.append(alert)
        messages.append(Message(channel, now, tuple(sorted(alerts, key=_worst_first)), tuple(summary)))
    return tuple(messages)


def alert_of(state: AlertState, reason: NotificationReason, now: float, last: LastNotification | None = None) -> Alert:
    """The alert as it is reported at ``now``.

    A resolution carries the condition and severity of ``last``, the notification that it ends.
    """
    subject = state.subject
    resolution = state.resolution if reason.ends else None
    is_over = resolution is not None
    reported = last if is_over and last is not None else state
    is_renewed = resolution is not None and reason is NotificationReason.RENEWED
    alert = Alert(
        fingerprint=state.fingerprint,
        reason=reason,
        family=reported.condition.family,
        condition=reported.condition,
        severity=reported.severity,
        target=subject.target,
        agents=state.agents,
        provider=subject.provider or None,
        profile=subject.profile or None,
        since=state.since,
        deadline=resolution.until if resolution is not None and is_renewed else state.deadline,
        seen_at=None if is_over else state.seen_at,
        ended_at=resolution.at if resolution is not None else None,
        resolution_cause=resolution.cause if resolution is not None else ResolutionCause.OVER,
        cause=state.cause,
        summary="" if is_over else state.summary,
        remedy=() if is_over else state.remedy,
    )
    return alert if alert.summary else replace(alert, summary=text.sentence(alert, now))


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
