"""A damaged state is set aside, or taken over where it can be read, and the daemon goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alerts.test_outbox import message, state
from alerts.worlds import DAY, HOUR, NOW
from histories import HISTORY, OBSERVATION
from hypothesis import given
from hypothesis import strategies as st

from exporter.alerts.delivery.outbox import FILE, Outbox
from exporter.alerts.values import NotificationReason
from exporter.lib.sqlite import StateError
from exporter.state.credentials_db import FILE as LEDGER
from exporter.state.credentials_db import CredentialDatabase

from .heard import Heard, heard


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Heard]:
    with heard(tmp_path) as made:
        yield made


def settle(path: Path) -> None:
    """All of a database in its one file."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


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
