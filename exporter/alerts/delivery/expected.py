"""The messages of ``forecast`` as lines for people, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from exporter.alerts.lifecycle.forecast import Expected
from exporter.alerts.message import text
from exporter.alerts.values import Alert, NotificationReason
from exporter.lib.durations import in_words, iso


def lines(messages: Iterable[Expected]) -> Iterator[str]:
    """A line for each alert in a message: when, on which channel, why, its title, and how it goes on."""
    for at, message, every in messages:
        start = f"{iso(at)}  {message.channel}"
        for alert in message.alerts:
            goes_on = _goes_on(alert, every[alert.fingerprint]) if alert.fingerprint in every else ""
            yield f"{start}  {alert.reason}  {text.title(alert, at)}{goes_on}"
        if message.suppressed:
            yield f"{start}  summary  {text.summary_title(message)}"


def _goes_on(alert: Alert, every: float) -> str:
    until = " until someone acts" if alert.reason is NotificationReason.REPEAT else ""
    return f"; then every {in_words(every)}{until}"


def to_json(messages: Iterable[Expected], begin: float, end: float) -> dict[str, Any]:
    """The messages between ``begin`` and ``end``, ready for JSON."""
    return {
        "schema_version": 1,
        "from": iso(begin),
        "until": iso(end),
        "messages": [
            {
                "at": iso(at),
                "channel": message.channel,
                "alerts": [_alert(alert, at, every.get(alert.fingerprint)) for alert in message.alerts],
                "summary": text.summary_title(message) if message.suppressed else None,
            }
            for at, message, every in messages
        ],
    }


def _alert(alert: Alert, at: float, every: float | None) -> dict[str, Any]:
    return {
        "fingerprint": alert.fingerprint,
        "reason": alert.reason,
        "condition": alert.condition,
        "severity": alert.severity,
        "target": alert.target,
        "agents": list(alert.agents),
        "provider": alert.provider,
        "profile": alert.profile,
        "title": text.title(alert, at),
        "deadline": iso(alert.deadline),
        "repeat_every_seconds": every,  # null: not repeated
    }
