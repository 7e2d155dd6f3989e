"""What has arrived: a message that was not delivered was not sent.

``AlertState.notified`` says what was handed to the outbox. Until a message has arrived, its entry keeps the one
before it. A message that arrives settles its entry; one that dies takes its entry away, so that what came before
counts again and the news is due again. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy
from exporter.alerts.values import AlertState, LastNotification, Loss, States, changed, without


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message. Times are Unix seconds."""

    channel: str
    at: float  # ``Message.at``
    fingerprints: frozenset[str]
    state: Literal["delivered", "dead", "superseded"]
    finished_at: float


def settle(states: States, outcomes: Iterable[Outcome], now: float) -> dict[str, AlertState]:
    """The states after ``outcomes``, in their order."""
    after = dict(states)
    keys = _keys(states)
    for outcome in outcomes:
        for key in {key for fingerprint in outcome.fingerprints for key in keys.get(fingerprint, ())}:
            after[key] = _settled(after[key], outcome, now)
    return after


def _keys(states: States) -> dict[str, list[str]]:
    """The states by the fingerprints of the messages they wait for. A fork also waits for those of its origin."""
    found: dict[str, list[str]] = {}
    for key, state in states.items():
        for fingerprint in filter(None, (state.fingerprint, state.forked_from)):
            found.setdefault(fingerprint, []).append(key)
    return found


def retry_at(state: AlertState, channel: ChannelPolicy, policy: AlertPolicy, now: float) -> float:
    """From when on the channel may be sent news of the alert (Unix seconds).

    After a loss once in ``repeat_every``, and at once when the channel works again: a channel that refuses
    everything is not tried at every evaluation. A success in the future was before the clock was set back.
    """
    loss = state.lost.get(channel.name) if state.lost else None
    if loss is None or (channel.last_success is not None and loss.at < channel.last_success <= now):
        return 0.0
    return loss.at + policy.repeat_every


def _settled(state: AlertState, outcome: Outcome, now: float) -> AlertState:
    """The state after an outcome: its entry of that message has arrived, or is gone."""
    name = outcome.channel
    chain = entries(state.notified.get(name))
    place = _place(chain, outcome.at)
    if place is None:
        return state
    newer, entry, older = chain[:place], chain[place], chain[place + 1 :]
    if outcome.state == "delivered":
        arrived = _linked([*newer, replace(entry, has_arrived=True)])
        return changed(state, notified={**state.notified, name: arrived}, lost=without(state.lost, name))
    notified, lost = without(state.notified, name), state.lost
    if newer or older:
        notified[name] = _linked([*newer, *older])
    if outcome.state == "dead":
        times = lost[name].times + 1 if name in lost else 1
        lost = {**lost, name: Loss(min(outcome.finished_at, now), times)}
    return changed(state, notified=notified, lost=lost)


def entries(last: LastNotification | None) -> list[LastNotification]:
    """An entry and those before it, the newest first."""
    chain = []
    while last is not None:
        chain.append(last)
        last = last.before
    return chain


def _place(chain: list[LastNotification], at: float) -> int | None:
    """The place of the entry that waits for the message made at ``at``; the oldest, should there be two."""
    places = (place for place in range(len(chain) - 1, -1, -1) if chain[place].at == at)
    return next((place for place in places if not chain[place].has_arrived), None)


def _linked(chain: list[LastNotification]) -> LastNotification:
    """The newest entry, with the others before it. What has arrived needs nothing before it."""
    linked: LastNotification | None = None
    for entry in reversed(chain):
        linked = replace(entry, before=None if entry.has_arrived else linked)
    assert linked is not None
    return linked
