"""The ledger: SQLite that outlives the process. First seen and last known deadline of credentials.

It holds no secret: a credential is known by a keyed hash, whose random key never leaves the file.
Transactions are short, so that a daemon, a timer's ``check`` and ``deadline set`` can share one.
A ledger that cannot be used is told (``problem``) and replaced by one in memory: the check goes on.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from exporter.lib import clock
from exporter.lib.sqlite import StateError
from exporter.model import Observation
from exporter.state.history import CredentialHistory, SuppliedDate, about_present

log = logging.getLogger(__name__)

FILE = "ledger.sqlite"
#: Each entry brings the schema from its index to the next version (PRAGMA user_version).
MIGRATIONS = (
    """
    CREATE TABLE secret (key BLOB NOT NULL);
    CREATE TABLE agent (
        target TEXT NOT NULL, agent TEXT NOT NULL, memory TEXT NOT NULL, observation TEXT,
        PRIMARY KEY (target, agent)
    ) WITHOUT ROWID;
    CREATE TABLE told (
        profile TEXT PRIMARY KEY, issued_at REAL, expires_at REAL, told_at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE note (key TEXT PRIMARY KEY, at REAL NOT NULL, text TEXT NOT NULL) WITHOUT ROWID;
    """,
)
#: How long another process may hold the ledger before we go on without it, seconds.
BUSY = 5.0


class CredentialDatabase:
    """An open ledger. Usable from several threads; every method is one short transaction."""

    def __init__(self, directory: Path | None, now: Callable[[], float] = clock.now) -> None:
        self._now = now
        self._lock = threading.RLock()
        self._lost: str | None = None  # why this ledger is in memory only
        self._unwritten: str | None = None  # why the last transaction failed
        self._db = self._open(directory)
        self._key = self._hash_key()

    def _open(self, directory: Path | None) -> sqlite3.Connection:
        if directory is None:
            return _connect(":memory:")
        path = directory / FILE
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Made private before SQLite writes to it; its -wal and -shm take over the mode.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            try:
                return _connect(str(path))
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter: its schema is damaged
                if isinstance(error, sqlite3.OperationalError):
                    raise
                aside = path.with_name(f"{FILE}.corrupt-{int(self._now())}")
                for tail in ("", "-wal", "-shm"):
                    part = path.with_name(FILE + tail)
                    if part.exists():
                        part.rename(aside.with_name(aside.name + tail))
                log.error("the ledger %s cannot be read: set aside as %s, started fresh", path, aside.name)
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
                return _connect(str(path))
        except (OSError, sqlite3.Error, StateError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            return self._in_memory(f"the ledger {path} cannot be used ({why})", path)

    def _in_memory(self, why: str, path: Path | None = None) -> sqlite3.Connection:
        """Instead of the ledger at ``path``, and with what it knows where it can at least be read."""
        self._lost = f"{why}: what is seen is forgotten at the end"
        log.error("%s", self._lost)
        db = _connect(":memory:")
        if path is not None:
            _copy(path, db)
        return db

    @property
    def problem(self) -> str | None:
        """Why what is seen now would not be known after a restart, as a sentence; None while it would."""
        return self._lost or self._unwritten

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything within or nothing. Raises LedgerError for whatever SQLite cannot do."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:  # a full disk may have rolled it back already
                        self._db.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                self._unwritten = f"the ledger cannot be written: {error}"
                raise StateError(self._unwritten) from None
            self._unwritten = None

    def _read(self, query: str, *values: str) -> list[Any]:
        """The rows of a query. None, and a line in the log, where they cannot be read: they start anew."""
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error as error:
                log.error("the ledger cannot be read: %s", error)
                return []

    def _hash_key(self) -> bytes:
        try:
            with self._transaction() as db:
                row = db.execute("SELECT key FROM secret").fetchone()
                if row is None:
                    row = (secrets.token_bytes(32),)
                    db.execute("INSERT INTO secret VALUES (?)", row)
                return bytes(row[0])
        except StateError as error:
            self._db = self._in_memory(str(error))
            return secrets.token_bytes(32)

    def keyed_hash(self, text: str) -> str:
        """Hex of a hash that only this ledger's owner can repeat: 32 characters."""
        return hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]

    # --- looks -----------------------------------------------------------------------------

    def recorded(self, target: str, agent: str) -> tuple[CredentialHistory, Observation | None]:
        """What is remembered of an agent, with its last look that could be read."""
        rows = self._read("SELECT memory, observation FROM agent WHERE target = ? AND agent = ?", target, agent)
        history, observation = (_memory(rows[0][0]), _observation(rows[0][1])) if rows else (CredentialHistory(), None)
        told = about_present(self._told_of(target, agent), history.profiles)
        return replace(history, supplied=told), observation

    def agents(self, target: str) -> list[str]:
        """The agents of a target that are remembered."""
        return [row[0] for row in self._read("SELECT agent FROM agent WHERE target = ? ORDER BY agent", target)]

    def record(self, target: str, agent: str, history: CredentialHistory, observation: Observation | None) -> None:
        """Write down an agent's history and its last look that could be read.

        Raises LedgerError when it cannot be written: the disk is full, or the ledger read-only.
        """
        texts = (
            _adapters()[0].dump_json(replace(history, supplied={})).decode(),
            _adapters()[1].dump_json(observation).decode() if observation else None,
        )
        with self._transaction() as db:
            db.execute("REPLACE INTO agent VALUES (?, ?, ?, ?)", (target, agent, *texts))

    def forget(self, target: str, agent: str) -> None:
        """Forget an agent that is gone. Raises LedgerError."""
        with self._transaction() as db:
            db.execute("DELETE FROM agent WHERE target = ? AND agent = ?", (target, agent))

    def changes(self) -> int:
        """A number that differs once another process has written to the ledger."""
        return sum(row[0] for row in self._read("PRAGMA data_version"))

    # --- what a person told ----------------------------------------------------------------

    def supplied_dates(self) -> dict[str, SuppliedDate]:
        """Every date a person told, by ``profile``, ``target/profile`` or ``target/agent/profile``."""
        rows = self._read("SELECT profile, issued_at, expires_at, told_at FROM told ORDER BY profile")
        return {row[0]: SuppliedDate(*row[1:]) for row in rows}

    def set_date(self, profile: str, said: SuppliedDate) -> None:
        """Write down what a person told. Raises LedgerError."""
        with self._transaction() as db:
            values = (profile, said.issued_at, said.expires_at, said.supplied_at)
            db.execute("REPLACE INTO told VALUES (?, ?, ?, ?)", values)

    def clear_date(self, profile: str) -> bool:
        """Forget what was told; False where nothing was. Raises LedgerError."""
        with self._transaction() as db:
            return db.execute("DELETE FROM told WHERE profile = ?", (profile,)).rowcount > 0

    def _told_of(self, target: str, agent: str) -> dict[str, SuppliedDate]:
        """What was told of one agent's profiles; the narrower key wins, as in the configuration's policy."""
        result: dict[str, SuppliedDate] = {}
        told = self.supplied_dates()
        for prefix in ("", f"{target}/", f"{target}/{agent}/"):
            result |= {key.removeprefix(prefix): said for key, said in told.items() if key.startswith(prefix)}
        return result

    def profiles(self) -> list[str]:
        """Every profile that is remembered and not gone, as ``target/agent/profile``."""
        rows = self._read("SELECT target, agent, memory FROM agent ORDER BY target, agent")
        return [
            f"{target}/{agent}/{name}"
            for target, agent, memory in rows
            for name, old in sorted(_memory(memory).profiles.items())
            if old.gone_at is None
        ]

    # --- the sources' notebook -------------------------------------------------------------

    def get_cached(self, key: str, max_age: float) -> str | None:
        """The text noted under ``key`` at most ``max_age`` seconds ago, else None."""
        rows = self._read("SELECT at, text FROM note WHERE key = ?", key)
        return rows[0][1] if rows and 0 <= self._now() - rows[0][0] <= max_age else None

    def put_cached(self, key: str, text: str) -> None:
        """Note a text; what cannot be written down is not worth an error."""
        try:
            with self._transaction() as db:
                db.execute("REPLACE INTO note VALUES (?, ?, ?)", (key, self._now(), text))
        except StateError as error:
            log.warning("a note is lost: %s", error)


