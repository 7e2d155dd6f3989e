"""Test notifications: each channel is regularly sent the overall status, for a person to acknowledge.

A channel that is silent because nothing is wrong looks like one that is broken. The times of the
last test notifications are passed in and returned. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy
from exporter.alerts.values import Alert, Message, States, alert_of_test
from exporter.model import Report, Severity
from exporter.present.words import count

#: The ``cause`` of a scheduled test notification in a message. Programs that read messages rely on it.
SCHEDULED_TEST = "proof"
_WRONG = "Something is wrong"


def due_tests(
    last_tests: Mapping[str, float], states: States, report: Report, policy: AlertPolicy, now: float
) -> tuple[dict[str, float], tuple[Message, ...]]:
    """When each channel was last sent a test notification (Unix seconds), and those that are due now.

    A test that became due while the exporter was down, or in quiet hours, is sent once afterwards.
    The first one waits until every scheduled target has been checked, so that its counts are complete.
    """
    if policy.prove_every is None:
        return dict(last_tests), ()
    # After the clock was set back, no test may wait until the recorded time comes again.
    after = {name: min(at, now) for name, at in last_tests.items()}
    due = [channel.name for channel in policy.channels if _due_at(after, channel, policy.prove_every, now) <= now]
    if not due or not policy.is_complete(report):
        return after, ()
    messages = (Message(name, now, (status_alert(name, states, report, policy, now),)) for name in due)
    return after | dict.fromkeys(due, now), tuple(messages)


def next_test_at(last_tests: Mapping[str, float], report: Report, policy: AlertPolicy, now: float) -> float | None:
    """When the next test notification is due by time alone (Unix seconds); None if none is."""
    if policy.prove_every is None or not policy.is_complete(report):
        return None
    times = (_due_at(last_tests, channel, policy.prove_every, now) for channel in policy.channels)
    return min((at for at in times if at > now), default=None)


def _due_at(last_tests: Mapping[str, float], channel: ChannelPolicy, every: float, now: float) -> float:
    at = last_tests[channel.name] + every if channel.name in last_tests else now
    moment = max(at, now)
    return channel.quiet.end(moment) if channel.quiet is not None and channel.quiet.is_active(moment) else at


def status_alert(channel: str, states: States, report: Report, policy: AlertPolicy, now: float) -> Alert:
    """The content of a test notification: whether all is well, how much is monitored, the next deadline."""
    deadline, profile, target = min(_deadlines(report, now), default=(None, "", ""))
    clauses = [_status(states, report, policy, now)]
    if deadline is not None:
        clauses.append(f"the next deadline is that of {profile} on {target}")
    alert = alert_of_test(channel, now, "; ".join(clauses))
    return replace(alert, deadline=deadline, cause=SCHEDULED_TEST, exporter=policy.exporter)


def _status(states: States, report: Report, policy: AlertPolicy, now: float) -> str:
    """Includes alerts that are not confirmed yet: "all is well" must be true."""
    serious = [s for s in states.values() if s.firing and not s.inhibited and s.severity is not Severity.INFO]
    monitored = _monitored(report)
    if not serious:
        return f"All is well: {monitored}" if report.exit_code == 0 else f"{_WRONG}: a check reports it; {monitored}"
    critical = sum(state.severity is Severity.CRITICAL for state in serious)
    silenced = sum(policy.is_silenced(state, now) for state in serious)
    counts = f"{count(len(serious), 'alert')} firing"
    counts += f", {critical:,} critical" if critical else ""
    counts += f", {silenced:,} silenced" if silenced else ""
    return f"{_WRONG}: {counts}; {monitored} monitored"


def _monitored(report: Report) -> str:
    profiles = {
        (agent.target, profile.provider, profile.id) for agent, profile in report.profiles if not profile.ignored
    }
    return f"{count(len(profiles), 'profile')} on {count(len(report.targets), 'target')}"


def _deadlines(report: Report, now: float) -> Iterator[tuple[float, str, str]]:
    for agent, profile in report.profiles:
        if not profile.ignored and profile.expires_at is not None and profile.expires_at > now:
            yield profile.expires_at, profile.id, agent.target
