"""What arrived, and the ends that wait for it: an end is sent only after something that was delivered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alerts.test_outbox import due_alerts, message, state
from alerts.worlds import NOW
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.lifecycle.arrivals import Outcome
from exporter.alerts.values import AlertState, LastNotification, Message, NotificationReason


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "alerts.sqlite", lambda: NOW)


def notified(one: AlertState, *times: float, arrived: bool = False, channel: str = "hook") -> AlertState:
    """``one`` after a channel was notified of it at these times; the last one's entry is kept."""
    last: LastNotification | None = None
    for at in times:
        last = LastNotification(
            one.severity, one.condition, NotificationReason.FIRST, at, has_arrived=arrived, before=last
        )
    return replace(one, notified={channel: last} if last else {})


FIRST, ESCALATED, REMINDER = NotificationReason.FIRST, NotificationReason.ESCALATED, NotificationReason.REMINDER
RESOLVED = NotificationReason.RESOLVED


def outcome_states(outbox: Outbox) -> list[tuple[float, str]]:
    return [(outcome.at, outcome.state) for outcome in outbox.outcomes().values()]


def test_outcomes_are_kept_until_a_commit_notes_them(outbox: Outbox, tmp_path: Path) -> None:
    a, b, _ = (message(FIRST, "a", at=NOW), message(FIRST, "b", "c", at=NOW + 1), message(FIRST, "d", at=NOW + 2))
    one, two, _ = outbox.commit({}, [a, b, _], NOW)
    outbox.sent(one, NOW + 5)
    outbox.failed(two, NOW + 6, "http_error", NOW, permanent=True)
    outbox.close()
    again = Outbox(tmp_path / "alerts.sqlite")
    assert list(again.outcomes().values()) == [
        Outcome("hook", NOW, frozenset("a"), "delivered", NOW + 5),
        Outcome("hook", NOW + 1, frozenset("bc"), "dead", NOW + 6),
    ]
    first, *_ = again.outcomes()
    again.commit({}, [], NOW, noted=[first])
    assert outcome_states(again) == [(NOW + 1, "dead")]


def test_superseded_message_is_an_outcome(outbox: Outbox) -> None:
    outbox.commit({}, [message(REMINDER, "a")], NOW)
    outbox.commit({}, [message(ESCALATED, "a", at=NOW + 1)], NOW + 1)
    assert outcome_states(outbox) == [(NOW, "superseded")]


def test_end_behind_a_first_that_dies_is_dropped(outbox: Outbox) -> None:
    one = state("a")
    (first,) = outbox.commit({"a": notified(one, NOW)}, [message(FIRST, one.fingerprint)], NOW)
    outbox.commit({}, [message(RESOLVED, one.fingerprint, at=NOW + 9)], NOW + 9)
    assert len(due_alerts(outbox)) == 1
    outbox.failed(first, NOW + 10, "http_error", NOW, permanent=True)
    assert due_alerts(outbox, NOW + 10) == []
    assert outcome_states(outbox) == [(NOW, "dead"), (NOW + 9, "superseded")]


def test_end_behind_a_first_that_arrives_is_sent(outbox: Outbox) -> None:
    one = state("a")
    states = {"a": notified(one, NOW, NOW + 1)}
    first, worse = outbox.commit(
        states, [message(FIRST, one.fingerprint), message(ESCALATED, one.fingerprint, at=NOW + 1)], NOW
    )
    outbox.commit({}, [message(RESOLVED, one.fingerprint, at=NOW + 9)], NOW + 9)
    outbox.sent(first, NOW + 10)
    outbox.failed(worse, NOW + 11, "http_error", NOW, permanent=True)
    assert (one.fingerprint, "resolved") in due_alerts(outbox, NOW + 11)


