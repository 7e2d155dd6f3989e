"""The status of each alert: where and when it was notified, or why not; acknowledgement, silence, next step.

For ``explain``, the status API and the status page. Nothing is decided here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.delivery.statistics import ChannelStatistics
from exporter.alerts.lifecycle.agents import confirmed_at
from exporter.alerts.lifecycle.arrivals import retry_at
from exporter.alerts.lifecycle.compose import alert_of
from exporter.alerts.lifecycle.decisions import reason_to_notify
from exporter.alerts.lifecycle.flapping import times_today
from exporter.alerts.lifecycle.next_events import EventKind, next_events
from exporter.alerts.lifecycle.policy import AlertPolicy
from exporter.alerts.message import text
from exporter.alerts.values import AgentFact, AlertState, LastNotification, Loss, NotificationReason, States
from exporter.lib.durations import in_words, iso
from exporter.model import ConditionName

#: "pending" or "dead" by (channel, fingerprint): alerts whose latest message was not delivered to the channel.
Undelivered = Mapping[tuple[str, str], str]
#: How many undeliverable messages of one channel are shown, the latest ones.
MAX_SHOWN = 20
#: How many of their titles are kept: reading a message again may mean megabytes.
MAX_TITLES = 1000
_UNKNOWN: Undelivered = {}
_UNDELIVERED_WORDS = {"pending": "waiting", "dead": "undeliverable"}


@dataclass(frozen=True, slots=True)
class NotifierStatus:
    """What a notifier knows at one moment."""

    states: States
    policy: AlertPolicy
    channel_types: Mapping[str, str]  # of the configured channels
    statistics: Mapping[str, ChannelStatistics]
    problem: str | None  # why no notifications are sent at all
    channel_problems: Mapping[str, str]
    undelivered: Undelivered
    undeliverable: Mapping[str, list[dict[str, Any]]]  # the latest messages by channel, ready for JSON


@dataclass(frozen=True, slots=True)
class AlertStatus:
    """One firing alert at one moment. Times are Unix seconds."""

    state: AlertState
    title: str
    notified: Mapping[str, LastNotification]  # by channel
    undelivered: Mapping[str, str]  # the channels among these that it did not reach: "pending" or "dead"
    waits: str  # why a notification is not sent yet, or nowhere; empty if there is no reason
    times: int  # how often it began within a day, if it is flapping
    other_facts: tuple[str, ...]  # a line for each agent that has another condition, or not for long enough
    lost: Mapping[str, tuple[Loss, float]]  # by channel: what never arrived, and when it is sent again at the latest
    acknowledged_at: float | None
    silenced_until: float | None
    next_at: float | None  # the next reminder or repeat on any channel


def alert_status(
    state: AlertState, policy: AlertPolicy, now: float, undelivered: Undelivered = _UNKNOWN
) -> AlertStatus:
    """The status of a firing alert."""
    channels = {channel.name for channel in policy.channels}
    notified = {name: last for name, last in state.notified.items() if name in channels}
    silenced_until = policy.silenced_until(state, now)
    events = next_events(state, policy, now)
    return AlertStatus(
        state=state,
        title=text.title(alert_of(state, NotificationReason.FIRST, now), now),
        notified=notified,
        undelivered={name: undelivered[key] for name in notified if (key := (name, state.fingerprint)) in undelivered},
        waits=_waits(state, policy, now, silenced_until is not None),
        times=times_today(state, now),
        other_facts=tuple(_other_facts(state, policy)),
        lost={
            c.name: (state.lost[c.name], retry_at(state, c, policy, now))
            for c in policy.channels
            if c.name in state.lost
        },
        acknowledged_at=policy.acknowledged_at(state),
        silenced_until=silenced_until,
        next_at=min((at for at, kind in events if kind in (EventKind.REMINDER, EventKind.REPEAT)), default=None),
    )


def alert_statuses(
    states: States, policy: AlertPolicy, now: float, undelivered: Undelivered = _UNKNOWN, limit: int | None = None
) -> list[AlertStatus]:
    """All firing alerts, at most ``limit``: the worst first, then the nearest deadline."""
    firing = (state for state in states.values() if state.firing)
    ranked = sorted(firing, key=lambda s: (-s.severity.rank, s.inhibited, s.deadline or float("inf"), s.key))
    return [alert_status(state, policy, now, undelivered) for state in ranked[:limit]]


def _waits(state: AlertState, policy: AlertPolicy, now: float, is_silenced: bool) -> str:
    if state.inhibited:
        return "notified as part of no_usable_profile"
    if not state.confirmed:
        waiting = [_confirmation(fact, policy) for fact in state.facts.values()]
        return waiting[0] if waiting else ""
    if state.dormant:
        return "not repeated: nothing reports it any more, but nothing shows that it is over"
    due = [channel for channel in policy.channels if reason_to_notify(state, channel, policy, now)]
    if due and is_silenced:
        return "suppressed by a silence"
    if quiet := [channel.name for channel in due if channel.is_quiet_for(state.severity, now)]:
        return f"suppressed by the quiet hours of {', '.join(quiet)}"
    if due:
        return "about to be sent"
    return "" if state.notified or state.lost or not policy.channels else "no channel accepts it"


def _confirmation(fact: AgentFact, policy: AlertPolicy) -> str:
    """What a fact that is not confirmed waits for."""
    is_failure = fact.condition is ConditionName.CHECK_FAILED
    setting = "check_failed_after" if is_failure else "cooldown_after"
    if (at := confirmed_at(fact, policy)) is not None:
        return f"notified if it lasts until {iso(at)} ({setting})"
    checks = f"notified when {policy.confirm_checks} checks in a row find it"
    earliest = iso(fact.began_at + policy.check_failed_after)
    return f"{checks}, not before {earliest} ({setting})" if is_failure and policy.check_failed_after else checks


def _other_facts(state: AlertState, policy: AlertPolicy) -> Iterator[str]:
    """A line for each agent for which the alert's main facts do not hold, or not yet."""
    if not state.confirmed:
        return
    for agent, fact in sorted(state.facts.items()):
        if not fact.confirmed:
            yield f"  agent {agent}: {fact.condition} ({fact.severity}): {_confirmation(fact, policy)}"
        elif agent not in state.agents:
            deadline = f", deadline {iso(fact.deadline)}" if fact.deadline is not None else ""
            yield f"  agent {agent}: {fact.condition} ({fact.severity}){deadline}"


