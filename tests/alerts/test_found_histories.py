"""Histories, found by the search, after which a message once could not be believed. Each is lived again.

``Histories`` compares every message with the report, and every moment with itself. The last step of each history is
the one after which it failed.
"""

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
    removed,
    succeeds,
    unlisted,
)
from alerts.test_histories import Histories
from alerts.worlds import DAY, HOUR, MINUTE, NOW, STEPS

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


def test_fork_is_notified_for_itself_once_an_outage_goes_on_with_the_life_of_its_origin() -> None:
    lived(
        down("anthropic"),
        pasted("main", "anthropic:b", MONTH),
        pasted("lab", "anthropic:a", MONTH, heals=False),
        removed("main", "anthropic:b"),
        pasted("lab", "anthropic:b", YEAR),
        a_day_passes,
    )


def test_milder_trouble_that_an_agent_takes_with_it_is_no_trouble_of_the_others() -> None:
    lived(
        breaks("main", "anthropic:a", "auth", all_heirs=True),
        passes(HOUR),
        breaks("work", "anthropic:a", "rate_limit"),
        pasted("work", "anthropic:a", 5 * DAY, heals=False),
        a_day_passes,
    )


def test_outage_of_an_agent_that_took_its_own_credential_is_worse_than_the_alert_that_it_left() -> None:
    lived(
        down("anthropic"),
        recovers("main", "anthropic:b", all_heirs=True),
        pasted("work", "anthropic:a", 5 * DAY, heals=False),
        breaks("work", "anthropic:b", "auth"),
        a_day_passes,
    )


@pytest.mark.parametrize("agent", ["work", "lab"])
def test_agent_that_no_message_named_is_notified_for_its_own_credential(agent: str) -> None:
    """It had shared a credential that was known to fail, which is no news."""
    history = lived(
        breaks("main", "anthropic:b", "auth"),
        breaks("main", "anthropic:b", "auth", all_heirs=True),
        pasted(agent, "anthropic:b", MONTH, another=False, heals=False),
    )
    told = {a for (channel, _), last in history.ledger.notified.items() if channel == "all" for a in last.alert.agents}
    assert agent in told
    a_day_passes(history)


def test_agents_of_the_notes_are_notified_and_go_on_with_their_own_credential() -> None:
    lived(
        dated("main", "anthropic:b", -HOUR),
        breaks("main", "anthropic:b", "auth", all_heirs=True),
        fails("main"),
        pasted("main", "anthropic:b", 5 * DAY, heals=False),
        a_day_passes,
    )


def test_steps_of_a_later_date_are_news_after_an_outage_that_had_none() -> None:
    lived(
        dated("lab", "openai:c", 5 * HOUR),
        a_day_passes,
        ends("main", "openai:c", 2 * DAY),
        pasted("lab", "openai:c", MONTH),
        pasted("main", "openai:c", YEAR),
        dated("work", "openai:c", 10 * DAY),
        passes(8 * DAY),
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


def test_reminder_of_an_agent_that_was_removed_and_is_added_again_is_no_second_one() -> None:
    lived(
        ends("main", "openai:c", 10 * DAY),
        passes(8 * DAY),
        dated("main", "openai:c", 10 * DAY),
        agent_comes_or_goes("work"),
        agent_comes_or_goes("lab"),
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


def test_agent_that_took_another_credential_while_it_could_not_be_checked_is_news_of_the_outage() -> None:
    lived(
        ends("main", "anthropic:b", 2 * DAY),
        unlisted,
        breaks("lab", "anthropic:b", "auth"),
        away(9 * DAY),
        removed("main", "anthropic:a"),
        pasted("lab", "anthropic:b", 5 * DAY, heals=False),
        succeeds,
    )


def test_what_was_held_back_and_then_part_of_an_outage_has_no_line_in_the_summary() -> None:
    history = Histories()
    history.begin(group_wait=0.0, escalate_after=None, start=298, hour=20)
    down("anthropic")(history)
    passes(7 * HOUR)(history)
    recovers("lab", "anthropic:a", all_heirs=True)(history)
    down("anthropic")(history)
    recovers("main", "anthropic:b", all_heirs=True)(history)


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


def test_what_became_too_mild_for_a_phone_is_not_shown_again_once_an_outage_took_it_away() -> None:
    lived(
        a_day_passes,
        dated("work", "anthropic:b", 5 * HOUR),
        dated("main", "anthropic:b", 10 * DAY),
        down("anthropic"),
        a_day_passes,
        a_day_passes,
        lambda h: h.thresholds_are_edited(STEPS[1:]),
        a_day_passes,
    )


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


def test_alert_that_begins_again_after_its_end_was_sent_escalates_from_then_on() -> None:
    lived(
        dated("work", "openai:c", -HOUR),
        lambda h: h.the_clock_is_set_back(1.0),
        agent_comes_or_goes("lab"),
        lambda h: h.the_clock_is_set_back(HOUR),
        agent_comes_or_goes("lab"),
        breaks("lab", "openai:c", "rate_limit"),
        a_day_passes,
        escalate_after=15 * MINUTE,
    )


def test_agent_that_left_before_its_trouble_was_confirmed_begins_when_it_is() -> None:
    lived(
        breaks("lab", "anthropic:b", "overloaded"),
        fails("lab", forgotten=True),
        pasted("lab", "anthropic:b", MONTH, heals=False),
        unlisted,
        down("anthropic"),
        succeeds,
        group_wait=10.0,
    )
