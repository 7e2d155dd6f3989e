"""Where each alert stands: told where and when, acknowledged, silenced, what comes next. For ``explain``, the
status API and the page; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exporter.alerts.lifecycle.compose import alert_of
from exporter.alerts.lifecycle.decisions import reason_to_notify
from exporter.alerts.lifecycle.next_events import EventKind, next_events
from exporter.alerts.lifecycle.policy import AlertPolicy
from exporter.alerts.message import text
from exporter.alerts.values import AlertState, LastNotification, NotificationReason
from exporter.lib.durations import in_words, iso

if TYPE_CHECKING:
    from exporter.alerts.delivery.notifier import Notifier

#: How many of the messages given up on one channel are shown, the latest.
DEAD = 20


#: (channel, fingerprint) of what did not arrive: pending or dead.
Undelivered = Mapping[tuple[str, str], str]
_ALL: Undelivered = {}  # of which nothing is known but that it was told
_NOT_THERE = {"pending": "waiting", "dead": "given up"}


@dataclass(frozen=True, slots=True)
class AlertStatus:
    """One alert as of a moment. Times are Unix seconds."""

    state: AlertState
    title: str
    notified: Mapping[str, LastNotification]  # by channel
    undelivered: Mapping[str, str]  # of these, those whom it did not reach: pending or dead
    waits: str  # why it is not told (everywhere), where that is so
    acknowledged_at: float | None
    silenced_until: float | None
    next_at: float | None  # the next reminder or repeat on any channel


def standing(state: AlertState, policy: AlertPolicy, now: float, undelivered: Undelivered = _ALL) -> AlertStatus:
    """Where ``state``, which fires, stands."""
    told = {name: told for name, told in state.notified.items() if any(name == c.name for c in policy.channels)}
    silenced_until = policy.silenced_until(state, now)
    return AlertStatus(
        state=state,
        title=text.title(alert_of(state, NotificationReason.FIRST, now), now),
        notified=told,
        undelivered={name: undelivered[key] for name in told if (key := (name, state.fingerprint)) in undelivered},
        waits=_waits(state, policy, now, silenced_until is not None),
        acknowledged_at=policy.acknowledged_at(state),
        silenced_until=silenced_until,
        next_at=min(
            (at for at, kind in next_events(state, policy, now) if kind in (EventKind.REMINDER, EventKind.REPEAT)),
            default=None,
        ),
    )


def standings(
    states: Mapping[str, AlertState],
    policy: AlertPolicy,
    now: float,
    undelivered: Undelivered = _ALL,
    limit: int | None = None,
) -> list[AlertStatus]:
    """All that fires, the worst first, then what is nearest its end; at most ``limit``, where there is one."""
    firing = (state for state in states.values() if state.firing)
    ranked = sorted(firing, key=lambda s: (-s.severity.rank, s.inhibited, s.deadline or float("inf"), s.key))
    return [standing(state, policy, now, undelivered) for state in ranked[:limit]]


def _waits(state: AlertState, policy: AlertPolicy, now: float, silenced: bool) -> str:
    if state.inhibited:
        return "told within no_usable_profile"
    if not state.confirmed:
        if state.condition.definition.confirmed_by_checks:
            return f"told when {policy.confirm_checks} looks in a row find it"
        ends_at = min(state.since, state.started_at) + policy.cooldown_after
        return f"told if it lasts until {iso(ends_at)}"
    news = [
        (channel, reason) for channel in policy.channels if (reason := reason_to_notify(state, channel, policy, now))
    ]
    if news and silenced:
        return "held back by a silence"
    if quiet := [channel.name for channel, _ in news if channel.is_quiet_for(state.severity, now)]:
        return f"held back by the quiet hours of {', '.join(quiet)}"
    if news:
        return "about to be told"
    return "" if state.notified or not policy.channels else "no channel is to hear of it"


def silencing(state: AlertState) -> dict[str, str]:
    """What a silence of this alert is to match: its profile or provider; where it has neither, only what it is."""
    slot = state.subject
    given = {"target": slot.target, "provider": slot.provider, "profile": slot.profile}
    if not slot.provider:
        given["condition"] = str(state.condition)
    return {name: value for name, value in given.items() if value}


def lines(one: AlertStatus, now: float) -> list[str]:
    """For ``explain``."""
    state = one.state
    said = []
    for name, told in sorted(one.notified.items(), key=lambda item: item[1].at):
        how = [str(told.reason), iso(told.at) or "", _NOT_THERE.get(one.undelivered.get(name, ""), "")]
        said.append(f"{name} {_ago(told.at, now)} ({', '.join(filter(None, how))})")
    parts = [f"told on {', '.join(said)}" if said else "not told", one.waits]
    if one.acknowledged_at is not None:
        parts.append(f"acknowledged {_ago(one.acknowledged_at, now)} ({iso(one.acknowledged_at)})")
    if one.silenced_until is not None:
        parts.append(f"silenced until {iso(one.silenced_until)}")
    if one.next_at is not None:
        parts.append(f"again at {iso(one.next_at)}")
    return [f"alert {state.condition} ({state.severity}): {'; '.join(filter(None, parts))}", f"  {state.fingerprint}"]


def _ago(moment: float, now: float) -> str:
    return f"{in_words(now - moment)} ago"


def explained(
    states: Mapping[str, AlertState], policy: AlertPolicy, now: float, undelivered: Undelivered = _ALL
) -> dict[tuple[str, str, str, str], list[str]]:
    """``lines`` of all that fires by (target, agent, provider, profile): what ``present.explain`` takes."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for one in standings(states, policy, now, undelivered):
        slot = one.state.subject
        for agent in one.state.agents:
            found.setdefault((slot.target, agent, slot.provider, slot.profile), []).extend(lines(one, now))
    return found


