"""The messages about one credential or target: those of the last 30 days, and those to come. Decides nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from exporter.alerts.delivery.expected import lines
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.lifecycle.forecast import forecast
from exporter.alerts.lifecycle.policy import AlertPolicy
from exporter.alerts.message import text
from exporter.alerts.values import Alert, Message, States
from exporter.lib.typed_json import load
from exporter.model import Report

#: How many messages are searched, the latest, and how many are shown.
MAX_SEARCHED, MAX_SHOWN = 300, 30
#: How far ahead messages are expected, in seconds.
AHEAD = 365 * 86400.0


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """A credential of a target. Without ``provider`` and ``profile``, everything about the target."""

    target: str
    provider: str | None = None
    profile: str | None = None

    def has(self, alert: Alert) -> bool:
        if alert.target != self.target:
            return False
        # What is about the provider or the target as a whole is about its credentials too.
        return (
            self.provider is None
            or alert.provider is None
            or (alert.provider == self.provider and alert.profile in (None, self.profile))
        )


@dataclass(frozen=True, slots=True)
class SentAlert:
    """One alert in a message. ``state`` is ``pending``, ``delivered`` or ``dead``."""

    at: float  # when it was made, Unix seconds
    channel: str
    state: str
    reason: str
    title: str


def sent_about(outbox: Outbox, wanted: MessageFilter) -> list[SentAlert]:
    """What was sent, or waits to be, the latest first. Raises StateError."""
    name = json.dumps(wanted.target, ensure_ascii=False)[1:-1].encode("utf-8", "replace").decode()
    rows = outbox.read(
        """SELECT channel, state, body FROM message WHERE state != 'superseded' AND instr(body, ?) > 0
           ORDER BY sequence DESC LIMIT ?""",
        name,
        MAX_SEARCHED,
    )
    found: list[SentAlert] = []
    for channel, state, body in rows:
        with suppress(ValueError):  # a damaged message
            message = load(Message, body)
            for alert in filter(wanted.has, message.alerts):
                found.append(SentAlert(message.at, channel, state, str(alert.reason), text.title(alert, message.at)))
        if len(found) >= MAX_SHOWN:
            break
    return found[:MAX_SHOWN]


def expected_about(
    wanted: MessageFilter,
    states: States,
    policy: AlertPolicy,
    as_of: Callable[[float], Report],
    now: float,
    tests_sent: dict[str, float],
) -> list[str]:
    """A line for each message of the next year, as ``forecast`` prints them, the next first."""
    mine = {key: state for key, state in states.items() if state.subject.target == wanted.target}
    policy = replace(policy, targets=policy.targets & {wanted.target})
    if not policy.targets:
        return []
    messages = forecast(mine, as_of(now), policy, now, now + AHEAD, as_of, tests_sent, limit=MAX_SEARCHED)
    about = (
        one._replace(message=replace(one.message, alerts=alerts, suppressed=()))
        for one in messages
        if (alerts := tuple(filter(wanted.has, one.message.alerts)))
    )
    return list(lines(about))[:MAX_SHOWN]
