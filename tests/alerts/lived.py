"""Histories that are written by hand, as steps of the search in ``Histories``."""

from __future__ import annotations

from collections.abc import Callable

from alerts.test_histories import Histories
from alerts.worlds import DAY

MONTH, YEAR = 30 * DAY, 365 * DAY


Step = Callable[[Histories], None]


def lived(*steps: Step, group_wait: float = 0.0, escalate_after: float | None = None, start: int = 0) -> Histories:
    history = Histories()
    history.begin(group_wait=group_wait, escalate_after=escalate_after, start=start, hour=0)
    for step in steps:
        step(history)
        history.the_same_moment_twice_sends_nothing()
    return history


def breaks(agent: str, id: str, reason: str, *, all_heirs: bool = False) -> Step:
    return lambda h: h.breaks(agent, id, reason, all_heirs)


def down(provider: str, seen_after: float = 0.0) -> Step:
    return lambda h: h.goes_down_and_is_acknowledged(provider, seen_after)


def pasted(
    agent: str, id: str, left: float, *, another: bool = True, undated: bool = False, heals: bool = True
) -> Step:
    return lambda h: h.is_pasted(agent, id, left, another, undated, heals)


def dated(agent: str, id: str, left: float) -> Step:
    return lambda h: h.has_another_date_here(agent, id, left)


def ends(agent: str, id: str, left: float) -> Step:
    return lambda h: h.comes_to_its_end(agent, id, left)


def removed(agent: str, id: str) -> Step:
    return lambda h: h.is_removed(agent, id)


def recovers(agent: str, id: str, *, all_heirs: bool = False) -> Step:
    return lambda h: h.recovers(agent, id, all_heirs)


def fails(agent: str, *, forgotten: bool = False) -> Step:
    return lambda h: h.checks_fail(agent, forgotten)


def agent_comes_or_goes(agent: str) -> Step:
    return lambda h: h.agent_is_removed_or_added(agent)


def acknowledged(then: float) -> Step:
    return lambda h: h.is_acknowledged(then)


def passes(seconds: float) -> Step:
    return lambda h: h.time_passes(seconds)


def away(seconds: float) -> Step:
    return lambda h: h.we_are_down(seconds)


def channel_fails(name: str, mode: str) -> Step:
    return lambda h: h.a_channel_fails(name, mode)


unlisted = Histories.agents_cannot_be_listed
succeeds = Histories.checks_succeed_again
a_day_passes = Histories.a_lasting_state_is_notified_on_every_channel
