"""SQLite files that survive trouble: how the exporter keeps state on disk.

A ``Schema`` describes a kind of file; a ``Database`` is an open one, and the modules that own the tables put their
queries on top of it. Opening brings an older schema to the newest, refuses a newer one, and sets a damaged file aside.
While the disk takes nothing a database can go on in memory and return to the disk later. Every failure is a
``StateError`` whose message is a sentence for the user.

Queries block, for ``BUSY`` seconds when another process holds the file. ``Database.run`` keeps them off the event loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, TypeVarTuple

from exporter.lib import sqlite_header
from exporter.lib.errors import ExpectedError

log = logging.getLogger(__name__)

#: How long a transaction waits for another process that holds the file, in seconds.
BUSY = 5.0

_UNWRITABLE = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})

#: Brings a schema to its next version: an SQL script, or a function that runs inside the transaction.
Migration = str | Callable[[sqlite3.Connection], None]
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class StateError(ExpectedError):
    """A state file cannot be read or written. The message is a sentence for the user."""


class NewerStateError(StateError):
    """The file was written by a newer release. It is left as it is."""


class UnwritableError(StateError):
    """The disk is full, read-only or broken. What the file holds can still be read."""


class _DamagedError(Exception):
    """The file is damaged, or another program's."""


class Schema(NamedTuple):
    """One kind of database file."""

    title: str  # how messages call it, for example "the ledger"
    application_id: int  # PRAGMA application_id, which marks the file as ours
    migrations: Sequence[Migration]  # each brings the schema from its index to the next version (PRAGMA user_version)
    if_lost: str  # what the loss of the content means to the user
    unmarked: int = 0  # releases that wrote this version, or an earlier one, set no application_id
    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    shared: tuple[str, ...] = ()  # tables that other processes write: their rows survive ``restore_to_disk``