def _connect(path: str) -> sqlite3.Connection:
    """An open database with our schema. Raises sqlite3.Error, or LedgerError for a newer schema."""
    db = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    db.text_factory = _text
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("BEGIN IMMEDIATE")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise StateError(f"it was written by a newer release (schema {version}; this one knows {len(MIGRATIONS)})")
        tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and (version < 1 or db.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok"):
            raise sqlite3.DatabaseError("it is damaged")
        for migration in MIGRATIONS[version:]:
            for statement in filter(str.strip, migration.split(";")):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        db.execute("COMMIT")
    except BaseException:
        db.close()
        raise
    return db


def _copy(path: Path, memory: sqlite3.Connection) -> None:
    """What the ledger at ``path`` holds, where it is of our schema and can be read."""
    for how in ("mode=ro", "immutable=1"):  # without a writer beside it, the first wants to make a -shm
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)) as db:
                if db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS):
                    db.backup(memory)
            return
        except (sqlite3.Error, ValueError):
            continue


def _text(content: bytes) -> str:
    """A flipped bit in a text costs that text alone."""
    return content.decode("utf-8", "replace")


@cache
def _adapters() -> tuple[Any, Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(CredentialHistory), TypeAdapter(Observation)


def _memory(text: str) -> CredentialHistory:
    try:
        history: CredentialHistory = _adapters()[0].validate_json(text)
    except ValueError:
        log.warning("a history in the ledger cannot be read: it starts anew")
        return CredentialHistory()
    return history


def _observation(text: str | None) -> Observation | None:
    if text is None:
        return None
    try:
        observation: Observation = _adapters()[1].validate_json(text)
    except ValueError:
        return None
    return observation
