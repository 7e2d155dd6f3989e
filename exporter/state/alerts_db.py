"""The outbox's SQLite file: opened, brought to today's schema, set aside when it is not one of ours, and kept in
memory while the disk takes nothing."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exporter.lib.sqlite import StateError, UnwritableError

log = logging.getLogger(__name__)

#: ``PRAGMA application_id`` of our files: "oaal".
APPLICATION = 0x6F61616C
#: Each entry brings the schema from its index to the next version (PRAGMA user_version).
MIGRATIONS = (
    """
    CREATE TABLE state (key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX state_fingerprint ON state (fingerprint);
    CREATE TABLE message (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        channel TEXT NOT NULL,
        body TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'pending',
        made_at REAL NOT NULL,
        retry_at REAL NOT NULL,
        tried_at REAL,
        done_at REAL,
        attempts INTEGER NOT NULL DEFAULT 0,
        reason TEXT,
        has_missed INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX message_queue ON message (channel, sequence) WHERE state = 'pending';
    CREATE TABLE about (
        sequence INTEGER NOT NULL, fingerprint TEXT NOT NULL,
        droppable INTEGER NOT NULL, superseded INTEGER NOT NULL,
        PRIMARY KEY (sequence, fingerprint)
    ) WITHOUT ROWID;
    CREATE INDEX about_fingerprint ON about (fingerprint, sequence);
    CREATE TABLE channel (
        name TEXT PRIMARY KEY, attempts INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0,
        last_success REAL, proven REAL
    ) WITHOUT ROWID;
    CREATE TABLE failure (
        channel TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (channel, reason)
    ) WITHOUT ROWID;
    CREATE TABLE silence (
        id TEXT PRIMARY KEY, matchers TEXT NOT NULL, until REAL NOT NULL, reason TEXT NOT NULL, created_at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE acknowledgement (fingerprint TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
    """,
    """
    CREATE TABLE proof (channel TEXT PRIMARY KEY, told_at REAL NOT NULL) WITHOUT ROWID;
    CREATE TABLE planted (
        channel TEXT NOT NULL, name TEXT NOT NULL, deliver_at REAL NOT NULL, PRIMARY KEY (channel, name)
    ) WITHOUT ROWID;
    """,
)
#: What is taken over from a damaged file that can still be read as a whole.
_TABLES = ("state", "message", "about", "channel", "failure", "silence", "acknowledgement", "proof", "planted")
#: How long another process may hold the file before a transaction gives up, seconds.
BUSY = 5.0

_UNWRITABLE = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})


class _NotOursError(Exception):
    """A file that is no outbox, or a damaged one."""


class AlertDatabase:
    """An open database: a file, or memory while the file takes nothing.

    ``problem`` says what had to be done to open it, or why it is in memory; None while all is well.
    """

    def __init__(self, connection: sqlite3.Connection, problem: str | None = None) -> None:
        self.connection = connection
        self.problem = self._opened_with = problem
        self._file: sqlite3.Connection | None = None

    @classmethod
    def open(cls, path: Path | None, now: float) -> AlertDatabase:
        """The outbox in ``path`` (None: in memory). Raises StateError where it cannot be written."""
        if path is None:
            return cls(_connect(":memory:"))
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_private(path)
            try:
                return cls(_connect(str(path)))
            except _NotOursError as error:
                return _start_fresh(path, str(error), now)
        except OSError as error:
            raise StateError(f"the alert state {path} cannot be used: {(error.strerror or 'error').lower()}") from None
        except sqlite3.Error as error:
            raise StateError(f"the alert state {path} cannot be used: {error}") from None

    def fall_back_to_memory(self, why: str) -> None:
        """Go on in memory, with all that is in the file. Raises StateError where that cannot even be read."""
        if self._file is not None:
            return
        memory = _connect(":memory:")
        try:
            self.connection.backup(memory)
        except sqlite3.Error as error:
            memory.close()
            raise StateError(f"the alert state cannot be read: {error}") from None
        self.connection, self._file = memory, self.connection
        self.problem = f"{why}: what is told now is forgotten at the end"
        log.error("%s", self.problem)

    def restore_to_disk(self) -> None:
        """Replace what the file holds with what was kept in memory, all of it or nothing; at once where nothing was.

        What people said in the meantime through other processes stays. Raises StateError while the file still takes
        nothing.
        """
        if self._file is None:
            return
        memory, file = self.connection, self._file
        try:
            for table in ("silence", "acknowledgement"):
                for row in file.execute(f"SELECT * FROM {table}").fetchall():
                    marks = ", ".join("?" * len(row))
                    memory.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)
            memory.backup(file)
        except sqlite3.Error as error:
            raise StateError(f"the alert state cannot be written: {error}") from None
        self.connection, self._file, self.problem = file, None, self._opened_with
        memory.close()
        log.info("the alert state is written again")

    def close(self) -> None:
        """Written where that can be done."""
        with suppress(StateError):
            self.restore_to_disk()
        for connection in filter(None, (self.connection, self._file)):
            connection.close()


@contextmanager
def transaction(db: sqlite3.Connection, lock: threading.RLock) -> Iterator[sqlite3.Connection]:
    """Everything within or nothing. Raises StateError for whatever SQLite cannot do."""
    with lock:
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # a full disk may have rolled it back already
                    db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            # The lower byte is the kind; the rest says how.
            kind = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            raised = UnwritableError if kind in _UNWRITABLE else StateError
            raise raised(f"the alert state cannot be written: {error}") from error


def _make_private(path: Path) -> None:
    """Made before SQLite writes to it; its -wal and -shm take over the mode."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _connect(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    # A flipped bit in a text costs that text alone.
    db.text_factory = lambda content: content.decode("utf-8", "replace")
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        _migrate(db, path)
    except sqlite3.OperationalError:
        db.close()
        raise
    except sqlite3.DatabaseError as error:
        db.close()
        raise _NotOursError(str(error)) from None
    except UnicodeDecodeError:  # from the sentence about a damaged schema
        db.close()
        raise _NotOursError("it is damaged") from None
    except BaseException:
        db.close()
        raise
    return db


def _migrate(db: sqlite3.Connection, path: str) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        (version,), (application,) = (
            db.execute("PRAGMA user_version").fetchone(),
            db.execute("PRAGMA application_id").fetchone(),
        )
        tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and application != APPLICATION:
            raise _NotOursError("it is another program's database")
        if version > len(MIGRATIONS):
            raise StateError(
                f"the alert state {path} was written by a newer release (schema {version}; "
                f"this one knows {len(MIGRATIONS)}): use that release, or move the file away"
            )
        # Indexes that do not fit their tables would fail later, at every turn.
        if tables and (version < 1 or db.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok"):
            raise _NotOursError("it is damaged")
        for migration in MIGRATIONS[version:]:
            for statement in filter(str.strip, migration.split(";")):
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _start_fresh(path: Path, why: str, now: float) -> AlertDatabase:
    aside = path.with_name(f"{path.name}.corrupt-{int(now)}")
    for tail in ("", "-wal", "-shm"):
        part = path.with_name(path.name + tail)
        if part.exists():
            part.rename(aside.with_name(aside.name + tail))
    _make_private(path)
    fresh = _connect(str(path))
    saved = _take_over(fresh, aside)
    problem = f"the alert state {path} cannot be read ({why}): it was set aside as {aside.name}, and " + (
        "everything in it was taken over" if saved else "alerts that still hold are told anew"
    )
    log.error("%s", problem)
    return AlertDatabase(fresh, problem)


def _take_over(fresh: sqlite3.Connection, aside: Path) -> bool:
    """Copy a damaged outbox where all of it can be read. Part of it would be worse than nothing:
    a state without its waiting message says that something was told which never was."""
    try:
        old = sqlite3.connect(aside, timeout=BUSY, isolation_level=None)
    except sqlite3.Error:
        return False
    try:
        if old.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            return False
        (version,) = old.execute("PRAGMA user_version").fetchone()
        if not 1 <= version <= len(MIGRATIONS):
            return False
        there = {name for (name,) in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        fresh.execute("BEGIN IMMEDIATE")
        for table in _TABLES if version == len(MIGRATIONS) else [name for name in _TABLES if name in there]:
            rows = old.execute(f"SELECT * FROM {table} NOT INDEXED").fetchall()
            if rows:
                marks = ", ".join("?" * len(rows[0]))
                fresh.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        fresh.execute("COMMIT")
    except (sqlite3.Error, UnicodeDecodeError):
        if fresh.in_transaction:
            fresh.execute("ROLLBACK")
        return False
    finally:
        old.close()
    return True