def overview(notifier: Notifier, now: float, limit: int | None = None) -> dict[str, Any]:
    """Channels and alerts (at most ``limit``) for the status API and the page, ready for JSON. Raises StateError."""
    states, policy = notifier.states(), notifier.policy()
    types, undelivered = notifier.channel_types(), notifier.outbox.undelivered()
    statistics, problems = notifier.statistics(), notifier.problems()
    dead: dict[str, list[dict[str, Any]]] = {}
    for message in notifier.outbox.undeliverable():
        theirs = dead.setdefault(message.channel, [])
        if len(theirs) < DEAD:
            theirs.append(
                {
                    "id": message.id,
                    "reason": message.reason,
                    "made_at": iso(message.made_at),
                    "given_up_at": iso(message.given_up_at),
                    "what": notifier.what(message.id),
                }
            )
    return {
        "problem": notifier.problem,
        "channels": [
            {
                "name": name,
                "type": types.get(name),  # null: it is no longer configured
                "pending": said.pending,
                "oldest": iso(said.oldest_pending),
                "last_success": iso(said.last_success),
                "last_proven": iso(said.last_acknowledged),
                "problem": problems.get(name),
                "given_up": said.undeliverable,
                "dead": dead.get(name, []),
            }
            for name, said in {**dict.fromkeys(types), **statistics}.items()
            if said is not None
        ],
        "firing": sum(state.firing for state in states.values()),
        "alerts": [_shown(one) for one in standings(states, policy, now, undelivered, limit)],
    }


def _shown(one: AlertStatus) -> dict[str, Any]:
    state, slot = one.state, one.state.subject
    return {
        "fingerprint": state.fingerprint,
        "family": state.family,
        "condition": state.condition,
        "severity": state.severity,
        "target": slot.target,
        "agents": list(state.agents),
        "provider": slot.provider or None,
        "profile": slot.profile or None,
        "title": one.title,
        "since": iso(state.since),
        "deadline": iso(state.deadline),
        "confirmed": state.confirmed,
        "notified": [
            {
                "channel": name,
                "reason": told.reason,
                "severity": told.severity,
                "at": iso(told.at),
                "state": one.undelivered.get(name, "delivered"),
            }
            for name, told in sorted(one.notified.items())
        ],
        "waits": one.waits or None,
        "acknowledged_at": iso(one.acknowledged_at),
        "silenced_until": iso(one.silenced_until),
        "next_at": iso(one.next_at),
        "matchers": silencing(state),
    }
