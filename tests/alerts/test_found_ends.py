"""Histories, found by the search, whose end once could not be believed. ``test_found_histories`` has the others."""

from __future__ import annotations

import pytest

from alerts.lived import (
    MONTH,
    YEAR,
    Step,
    a_day_passes,
    acknowledged,
    agent_comes_or_goes,
    away,
    breaks,
    dated,
    down,
    ends,
    fails,
    lived,
    passes,
    pasted,
    recovers,
    removed,
    succeeds,
    unlisted,
)
from alerts.test_histories import Histories
from alerts.worlds import DAY, HOUR, MINUTE, STEPS


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


def test_end_is_sent_although_an_agent_that_nobody_was_notified_of_was_the_last_to_heal() -> None:
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


def test_agent_that_inherits_again_joins_the_alert_of_the_credential_that_the_others_have_now() -> None:
    lived(
        pasted("work", "anthropic:b", MONTH, undated=True),
        pasted("main", "anthropic:b", 5 * DAY),
        pasted("main", "anthropic:b", 5 * DAY),
        removed("work", "anthropic:b"),
        a_day_passes,
    )


def test_what_came_and_went_unsent_is_summed_up_beside_an_outage_that_has_its_fingerprint() -> None:
    lived(
        away(12 * HOUR),
        breaks("work", "anthropic:a", "auth"),
        acknowledged(7 * HOUR),
        pasted("main", "anthropic:a", YEAR),
        down("anthropic"),
        a_day_passes,
    )


def test_line_of_a_summary_does_not_end_in_the_future_of_a_clock_that_was_set_back() -> None:
    lived(
        away(12 * HOUR),
        breaks("work", "anthropic:a", "auth"),
        acknowledged(7 * HOUR),
        pasted("main", "anthropic:a", YEAR),
        lambda h: h.the_clock_is_set_back(HOUR),
        down("anthropic"),
        a_day_passes,
    )


def test_end_names_an_agent_that_left_with_milder_trouble_of_its_own() -> None:
    history = lived(
        ends("main", "anthropic:b", -DAY),
        pasted("lab", "anthropic:b", YEAR, undated=True),
        pasted("main", "anthropic:b", YEAR),
    )
    (ended,) = [state for state in history.states.values() if state.resolution is not None]
    assert ended.resolution is not None
    assert set(ended.resolution.agents) == {"main", "work", "lab"}
    a_day_passes(history)


def test_end_names_no_agent_whose_own_credential_has_the_trouble_that_the_alert_had_last() -> None:
    lived(
        agent_comes_or_goes("lab"),
        pasted("main", "anthropic:a", 5 * DAY),
        agent_comes_or_goes("lab"),
        pasted("lab", "anthropic:a", 5 * DAY, undated=True),
        pasted("main", "anthropic:a", MONTH, undated=True),
        pasted("main", "anthropic:a", MONTH),
    )


def test_end_of_an_own_credential_may_go_with_the_first_of_the_one_that_is_inherited_again() -> None:
    lived(
        pasted("work", "anthropic:a", YEAR, undated=True),
        acknowledged(20 * MINUTE),
        agent_comes_or_goes("work"),
        pasted("main", "anthropic:a", MONTH, undated=True),
        agent_comes_or_goes("work"),
        acknowledged(20 * MINUTE),
        group_wait=10.0,
    )


def test_end_of_a_fork_leaves_the_others_to_the_alert_that_it_came_from() -> None:
    lived(
        dated("main", "anthropic:a", -HOUR),
        agent_comes_or_goes("work"),
        passes(HOUR),
        agent_comes_or_goes("work"),
        down("anthropic"),
        pasted("work", "anthropic:a", 5 * DAY, heals=False),
        agent_comes_or_goes("work"),
        a_day_passes,
    )


def test_end_of_an_outage_has_the_end_of_an_alert_for_the_agent_that_left_it() -> None:
    lived(
        pasted("work", "anthropic:b", 5 * DAY),
        down("anthropic"),
        away(9 * DAY),
        pasted("lab", "anthropic:a", MONTH, heals=False),
        recovers("work", "anthropic:a", all_heirs=True),
        a_day_passes,
    )


def test_trouble_that_an_agent_keeps_with_its_own_credential_has_no_end_while_an_outage_waits() -> None:
    lived(
        breaks("lab", "anthropic:b", "rate_limit"),
        away(HOUR),
        removed("main", "anthropic:a"),
        breaks("main", "anthropic:b", "overloaded"),
        pasted("lab", "anthropic:b", 5 * DAY, heals=False),
        a_day_passes,
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


def test_end_that_waits_has_no_agent_of_the_future_after_the_clock_was_set_back() -> None:
    lived(
        fails("lab"),
        acknowledged(20 * MINUTE),
        succeeds,
        fails("lab"),
        succeeds,
        fails("main"),
        lambda h: h.the_clock_is_set_back(HOUR),
        succeeds,
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


def test_end_of_the_alert_that_an_agent_left_goes_with_the_first_of_its_own() -> None:
    lived(
        breaks("work", "anthropic:a", "overloaded"),
        breaks("lab", "anthropic:a", "overloaded"),
        acknowledged(20 * MINUTE),
        pasted("work", "anthropic:a", YEAR, heals=False),
        removed("main", "anthropic:a"),
        a_day_passes,
    )


def test_end_of_the_alert_that_an_agent_left_comes_after_the_first_of_its_own() -> None:
    lived(
        pasted("main", "anthropic:b", 5 * DAY),
        away(HOUR),
        pasted("work", "anthropic:b", 5 * DAY, undated=True),
        pasted("main", "anthropic:b", MONTH),
        a_day_passes,
    )


def test_end_is_whole_without_an_agent_that_was_seen_to_lose_the_trouble_in_another_way() -> None:
    lived(
        down("openai"),
        removed("main", "openai:c"),
        fails("main"),
        pasted("main", "openai:c", YEAR),
        a_day_passes,
        group_wait=10.0,
    )


def test_end_that_waits_names_an_agent_of_which_nothing_is_known_any_more() -> None:
    lived(
        down("anthropic"),
        recovers("main", "anthropic:b", all_heirs=True),
        fails("main", forgotten=True),
        a_day_passes,
        group_wait=10.0,
    )


def test_end_without_an_agent_that_was_removed_is_whole_although_the_agents_cannot_be_listed() -> None:
    lived(
        down("anthropic"),
        agent_comes_or_goes("work"),
        recovers("lab", "anthropic:b", all_heirs=True),
        unlisted,
        a_day_passes,
        group_wait=10.0,
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


def test_removed_credential_ends_on_a_channel_that_is_not_sent_the_milder_trouble_that_is_inherited_then() -> None:
    lived(
        agent_comes_or_goes("work"),
        removed("main", "anthropic:a"),
        pasted("lab", "anthropic:b", 5 * DAY, another=False, heals=False),
        passes(8 * DAY),
        ends("main", "anthropic:b", -DAY),
        pasted("main", "anthropic:a", MONTH, another=False, heals=False),
        removed("lab", "anthropic:b"),
    )
