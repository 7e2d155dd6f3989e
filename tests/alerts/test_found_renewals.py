"""Histories, found by the search, after which a renewal or a date once could not be believed."""

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
    channel_fails,
    dated,
    down,
    ends,
    fails,
    lived,
    passes,
    pasted,
    recovers,
)
from alerts.worlds import DAY, HOUR, MINUTE
from exporter.alerts.values import NotificationReason


def test_renewal_that_waits_is_none_once_the_new_credential_fails() -> None:
    lived(
        ends("main", "anthropic:a", -DAY),
        passes(MINUTE),
        pasted("main", "anthropic:a", 5 * DAY),
        breaks("main", "anthropic:a", "auth", all_heirs=True),
        passes(11.0),
        group_wait=10.0,
    )


def test_what_expired_unsent_and_is_undated_again_is_as_it_was_notified() -> None:
    lived(
        pasted("work", "anthropic:a", YEAR, undated=True),
        away(HOUR),
        dated("work", "anthropic:a", -HOUR),
        pasted("work", "anthropic:a", 5 * DAY, undated=True),
        a_day_passes,
        group_wait=10.0,
    )


def test_renewal_to_a_near_date_leaves_the_alert_of_an_agent_that_cannot_be_checked() -> None:
    lived(
        ends("main", "anthropic:b", -DAY),
        a_day_passes,
        fails("main", forgotten=True),
        a_day_passes,
        pasted("main", "anthropic:b", 5 * DAY, another=False, heals=False),
        a_day_passes,
    )


def test_renewal_of_an_undated_token_that_waits_is_none_once_the_token_is_undated_again() -> None:
    lived(
        pasted("work", "anthropic:a", MONTH, undated=True),
        passes(HOUR),
        pasted("work", "anthropic:a", 5 * DAY),
        pasted("work", "anthropic:a", 5 * DAY, undated=True),
        away(HOUR),
        a_day_passes,
        group_wait=10.0,
    )


def test_renewal_that_waits_names_the_agents_at_which_the_new_credential_works() -> None:
    lived(
        dated("work", "openai:c", 5 * HOUR),
        passes(HOUR),
        pasted("main", "openai:c", 5 * DAY),
        dated("work", "openai:c", -HOUR),
        passes(11.0),
        group_wait=10.0,
    )


def test_date_that_is_recorded_for_an_undated_token_is_one() -> None:
    lived(
        pasted("work", "openai:c", MONTH, undated=True),
        breaks("main", "openai:c", "auth"),
        dated("work", "openai:c", -HOUR),
        dated("work", "openai:c", 10 * DAY),
    )


@pytest.mark.parametrize(
    "steps",
    [
        (
            agent_comes_or_goes("lab"),
            down("openai"),
            recovers("main", "openai:c"),
            dated("work", "openai:c", -HOUR),
            agent_comes_or_goes("work"),
            agent_comes_or_goes("work"),
        ),
        (
            breaks("work", "anthropic:a", "auth"),
            passes(MINUTE),
            dated("work", "anthropic:a", -HOUR),
            agent_comes_or_goes("work"),
            agent_comes_or_goes("work"),
        ),
        (
            breaks("work", "anthropic:a", "auth"),
            passes(MINUTE),
            recovers("work", "anthropic:a"),
            dated("work", "anthropic:a", -HOUR),
            breaks("work", "anthropic:a", "auth"),
            agent_comes_or_goes("work"),
            agent_comes_or_goes("work"),
        ),
    ],
    ids=["an outage", "a credential", "while its end waits"],
)
def test_date_that_went_and_came_back_while_a_credential_failed_is_no_renewal(steps: tuple[Step, ...]) -> None:
    lived(*steps, passes(MINUTE), group_wait=10.0)


def test_date_that_comes_back_after_the_credential_had_none_is_reminded_of_again() -> None:
    lived(
        ends("main", "openai:c", 13.9 * DAY),
        acknowledged(7 * HOUR),
        pasted("main", "openai:c", YEAR, another=False, undated=True),
        dated("lab", "openai:c", 10 * DAY),
        group_wait=10.0,
    )


def test_renewal_to_a_near_date_names_an_agent_that_took_a_credential_of_its_own_before() -> None:
    lived(
        pasted("lab", "anthropic:a", YEAR),
        ends("main", "anthropic:a", 30 * MINUTE),
        pasted("work", "anthropic:a", MONTH, undated=True),
        dated("main", "anthropic:a", 10 * DAY),
        a_day_passes,
    )


def test_expired_credential_is_new_where_a_clock_that_was_set_back_made_it_one_that_works() -> None:
    lived(
        dated("work", "openai:c", -HOUR),
        fails("work"),
        channel_fails("second", "refuses"),
        lambda history: history.the_clock_is_set_back(HOUR),
        lambda history: history.the_clock_is_set_back(HOUR),
        down("openai"),
    )


def test_renewal_to_a_near_date_does_not_name_an_agent_that_has_what_was_notified_last() -> None:
    lived(
        pasted("main", "anthropic:a", 5 * DAY),
        pasted("lab", "anthropic:a", 5 * DAY, undated=True),
        pasted("main", "anthropic:a", YEAR, undated=True),
        pasted("main", "anthropic:a", 5 * DAY),
    )


def test_agent_that_left_with_milder_trouble_is_not_known_from_the_alert_that_it_left() -> None:
    lived(
        ends("main", "openai:c", 30 * MINUTE),
        down("openai"),
        pasted("work", "openai:c", YEAR, undated=True, heals=False),
        pasted("main", "openai:c", YEAR),
        a_day_passes,
    )


def test_what_was_part_of_an_outage_may_be_reminded_of_again_after_the_clock_was_set_back() -> None:
    lived(
        lambda history: history.the_clock_is_set_back(HOUR),
        lambda history: history.the_clock_is_set_back(HOUR),
        down("anthropic"),
        lambda history: history.is_removed("main", "anthropic:a"),
        pasted("main", "anthropic:a", MONTH, undated=True),
        dated("main", "anthropic:a", 5 * HOUR),
        lambda history: history.the_clock_is_set_back(HOUR),
        down("anthropic"),
        lambda history: history.the_clock_is_set_back(HOUR),
        lambda history: history.the_clock_is_set_back(HOUR),
        start=126,
    )


def test_second_renewal_does_not_name_an_agent_whose_renewal_was_sent_with_the_first() -> None:
    history = lived(
        pasted("lab", "anthropic:a", YEAR),
        ends("main", "anthropic:a", 30 * MINUTE),
        pasted("work", "anthropic:a", MONTH, undated=True),
        dated("main", "anthropic:a", 10 * DAY),
        dated("main", "anthropic:a", 5 * HOUR),
        channel_fails("all", "hangs"),
        dated("main", "anthropic:a", 10 * DAY),
    )
    (message,) = history.channels["all"].queue
    assert [(alert.reason, alert.agents) for alert in message.alerts] == [(NotificationReason.RENEWED, ("main",))]
