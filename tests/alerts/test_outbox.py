"""The outbox commits states and messages together, keeps the order per alert, and loses nothing that is needed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.worlds import DAY, HOUR, NOW, Life, P, policy, world
from exporter.alerts.delivery.outbox import KEEP, UNDELIVERABLE_AFTER, Outbox
from exporter.alerts.delivery.ulid import next_ulid
from exporter.alerts.values import Alert, AlertState, AlertSubject, Message, NotificationReason, fingerprint
from exporter.model import ConditionName, Family, Severity

FIRST = NotificationReason.FIRST


def message(reason: NotificationReason, *about: str, channel: str = "hook", at: float = NOW) -> Message:
    alerts = tuple(
        Alert(one, reason, Family.DEADLINE, ConditionName.EXPIRING, Severity.WARNING, "home", profile=one)
        for one in about
    )
    return Message(channel, at, alerts)


def state(key: str) -> AlertState:
    slot = AlertSubject("home", "anthropic", key, "deadline")
    return AlertState(
        key, fingerprint(key), slot, ConditionName.EXPIRING, Severity.WARNING, ("main",), NOW, NOW, NOW, summary="soon"
    )


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "alerts.sqlite", lambda: NOW)


def due_alerts(outbox: Outbox, now: float = NOW, channel: str = "hook") -> list[tuple[str, str]]:
    return [(a.fingerprint, a.reason) for o in outbox.due(channel, now) for a in o.message.alerts]


def test_states_and_messages_survive_a_restart(outbox: Outbox, tmp_path: Path) -> None:
    life = Life(policy())
    life.at(NOW, world(P(ends=NOW + HOUR / 2), P("anthropic:b", secret="b"), failing={"main": NOW}))
    outbox.commit(life.states, life.messages, NOW)
    assert outbox.states() == life.states
    for _ in range(2):  # as it was made, and as it was written
        assert [o.message for o in outbox.due("hook", NOW)] == life.messages
    outbox.close()
    again = Outbox(tmp_path / "alerts.sqlite")
    assert again.states() == life.states
    assert [o.message for o in again.due("hook", NOW)] == life.messages
    assert (tmp_path / "alerts.sqlite").stat().st_mode & 0o777 == 0o600


def test_state_that_differs_in_wording_only_is_not_written(outbox: Outbox) -> None:
    one = state("a")
    outbox.commit({"a": one}, [], NOW)
    outbox.commit({"a": replace(one, summary="in 2 h")}, [], NOW)
    assert outbox.states()["a"].summary == "soon"
    outbox.commit({"a": replace(one, summary="in 1 h", severity=Severity.CRITICAL)}, [], NOW)
    assert outbox.states()["a"].summary == "in 1 h"
    outbox.commit({}, [], NOW)
    assert outbox.states() == {}


def test_messages_about_one_alert_wait_for_each_other_and_for_no_other(outbox: Outbox) -> None:
    first, other, both, last = outbox.commit(
        {},
        [
            message(NotificationReason.FIRST, "a"),
            message(NotificationReason.FIRST, "b"),
            message(NotificationReason.ESCALATED, "a", "b"),
            message(NotificationReason.FIRST, "c"),
        ],
        NOW,
    )
    assert [o.id for o in outbox.due("hook", NOW)] == [first, other, last]
    assert outbox.failed(first, NOW, "timeout", NOW + 60)
    outbox.sent(other, NOW)
    assert [o.id for o in outbox.due("hook", NOW)] == [last]
    assert [(o.id, o.attempts) for o in outbox.due("hook", NOW + 60)] == [(first, 1), (last, 0)]
    outbox.sent(first, NOW + 60)
    assert [o.id for o in outbox.due("hook", NOW + 60)] == [both, last]


def test_channels_do_not_wait_for_each_other(outbox: Outbox) -> None:
    slow, _ = outbox.commit(
        {}, [message(NotificationReason.FIRST, "a"), message(NotificationReason.FIRST, "a", channel="mail")], NOW
    )
    outbox.failed(slow, NOW, "timeout", NOW + 60)
    assert due_alerts(outbox, channel="mail") == [("a", "first")]
    assert outbox.next_due("hook") == NOW + 60
    assert outbox.next_due("mail") == NOW
    assert outbox.next_due("none") is None


def test_reminders_and_repeats_are_superseded_by_newer_messages(outbox: Outbox) -> None:
    for reason in (
        NotificationReason.FIRST,
        NotificationReason.REMINDER,
        NotificationReason.REPEAT,
        NotificationReason.RESOLVED,
    ):
        outbox.commit({}, [message(reason, "a")], NOW)
    order = []
    while due := outbox.due("hook", NOW):
        order += [alert.reason for o in due for alert in o.message.alerts]
        outbox.sent(due[0].id, NOW)
    assert order == [NotificationReason.FIRST, NotificationReason.RESOLVED]


def test_group_is_superseded_only_as_a_whole(outbox: Outbox) -> None:
    group, _ = outbox.commit(
        {}, [message(NotificationReason.REPEAT, "a", "b"), message(NotificationReason.RESOLVED, "a")], NOW
    )
    assert due_alerts(outbox) == [("a", "repeat"), ("b", "repeat")]
    outbox.commit({}, [message(NotificationReason.RESOLVED, "b")], NOW)
    assert group not in [o.id for o in outbox.due("hook", NOW)]
    assert due_alerts(outbox) == [("a", "resolved"), ("b", "resolved")]


def test_message_is_undeliverable_after_three_days_or_a_permanent_failure(outbox: Outbox) -> None:
    slow, wrong = outbox.commit(
        {}, [message(NotificationReason.FIRST, "a"), message(NotificationReason.FIRST, "b")], NOW
    )
    assert not outbox.failed(wrong, NOW, "http_error", NOW, permanent=True)
    assert outbox.failed(slow, NOW + 2 * DAY, "connection", NOW + 9 * DAY)
    assert outbox.next_due("hook") == NOW + UNDELIVERABLE_AFTER, "a last attempt at the end"
    assert not outbox.failed(slow, NOW + UNDELIVERABLE_AFTER, "connection", NOW + 4 * DAY)
    assert outbox.due("hook", NOW + 9 * DAY) == []
    assert {(one.id, one.reason, one.alerts) for one in outbox.undeliverable()} == {
        (wrong, "http_error", 1),
        (slow, "connection", 1),
    }
    statistics = outbox.statistics(["hook", "new"])
    assert (statistics["hook"].attempts, statistics["hook"].undeliverable, statistics["hook"].pending) == (3, 2, 0)
    assert statistics["hook"].failures == {"connection": 2, "http_error": 1}
    assert statistics["new"].attempts == 0


def test_statistics_count_pending_and_delivered_messages(outbox: Outbox) -> None:
    one, _ = outbox.commit({}, [message(NotificationReason.FIRST, "a"), message(NotificationReason.FIRST, "b")], NOW)
    outbox.sent(one, NOW + 5)
    (found,) = outbox.statistics().values()
    assert (found.attempts, found.pending, found.oldest_pending, found.last_success) == (1, 1, NOW, NOW + 5)


def test_undelivered_alerts_are_listed_by_channel(outbox: Outbox) -> None:
    first, other = outbox.commit(
        {}, [message(NotificationReason.FIRST, "a", "b"), message(NotificationReason.FIRST, "a", channel="x")], NOW
    )
    assert outbox.undelivered() == {("hook", "a"): "pending", ("hook", "b"): "pending", ("x", "a"): "pending"}
    outbox.sent(first, NOW)
    outbox.failed(other, NOW, "http_error", NOW, permanent=True)
    assert outbox.undelivered() == {("x", "a"): "dead"}
    (again,) = outbox.commit({}, [message(NotificationReason.REPEAT, "a", channel="x")], NOW)
    outbox.sent(again, NOW)
    assert outbox.undelivered() == {}


def test_messages_of_a_removed_channel_are_undeliverable(outbox: Outbox) -> None:
    outbox.commit(
        {}, [message(NotificationReason.FIRST, "a"), message(NotificationReason.FIRST, "a", channel="gone")], NOW
    )
    assert outbox.use_channels({"hook": ""}, NOW) == 1
    assert [(one.channel, one.reason) for one in outbox.undeliverable()] == [("gone", "channel_removed")]
    assert outbox.statistics()["gone"].undeliverable == 1
    assert due_alerts(outbox) == [("a", "first")]


def test_clock_set_back_delays_no_message(outbox: Outbox) -> None:
    (one,) = outbox.commit({}, [message(NotificationReason.FIRST, "a")], NOW)
    outbox.failed(one, NOW, "timeout", NOW + 60)
    assert [o.id for o in outbox.due("hook", NOW - HOUR)] == [one]


def test_old_messages_are_deleted_unless_their_alert_still_fires(outbox: Outbox) -> None:
    firing = state("a")
    about_it, old = message(NotificationReason.FIRST, firing.fingerprint), message(NotificationReason.FIRST, "over")
    for id in outbox.commit({"a": firing}, [about_it, old], NOW):
        outbox.failed(id, NOW, "http_error", NOW, permanent=True)
    outbox.commit({"a": firing}, [], NOW + KEEP + 2 * DAY)
    assert [(one.alerts, one.channel) for one in outbox.undeliverable()] == [(1, "hook")]
    outbox.commit({}, [], NOW + KEEP + 4 * DAY)
    assert outbox.undeliverable() == []


def test_silences_and_acknowledgements(outbox: Outbox) -> None:
    silence = outbox.add_silence({"target": "home"}, NOW + HOUR, "moving", NOW)
    assert outbox.silences(NOW) == (silence,)
    assert outbox.silences(NOW + HOUR) == ()
    assert outbox.remove_silence(silence.id)
    assert not outbox.remove_silence(silence.id)
    firing = state("a")
    outbox.commit({"a": firing}, [], NOW)
    assert outbox.acknowledge(firing.fingerprint, NOW, "hook")
    assert not outbox.acknowledge("nothing", NOW)
    assert outbox.acknowledged() == {firing.fingerprint: NOW}
    # The clock is set back: an alert that gets worse from now on got worse after its acknowledgement.
    assert outbox.acknowledged(NOW - HOUR) == {firing.fingerprint: NOW - HOUR}
    assert outbox.acknowledged(NOW) == {firing.fingerprint: NOW - HOUR}
    assert outbox.statistics()["hook"].last_acknowledged == NOW


@given(st.lists(st.floats(min_value=0, max_value=2e9, allow_nan=False), min_size=2, max_size=20))
def test_ids_are_unique_and_sorted_whatever_the_clock_does(times: list[float]) -> None:
    ids: list[str] = []
    for now in times:
        ids.append(next_ulid(now, ids[-1] if ids else None))
    assert ids == sorted(set(ids))
    assert all(re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", one) for one in ids)


def test_times_of_test_notifications_are_committed_with_them(outbox: Outbox) -> None:
    outbox.commit({}, [message(NotificationReason.TEST, "t")], NOW, {"hook": NOW, "phone": NOW - DAY})
    assert outbox.tests_sent() == {"hook": NOW, "phone": NOW - DAY}
    outbox.commit({}, [], NOW)
    assert outbox.tests_sent() == {"hook": NOW, "phone": NOW - DAY}
    # Today's supersedes last week's.
    outbox.commit({}, [message(NotificationReason.TEST, "t")], NOW + DAY, {"hook": NOW + DAY})
    assert outbox.tests_sent()["hook"] == NOW + DAY
    assert outbox.statistics()["hook"].pending == 1


def test_scheduled_messages_are_recorded_by_channel(outbox: Outbox) -> None:
    outbox.schedule("phone", "d-1", 0.0)
    outbox.schedule("phone", "d-1", NOW)
    outbox.schedule("other", "d-1", NOW + 1)
    assert (outbox.scheduled("phone"), outbox.scheduled("other")) == ({"d-1": NOW}, {"d-1": NOW + 1})
    outbox.schedule("phone", "d-1", None)
    assert (outbox.scheduled("phone"), outbox.scheduled("other")) == ({}, {"d-1": NOW + 1})


def test_test_notification_is_acknowledged_without_an_alert(outbox: Outbox) -> None:
    outbox.acknowledge_test("phone", NOW)
    assert outbox.statistics()["phone"].last_acknowledged == NOW


# --- the exporter's name, and the settings of channels --------------------------------------------------------


def test_name_is_that_of_the_host_at_the_first_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "old-container")
    outbox = Outbox(tmp_path / "alerts.sqlite")
    assert outbox.exporter_name("home") == "home", "a configured name is not kept"
    assert outbox.exporter_name("") == "old-container"
    outbox.close()
    monkeypatch.setattr("socket.gethostname", lambda: "new-container")
    again = Outbox(tmp_path / "alerts.sqlite")
    assert again.exporter_name("home") == "home"
    assert again.exporter_name("") == "old-container"
    assert Outbox(None).exporter_name("") == "new-container"


@pytest.mark.parametrize(("host", "name"), [("", "localhost"), ("a/b\n", "ab"), ("x" * 99, "x" * 64)])
def test_name_is_one_that_a_configuration_could_have(host: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: host)
    assert Outbox(None).exporter_name("") == name


def test_new_settings_of_a_channel_count_like_a_success(outbox: Outbox) -> None:
    def usable(settings: dict[str, str], now: float) -> dict[str, float | None]:
        outbox.use_channels(settings, now)
        return outbox.last_usable()

    assert usable({"hook": "secret-1", "phone": "p"}, NOW) == {"hook": NOW, "phone": NOW}
    assert usable({"hook": "secret-1", "phone": "p"}, NOW + 1) == {"hook": NOW, "phone": NOW}
    assert usable({"hook": "secret-2"}, NOW + 2) == {"hook": NOW + 2, "phone": NOW}
    assert usable({"hook": "secret-2", "phone": "p"}, NOW + 3) == {"hook": NOW + 2, "phone": NOW + 3}, "added again"
    (one,) = outbox.commit({}, [message(FIRST, "a")], NOW)
    outbox.sent(one, NOW + 9)
    assert outbox.last_usable()["hook"] == NOW + 9
    assert "secret-" not in "\n".join(outbox.connection.iterdump())


def test_a_success_before_the_clock_was_set_back_does_not_follow_a_loss(outbox: Outbox) -> None:
    one, two = outbox.commit({}, [message(FIRST, "a"), message(FIRST, "b")], NOW)
    outbox.sent(one, NOW + HOUR)
    outbox.failed(two, NOW, "http_error", NOW, permanent=True)
    assert outbox.last_usable() == {"hook": NOW}
