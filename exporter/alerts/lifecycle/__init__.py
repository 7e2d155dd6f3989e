"""The lifecycle of alerts: (states, report, policy, now) → (states, messages). Pure and deterministic.

``tracking`` says what holds, ``telling`` what of it is news to which channel. Alertmanager is not
among the channels here: it wants ``firing``, the state, not the news.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from exporter.alerts.lifecycle.decisions import EPSILON, alert_of, next_times, tell
from exporter.alerts.lifecycle.policy import AlertPolicy
from exporter.alerts.lifecycle.states import track
from exporter.alerts.lifecycle.test_notifications import next_proof, prove
from exporter.alerts.values import Alert, AlertState, Message, NotificationReason, alert_of_test
from exporter.model import Report

__all__ = ["advance", "firing", "forecast", "next_event", "test_message"]

States = Mapping[str, AlertState]


def advance(
    states: States, report: Report, policy: AlertPolicy, now: float
) -> tuple[dict[str, AlertState], tuple[Message, ...]]:
    """The next states, and what is to be told: at most one message per channel.

    ``report`` is judged as of ``now`` (Unix seconds). To be called after every look, whenever time
    alone changed the report, and at ``next_event``; calling it once more changes nothing.
    """
    return tell(track(states, report, policy, now), policy, now)


def next_event(states: States, report: Report, policy: AlertPolicy, now: float) -> float | None:
    """When the lifecycle must run again by time alone; None where nothing is ahead.

    That the report itself changes with time (``AgentReport.changes_at``) is not counted.
    """
    times = (at for state in states.values() for at in next_times(state, policy, now))
    return min((at for at in (*times, *_first_steps(report, policy)) if at > now), default=None)


def _first_steps(report: Report, policy: AlertPolicy) -> Iterator[float]:
    """When deadlines come within the first reminder step."""
    if policy.remind_before:
        for target in report.targets:
            for agent in target.agents:
                for profile in agent.profiles:
                    if profile.expires_at is not None:
                        yield profile.expires_at - policy.remind_before[0] + EPSILON


def firing(states: States, now: float) -> tuple[Alert, ...]:
    """All that holds now, confirmed, whoever was told: what Alertmanager wants."""
    return tuple(
        alert_of(state, NotificationReason.FIRST, now)
        for _, state in sorted(states.items())
        if state.firing and state.confirmed
    )


def forecast(
    states: States,
    report: Report,
    policy: AlertPolicy,
    now: float,
    until: float,
    rejudge: Callable[[float], Report],
    proofs: Mapping[str, float] | None = None,
    limit: int = 1000,
) -> list[tuple[float, Message]]:
    """What would be told until ``until`` if nothing but the time changed: at most ``limit`` messages.

    ``rejudge`` gives the report as of a later moment, judged from today's facts; ``proofs`` is when each
    channel was last told that everything is watched.
    """
    told: list[tuple[float, Message]] = []
    proofs, at = dict(proofs or {}), now
    while at <= until and len(told) < limit:
        states, messages = advance(states, report, policy, at)
        proofs, proven = prove(proofs, states, report, policy, at)
        told += [(at, message) for message in (*messages, *proven)]
        changes = [a.changes_at for t in report.targets for a in t.agents if a.changes_at is not None]
        times = (*changes, next_event(states, report, policy, at), next_proof(proofs, report, policy, at))
        ahead = [time for time in times if time is not None and time > at]
        if not ahead:
            break
        at = min(ahead)
        if at <= until:
            report = rejudge(at)
    return told[:limit]


def test_message(channel: str, now: float) -> Message:
    """What ``notify test`` sends."""
    alert = alert_of_test(channel, now, "A test: nothing is wrong, and this channel delivers")
    return Message(channel, now, (alert,))
