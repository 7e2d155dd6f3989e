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
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from exporter.memory import Memory, Told, about_present
from exporter.model import Observation

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


class LedgerError(Exception):
    """The ledger cannot be written; the message is a sentence for a person."""


class Ledger:
    """An open ledger. Usable from several threads; every method is one short transaction."""

    def __init__(self, directory: Path | None, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.RLock()
        #: Why this ledger is in memory only, as a sentence; None while it is on disk.
        self.problem: str | None = None
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
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                aside = path.with_name(f"{FILE}.corrupt-{int(self._now())}")
                for tail in ("", "-wal", "-shm"):
                    part = path.with_name(FILE + tail)
                    if part.exists():
                        part.rename(aside.with_name(aside.name + tail))
                log.error(
                    "the ledger %s is no SQLite database of ours: set aside as %s, started fresh", path, aside.name
                )
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
                return _connect(str(path))
        except (OSError, sqlite3.Error, LedgerError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            self.problem = f"the ledger {path} cannot be used ({why}): what is seen is forgotten at the end"
            log.error("%s", self.problem)
            return _connect(":memory:")

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _hash_key(self) -> bytes:
        try:
            with self._transaction() as db:
                row = db.execute("SELECT key FROM secret").fetchone()
                if row is None:
                    row = (secrets.token_bytes(32),)
                    db.execute("INSERT INTO secret VALUES (?)", row)
                return bytes(row[0])
        except sqlite3.Error as error:
            self.problem = f"the ledger cannot be written ({error}): what is seen is forgotten at the end"
            log.error("%s", self.problem)
            self._db = _connect(":memory:")
            return secrets.token_bytes(32)

    def keyed_hash(self, text: str) -> str:
        """Hex of a hash that only this ledger's owner can repeat: 32 characters."""
        return hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]

    # --- looks -----------------------------------------------------------------------------

    def recorded(self, target: str, agent: str) -> tuple[Memory, Observation | None]:
        """What is remembered of an agent, with its last look that could be read."""
        with self._lock:
            row = self._db.execute(
                "SELECT memory, observation FROM agent WHERE target = ? AND agent = ?", (target, agent)
            ).fetchone()
        memory, observation = _memory(row[0]) if row else Memory(), _observation(row[1]) if row else None
        told = about_present(self._told_of(target, agent), memory.profiles)
        return replace(memory, told=told), observation

    def agents(self, target: str) -> list[str]:
        """The agents of a target that are remembered."""
        with self._lock:
            rows = self._db.execute("SELECT agent FROM agent WHERE target = ? ORDER BY agent", (target,))
            return [row[0] for row in rows]

    def record(self, target: str, agent: str, memory: Memory, observation: Observation | None) -> None:
        """Write down an agent's memory and its last look that could be read.

        Raises LedgerError when it cannot be written: the disk is full, or the ledger read-only.
        """
        texts = (
            _adapters()[0].dump_json(replace(memory, told={})).decode(),
            _adapters()[1].dump_json(observation).decode() if observation else None,
        )
        try:
            with self._transaction() as db:
                db.execute("REPLACE INTO agent VALUES (?, ?, ?, ?)", (target, agent, *texts))
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger cannot be written: {error}") from None

    def forget(self, target: str, agent: str) -> None:
        """Forget an agent that is gone."""
        with self._transaction() as db:
            db.execute("DELETE FROM agent WHERE target = ? AND agent = ?", (target, agent))

    def changes(self) -> int:
        """A number that differs once another process has written to the ledger."""
        with self._lock:
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    # --- what a person told ----------------------------------------------------------------

    def told(self) -> dict[str, Told]:
        """Every date a person told, by profile (``profile`` or ``target/agent/profile``)."""
        with self._lock:
            rows = self._db.execute("SELECT profile, issued_at, expires_at, told_at FROM told ORDER BY profile")
            return {row[0]: Told(*row[1:]) for row in rows}

    def tell(self, profile: str, said: Told) -> None:
        """Write down what a person told. Raises LedgerError."""
        try:
            with self._transaction() as db:
                values = (profile, said.issued_at, said.expires_at, said.told_at)
                db.execute("REPLACE INTO told VALUES (?, ?, ?, ?)", values)
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger cannot be written: {error}") from None

    def untell(self, profile: str) -> bool:
        """Forget what was told; False where nothing was."""
        with self._transaction() as db:
            return db.execute("DELETE FROM told WHERE profile = ?", (profile,)).rowcount > 0

    def _told_of(self, target: str, agent: str) -> dict[str, Told]:
        """What was told of one agent's profiles; the narrower key wins."""
        result: dict[str, Told] = {}
        narrow: dict[str, Told] = {}
        for key, said in self.told().items():
            prefix = f"{target}/{agent}/"
            if key.startswith(prefix):
                narrow[key.removeprefix(prefix)] = said
            else:
                result[key] = said
        return result | narrow

    # --- the sources' notebook -------------------------------------------------------------

    def recall(self, key: str, max_age: float) -> str | None:
        """The text noted under ``key`` at most ``max_age`` seconds ago, else None."""
        with self._lock:
            row = self._db.execute("SELECT at, text FROM note WHERE key = ?", (key,)).fetchone()
        return row[1] if row and 0 <= self._now() - row[0] <= max_age else None

    def note(self, key: str, text: str) -> None:
        """Note a text; what cannot be written down is not worth an error."""
        try:
            with self._transaction() as db:
                db.execute("REPLACE INTO note VALUES (?, ?, ?)", (key, self._now(), text))
        except sqlite3.Error as error:
            log.warning("a note could not be written to the ledger: %s", error)


def _connect(path: str) -> sqlite3.Connection:
    """An open database with our schema. Raises sqlite3.Error, or LedgerError for a newer schema."""
    db = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("BEGIN IMMEDIATE")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise LedgerError(f"it was written by a newer release (schema {version}; this one knows {len(MIGRATIONS)})")
        for migration in MIGRATIONS[version:]:
            for statement in filter(str.strip, migration.split(";")):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        db.execute("COMMIT")
    except BaseException:
        db.close()
        raise
    return db


@cache
def _adapters() -> tuple[Any, Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(Memory), TypeAdapter(Observation)


def _memory(text: str) -> Memory:
    try:
        memory: Memory = _adapters()[0].validate_json(text)
    except ValueError:
        log.warning("a memory in the ledger cannot be read: it starts anew")
        return Memory()
    return memory


def _observation(text: str | None) -> Observation | None:
    if text is None:
        return None
    try:
        observation: Observation = _adapters()[1].validate_json(text)
    except ValueError:
        return None
    return observation
