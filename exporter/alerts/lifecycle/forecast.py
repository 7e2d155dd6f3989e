"""The messages to come if only time changes: the lifecycle, run forward. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from exporter.alerts.lifecycle import advance, next_event
from exporter.alerts.lifecycle.policy import AlertPolicy
from exporter.alerts.lifecycle.test_notifications import due_tests, next_test_at
from exporter.alerts.message.places import with_places
from exporter.alerts.values import Message, NotificationReason, States
from exporter.model import Report


class Expected(NamedTuple):
    """A message to come. ``every`` says how often an alert in it is then repeated, in seconds, by fingerprint."""

    at: float
    message: Message
    every: Mapping[str, float]


def forecast(
    states: States,
    report: Report,
    policy: AlertPolicy,
    now: float,
    until: float,
    evaluate_at: Callable[[float], Report],
    last_tests: Mapping[str, float] | None = None,
    limit: int = 1000,
) -> list[Expected]:
    """The messages that would be sent until ``until`` if only time changed: at most ``limit``.

    What is repeated without anything new is there once. ``evaluate_at`` gives the report of today's facts as of a
    later moment. ``last_tests`` says when each channel was last sent a test notification.
    """
    expected: list[Expected] = []
    repeats = _Repeats(policy)
    last_tests, at = dict(last_tests or {}), now
    while at <= until and len(expected) < limit:
        states, messages = advance(states, report, policy, at)
        last_tests, tests = due_tests(last_tests, states, report, policy, at)
        news = (repeats.without(message, at) for message in (*with_places(messages, report), *tests))
        expected += [one for one in news if one is not None]
        changes = [agent.changes_at for target in report.targets for agent in target.agents]
        times = (*changes, next_event(states, report, policy, at), next_test_at(last_tests, report, policy, at))
        ahead = [time for time in times if time is not None and time > at]
        if not ahead:
            break
        at = min(ahead)
        if at <= until:
            report = evaluate_at(at)
    return expected[:limit]


class _Repeats:
    """Knows what each channel keeps repeating."""

    def __init__(self, policy: AlertPolicy) -> None:
        self._every = {
            NotificationReason.REPEAT: policy.repeat_every,
            NotificationReason.TEST: policy.prove_every or 0.0,
        }
        self._going: dict[tuple[str, str], str] = {}

    def without(self, message: Message, at: float) -> Expected | None:
        """The message without what was repeated before; None if nothing is left of it."""
        alerts, every = [], {}
        for alert in message.alerts:
            key, interval = (message.channel, alert.fingerprint), self._every.get(alert.reason)
            # Every repeat says the same; a test notification reports how all is now.
            text = alert.summary if alert.reason is NotificationReason.TEST else ""
            if interval is None:
                self._going.pop(key, None)
            elif self._going.get(key) == text:
                continue
            else:
                self._going[key] = text
                every[alert.fingerprint] = interval
            alerts.append(alert)
        if not alerts and not message.suppressed:
            return None
        return Expected(at, replace(message, alerts=tuple(alerts)), every)