def test_end_waits_until_nothing_about_its_alert_is_on_its_way(outbox: Outbox) -> None:
    one = state("a")
    first, worse = outbox.commit(
        {"a": notified(one, NOW, NOW + 1)},
        [message(FIRST, one.fingerprint), message(ESCALATED, one.fingerprint, at=NOW + 1)],
        NOW,
    )
    outbox.commit({}, [message(RESOLVED, one.fingerprint, at=NOW + 9)], NOW + 9)
    outbox.failed(first, NOW + 10, "http_error", NOW, permanent=True)
    assert due_alerts(outbox, NOW + 10) == [(one.fingerprint, "escalated")]
    outbox.sent(worse, NOW + 11)
    assert due_alerts(outbox, NOW + 11) == [(one.fingerprint, "resolved")]


def test_end_in_a_group_leaves_it_alone(outbox: Outbox) -> None:
    """The first of one alert dies: its end leaves the group that it waits in, the others stay."""
    one, other = state("a"), state("b")
    first, _ = outbox.commit(
        {"a": notified(one, NOW), "b": notified(other, NOW - 9, arrived=True)},
        [message(FIRST, one.fingerprint), message(FIRST, "c")],
        NOW,
    )
    (group,) = outbox.commit({}, [message(RESOLVED, one.fingerprint, other.fingerprint, at=NOW + 9)], NOW + 9)
    outbox.failed(first, NOW + 10, "http_error", NOW, permanent=True)
    left = [queued.message for queued in outbox.due("hook", NOW + 10) if queued.id == group]
    assert [one.fingerprints for one in left] == [frozenset({other.fingerprint})]


@pytest.mark.parametrize("became", ["dead", "delivered"])
def test_end_is_queued_only_if_something_arrived(outbox: Outbox, became: str) -> None:
    """What became of the first is not noted yet when the end is made."""
    one = state("a")
    (first,) = outbox.commit({"a": notified(one, NOW)}, [message(FIRST, one.fingerprint)], NOW)
    if became == "dead":
        outbox.failed(first, NOW + 1, "http_error", NOW, permanent=True)
    else:
        outbox.sent(first, NOW + 1)
    ids = outbox.commit({}, [message(RESOLVED, one.fingerprint, at=NOW + 9)], NOW + 9)
    assert len(ids) == len(due_alerts(outbox, NOW + 9)) == (became == "delivered")


def test_next_life_of_an_alert_waits_for_its_own_first(outbox: Outbox) -> None:
    one = state("a")
    sent = {}
    for at in (NOW, NOW + 10):
        (sent[at],) = outbox.commit({"a": notified(one, at)}, [message(FIRST, one.fingerprint, at=at)], at)
        outbox.commit({}, [message(RESOLVED, one.fingerprint, at=at + 1)], at + 1)
    outbox.failed(sent[NOW], NOW + 20, "http_error", NOW, permanent=True)
    assert due_alerts(outbox, NOW + 20) == [(one.fingerprint, "first")], "its end is gone, the next life is sent"
    outbox.sent(sent[NOW + 10], NOW + 21)
    assert due_alerts(outbox, NOW + 21) == [(one.fingerprint, "resolved")]


def withdrawal(*about: str, at: float = NOW) -> Message:
    return Message("hook", at, withdrawn=about)


def test_withdrawals_supersede_each_other_and_reminders_but_no_first(outbox: Outbox) -> None:
    first, reminder, early, late = outbox.commit(
        {}, [message(FIRST, "a"), message(REMINDER, "b"), withdrawal("b"), withdrawal("a", "b")], NOW
    )
    del reminder, early
    assert [queued.id for queued in outbox.due("hook", NOW)] == [first]
    outbox.sent(first, NOW)
    assert [queued.id for queued in outbox.due("hook", NOW)] == [late]
    outbox.commit({}, [message(FIRST, "a", at=NOW + 1), message(ESCALATED, "b", at=NOW + 1)], NOW + 1)
    assert due_alerts(outbox, NOW + 1) == [("a", "first"), ("b", "escalated")], "what is shown anew is not withdrawn"
