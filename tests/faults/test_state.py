"""A full disk and a state that cannot be written: notified, mended where it can be, and nothing notified twice."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alerts.worlds import DAY, HOUR, NOW, P, world
from fakes import Fakes, token
from fakes import config as watching
from histories import HISTORY, OBSERVATION
from waiting import until

from exporter.alerts.delivery import notifier as module
from exporter.alerts.delivery.notifier import Notifier
from exporter.alerts.delivery.outbox import FILE, Outbox
from exporter.checks.monitor import Monitor
from exporter.daemon.scheduler import Daemon
from exporter.lib.sqlite import StateError, UnwritableError
from exporter.state.credentials_db import CredentialDatabase
from exporter.state.history import CredentialHistory

from .heard import OTHER, SOON, Heard, heard
from .servers import BadServer
from .worlds import Setting, config, webhook


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Heard]:
    with heard(tmp_path) as made:
        yield made


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
