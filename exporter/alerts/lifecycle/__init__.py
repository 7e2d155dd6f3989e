"""The alert lifecycle: (states, report, policy, now) → (states, messages). Pure and deterministic.

``states`` turns the facts of a report into alert states; ``pipeline`` decides which channels are
notified of them. Alertmanager is not among these channels: it wants every firing alert all the
time (``firing``) and does its own grouping and routing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from exporter.alerts.lifecycle.compose import alert_of
from exporter.alerts.lifecycle.next_events import next_events
from exporter.alerts.lifecycle.pipeline import notify
from exporter.alerts.lifecycle.policy import EPSILON, AlertPolicy
from exporter.alerts.lifecycle.states import update_states
from exporter.alerts.values import Alert, AlertState, Message, NotificationReason, States, alert_of_test
from exporter.model import Report

__all__ = ["advance", "firing", "next_event", "test_message"]


def advance(
    states: States, report: Report, policy: AlertPolicy, now: float
) -> tuple[dict[str, AlertState], tuple[Message, ...]]:
    """The next states, and the messages to send: at most one per channel.

    ``report`` is evaluated as of ``now`` (Unix seconds). Call it after every check, whenever time
    alone changes the report, and at ``next_event``. Calling it twice changes nothing.
    """
    return notify(update_states(states, report, policy, now), policy, now)


def next_event(states: States, report: Report, policy: AlertPolicy, now: float) -> float | None:
    """When time alone makes the next ``advance`` necessary (Unix seconds); None if it never does.

    The report itself also changes with time (``AgentReport.changes_at``); that is not included.
    """
    times = (at for state in states.values() for at, _ in next_events(state, policy, now))
    return min((at for at in (*times, *_first_reminders(report, policy)) if at > now), default=None)


def _first_reminders(report: Report, policy: AlertPolicy) -> Iterator[float]:
    """When the first reminder of each deadline is due."""
    for agent, profile in report.profiles:
        if profile.expires_at is not None:
            steps = policy.steps(agent.target, (agent.agent,), profile.provider, profile.id)
            if steps:
                yield profile.expires_at - steps[0] + EPSILON


def firing(states: States, now: float) -> tuple[Alert, ...]:
    """Every confirmed alert that fires, whether or not a channel was notified: what Alertmanager wants."""
    return tuple(
        alert_of(state, NotificationReason.FIRST, now)
        for _, state in sorted(states.items())
        if state.firing and state.confirmed
    )


def test_message(name: str, now: float, exporter: str) -> Message:
    """The message that ``notify test`` sends to a channel."""
    alert = alert_of_test(name, now, "This is a test; nothing is wrong, and this channel delivers messages")
    return Message(name, now, (replace(alert, exporter=exporter),))
