"""Histories, found by the search, in which what waited or was held back once could not be believed."""

from __future__ import annotations

from alerts.lived import (
    MONTH,
    a_day_passes,
    agent_comes_or_goes,
    away,
    breaks,
    down,
    ends,
    fails,
    lived,
    passes,
    pasted,
    recovers,
    succeeds,
    unlisted,
)
from alerts.worlds import DAY, HOUR, MINUTE, STEPS


def test_end_waits_while_the_trouble_is_back_and_waits_for_an_outage_to_be_confirmed() -> None:
    lived(
        down("anthropic"),
        recovers("work", "anthropic:a"),
        unlisted,
        agent_comes_or_goes("work"),
        agent_comes_or_goes("lab"),
        passes(HOUR),
        recovers("main", "anthropic:b"),
        succeeds,
        breaks("main", "anthropic:b", "rate_limit"),
        unlisted,
        down("anthropic"),
        group_wait=10.0,
    )


def test_line_of_a_summary_begins_when_the_alert_was_held_back_and_not_when_it_was_sent_as_part_of_an_outage() -> None:
    lived(
        down("openai"),
        down("anthropic"),
        down("anthropic"),
        recovers("lab", "anthropic:a", all_heirs=True),
        down("openai"),
        down("anthropic"),
        down("anthropic"),
        recovers("lab", "anthropic:a"),
        recovers("main", "anthropic:b", all_heirs=True),
        down("openai"),
    )


def test_alert_that_waits_names_no_agent_that_was_last_seen_without_the_trouble() -> None:
    lived(
        lambda history: history.is_silenced(("profile", "anthropic:a"), 5 * MINUTE),
        ends("main", "anthropic:a", 13.9 * DAY),
        unlisted,
        fails("main", forgotten=True),
        lambda history: history.thresholds_are_edited(STEPS[1:]),
        a_day_passes,
    )


def test_line_of_a_summary_may_begin_when_the_end_before_was_sent() -> None:
    lived(
        down("anthropic"),
        pasted("work", "anthropic:b", MONTH),
        down("anthropic"),
        down("openai"),
        down("anthropic"),
        down("anthropic"),
        recovers("lab", "anthropic:a", all_heirs=True),
        down("anthropic"),
        recovers("lab", "anthropic:a", all_heirs=True),
        down("anthropic"),
    )


def test_outage_that_was_over_for_a_moment_of_which_nobody_was_notified_stays_acknowledged() -> None:
    lived(
        ends("main", "anthropic:a", -DAY),
        unlisted,
        down("anthropic"),
        agent_comes_or_goes("work"),
        agent_comes_or_goes("lab"),
        succeeds,
        away(HOUR),
        recovers("main", "anthropic:b"),
        breaks("main", "anthropic:b", "rate_limit"),
        unlisted,
        down("anthropic"),
        succeeds,
        passes(30 * HOUR),
        group_wait=10.0,
    )
