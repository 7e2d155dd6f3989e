"""Alert states after the clock was set back: nothing in them lies in the future. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from exporter.alerts.values import AgentFact, AlertState, changed


def not_in_the_future(state: AlertState, now: float) -> AlertState:
    """After the clock was set back, nothing may wait until the recorded time comes again."""
    if _is_past(state, now):
        return state
    ended = state.resolution
    return changed(
        state,
        started_at=min(state.started_at, now),
        since=min(state.since, now),
        worsened_at=min(state.worsened_at, now),
        facts=_begun(state.facts, now),
        ended=_begun(state.ended, now),
        # The time of what has not arrived yet identifies its message.
        notified={
            name: replace(last, at=min(last.at, now) if last.has_arrived else last.at, since=_earlier(last.since, now))
            for name, last in state.notified.items()
        },
        pending={name: min(at, now) for name, at in state.pending.items()},
        begun_at=tuple(min(at, now) for at in state.begun_at),
        flapped={name: min(at, now) for name, at in state.flapped.items()},
        lost={name: replace(loss, at=min(loss.at, now)) for name, loss in state.lost.items()},
        suppressed={
            name: replace(line, began_at=min(line.began_at, now), ended_at=min(line.ended_at, now))
            for name, line in state.suppressed.items()
        },
        resolution=replace(ended, at=min(ended.at, now)) if ended is not None else None,
    )


def _begun(facts: Mapping[str, AgentFact], now: float) -> dict[str, AgentFact]:
    return {agent: replace(fact, began_at=min(fact.began_at, now)) for agent, fact in facts.items()}


def _earlier(at: float | None, now: float) -> float | None:
    return at if at is None else min(at, now)


def _is_past(state: AlertState, now: float) -> bool:
    """Whether nothing in the state lies in the future. Asked of every alert at every evaluation: in plain loops."""
    ended = state.resolution
    if state.started_at > now or state.worsened_at > now or (ended is not None and ended.at > now):
        return False
    for fact in state.facts.values():
        if fact.began_at > now:
            return False
    for fact in state.ended.values():
        if fact.began_at > now:
            return False
    for last in state.notified.values():
        if (last.has_arrived and last.at > now) or (last.since is not None and last.since > now):
            return False
    for loss in state.lost.values():
        if loss.at > now:
            return False
    for line in state.suppressed.values():
        if line.ended_at > now:
            return False
    times = (*state.pending.values(), *state.begun_at) if state.pending else state.begun_at
    return not times or max(times) <= now
