"""The outbox commits states and messages together, keeps the order per alert, and loses nothing that is needed."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.worlds import DAY, HOUR, NOW, Life, P, policy, world
from exporter.alerts.delivery.outbox import KEEP, UNDELIVERABLE_AFTER, Outbox
from exporter.alerts.delivery.ulid import next_ulid
from exporter.alerts.values import Alert, AlertState, AlertSubject, Message, NotificationReason, fingerprint
from exporter.lib.sqlite import StateError
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


def test_only_one_process_holds_the_lock(tmp_path: Path) -> None:
    daemon, timer = Outbox(tmp_path / "a.sqlite"), Outbox(tmp_path / "a.sqlite")
    assert daemon.acquire_lock("daemon, pid 1")
    assert daemon.acquire_lock("daemon, pid 1")
    assert not timer.acquire_lock("check")
    assert timer.lock_holder == "daemon, pid 1"
    timer.add_silence({"target": "home"}, NOW + HOUR, "", NOW)  # adding a silence needs no lock
    assert len(daemon.silences(NOW)) == 1
    daemon.release_lock()
    assert timer.acquire_lock("check")


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from exporter.alerts.delivery.outbox import Outbox;"
        "o = Outbox(Path(sys.argv[1])); print(o.acquire_lock('x'), flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a.sqlite")], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"True\n"
    mine = Outbox(tmp_path / "a.sqlite")
    assert not mine.acquire_lock("me")
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert mine.acquire_lock("me")


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to be read" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_file_that_is_no_database_is_set_aside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "alerts.sqlite"
    path.write_bytes(content)
    outbox = Outbox(path, lambda: NOW)
    assert outbox.problem is not None
    assert "set aside as alerts.sqlite.corrupt-1795341600" in outbox.problem
    assert (tmp_path / "alerts.sqlite.corrupt-1795341600").read_bytes() == content
    assert outbox.states() == {}
    assert outbox.commit({}, [message(NotificationReason.FIRST, "a")], NOW)


def test_database_of_another_program_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "alerts.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    outbox = Outbox(path, lambda: NOW)
    assert outbox.problem is not None
    assert "another program" in outbox.problem


def test_damaged_file_that_is_fully_readable_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "alerts.sqlite"
    outbox = Outbox(path, lambda: NOW)
    outbox.commit({f"{n}": state(f"{n}") for n in range(500)}, [message(NotificationReason.FIRST, "a")], NOW)
    outbox.close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'state_fingerprint'").fetchone()
    db.close()
    with path.open("r+b") as file:  # an index that does not fit its table
        file.seek((root - 1) * 4096 + 3)
        file.write(b"\0\0")
    again = Outbox(path, lambda: NOW)
    assert again.problem is not None
    assert "everything in it was taken over" in again.problem
    assert len(again.states()) == 500
    assert due_alerts(again) == [("a", "first")]


def test_full_disk_is_one_clear_error_and_changes_nothing(outbox: Outbox) -> None:
    outbox.commit({"a": state("a")}, [message(NotificationReason.FIRST, "a")], NOW)
    pages = outbox.connection.execute("PRAGMA page_count").fetchone()[0]
    outbox.connection.execute(f"PRAGMA max_page_count = {pages}")
    many = {f"{n}": state(f"{n}") for n in range(3000)}
    with pytest.raises(StateError, match="cannot be written"):
        outbox.commit(many, [message(NotificationReason.FIRST, "b")], NOW)
    assert list(outbox.states()) == ["a"]
    outbox.connection.execute("PRAGMA max_page_count = 100000")
    assert due_alerts(outbox) == [("a", "first")]
    outbox.commit(many, [message(NotificationReason.FIRST, "b")], NOW)
    assert len(outbox.states()) == 3000


def test_read_only_file_is_one_clear_error(outbox: Outbox) -> None:
    outbox.connection.execute("PRAGMA query_only = 1")
    with pytest.raises(StateError, match="readonly"):
        outbox.commit({"a": state("a")}, [], NOW)


def test_directory_that_cannot_be_created_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"not a directory|file exists"):
        Outbox(tmp_path / "file" / "alerts.sqlite")


def test_damaged_message_is_undeliverable_and_blocks_no_other(outbox: Outbox) -> None:
    outbox.commit({}, [message(NotificationReason.FIRST, "a"), message(NotificationReason.FIRST, "b")], NOW)
    assert due_alerts(outbox) == [("a", "first"), ("b", "first")]
    outbox.connection.execute("UPDATE message SET body = '{' WHERE sequence = 1")
    assert due_alerts(outbox) == [("b", "first")]
    assert [one.reason for one in outbox.undeliverable()] == ["unreadable"]


@given(st.lists(st.floats(min_value=0, max_value=2e9, allow_nan=False), min_size=2, max_size=20))
def test_ids_are_unique_and_sorted_whatever_the_clock_does(times: list[float]) -> None:
    ids: list[str] = []
    for now in times:
        ids.append(next_ulid(now, ids[-1] if ids else None))
    assert ids == sorted(set(ids))
    assert all(re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", one) for one in ids)


#: Forks a writer for each line of its input. A writer prints its process id, then each number that it committed.
WRITERS = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from alerts.test_outbox import message, state
from dataclasses import replace
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.values import NotificationReason
def write():
    print(os.getpid(), flush=True)
    outbox = Outbox(Path(sys.argv[1]))
    number = int(next(iter(outbox.states().values())).cause) if outbox.states() else 0
    while True:
        number += 1
        one = replace(state("a"), cause=str(number))
        outbox.commit({"a": one}, [message(NotificationReason.ESCALATED, str(number))], float(number))
        print(number, flush=True)
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        write()
    os.waitpid(child, 0)
    print("killed", flush=True)
"""


@contextmanager
def writers(path: Path) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", WRITERS, str(path), str(Path(__file__).parent.parent)]
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_kill_leaves_both_states_and_messages_or_neither(tmp_path: Path) -> None:
    path = tmp_path / "alerts.sqlite"
    with writers(path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for round in range(5):
            process.stdin.write("another\n")
            writer = int(process.stdout.readline())
            committed = [int(process.stdout.readline()) for _ in range(1 + round)]
            time.sleep(0.003 * round)
            os.kill(writer, signal.SIGKILL)
            committed += map(int, iter(process.stdout.readline, "killed\n"))
            outbox = Outbox(path)
            (only,) = outbox.states().values()
            numbers = [int(o.message.alerts[0].fingerprint) for o in outbox.due("hook", 2e9, limit=10**6)]
            outbox.close()
            assert int(only.cause or 0) >= committed[-1], "a commit survives"
            assert numbers == list(range(1, int(only.cause or 0) + 1))


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
