"""Proof: now and then each channel is told that everything is watched, for a person to acknowledge there.

A channel that is silent because nothing is wrong looks like one that is broken. Pure: when the last
proof of each channel was told is given and given back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy
from exporter.alerts.values import Alert, AlertState, Message, alert_of_test
from exporter.model import Report, Severity

#: The ``cause`` of a test that is a proof, for whoever reads messages by program.
PROOF = "proof"


def prove(
    told: Mapping[str, float], states: Mapping[str, AlertState], report: Report, policy: AlertPolicy, now: float
) -> tuple[dict[str, float], tuple[Message, ...]]:
    """When each channel was last told (Unix seconds), and the proofs that are due now.

    One that fell due while we were down, or in quiet hours, is told once, afterwards; the first one when all
    that is scheduled has been looked at, so that no number in it is too small.
    """
    if policy.prove_every is None:
        return dict(told), ()
    # After the clock was set back, nothing waits for the hour that comes again.
    after = {name: min(at, now) for name, at in told.items()}
    due = [channel for channel in policy.channels if _due_at(after, channel, policy.prove_every, now) <= now]
    if not due or not policy.is_complete(report):
        return after, ()
    messages = []
    for channel in due:
        after[channel.name] = now
        messages.append(Message(channel.name, now, (proof(channel.name, states, report, policy, now),)))
    return after, tuple(messages)


def next_proof(told: Mapping[str, float], report: Report, policy: AlertPolicy, now: float) -> float | None:
    """When the next proof is due by time alone; None where none is ahead."""
    if policy.prove_every is None or not policy.is_complete(report):
        return None
    times = (_due_at(told, channel, policy.prove_every, now) for channel in policy.channels)
    return min((at for at in times if at > now), default=None)


def _due_at(told: Mapping[str, float], channel: ChannelPolicy, every: float, now: float) -> float:
    at = told[channel.name] + every if channel.name in told else now
    moment = max(at, now)
    return channel.quiet.end(moment) if channel.quiet is not None and channel.quiet.hold(moment) else at


def proof(channel: str, states: Mapping[str, AlertState], report: Report, policy: AlertPolicy, now: float) -> Alert:
    """What is told: whether all is fine, how much is watched, the next deadline."""
    ahead = min(_deadlines(report, now), default=None)
    says = [_verdict(states, report, policy, now)]
    if ahead is not None:
        says.append(f"the next deadline is that of {ahead[1]} on {ahead[2]}")
    told = alert_of_test(channel, now, "; ".join(says))
    return replace(told, deadline=ahead[0] if ahead is not None else None, cause=PROOF)


def _verdict(states: Mapping[str, AlertState], report: Report, policy: AlertPolicy, now: float) -> str:
    """What holds but was not confirmed yet counts too: nobody is told that all is fine while it is not."""
    serious = [s for s in states.values() if s.firing and not s.inhibited and s.severity is not Severity.INFO]
    watched = _watched(report)
    if not serious:
        return f"All watched and fine: {watched}" if report.exit_code == 0 else f"Not fine: a check says so; {watched}"
    critical = sum(state.severity is Severity.CRITICAL for state in serious)
    silenced = sum(policy.is_silenced(state, now) for state in serious)
    counts = f"{len(serious):,} alert{'s' if len(serious) > 1 else ''} firing"
    counts += f", {critical:,} critical" if critical else ""
    counts += f", {silenced:,} silenced" if silenced else ""
    return f"Not fine: {counts}; {watched} watched"


def _watched(report: Report) -> str:
    profiles = {
        (target.target, profile.provider, profile.id)
        for target in report.targets
        for agent in target.agents
        for profile in agent.profiles
        if not profile.ignored
    }
    count = f"{len(profiles):,} profile{'' if len(profiles) == 1 else 's'}"
    return f"{count} on {len(report.targets):,} target{'' if len(report.targets) == 1 else 's'}"


def _deadlines(report: Report, now: float) -> Iterator[tuple[float, str, str]]:
    for target in report.targets:
        for agent in target.agents:
            for profile in agent.profiles:
                if not profile.ignored and profile.expires_at is not None and profile.expires_at > now:
                    yield profile.expires_at, profile.id, target.target