class Database:
    """An open database file, or a database in memory. Usable from several threads."""

    def __init__(self, schema: Schema, path: Path | None, now: float, *, or_memory: bool = False) -> None:
        """Open ``path``; None is a database in memory. ``now`` names a damaged file that is set aside.

        Raises StateError if the file cannot be used. With ``or_memory``, go on in memory instead, with everything
        that can still be read from the file.
        """
        self._schema = schema
        self._lock = threading.RLock()
        self._file: sqlite3.Connection | None = None  # while in memory: what to return to
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=schema.title)
        #: That the file was damaged and set aside, as a sentence.
        self.damage: str | None = None
        #: Why everything written now is lost at exit, as a sentence.
        self.not_durable: str | None = None
        try:
            self.connection = self._open(path, now)
        except StateError as error:
            if not or_memory or path is None:
                raise
            self._note_not_durable(str(error))
            is_newer = isinstance(error, NewerStateError)
            self.connection = _connect(":memory:", schema) if is_newer else _readable_copy(path, schema)

    def _open(self, path: Path | None, now: float) -> sqlite3.Connection:
        if path is None:
            return _connect(":memory:", self._schema)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_private(path)
            version, application_id = sqlite_header.read(path)
            if application_id == self._schema.application_id:
                _require_known(version, self._schema, path)
            try:
                return _connect(str(path), self._schema)
            except _DamagedError as error:
                connection, self.damage = _start_fresh(path, self._schema, str(error), now)
                return connection
        except OSError as error:
            reason = (error.strerror or "error").lower()
            raise StateError(f"{self._schema.title} {path} cannot be used: {reason}") from None
        except sqlite3.Error as error:
            raise StateError(f"{self._schema.title} {path} cannot be used: {error}") from None

    def _note_not_durable(self, reason: str) -> None:
        self.not_durable = f"{reason}; it is kept in memory and is lost when the exporter stops"
        log.error("%s", self.not_durable)

    def run(self, work: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run ``work`` in this database's own thread, in the order of the calls: the way in from an event loop.

        The thread is its own so that a file that another process holds blocks nothing else.
        """
        return asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything in the block is committed, or nothing. Raises StateError."""
        with self._lock:
            try:
                with _immediate(self.connection):
                    yield self.connection
            except sqlite3.Error as error:
                # The lower byte is the kind; the rest is its details.
                kind = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
                raised = UnwritableError if kind in _UNWRITABLE else StateError
                raise raised(f"{self._schema.title} cannot be written: {error}") from error

    def read(self, query: str, *values: object) -> list[Any]:
        """The rows of a query. Raises StateError."""
        with self._lock:
            try:
                return self.connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise StateError(f"{self._schema.title} cannot be read: {error}") from error

    def changes(self) -> int:
        """A number that differs once another process has written to the file. Raises StateError."""
        return int(self.read("PRAGMA data_version")[0][0])

    def fall_back_to_memory(self, reason: str) -> None:
        """Go on in memory with everything the file holds. Raises StateError if it cannot be read."""
        with self._lock:
            if self._file is not None:
                return
            try:
                memory = _connect(":memory:", self._schema, self.connection)
            except (sqlite3.Error, _DamagedError) as error:
                raise StateError(f"{self._schema.title} cannot be read: {error}") from None
            self.connection, self._file = memory, self.connection
            self._note_not_durable(reason)

    def restore_to_disk(self) -> None:
        """Write to the file what was kept in memory, all of it or nothing. Does nothing if not in memory.

        Rows that other processes wrote to the ``shared`` tables meanwhile stay. Raises StateError while the disk
        still takes nothing.
        """
        with self._lock:
            if self._file is None:
                return
            memory, file = self.connection, self._file
            try:
                for table in self._schema.shared:
                    _copy_rows(file, memory, table, "INSERT OR IGNORE")
                memory.backup(file)
            except sqlite3.Error as error:
                raise StateError(f"{self._schema.title} cannot be written: {error}") from None
            self.connection, self._file, self.not_durable = file, None, None
            memory.close()
            log.info("%s is written to disk again", self._schema.title)

    def close(self) -> None:
        """Close the file, after writing to it what was kept in memory if the disk takes it."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        with self._lock:  # a transaction that has begun ends first
            with suppress(StateError):
                self.restore_to_disk()
            for connection in filter(None, (self.connection, self._file)):
                connection.close()


@contextmanager
def _immediate(db: sqlite3.Connection) -> Iterator[None]:
    """A transaction that takes the write lock at once."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk may have rolled it back already
            db.execute("ROLLBACK")
        raise


def _make_private(path: Path) -> None:
    """Create the file before SQLite writes to it. Its -wal and -shm inherit the mode."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _connect(path: str, schema: Schema, copy_of: sqlite3.Connection | None = None) -> sqlite3.Connection:
    """An open database of the newest schema, with the content of ``copy_of`` if given.

    Raises _DamagedError, StateError for the file of a newer release, and sqlite3.Error for everything else.
    """
    db = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    db.text_factory = lambda content: content.decode("utf-8", "replace")  # a flipped bit costs that text alone
    try:
        if copy_of is not None:
            copy_of.backup(db)
        _version(db, schema, path)  # first: what is not ours keeps its journal mode
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {schema.synchronous}")
        with _immediate(db):
            version = _version(db, schema, path)
            # An index that does not fit its table would fail later, at every query.
            if version and db.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
                raise _DamagedError("it is damaged")
            _upgrade(db, schema, version, len(schema.migrations))
    except BaseException as error:
        db.close()
        if isinstance(error, UnicodeDecodeError):  # SQLite's message quotes the damaged schema
            raise _DamagedError("it is damaged") from None
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            raise _DamagedError(str(error)) from None
        raise
    return db


def _version(db: sqlite3.Connection, schema: Schema, path: str | Path) -> int:
    """The schema version of an open file, 0 if it is empty. Raises _DamagedError and NewerStateError."""
    ((version,),) = db.execute("PRAGMA user_version").fetchall()
    ((application_id,),) = db.execute("PRAGMA application_id").fetchall()
    is_empty = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    is_unmarked = application_id == 0 and 1 <= version <= schema.unmarked
    if not is_empty and application_id != schema.application_id and not is_unmarked:
        raise _DamagedError("it is another program's database")
    _require_known(version, schema, path)
    if not is_empty and version < 1:
        raise _DamagedError("it is damaged")
    return 0 if is_empty else int(version)


def _require_known(version: int, schema: Schema, path: str | Path) -> None:
    if version > (newest := len(schema.migrations)):
        raise NewerStateError(
            f"{schema.title} {path} was written by a newer release (schema {version}; this one knows {newest}): "
            "use that release, or move the file away"
        )


def _upgrade(db: sqlite3.Connection, schema: Schema, version: int, to: int) -> None:
    for migration in schema.migrations[version:to]:
        if callable(migration):
            migration(db)
        else:
            for statement in filter(str.strip, migration.split(";")):
                db.execute(statement)
    db.execute(f"PRAGMA application_id = {schema.application_id}")
    db.execute(f"PRAGMA user_version = {to}")


def _copy_rows(source: sqlite3.Connection, to: sqlite3.Connection, table: str, insert: str = "INSERT") -> None:
    # NOT INDEXED: an index may be what is damaged.
    rows = source.execute(f"SELECT * FROM {table} NOT INDEXED").fetchall()
    if rows:
        to.executemany(f"{insert} INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)


def _readable_copy(path: Path, schema: Schema) -> sqlite3.Connection:
    """A database in memory with what can be read from the file; empty if nothing can."""
    for how in ("mode=ro", "immutable=1"):  # unless another process has it open, the first has to create a -shm
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)) as file:
                return _connect(":memory:", schema, file)
        except (sqlite3.Error, StateError, _DamagedError, ValueError):
            continue
    return _connect(":memory:", schema)


def _start_fresh(path: Path, schema: Schema, reason: str, now: float) -> tuple[sqlite3.Connection, str]:
    """Set a damaged file aside and open a new one; with a sentence about it."""
    aside = path.with_name(f"{path.name}.corrupt-{int(now)}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    _make_private(path)
    is_recovered = _recover(path, schema, aside)
    what = "everything in it was taken over" if is_recovered else schema.if_lost
    damage = f"{schema.title} {path} cannot be read ({reason}): it was set aside as {aside.name}, and {what}"
    log.error("%s", damage)
    return _connect(str(path), schema), damage


def _recover(path: Path, schema: Schema, aside: Path) -> bool:
    """Copy a damaged file to ``path`` if all of it can be read; False if not.

    A part would be worse than nothing: an alert's state without its waiting message claims that a notification was
    sent.
    """
    try:
        with (
            closing(sqlite3.connect(aside, timeout=BUSY, isolation_level=None)) as old,
            closing(sqlite3.connect(path, timeout=BUSY, isolation_level=None)) as fresh,
            _immediate(fresh),
        ):
            version = _version(old, schema, aside)
            _upgrade(fresh, schema, 0, version)
            tables = fresh.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            for (table,) in tables.fetchall():
                _copy_rows(old, fresh, table)
            _upgrade(fresh, schema, version, len(schema.migrations))
    except (sqlite3.Error, UnicodeDecodeError, StateError, _DamagedError):
        return False
    return True


def rewrite_json(
    db: sqlite3.Connection, table: str, keys: Sequence[str], column: str, rewrite: Callable[[Any], Any]
) -> None:
    """Replace the JSON in a column by what ``rewrite`` makes of it, for migrations. ``keys`` identify a row.

    A damaged text stays as it is: whoever reads it leaves it out.
    """
    where = " AND ".join(f"{key} = ?" for key in keys)
    for text, *key in db.execute(f"SELECT {column}, {', '.join(keys)} FROM {table}").fetchall():
        with suppress(ValueError, TypeError, AttributeError, KeyError):
            new = json.dumps(rewrite(json.loads(text)))
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (new, *key))


def renamed(value: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """``value`` with its keys renamed, where ``names`` has a new name for one."""
    return {names.get(key, key): item for key, item in value.items()}
