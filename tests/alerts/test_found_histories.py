"""Histories, found by the search, after which a message once could not be believed. Each is lived again.

``Histories`` compares every message with the report, and every moment with itself. The last step of each history is
the one after which it failed.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from alerts.test_histories import Histories
from alerts.worlds import DAY, HOUR, MINUTE, NOW, STEPS

MONTH, YEAR = 30 * DAY, 365 * DAY

Step = Callable[[Histories], None]


def lived(*steps: Step, group_wait: float = 0.0) -> Histories:
    history = Histories()
    history.begin(group_wait=group_wait, escalate_after=None, start=0, hour=0)
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


# --- ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "steps",
    [
        (fails("lab"), acknowledged(20 * MINUTE), succeeds, fails("lab"), acknowledged(7 * HOUR)),
        (unlisted, acknowledged(20 * MINUTE), succeeds, unlisted, a_day_passes),
        (unlisted, down("openai"), fails("main"), succeeds, fails("main"), down("anthropic")),
    ],
    ids=["an agent", "the list of agents", "both"],
)
def test_end_of_a_failing_check_is_not_sent_while_it_fails_again(steps: tuple[Step, ...]) -> None:
    lived(*steps, group_wait=10.0)


def test_end_names_no_agent_that_left_with_a_credential_of_its_own_that_has_the_same_trouble() -> None:
    lived(
        pasted("main", "anthropic:b", MONTH, undated=True),
        pasted("work", "anthropic:b", YEAR, another=False, undated=True),
        pasted("main", "anthropic:b", MONTH),
    )


def test_end_of_what_an_outage_inhibited_is_sent_once_the_outage_has_none_of_its_agents() -> None:
    lived(
        dated("main", "openai:c", 5 * HOUR),
        down("openai"),
        unlisted,
        removed("main", "openai:c"),
        pasted("lab", "openai:c", 5 * DAY, another=False, heals=False),
        succeeds,
        a_day_passes,
    )


def test_end_is_sent_although_an_agent_that_nobody_was_told_of_was_the_last_to_heal() -> None:
    lived(
        breaks("work", "anthropic:a", "auth"),
        passes(8 * DAY),
        breaks("lab", "anthropic:a", "overloaded"),
        pasted("work", "anthropic:a", 5 * DAY, another=False),
        pasted("lab", "anthropic:a", MONTH, another=False),
        a_day_passes,
    )


def test_end_of_a_warning_goes_with_that_of_the_outage_at_night() -> None:
    lived(
        pasted("work", "anthropic:a", MONTH),
        a_day_passes,
        pasted("main", "anthropic:b", 5 * DAY),
        away(9 * DAY),
        away(HOUR),
        away(HOUR),
        a_day_passes,
        removed("main", "anthropic:a"),
        away(12 * HOUR),
        removed("main", "anthropic:b"),
    )


def test_end_that_waits_survives_a_clock_that_is_set_back() -> None:
    lived(
        breaks("lab", "anthropic:a", "auth"),
        a_day_passes,
        removed("main", "anthropic:b"),
        passes(20 * MINUTE),
        pasted("lab", "anthropic:b", MONTH, another=False),
        lambda h: h.the_clock_is_set_back(HOUR),
        agent_comes_or_goes("lab"),
        down("openai"),
        group_wait=10.0,
    )


def test_end_of_an_agents_own_credential_is_true_although_it_has_the_same_trouble_by_another() -> None:
    lived(
        breaks("main", "anthropic:a", "auth", all_heirs=True),
        pasted("work", "anthropic:a", MONTH, heals=False),
        removed("work", "anthropic:a"),
    )
    lived(
        pasted("work", "openai:c", MONTH, undated=True),
        pasted("main", "openai:c", MONTH, undated=True),
        removed("work", "openai:c"),
    )
    lived(
        ends("main", "openai:c", 5 * HOUR),
        pasted("work", "openai:c", 5 * DAY, undated=True),
        pasted("main", "openai:c", 5 * DAY),
        removed("work", "openai:c"),
    )


def test_renewal_that_waits_is_none_once_the_new_credential_fails() -> None:
    lived(
        ends("main", "anthropic:a", -DAY),
        passes(MINUTE),
        pasted("main", "anthropic:a", 5 * DAY),
        breaks("main", "anthropic:a", "auth", all_heirs=True),
        passes(11.0),
        group_wait=10.0,
    )


def test_end_that_waits_is_what_the_report_shows_although_the_check_of_one_agent_fails() -> None:
    lived(
        down("anthropic"),
        recovers("work", "anthropic:b"),
        away(HOUR),
        recovers("main", "anthropic:a", all_heirs=True),
        dated("main", "anthropic:a", 5 * HOUR),
        fails("work"),
        away(9 * DAY),
        group_wait=10.0,
    )


def test_failed_check_resolves_nothing_when_the_clock_is_set_back() -> None:
    lived(
        dated("main", "anthropic:b", -HOUR),
        removed("main", "anthropic:a"),
        lambda h: h.the_clock_is_set_back(HOUR),
        unlisted,
        lambda h: h.the_clock_is_set_back(HOUR),
    )


def test_what_only_a_clock_that_was_ahead_had_shown_is_not_sent_while_the_check_fails() -> None:
    steps = (
        breaks("work", "anthropic:a", "overloaded"),
        dated("main", "anthropic:a", 10 * DAY),
        breaks("main", "anthropic:b", "auth", all_heirs=True),
        away(9 * DAY),
        acknowledged(0.0),
        unlisted,
        away(12 * HOUR),
        away(12 * HOUR),
        lambda h: h.the_clock_is_set_back(HOUR),
        passes(30 * MINUTE),
    )
    history = Histories()
    history.begin(group_wait=0.0, escalate_after=15 * MINUTE, start=0, hour=0)
    for step in steps:
        step(history)


@pytest.mark.parametrize(
    "steps",
    [
        (
            ends("main", "openai:c", 30 * MINUTE),
            away(HOUR),
            fails("lab"),
            lambda h: h.the_clock_is_set_back(HOUR),
        ),
        (
            ends("main", "anthropic:a", 13.9 * DAY),
            fails("lab"),
            lambda h: h.thresholds_are_edited(STEPS[1:]),
        ),
        (
            down("openai"),
            fails("work"),
            removed("main", "openai:c"),
            fails("main"),
            agent_comes_or_goes("work"),
        ),
    ],
    ids=["the clock", "the steps", "an end"],
)
def test_what_is_left_to_agents_that_cannot_be_checked_is_settled_at_once(steps: tuple[Step, ...]) -> None:
    lived(*steps, group_wait=10.0)


def test_milder_trouble_that_an_agent_takes_with_it_is_notified_for_itself() -> None:
    lived(
        breaks("main", "anthropic:b", "auth"),
        breaks("lab", "anthropic:b", "rate_limit"),
        pasted("work", "anthropic:a", YEAR),
        passes(HOUR),
        pasted("lab", "anthropic:b", 5 * DAY, heals=False),
        pasted("work", "anthropic:a", 5 * DAY),
    )


def test_silence_of_an_agent_does_not_mute_an_outage_of_another_of_which_nothing_is_known() -> None:
    lived(
        dated("main", "openai:c", -HOUR),
        dated("work", "openai:c", 5 * HOUR),
        fails("main", forgotten=True),
        passes(8 * DAY),
        lambda h: h.is_silenced(("agent", "work"), 3 * HOUR),
        away(HOUR),
        group_wait=10.0,
    )


def test_date_that_is_recorded_for_an_undated_token_is_one() -> None:
    lived(
        pasted("work", "openai:c", MONTH, undated=True),
        breaks("main", "openai:c", "auth"),
        dated("work", "openai:c", -HOUR),
        dated("work", "openai:c", 10 * DAY),
    )


def test_what_cannot_be_checked_is_neither_confirmed_nor_over() -> None:
    lived(
        breaks("main", "anthropic:a", "rate_limit", all_heirs=True),
        fails("lab", forgotten=True),
        fails("main", forgotten=True),
        a_day_passes,
        agent_comes_or_goes("work"),
        a_day_passes,
    )


# --- agents that take a credential of their own ------------------------------------------------------


@pytest.mark.parametrize(
    "steps",
    [
        (removed("main", "anthropic:b"), agent_comes_or_goes("lab")),
        (pasted("main", "anthropic:b", YEAR), pasted("lab", "anthropic:b", YEAR, another=False, undated=True)),
        (removed("main", "anthropic:b"), away(9 * DAY)),
        (
            pasted("main", "anthropic:b", MONTH, another=False, undated=True),
            pasted("lab", "anthropic:b", YEAR, undated=True),
        ),
    ],
    ids=["it goes", "it is renewed", "it expires", "both become undated"],
)
def test_fork_is_notified_for_itself_once_its_origin_has_ended(steps: tuple[Step, ...]) -> None:
    lived(
        pasted("main", "anthropic:b", 5 * DAY, undated=True),
        pasted("lab", "anthropic:b", 5 * DAY, undated=True),
        *steps,
    )


def test_trouble_of_an_agents_own_credential_lasts_without_a_message_of_its_own() -> None:
    lived(
        breaks("main", "anthropic:a", "auth", all_heirs=True),
        pasted("work", "anthropic:a", MONTH, heals=False),
        a_day_passes,
    )


def test_fork_is_notified_for_itself_where_its_origin_is_taken_away() -> None:
    lived(
        agent_comes_or_goes("lab"),
        agent_comes_or_goes("lab"),
        down("anthropic"),
        pasted("lab", "anthropic:a", YEAR),
        pasted("lab", "anthropic:b", 5 * DAY, heals=False),
        a_day_passes,
    )


def test_agent_takes_a_credential_of_its_own_when_the_outage_has_just_ended() -> None:
    lived(
        down("anthropic"),
        pasted("main", "anthropic:a", YEAR),
        acknowledged(7 * HOUR),
        down("anthropic"),
        recovers("work", "anthropic:a", all_heirs=True),
        pasted("lab", "anthropic:b", MONTH, heals=False),
        passes(HOUR),
        group_wait=10.0,
    )


# --- what is news ------------------------------------------------------------------------------------


def test_agent_that_lost_the_trouble_and_has_it_again_is_news() -> None:
    lived(
        down("anthropic"),
        pasted("lab", "anthropic:b", YEAR, another=False),
        breaks("lab", "anthropic:b", "auth"),
    )
    lived(
        down("openai"),
        unlisted,
        pasted("lab", "openai:c", YEAR, another=False),
        recovers("work", "openai:c", all_heirs=True),
        dated("lab", "openai:c", -HOUR),
        succeeds,
        down("openai"),
    )


def test_agent_that_is_left_with_the_trouble_of_another_is_news_and_has_it_since_it_began_there() -> None:
    history = lived(
        fails("lab"),
        passes(8 * DAY),
        fails("work"),
        agent_comes_or_goes("lab"),
        down("anthropic"),
    )
    (failing,) = (state for state in history.states.values() if not state.subject.provider)
    assert failing.agents == ("work",)
    assert failing.since == NOW + 8 * DAY


def test_agent_that_was_removed_and_is_added_again_is_news() -> None:
    lived(
        down("anthropic"),
        ends("main", "anthropic:b", 5 * HOUR),
        acknowledged(7 * HOUR),
        agent_comes_or_goes("work"),
        agent_comes_or_goes("work"),
        acknowledged(7 * HOUR),
    )
    lived(
        ends("main", "anthropic:b", 10 * DAY),
        a_day_passes,
        agent_comes_or_goes("work"),
        down("anthropic"),
        away(9 * DAY),
        agent_comes_or_goes("work"),
    )


@pytest.mark.parametrize(
    "steps",
    [
        (unlisted, passes(20 * MINUTE), succeeds, unlisted, acknowledged(0.0), away(9 * DAY)),
        (down("anthropic", 20 * MINUTE), recovers("lab", "anthropic:b", all_heirs=True), down("anthropic")),
        (
            pasted("work", "anthropic:a", MONTH, another=False),
            down("anthropic", 20 * MINUTE),
            pasted("work", "anthropic:a", 5 * DAY),
            away(9 * DAY),
            pasted("work", "anthropic:a", 5 * DAY),
        ),
    ],
    ids=["a failing check", "an outage", "an outage that spread for a while"],
)
def test_trouble_that_is_back_before_its_end_was_sent_is_as_old_as_its_return(
    steps: tuple[Step, ...],
) -> None:
    lived(*steps, group_wait=10.0)


def test_what_became_too_mild_while_it_was_held_back_has_no_line_in_the_summary() -> None:
    history = Histories()
    history.begin(group_wait=0.0, escalate_after=None, start=26, hour=16)
    history.breaks("work", "anthropic:b", "auth", all_heirs=False)
    history.breaks("work", "anthropic:b", "overloaded", all_heirs=False)
    history.agent_is_removed_or_added("work")
    history.goes_down_and_is_acknowledged("anthropic", 0.0)


@pytest.mark.parametrize(
    "steps",
    [
        (
            dated("lab", "anthropic:b", 5 * HOUR),
            down("anthropic"),
            ends("main", "anthropic:b", 30 * MINUTE),
            pasted("main", "anthropic:b", 5 * DAY, another=False),
        ),
        (dated("work", "openai:c", 5 * HOUR), down("anthropic"), pasted("main", "openai:c", 5 * DAY)),
    ],
    ids=["by the alert", "by the outage that it took over"],
)
def test_agents_that_come_to_share_a_renewal_are_known_at_once(
    steps: tuple[Step, ...],
) -> None:
    lived(*steps, group_wait=10.0)


def test_last_known_recovery_of_an_agent_that_cannot_be_checked_may_be_said() -> None:
    lived(
        breaks("main", "anthropic:a", "auth"),
        ends("main", "anthropic:a", 5 * HOUR),
        fails("main", forgotten=True),
        down("openai"),
    )


def test_message_that_never_arrived_may_be_in_the_summary() -> None:
    lived(
        channel_fails("phone", "refuses"),
        breaks("main", "anthropic:a", "auth"),
        acknowledged(0.0),
        away(12 * HOUR),
        pasted("main", "anthropic:a", 5 * DAY),
        away(12 * HOUR),
    )


def test_channel_that_refuses_is_not_tried_at_every_evaluation_after_the_clock_was_set_back() -> None:
    history = lived(
        breaks("main", "openai:c", "auth"),
        away(7 * HOUR),
        channel_fails("pager", "refuses"),
        lambda h: h.the_clock_is_set_back(HOUR),
        down("anthropic"),
    )
    tries = [loss.times for state in history.states.values() for loss in state.lost.values()]
    assert tries == [2], "now, and six hours later"


def test_silence_of_an_agent_matches_where_an_outage_has_the_others() -> None:
    lived(
        down("anthropic"),
        recovers("work", "anthropic:a"),
        lambda h: h.is_silenced(("agent", "work"), 5 * MINUTE),
        passes(11.0),
        group_wait=10.0,
    )


def test_renewal_that_waits_for_its_group_has_the_date_of_the_moment_it_is_sent() -> None:
    lived(
        pasted("work", "openai:c", 5 * DAY),
        away(HOUR),
        dated("work", "openai:c", 10 * DAY),
        pasted("work", "openai:c", MONTH, another=False, undated=True),
        a_day_passes,
        group_wait=10.0,
    )


def test_outage_that_begins_again_has_a_fingerprint_of_its_own() -> None:
    lived(
        dated("lab", "openai:c", 5 * HOUR),
        passes(8 * DAY),
        dated("main", "openai:c", 10 * DAY),
        dated("lab", "openai:c", 5 * HOUR),
        passes(30 * HOUR),
    )


def test_credential_of_its_own_with_another_date_and_the_same_disable_is_no_second_first() -> None:
    history = lived(
        breaks("main", "anthropic:a", "auth", all_heirs=True),
        pasted("work", "anthropic:a", MONTH, another=False, heals=False),
    )
    assert all(last.is_inherited for s in history.states.values() if s.forked_from for last in s.notified.values())
    assert any(state.forked_from for state in history.states.values())
    lived(
        breaks("main", "anthropic:a", "auth", all_heirs=True),
        pasted("work", "anthropic:a", MONTH, another=False, heals=False),
        down("anthropic"),
    )


def test_end_that_waits_has_the_date_of_today_although_the_trouble_was_back_for_a_moment() -> None:
    lived(
        down("anthropic"),
        pasted("main", "anthropic:b", 5 * DAY),
        breaks("lab", "anthropic:b", "overloaded"),
        pasted("main", "anthropic:b", YEAR),
        a_day_passes,
        group_wait=10.0,
    )


def test_agent_that_left_an_alert_with_the_same_trouble_is_still_known_after_its_end() -> None:
    lived(
        pasted("main", "anthropic:b", YEAR, undated=True),
        pasted("lab", "anthropic:b", YEAR, undated=True),
        pasted("main", "anthropic:b", 5 * DAY),
        pasted("lab", "anthropic:b", MONTH),
    )


def test_agent_that_took_another_credential_and_fails_with_it_is_news_again() -> None:
    lived(
        ends("main", "openai:c", 5 * HOUR),
        away(HOUR),
        pasted("work", "openai:c", 5 * DAY),
        away(9 * DAY),
        down("openai"),
    )
    lived(
        ends("main", "anthropic:a", 5 * HOUR),
        down("anthropic"),
        pasted("lab", "anthropic:a", 5 * DAY),
        unlisted,
        agent_comes_or_goes("lab"),
        agent_comes_or_goes("lab"),
        succeeds,
        down("openai"),
    )
