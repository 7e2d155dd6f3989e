"""The outbox's file: one process holds its lock, damage costs little, and a kill leaves whole commits."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from alerts.test_outbox import due_alerts, message, state
from alerts.worlds import HOUR, NOW
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.values import NotificationReason
from exporter.lib.sqlite import StateError


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "alerts.sqlite", lambda: NOW)


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
