"""A full disk, a read-only or damaged state: told, mended where it can be, and nothing told twice for it."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alerts.test_outbox import message, state
from alerts.worlds import DAY, HOUR, NOW, P, world
from fakes import Fakes, token
from fakes import config as watching
from histories import HISTORY, OBSERVATION
from hypothesis import given
from hypothesis import strategies as st
from waiting import until

from exporter.alerts.delivery import notifier as module
from exporter.alerts.delivery.notifier import Notifier
from exporter.alerts.delivery.outbox import FILE, Outbox
from exporter.alerts.values import NotificationReason
from exporter.checks.monitor import Monitor
from exporter.daemon.scheduler import Daemon
from exporter.lib.sqlite import StateError, UnwritableError
from exporter.state.credentials_db import FILE as LEDGER
from exporter.state.credentials_db import CredentialDatabase
from exporter.state.history import CredentialHistory

from .servers import BadServer
from .worlds import Setting, config, webhook

SOON = P("anthropic:soon", ends=NOW + HOUR, secret="1")
OTHER = P("anthropic:other", ends=NOW + 300 * DAY, secret="2")


class Heard(Setting):
    """With the server behind its one channel."""

    server: BadServer


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Heard]:
    with BadServer() as server:
        made = Heard(tmp_path, config(webhook(server.url + "/hook")), world(SOON, OTHER))
        made.server = server
        yield made


def settle(path: Path) -> None:
    """All of a database in its one file."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


# --- a full disk -------------------------------------------------------------------------------


async def test_what_a_full_disk_holds_back_is_told_once_when_there_is_room(setting: Any) -> None:
    process = setting.timer_process()
    database = process.outbox.connection
    assert await process.once()
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    setting.world = world(*(P(f"anthropic:{n}", ends=NOW + HOUR, secret=f"{n}") for n in range(400)), SOON, OTHER)
    for _ in range(3):
        with pytest.raises(StateError, match="the alert state cannot be written: database or disk is full"):
            await process.once()
    assert setting.server.reasons("hook") == ["first"]
    database.execute("PRAGMA max_page_count = 1000000")
    assert await process.once()
    assert await process.once()
    assert setting.server.reasons("hook") == ["first", "first"]
    assert [len(body["alerts"]) for body in setting.server.received("hook")] == [1, 400]
    await process.stop()


def no_room(database: sqlite3.Connection) -> None:
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")


