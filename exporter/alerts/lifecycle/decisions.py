"""What of the states is news to a channel, and when: one pure decision per alert and channel.

News is the difference between what holds and what was told there, so it survives restarts, edited
thresholds and hours in which nothing may be told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from exporter.alerts.lifecycle.facts import rank
from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy
from exporter.alerts.message import text
from exporter.alerts.values import (
    Alert,
    AlertState,
    LastNotification,
    Message,
    NotificationReason,
    ResolutionCause,
    SuppressedAlert,
    changed,
)
from exporter.model import ConditionName, Severity

T = TypeVar("T")
#: Recovery gathers for no longer than this, in seconds: who pasted a token waits for it.
RECOVERY_WAIT = 2.0
#: A moment behind a threshold, as the verdict has it, so that both have surely tipped over.
EPSILON = 0.001


def tell(
    states: Mapping[str, AlertState], policy: AlertPolicy, now: float
) -> tuple[dict[str, AlertState], tuple[Message, ...]]:
    """The states with what is told now written into them, and one message per channel with news."""
    after = dict(states)
    silenced = {key for key, state in after.items() if policy.is_silenced(state, now)} if policy.silences else set()
    messages = []
    said: dict[tuple[str, NotificationReason], Alert] = {}
    for channel in policy.channels:
        message = _tell_one(after, channel, policy, now, silenced, said)
        if message is not None:
            messages.append(message)
    return {key: kept for key, state in after.items() if (kept := _kept(state, policy)) is not None}, tuple(messages)


def _tell_one(
    states: dict[str, AlertState],
    channel: ChannelPolicy,
    policy: AlertPolicy,
    now: float,
    silenced: set[str],
    said: dict[tuple[str, NotificationReason], Alert],
) -> Message | None:
    """One channel's news into ``states``; a message once the first of it has waited long enough.

    ``said`` is what other channels are told, which is the same here but for how something ended: that follows
    what was told there.
    """
    is_quiet = channel.quiet is not None and channel.quiet.hold(now)
    news: list[tuple[AlertState, NotificationReason]] = []
    suppressed: list[AlertState] = []
    is_due = False
    for key, state in states.items():
        held = key in silenced
        reason = decide(state, channel, policy, now)
        if reason is not None and (held or (is_quiet and _waits_for_morning(state, channel, reason))):
            reason = None
        state = _with_missed(state, channel, policy, now, held, is_quiet)
        if (
            channel.name in state.suppressed
            and not held
            and not is_quiet_for(channel, state.suppressed[channel.name].severity, is_quiet)
        ):
            suppressed.append(state)
        if reason is not None:
            is_due = is_due or now - state.pending.get(channel.name, now) >= _wait(reason, policy)
            news.append((state, reason))
        elif channel.name in state.pending:
            state = changed(state, pending=_without(state.pending, channel.name))
        states[key] = state
    if not is_due:
        for state, _ in news:
            if channel.name not in state.pending:
                states[state.key] = changed(state, pending={**state.pending, channel.name: now})
        if news or not suppressed:
            return None
    alerts = []
    for state, reason in news:
        alert = said.get((state.key, reason))
        if alert is None:
            alert = alert_of(state, reason, now, channel)
            if not reason.ends:
                said[state.key, reason] = alert
        alerts.append(alert)
        states[state.key] = _told(state, channel, reason, policy, now)
    lines = []
    for state in suppressed:
        lines.append(state.suppressed[channel.name])
        latest = states[state.key]
        states[state.key] = changed(latest, suppressed=_without(latest.suppressed, channel.name))
    return Message(channel.name, now, tuple(sorted(alerts, key=_worst_first)), tuple(lines))


def decide(state: AlertState, channel: ChannelPolicy, policy: AlertPolicy, now: float) -> NotificationReason | None:
    """Why ``state`` is news to ``channel`` at ``now``, quiet hours and silences aside; None where it is none."""
    told = state.notified.get(channel.name)
    if state.resolution is not None and told is not None:
        return state.resolution.reason
    if not state.firing or not state.confirmed or state.inhibited:
        return None
    heard = state.severity.rank >= channel.min_severity.rank
    if told is None:
        return (
            NotificationReason.FIRST
            if heard and not _is_quietly_ahead(state, policy, now) and _climbed(state, channel, policy, now)
            else None
        )
    was = told.severity.rank >= channel.min_severity.rank
    if state.severity is not told.severity:
        if state.severity.rank > told.severity.rank:
            return NotificationReason.ESCALATED if heard else None
        return NotificationReason.EASED if was else None
    if not heard:
        return None
    return _changed(state, told, policy) or _due_again(state, told, policy, now)


def _changed(state: AlertState, told: LastNotification, policy: AlertPolicy) -> NotificationReason | None:
    """Another condition of the same severity."""
    if state.condition is told.condition:
        return NotificationReason.ESCALATED if state.credentials and state.worsened_at > told.at else None
    if state.condition is ConditionName.EXPIRING and told.condition is ConditionName.UNDATED:
        return NotificationReason.REMINDER
    worse = rank(state.severity, state.condition) > rank(told.severity, told.condition)
    return NotificationReason.ESCALATED if worse else NotificationReason.EASED


def _due_again(state: AlertState, told: LastNotification, policy: AlertPolicy, now: float) -> NotificationReason | None:
    """A reminder step passed, or a critical that still needs a person."""
    if state.condition is ConditionName.EXPIRING and state.deadline is not None:
        step = policy.step_at(state.deadline, now)
        if step is not None and (told.step is None or step < told.step):
            return NotificationReason.REMINDER
    again = repeat_at(state, told, policy)
    return NotificationReason.REPEAT if again is not None and again <= now else None


def repeat_at(state: AlertState, told: LastNotification, policy: AlertPolicy) -> float | None:
    if state.severity is not Severity.CRITICAL or policy.acknowledged_at(state) is not None:
        return None
    return told.at + policy.repeat_every


def _is_quietly_ahead(state: AlertState, policy: AlertPolicy, now: float) -> bool:
    """Whether the reminder steps behind us were behind us already when a person renewed it."""
    if state.acknowledged_step is None or state.severity is not Severity.INFO or state.deadline is None:
        return False
    step = policy.step_at(state.deadline, now)
    return step is None or step >= state.acknowledged_step


def _climbed(state: AlertState, channel: ChannelPolicy, policy: AlertPolicy, now: float) -> bool:
    """Whether a critical that nobody acknowledged has come up to this channel of ``order``."""
    at = _climbs_at(state, channel, policy)
    if at is None:
        return True
    acknowledged = policy.acknowledged_at(state)
    return at <= (now if acknowledged is None else min(now, acknowledged))


def _climbs_at(state: AlertState, channel: ChannelPolicy, policy: AlertPolicy) -> float | None:
    if policy.escalate_after is None or channel.step == 0 or state.severity is not Severity.CRITICAL:
        return None
    return state.worsened_at + channel.step * policy.escalate_after


def _waits_for_morning(state: AlertState, channel: ChannelPolicy, reason: NotificationReason) -> bool:
    """A resolution follows the severity that was told; a change counts as the worse of both sides."""
    told = state.notified.get(channel.name)
    severities = [told.severity] if told is not None else []
    if not reason.ends:
        severities.append(state.severity)
    return is_quiet_for(channel, max(severities, key=lambda severity: severity.rank), True)


def is_quiet_for(channel: ChannelPolicy, severity: Severity, is_quiet: bool) -> bool:
    if not is_quiet or channel.quiet is None:
        return False
    return channel.quiet.passes is None or severity.rank < channel.quiet.passes.rank


def _with_missed(
    state: AlertState, channel: ChannelPolicy, policy: AlertPolicy, now: float, held: bool, is_quiet: bool
) -> AlertState:
    """Note what ended just now without having been told, because it was held back."""
    ending = state.resolution
    if ending is None or ending.at != now or channel.name in state.notified or state.acknowledged_step is not None:
        return state
    if state.firing or state.severity.rank < channel.min_severity.rank or not _climbed(state, channel, policy, now):
        return state
    if not held and not is_quiet_for(channel, state.severity, is_quiet):
        return state
    before = state.suppressed.get(channel.name)
    if before is not None and before.ended_at == now:
        return state
    slot = state.subject
    line = SuppressedAlert(
        fingerprint=state.fingerprint,
        condition=state.condition,
        severity=state.severity if before is None else max(state.severity, before.severity, key=lambda s: s.rank),
        target=slot.target,
        agents=state.agents,
        provider=slot.provider or None,
        profile=slot.profile or None,
        began_at=before.began_at if before else state.since,
        ended_at=now,
        times=before.times + 1 if before else 1,
    )
    return changed(state, suppressed={**state.suppressed, channel.name: line})


def _wait(reason: NotificationReason, policy: AlertPolicy) -> float:
    return min(policy.group_wait, RECOVERY_WAIT) if reason.ends else policy.group_wait


def _told(
    state: AlertState, channel: ChannelPolicy, reason: NotificationReason, policy: AlertPolicy, now: float
) -> AlertState:
    news = _without(state.pending, channel.name)
    if reason.ends:
        told = _without(state.notified, channel.name)
        return changed(
            state, notified=told, pending=news, resolution=state.resolution if told or not state.firing else None
        )
    step, before = (
        policy.step_at(state.deadline, now) if state.deadline is not None else None,
        state.notified.get(channel.name),
    )
    if before is not None and before.step is not None:
        step = before.step if step is None else min(step, before.step)  # a clock set back takes nothing back
    said = LastNotification(state.severity, state.condition, reason, now, step)
    return changed(state, notified={**state.notified, channel.name: said}, pending=news)


def _kept(state: AlertState, policy: AlertPolicy) -> AlertState | None:
    """None for what is over and told wherever it has to be."""
    if state.firing:
        return state
    names = {channel.name for channel in policy.channels}
    return state if names & (state.notified.keys() | state.suppressed.keys()) else None


def _without(mapping: Mapping[str, T], name: str) -> dict[str, T]:
    return {key: value for key, value in mapping.items() if key != name}


def alert_of(state: AlertState, reason: NotificationReason, now: float, channel: ChannelPolicy | None = None) -> Alert:
    """An alert as it is told now; frozen with the message."""
    slot, ending = state.subject, state.resolution if reason.ends else None
    told = state.notified.get(channel.name) if channel else None
    over = ending is not None
    alert = Alert(
        fingerprint=state.fingerprint,
        reason=reason,
        family=state.condition.family if not (over and told) else told.condition.family,
        condition=told.condition if over and told else state.condition,
        severity=told.severity if over and told else state.severity,
        target=slot.target,
        agents=state.agents,
        provider=slot.provider or None,
        profile=slot.profile or None,
        since=state.since,
        deadline=ending.until if ending and reason is NotificationReason.RENEWED else state.deadline,
        seen_at=None if over else state.seen_at,
        ended_at=ending.at if ending else None,
        resolution_cause=ending.cause if ending else ResolutionCause.OVER,
        cause=state.cause,
        summary="" if over else state.summary,
        remedy=() if over else state.remedy,
    )
    return alert if alert.summary else replace(alert, summary=text.sentence(alert, now))


def _worst_first(alert: Alert) -> tuple[int, bool, str, str, str, str]:
    """The worst first; among equals what a person must act on before what is over."""
    return (
        -alert.severity.rank,
        alert.reason.ends,
        alert.target,
        alert.provider or "",
        alert.profile or "",
        alert.fingerprint,
    )


def next_times(state: AlertState, policy: AlertPolicy, now: float) -> Iterable[float]:
    """When ``state`` may become news by time alone, over all channels."""
    if state.firing and state.self_healing and not state.confirmed:
        yield min(state.since, state.started_at) + policy.cooldown_after
    if state.firing and state.condition is ConditionName.EXPIRING and state.deadline is not None:
        ahead = [state.deadline - step + EPSILON for step in policy.remind_before]
        yield min((at for at in ahead if at > now), default=state.deadline + EPSILON)
    silences = [silence.until for silence in policy.silences if now < silence.until and silence.matches(state)]
    if silences:
        yield max(silences)
    for channel in policy.channels:
        yield from _next_on(state, channel, policy, now)


def _next_on(state: AlertState, channel: ChannelPolicy, policy: AlertPolicy, now: float) -> Iterable[float]:
    told = state.notified.get(channel.name)
    if channel.name in state.pending:
        reason = decide(state, channel, policy, now)
        yield state.pending[channel.name] + (_wait(reason, policy) if reason else 0.0)
    elif (
        channel.quiet is not None
        and channel.quiet.hold(now)
        and (channel.name in state.suppressed or decide(state, channel, policy, now) is not None)
    ):
        yield channel.quiet.end(now)
    if not (state.firing and state.confirmed and not state.inhibited):
        return
    if told is not None and (again := repeat_at(state, told, policy)) is not None:
        yield again
    climbs = _climbs_at(state, channel, policy) if told is None else None
    if climbs is not None and policy.acknowledged_at(state) is None:
        yield climbs