def silence_matchers(state: AlertState) -> dict[str, str]:
    """The matchers of a silence for this alert: its profile or provider, else its condition."""
    subject = state.subject
    matchers = {"target": subject.target, "provider": subject.provider, "profile": subject.profile}
    matchers["condition"] = "" if subject.provider else str(state.condition)
    return {name: value for name, value in matchers.items() if value}


def status_lines(status: AlertStatus, now: float) -> list[str]:
    """An alert's status, and its fingerprint, as ``explain`` prints them."""
    state = status.state
    sent = []
    for name, last in sorted(status.notified.items(), key=lambda item: item[1].at):
        details = [str(last.reason), iso(last.at), _UNDELIVERED_WORDS.get(status.undelivered.get(name, ""))]
        sent.append(f"{name} {_ago(last.at, now)} ({', '.join(filter(None, details))})")
    parts = [f"notified on {', '.join(sent)}" if sent else "not notified", status.waits]
    if status.times:
        parts.append(f"began {status.times} times within a day")
    for name, (loss, again_at) in sorted(status.lost.items()):
        again = f"at the latest at {iso(again_at)}" if again_at > now else "now"
        parts.append(f"not delivered on {name} {_ago(loss.at, now)} ({iso(loss.at)}), sent again {again}")
    if status.acknowledged_at is not None:
        parts.append(f"acknowledged {_ago(status.acknowledged_at, now)} ({iso(status.acknowledged_at)})")
    if status.silenced_until is not None:
        parts.append(f"silenced until {iso(status.silenced_until)}")
    if status.next_at is not None:
        parts.append(f"next at {iso(status.next_at)}")
    first = f"alert {state.condition} ({state.severity}): {'; '.join(filter(None, parts))}"
    return [first, *status.other_facts, f"  {state.fingerprint}"]


def _ago(moment: float, now: float) -> str:
    return f"{in_words(now - moment)} ago"