def read_only(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA query_only = 1")


def takes_all_again(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA query_only = 0")
    database.execute("PRAGMA max_page_count = 1000000")


@pytest.mark.parametrize(("spoil", "why"), [(no_room, "disk is full"), (read_only, "write a readonly database")])
async def test_a_disk_that_takes_nothing_any_more_keeps_no_daemon_from_telling(
    setting: Any, spoil: Callable[[sqlite3.Connection], None], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on in memory; when there is room again all of it is in the file, and nothing is told twice."""
    monkeypatch.setattr(module, "RESTORE_EVERY", 3600.0)
    notifier: Notifier = setting.notifier()
    notifier.start()
    await until(lambda: setting.server.reasons("hook") == ["first"])
    file = notifier.outbox.connection
    spoil(file)
    setting.world = world(*(P(f"anthropic:{n}", ends=NOW + HOUR, secret=f"{n}") for n in range(400)), SOON, OTHER)
    notifier.wake()
    await until(lambda: setting.server.reasons("hook") == ["first", "first"])
    assert [len(body["alerts"]) for body in setting.server.received("hook")] == [1, 400]
    assert f"{why}; it is kept in memory and is lost when the exporter stops" in (notifier.problem or "")
    # Another process can write: what a person says there is not lost.
    other = Outbox(setting.directory / FILE, setting.clock)
    silence = other.add_silence({"profile": "anthropic:soon"}, NOW + DAY, "moving", NOW)
    other.close()
    takes_all_again(file)
    monkeypatch.setattr(module, "RESTORE_EVERY", 0.0)
    notifier.wake()
    await until(lambda: notifier.problem is None)
    assert notifier.outbox.connection is file
    assert notifier.outbox.silences(NOW) == (silence,)
    await notifier.stop()
    assert await setting.timer()
    assert setting.server.reasons("hook") == ["first", "first"]


async def test_who_is_killed_while_the_disk_takes_nothing_tells_again_rather_than_never(setting: Any) -> None:
    process = setting.timer_process()
    assert await process.once()
    no_room(process.outbox.connection)
    process.outbox.fall_back_to_memory("full")
    setting.clock.now += 2 * HOUR
    assert await process.once()
    process.outbox.release_lock()  # and nothing is written back
    assert setting.server.reasons("hook") == ["first", "escalated"]
    assert await setting.timer()
    assert setting.server.reasons("hook") == ["first", "escalated", "escalated"]


async def test_message_that_was_sent_while_its_mark_had_no_room_is_not_sent_again_after_a_stop(
    setting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier: Notifier = setting.notifier()
    tried: list[str] = []

    def full(outbox: Outbox, id: str, now: float) -> None:
        tried.append(id)
        raise UnwritableError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "sent", full)
        notifier.start()
        await until(lambda: tried)
    await notifier.stop()
    assert await setting.timer()
    assert setting.server.reasons("hook") == ["first"]


def test_a_file_that_another_process_holds_is_waited_for_and_not_left(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / FILE, lambda: NOW)
    outbox.connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateError, match="database is locked") as caught:
        outbox.commit({}, [], NOW)
    assert not isinstance(caught.value, UnwritableError)
    other.close()
    outbox.commit({}, [], NOW)
    outbox.close()


def test_a_full_disk_keeps_nobody_from_the_lease_and_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    one, two = Outbox(tmp_path / FILE), Outbox(tmp_path / FILE)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        assert one.acquire_lock("one")
        assert not two.acquire_lock("two")
    one.close()
    assert two.acquire_lock("two")
    two.close()


#: More than fit into the pages that a new ledger has. Each save writes again what did not fit.
FILLERS = 50


def fill(ledger: CredentialDatabase) -> None:
    """Leave no room on the disk."""
    no_room(ledger.connection)
    for number in range(FILLERS):
        ledger.record("filler", f"{number}", HISTORY, OBSERVATION)
        ledger.save()


@pytest.mark.parametrize(
    ("spoil", "why"), [(no_room, "database or disk is full"), (read_only, "attempt to write a readonly database")]
)
async def test_checks_go_on_while_the_disk_takes_nothing_and_the_ledger_says_so(
    tmp_path: Path, spoil: Callable[[sqlite3.Connection], None], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    ledger, fakes = CredentialDatabase(tmp_path), Fakes()
    monitor = Monitor(watching("home"), ledger, make=fakes)
    fakes["home"].agent_ids = ["main", "work"]
    assert len((await monitor.check()).targets[0].agents) == 2
    ledger.save()
    spoil(ledger.connection)
    fakes["home"].agent_ids = ["main", *(f"new-{number}" for number in range(100))]
    for _ in range(2):
        report = await monitor.check()
        ledger.save()
    assert len(report.targets[0].agents) == 101
    assert {agent.failure for agent in report.targets[0].agents} == {None}
    assert ledger.problem == f"the ledger cannot be written: {why}"
    assert caplog.text.count("the ledger cannot be written") == 1
    assert ledger.agents("home") == sorted(fakes["home"].agent_ids)
    takes_all_again(ledger.connection)
    ledger.save()
    assert ledger.problem is None
    await monitor.aclose()
    ledger.close()
    again = CredentialDatabase(tmp_path)
    assert again.agents("home") == sorted(fakes["home"].agent_ids)


@pytest.mark.parametrize(
    "write",
    [
        lambda ledger: ledger.record("home", "main", CredentialHistory(), None),
        lambda ledger: [ledger.forget("filler", f"{number}") for number in range(FILLERS)],
        lambda ledger: ledger.put_cached("key", "x" * 10_000),
    ],
)
def test_a_full_ledger_is_used_again_when_there_is_room(
    tmp_path: Path, write: Callable[[CredentialDatabase], object]
) -> None:
    ledger = CredentialDatabase(tmp_path)
    fill(ledger)
    assert ledger.problem == "the ledger cannot be written: database or disk is full"
    write(ledger)
    ledger.save()
    takes_all_again(ledger.connection)
    ledger.record("home", "main", HISTORY, OBSERVATION)
    ledger.save()
    assert ledger.problem is None
    ledger.close()
    again = CredentialDatabase(tmp_path)
    assert again.recorded("home", "main") == (HISTORY, OBSERVATION)


# --- a state that cannot be used ---------------------------------------------------------------


async def test_a_daemon_without_a_usable_state_tells_all_the_same_and_says_so(tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "file").write_text("")
    fakes = Fakes()
    with BadServer() as server:
        made = watching("home", channels=[webhook(server.url + "/hook")], alerts={"group_wait": "0s"})
        daemon = Daemon(
            made, CredentialDatabase(tmp_path / "file"), lambda: made, make=fakes, directory=tmp_path / "file"
        )
        fakes["home"].profiles = (token(time.time() - HOUR),)
        await daemon.start()
        try:
            await until(lambda: server.received("hook"))
            assert server.reasons("hook") == ["first"]
            assert "openclaw_auth_exporter_state_ok 0.0" in daemon.exposition("", "")[0].decode()
            assert daemon.alive()
            assert "cannot be used" in (daemon.problem() or "")
        finally:
            await daemon.stop()
    assert "it is kept in memory and is lost when the exporter stops" in caplog.text


async def test_a_timer_without_a_usable_state_tells_nothing_again_and_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with BadServer() as server:
        setting = Setting(tmp_path / "file", config(webhook(server.url + "/hook")), world(SOON))
        for _ in range(2):
            with pytest.raises(StateError, match="cannot be used"):
                await setting.timer()
        assert server.came == []


# --- a damaged state ---------------------------------------------------------------------------


async def test_after_a_damaged_state_what_holds_is_told_once_more_and_what_is_told_next_is_right(
    setting: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert await setting.timer()
    for tail in ("", "-wal", "-shm"):
        (setting.directory / f"{FILE}{tail}").unlink(missing_ok=True)
    (setting.directory / FILE).write_bytes(b"this is no database" * 500)
    process = setting.timer_process()
    assert "set aside as alerts.sqlite.corrupt-" in (process.outbox.problem or "")
    assert "alerts that still fire are sent again" in caplog.text
    assert await process.once()
    await process.stop()
    assert await setting.timer()
    setting.clock.now += 2 * HOUR
    assert await setting.timer()
    assert setting.server.reasons("hook") == ["first", "first", "escalated"]


async def test_a_state_that_can_still_be_read_is_taken_over_and_nothing_is_told_again(setting: Any) -> None:
    assert await setting.timer()
    path = setting.directory / FILE
    settle(path)
    database = sqlite3.connect(path)
    (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'about_fingerprint'").fetchone()
    database.close()
    with path.open("r+b") as file:  # an index that does not fit its table
        file.seek((root - 1) * 4096 + 3)
        file.write(b"\0\0")
    process = setting.timer_process()
    assert "everything in it was taken over" in (process.outbox.problem or "")
    assert await process.once()
    await process.stop()
    setting.clock.now += 2 * HOUR
    assert await setting.timer()
    assert setting.server.reasons("hook") == ["first", "escalated"]


@pytest.mark.parametrize("version", [0, -1])
async def test_a_state_of_no_version_is_a_damaged_one(setting: Any, version: int) -> None:
    assert await setting.timer()
    database = sqlite3.connect(setting.directory / FILE)
    database.execute(f"PRAGMA user_version = {version}")
    database.close()
    process = setting.timer_process()
    assert "(it is damaged): it was set aside" in (process.outbox.problem or "")
    assert await process.once()
    await process.stop()


async def test_a_damaged_state_with_a_text_that_is_none_is_not_taken_over(setting: Any) -> None:
    assert await setting.timer()
    path = setting.directory / FILE
    settle(path)
    database = sqlite3.connect(path)
    (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'about_fingerprint'").fetchone()
    database.execute("UPDATE state SET body = CAST(x'7bff7d' AS TEXT)")
    database.commit()
    database.close()
    settle(path)
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096 + 3)
        file.write(b"\0\0")
    process = setting.timer_process()
    assert "alerts that still fire are sent again" in (process.outbox.problem or "")
    assert await process.once()
    await process.stop()
    assert setting.server.reasons("hook") == ["first", "first"]


async def test_a_schema_that_is_no_text(setting: Any) -> None:
    """SQLite's own sentence about it is none either."""
    assert await setting.timer()
    database = sqlite3.connect(setting.directory / FILE, isolation_level=None)
    database.execute("PRAGMA writable_schema = 1")
    nonsense = (
        "UPDATE sqlite_master SET name = CAST(x'94' AS TEXT), sql = 'CREATE INDEX' WHERE name = 'about_fingerprint'"
    )
    database.execute(nonsense)
    database.close()
    process = setting.timer_process()
    assert "alerts that still fire are sent again" in (process.outbox.problem or "")
    assert await process.once()
    await process.stop()


def test_a_message_that_the_queues_index_does_not_know_is_found(tmp_path: Path) -> None:
    """An index may not fit its table although each is sound: then a message would never be sent."""
    path = tmp_path / FILE
    outbox = Outbox(path, lambda: NOW)
    outbox.commit({}, [message(NotificationReason.FIRST, "known")], NOW)
    outbox.close()
    settle(path)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA writable_schema = 1")
    row = database.execute("SELECT * FROM sqlite_master WHERE name = 'message_queue'").fetchone()
    database.execute("DELETE FROM sqlite_master WHERE name = 'message_queue'")
    database.close()
    database = sqlite3.connect(path, isolation_level=None)
    columns = "channel, body, made_at, retry_at"
    database.execute(f"INSERT INTO message (id, {columns}) SELECT 'UNKNOWN', {columns} FROM message")
    database.execute("PRAGMA writable_schema = 1")
    database.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
    database.close()
    again = Outbox(path, lambda: NOW)
    assert "everything in it was taken over" in (again.problem or "")
    assert "UNKNOWN" in [outgoing.id for outgoing in again.due("hook", NOW)]
    again.close()


def test_a_flipped_bit_in_a_text_of_the_ledger_costs_that_text_alone(tmp_path: Path) -> None:
    ledger = CredentialDatabase(tmp_path)
    for agent in ("main", "work"):
        ledger.record("home", agent, HISTORY, OBSERVATION)
    ledger.save()
    ledger.connection.execute("UPDATE agent SET agent = CAST(x'776fff6b' AS TEXT) WHERE agent = 'work'")
    assert ledger.agents("home") == ["main", "wo\ufffdk"]
    assert ledger.recorded("home", "main") == (HISTORY, OBSERVATION)
    ledger.close()


def test_a_ledger_whose_table_is_damaged_is_set_aside(tmp_path: Path) -> None:
    ledger = CredentialDatabase(tmp_path, lambda: NOW)
    for number in range(200):
        ledger.record("home", f"{number}", HISTORY, OBSERVATION)
    ledger.close()
    path = tmp_path / LEDGER
    settle(path)
    content = bytearray(path.read_bytes())
    content[20 * 4096 : 21 * 4096] = b"\xaa" * 4096
    path.write_bytes(content)
    again = CredentialDatabase(tmp_path, lambda: NOW)
    assert list(tmp_path.glob(f"{LEDGER}.corrupt-*"))
    assert again.problem is None
    again.record("home", "main", HISTORY, OBSERVATION)
    again.close()


@pytest.fixture(scope="module")
def outbox_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of an outbox with something in each table."""
    directory = tmp_path_factory.mktemp("outbox")
    outbox = Outbox(directory / FILE, lambda: NOW)
    messages = [message(NotificationReason.FIRST, f"{number}") for number in range(6)]
    outbox.commit({f"{number}": state(f"{number}") for number in range(40)}, messages, NOW)
    outbox.add_silence({"target": "home"}, NOW + DAY, "moving", NOW)
    outbox.close()
    settle(directory / FILE)
    return (directory / FILE).read_bytes()


@pytest.fixture(scope="module")
def ledger_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    directory = tmp_path_factory.mktemp("ledger")
    ledger = CredentialDatabase(directory, lambda: NOW)
    for number in range(20):
        ledger.record("home", f"{number}", HISTORY, OBSERVATION)
    ledger.close()
    settle(directory / LEDGER)
    return (directory / LEDGER).read_bytes()


@st.composite
def damages(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Bits that flipped, a page that is another's, an end that is missing."""
    kind, where = draw(st.sampled_from(["bytes", "head", "page", "end"])), draw(st.floats(0, 0.999999))
    junk = draw(st.binary(min_size=1, max_size=30))

    def damage(content: bytes) -> bytes:
        at = int(len(content) * where)
        match kind:
            case "end":
                return content[:at]
            case "head":
                at = int(100 * where)
            case "page":
                at -= at % 4096
                return content[:at] + (junk * 4096)[:4096] + content[at + 4096 :]
        return content[:at] + junk + content[at + len(junk) :]

    return damage


@given(damage=damages())
def test_a_damaged_alert_state_keeps_nobody_from_telling(
    damage: Callable[[bytes], bytes], outbox_file: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("damaged")
    (directory / FILE).write_bytes(damage(outbox_file))
    try:
        outbox = Outbox(directory / FILE, lambda: NOW)
    except StateError:
        return  # as of a newer release, or read-only: the daemon goes on in memory
    kept = outbox.states()
    outbox.silences(NOW)
    outbox.acknowledged()
    outbox.use_channels({"hook": ""}, NOW)
    (id,) = outbox.commit({**kept, "new": state("new")}, [message(NotificationReason.FIRST, "new")], NOW)
    ids = []
    while due := outbox.due("hook", NOW):
        ids += [outgoing.id for outgoing in due]
        for outgoing in due:
            outbox.sent(outgoing.id, NOW)
    assert id in ids
    if outbox.problem is not None:
        assert list(directory.glob(f"{FILE}.corrupt-*"))
    outbox.close()


@given(damage=damages())
def test_a_damaged_ledger_keeps_nobody_from_looking(
    damage: Callable[[bytes], bytes], ledger_file: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("damaged")
    (directory / LEDGER).write_bytes(damage(ledger_file))
    ledger = CredentialDatabase(directory, lambda: NOW)
    for agent in ledger.agents("home"):
        ledger.recorded("home", agent)
    ledger.changes()
    ledger.supplied_dates()
    ledger.put_cached("key", "value")
    assert ledger.get_cached("key", DAY) == "value"
    ledger.record("home", "new", HISTORY, OBSERVATION)
    ledger.save()
    is_saved = ledger.problem is None
    assert ledger.recorded("home", "new") == (HISTORY, OBSERVATION)
    ledger.close()
    if is_saved:
        again = CredentialDatabase(directory, lambda: NOW)
        assert again.recorded("home", "new") == (HISTORY, OBSERVATION)
        again.close()
