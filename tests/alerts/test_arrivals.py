"""A message that was not delivered was not sent: what arrived, what was lost, and when it is tried again."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.worlds import HOUR, NOW
from exporter.alerts.lifecycle.arrivals import Outcome, entries, retry_at, settle
from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy
from exporter.alerts.values import (
    AlertState,
    AlertSubject,
    LastNotification,
    Loss,
    NotificationReason,
    changed,
    fingerprint,
)
from exporter.model import ConditionName, Severity

POLICY = AlertPolicy(repeat_every=6 * HOUR)


def notified(*times: float, arrived: int = 0) -> LastNotification | None:
    """An entry for each time, the oldest first; the first ``arrived`` of them have arrived."""
    last: LastNotification | None = None
    for number, at in enumerate(times):
        entry = LastNotification(Severity.WARNING, ConditionName.EXPIRING, NotificationReason.FIRST, at)
        last = replace(entry, has_arrived=number < arrived, before=last if number >= arrived else None)
    return last


def state(last: LastNotification | None, key: str = "a", **rest: object) -> AlertState:
    subject = AlertSubject("home", "anthropic", key, "deadline")
    made = AlertState(
        key, fingerprint(key), subject, ConditionName.EXPIRING, Severity.WARNING, ("main",), NOW, NOW, NOW
    )
    return changed(made, notified={"hook": last} if last else {}, **rest)


def outcome(at: float, became: Literal["delivered", "dead", "superseded"], *about: str, end: float = NOW) -> Outcome:
    return Outcome("hook", at, frozenset(fingerprint(key) for key in about or ("a",)), became, end)


def settled(before: AlertState, *outcomes: Outcome, now: float = NOW) -> AlertState:
    return settle({before.key: before}, outcomes, now)[before.key]


def times(of: AlertState) -> list[tuple[float, bool]]:
    return [(entry.at, entry.has_arrived) for entry in entries(of.notified.get("hook"))]


def test_what_arrives_stands_for_everything_before_it() -> None:
    after = settled(state(notified(1.0, 2.0, 3.0), lost={"hook": Loss(0.5)}), outcome(2.0, "delivered"))
    assert times(after) == [(3.0, False), (2.0, True)]
    assert after.lost == {}


def test_what_died_is_undone_and_what_came_before_counts_again() -> None:
    after = settled(state(notified(1.0, 2.0, arrived=1)), outcome(2.0, "dead"))
    assert times(after) == [(1.0, True)]
    assert after.lost == {"hook": Loss(NOW)}


def test_first_that_died_was_never_sent() -> None:
    after = settled(state(notified(1.0)), outcome(1.0, "dead"))
    assert after.notified == {}
    assert settled(changed(after, notified={"hook": notified(2.0)}), outcome(2.0, "dead")).lost["hook"].times == 2


def test_superseded_message_is_cut_out_and_is_no_loss() -> None:
    after = settled(state(notified(1.0, 2.0, 3.0, arrived=1)), outcome(2.0, "superseded"))
    assert times(after) == [(3.0, False), (1.0, True)]
    assert after.lost == {}


def test_an_entry_that_has_arrived_is_not_taken_back() -> None:
    before = state(notified(1.0, arrived=1))
    assert settled(before, outcome(1.0, "dead")) == before


def test_messages_about_other_alerts_and_channels_change_nothing() -> None:
    before = state(notified(1.0))
    assert settled(before, outcome(1.0, "dead", "b"), replace(outcome(1.0, "dead"), channel="phone")) == before


def test_a_fork_waits_for_the_messages_of_the_alert_that_it_left() -> None:
    before = state(notified(1.0), "fork", forked_from=fingerprint("a"))
    assert settled(before, outcome(1.0, "dead")).notified == {}


def test_a_loss_is_never_in_the_future() -> None:
    assert settled(state(notified(1.0)), outcome(1.0, "dead", end=NOW + HOUR)).lost == {"hook": Loss(NOW)}


@pytest.mark.parametrize(
    ("loss", "last_success", "at"),
    [
        (None, None, 0.0),
        (Loss(NOW), None, NOW + 6 * HOUR),  # once in repeat_every
        (Loss(NOW), NOW - 1, NOW + 6 * HOUR),
        (Loss(NOW), NOW + 1, 0.0),  # it works again, or its settings are new
        (Loss(NOW), NOW + HOUR, NOW + 6 * HOUR),  # it worked before the clock was set back
    ],
)
def test_what_was_lost_is_tried_again(loss: Loss | None, last_success: float | None, at: float) -> None:
    channel = ChannelPolicy("hook", last_success=last_success)
    assert retry_at(state(None, lost={"hook": loss} if loss else {}), channel, POLICY, NOW + 1) == at


@given(
    st.permutations([1.0, 2.0, 3.0, 4.0]), st.lists(st.sampled_from(["delivered", "dead", "superseded"]), min_size=4)
)
def test_outcomes_leave_what_arrived_last_and_what_is_on_its_way(order: list[float], became: list[str]) -> None:
    """Whatever becomes of four messages: the newest that arrived counts, and none that came before it."""
    fates = dict(zip([1.0, 2.0, 3.0, 4.0], became, strict=False))
    done = sorted(order[:3])  # messages about one alert finish in their order
    after = settled(state(notified(1.0, 2.0, 3.0, 4.0)), *(outcome(at, fates[at]) for at in done))  # type: ignore[arg-type]  # drawn from these words
    delivered = max((at for at in done if fates[at] == "delivered"), default=0.0)
    waiting = [at for at in (1.0, 2.0, 3.0, 4.0) if at not in done and at > delivered]
    expected = [(at, False) for at in reversed(waiting)] + ([(delivered, True)] if delivered else [])
    assert times(after) == expected
    assert bool(after.lost) == any(fates[at] == "dead" and at > delivered for at in done)