def lines_by_profile(
    states: States, policy: AlertPolicy, now: float, undelivered: Undelivered = _UNKNOWN
) -> dict[tuple[str, str, str, str], list[str]]:
    """``status_lines`` of all firing alerts by (target, agent, provider, profile), for ``present.explain``."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for status in alert_statuses(states, policy, now, undelivered):
        subject = status.state.subject
        for agent in dict.fromkeys((*status.state.agents, *status.state.facts)):
            key = subject.target, agent, subject.provider, subject.profile
            found.setdefault(key, []).extend(status_lines(status, now))
    return found


def overview(status: NotifierStatus, now: float, limit: int | None = None) -> dict[str, Any]:
    """Channels and alerts (at most ``limit``) for the status API and the page, ready for JSON."""
    return {
        "problem": status.problem,
        "channels": [
            {
                "name": name,
                "type": status.channel_types.get(name),  # null: no longer configured
                "pending": statistics.pending,
                "oldest": iso(statistics.oldest_pending),
                "last_success": iso(statistics.last_success),
                "last_proven": iso(statistics.last_acknowledged),
                "problem": status.channel_problems.get(name),
                "given_up": statistics.undeliverable,
                "dead": status.undeliverable.get(name, []),
            }
            for name, statistics in {**dict.fromkeys(status.channel_types), **status.statistics}.items()
            if statistics is not None
        ],
        "firing": sum(state.firing for state in status.states.values()),
        "inhibited": sum(state.firing and state.inhibited for state in status.states.values()),
        "alerts": [
            _alert(alert) for alert in alert_statuses(status.states, status.policy, now, status.undelivered, limit)
        ],
    }


def _alert(status: AlertStatus) -> dict[str, Any]:
    state, subject = status.state, status.state.subject
    return {
        "fingerprint": state.fingerprint,
        "family": state.family,
        "condition": state.condition,
        "severity": state.severity,
        "target": subject.target,
        "agents": list(state.agents),
        "provider": subject.provider or None,
        "profile": subject.profile or None,
        "title": status.title,
        "since": iso(state.since),
        "deadline": iso(state.deadline),
        "confirmed": state.confirmed,
        "notified": [
            {
                "channel": name,
                "reason": last.reason,
                "severity": last.severity,
                "at": iso(last.at),
                "state": status.undelivered.get(name, "delivered"),
            }
            for name, last in sorted(status.notified.items())
        ],
        "waits": status.waits or None,
        "facts": [
            {
                "agent": agent,
                "condition": fact.condition,
                "severity": fact.severity,
                "deadline": iso(fact.deadline),
                "confirmed": fact.confirmed,
            }
            for agent, fact in sorted(state.facts.items())
        ],
        "times_today": status.times or None,
        "lost": [
            {"channel": name, "at": iso(loss.at), "times": loss.times, "retry_at": iso(again_at) if again_at else None}
            for name, (loss, again_at) in sorted(status.lost.items())
        ],
        "acknowledged_at": iso(status.acknowledged_at),
        "silenced_until": iso(status.silenced_until),
        "next_at": iso(status.next_at),
        "matchers": silence_matchers(state),
    }


class UndeliverableMessages:
    """The latest undeliverable messages of an outbox, with their titles."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._title = functools.lru_cache(MAX_TITLES)(self._read_title)

    def latest(self) -> dict[str, list[dict[str, Any]]]:
        """By channel, ready for JSON. Raises StateError."""
        found: dict[str, list[dict[str, Any]]] = {}
        for message in self._outbox.undeliverable():
            shown = found.setdefault(message.channel, [])
            if len(shown) < MAX_SHOWN:
                times = {"made_at": iso(message.made_at), "given_up_at": iso(message.given_up_at)}
                shown.append({"id": message.id, "reason": message.reason, **times, "what": self._title(message.id)})
        return found

    def _read_title(self, id: str) -> str | None:
        """The title of a message; None where it cannot be read."""
        message = self._outbox.message(id)
        if message is None:
            return None
        shows_nothing = not message.alerts and not message.suppressed
        return "takes a notification away" if shows_nothing else text.render(message, message.at).title
