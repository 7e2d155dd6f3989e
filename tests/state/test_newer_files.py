"""A state file of a newer release is refused with a sentence, and every byte stays: the file, its -wal and its -shm."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from histories import HISTORY, OBSERVATION

from exporter.alerts.delivery.outbox import open_outbox
from exporter.lib import sqlite_header
from exporter.lib.sqlite import Schema, StateError
from exporter.state import alerts_db, credentials_db
from exporter.state.credentials_db import CredentialDatabase, recorded_profiles

NOW = 1_795_341_600.0
LEDGER = credentials_db.FILE
ALERTS = "alerts.sqlite"


def at_rest(db: sqlite3.Connection, schema: Schema) -> None:
    """The newer release has stopped."""
    db.execute(f"PRAGMA user_version = {len(schema.migrations) + 1}")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def killed(db: sqlite3.Connection, schema: Schema) -> None:
    """It was killed after its upgrade, which only the -wal has."""
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("CREATE TABLE more (x)")
    db.execute(f"PRAGMA user_version = {len(schema.migrations) + 1}")
    db.execute("INSERT INTO more VALUES (1)")


def with_an_old_wal(db: sqlite3.Connection, schema: Schema) -> None:
    """Its -wal was emptied, and begun again over the old one."""
    killed(db, schema)
    db.execute("PRAGMA wal_checkpoint(RESTART)")
    db.execute("INSERT INTO more VALUES (2)")


def another_journal(db: sqlite3.Connection, schema: Schema) -> None:
    """The newer release uses no -wal."""
    db.execute("PRAGMA journal_mode = DELETE")
    at_rest(db, schema)


def newer(directory: Path, name: str, schema: Schema, way: Callable[[sqlite3.Connection, Schema], None]) -> None:
    """Write the file that a newer release left, with whatever lies beside it."""
    (scratch := directory / "scratch").mkdir()
    if name == LEDGER:
        CredentialDatabase(scratch).close()
    else:
        open_outbox(scratch, lambda: NOW).close()
    db = sqlite3.connect(scratch / name, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    way(db, schema)
    (directory / "state").mkdir()
    for path in scratch.glob(f"{name}*"):
        shutil.copy(path, directory / "state")
    db.close()


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


WAYS = pytest.mark.parametrize("way", [at_rest, killed, with_an_old_wal, another_journal])


@WAYS
def test_alert_state_of_a_newer_release_is_refused_and_untouched(
    way: Callable[[sqlite3.Connection, Schema], None], tmp_path: Path
) -> None:
    newer(tmp_path, ALERTS, alerts_db.SCHEMA, way)
    before = content(tmp_path / "state")
    with pytest.raises(StateError, match="was written by a newer release"):
        open_outbox(tmp_path / "state", lambda: NOW)
    assert content(tmp_path / "state") == before
    outbox = open_outbox(
        tmp_path / "state", lambda: NOW, or_memory=True
    )  # as the daemon does: it notifies all the same
    assert "newer release" in (outbox.problem or "")
    outbox.commit({}, [], NOW)
    outbox.close()
    assert content(tmp_path / "state") == before


@WAYS
def test_ledger_of_a_newer_release_is_refused_and_untouched(
    way: Callable[[sqlite3.Connection, Schema], None], tmp_path: Path
) -> None:
    newer(tmp_path, LEDGER, credentials_db.SCHEMA, way)
    before = content(tmp_path / "state")
    ledger = CredentialDatabase(tmp_path / "state")
    assert "newer release" in (ledger.problem or "")
    ledger.record("home", "main", HISTORY, OBSERVATION)  # in memory: checks go on
    assert ledger.recorded("home", "main")[0] == HISTORY
    ledger.save()
    ledger.close()
    assert recorded_profiles(tmp_path / "state") == []
    assert content(tmp_path / "state") == before


def test_another_programs_file_keeps_its_journal_mode_when_it_is_set_aside(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / LEDGER) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    before = (tmp_path / LEDGER).read_bytes()
    CredentialDatabase(tmp_path, lambda: NOW).close()
    (aside,) = tmp_path.glob("*.corrupt-*")
    assert aside.read_bytes() == before


@pytest.mark.parametrize("damage", [b"", b"SQLite format 3", b"\xff" * 5000])
def test_header_of_what_is_no_database_is_zeros(damage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(damage)
    assert sqlite_header.read(path) == (0, 0)
    (tmp_path / "file-wal").write_bytes(damage)
    assert sqlite_header.read(path) == (0, 0)


def test_header_is_what_sqlite_reads(tmp_path: Path) -> None:
    path = tmp_path / "file"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA application_id = -5")
    for version in range(30):
        db.execute(f"PRAGMA user_version = {version}")
        if version % 7 == 0:
            db.execute("PRAGMA wal_checkpoint(RESTART)")
        db.execute("BEGIN")  # what is not committed does not count
        db.execute("PRAGMA user_version = 99")
        assert sqlite_header.read(path) == (version, -5)
        db.execute("ROLLBACK")
    db.close()
    assert sqlite_header.read(path) == (29, -5)
