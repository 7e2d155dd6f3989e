"""Reads the files of OpenClaw's auth store, JSON and SQLite, without leaving a trace.

Nothing here writes, locks a writer out, checkpoints, or creates a file beside a database. Secrets stay in
memory. Every failure is a CheckError that names the file and never its contents.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from exporter.lib.files import text_of
from exporter.lib.loose_json import parse
from exporter.model import CheckError, FailureReason
from exporter.sources.store.paths import MAX_BYTES, Stamp, read_file, regular_size, stamp, unreadable

#: The largest configuration that is read as JSON5, bytes: json5 reads 60 kB in a second.
_MAX_JSON5 = 128 * 2**10
#: How long to wait for a database that is locked, seconds.
PATIENCE = 0.25

_Selected = TypeVar("_Selected")


def read_json(path: Path) -> Any:
    """The value in the JSON file at ``path``; None if there is none. Raises CheckError."""
    content = read_file(path)
    return None if content is None else parse_json(content, path)


def parse_json(content: bytes | str, path: Path) -> Any:
    """The value in ``content``. Raises CheckError STORE_UNREADABLE if it is not JSON or nested too deeply."""
    try:
        return _json(content)
    except UnicodeDecodeError:
        why = "is not UTF-8 text"
    except ValueError:
        why = "is not JSON, or it is cut off"
    except RecursionError:
        why = "is nested too deeply to be OpenClaw's"
    raise unreadable(path, why) from None


def _json(content: bytes | str) -> Any:
    return parse(content if isinstance(content, str) else text_of(content))


def read_config(path: Path) -> Mapping[str, Any] | None:
    """``openclaw.json``, JSON or JSON5; None if there is none. Raises CheckError."""
    content = read_file(path)
    if content is None:
        return None
    try:
        config = _json(content)
    except (ValueError, RecursionError):
        config = _parse_json5(content, path)
    if not isinstance(config, dict):
        raise unreadable(path, "is not an object")
    return config


def _parse_json5(content: bytes, path: Path) -> Any:
    import json5  # costs 20 ms of start-up, and OpenClaw itself writes plain JSON

    if len(content) > _MAX_JSON5:
        raise unreadable(path, "is not JSON, and too large for JSON5")
    try:
        return json5.loads(text_of(content))
    except (ValueError, RecursionError):
        raise unreadable(path, "is not JSON5, or it is cut off") from None


class Cell(NamedTuple):
    """The place of a value in a database: SELECT value FROM table WHERE column = key."""

    table: str
    column: str
    value: str
    key: str


#: Agent databases (from 2026.6), and the database that agents share (from 2026.8).
LOCAL_STORE = Cell("auth_profile_store", "store_key", "store_json", "primary")
LOCAL_STATE = Cell("auth_profile_state", "state_key", "state_json", "primary")
SHARED_STORE = Cell("config_machine_state", "state_key", "value_json", "authProfiles.store")
SHARED_STATE = Cell("config_machine_state", "state_key", "value_json", "authProfiles.state")
SHARED_OWNER = Cell("config_machine_state", "state_key", "value_json", "auth.sharedStore")


class Rows(NamedTuple):
    """The requested tables that a database has, and the requested values: JSON, first as text, then parsed."""

    tables: frozenset[str]
    values: Mapping[Cell, Any]


class Table(NamedTuple):
    """Rows of a table in a database: SELECT columns FROM name WHERE condition."""

    name: str
    columns: tuple[str, ...]
    condition: str


#: Cron jobs (from 2026.6): ``job_json`` is the job as in jobs.json, ``store_key`` where that would be. 2026.6 also has
#: columns for parts of the job; 2026.9 does not.
CRON_JOBS = Table(
    "cron_jobs",
    ("store_key", "job_json"),
    "enabled <> 0 AND payload_kind = 'agentTurn' ORDER BY store_key, job_id",
)


def read_database(path: Path, cells: Iterable[Cell], patience: float = PATIENCE) -> Rows | None:
    """The ``cells`` of the SQLite database at ``path``, in one snapshot; None if there is none.

    Waits ``patience`` seconds for a lock. Raises CheckError PERMISSION or STORE_UNREADABLE.
    """
    cells = tuple(cells)
    rows = _in_one_snapshot(path, patience, lambda connection, tables: _cells(connection, tables, cells))
    return rows and Rows(rows.tables, {cell: parse_json(text, path) for cell, text in rows.values.items()})


def read_table(path: Path, table: Table, patience: float = PATIENCE) -> list[dict[str, Any]] | None:
    """The rows of a table in the database at ``path``; None if there is no database, or no such table.

    Waits and raises like ``read_database``.
    """
    return _in_one_snapshot(path, patience, lambda connection, tables: _rows(connection, tables, table))


def _in_one_snapshot(
    path: Path, patience: float, select: Callable[[sqlite3.Connection, frozenset[str]], _Selected]
) -> _Selected | None:
    if regular_size(path) is None:
        return None
    for tail in ("-wal", "-shm", "-journal"):  # SQLite would wait for the writer of a pipe
        regular_size(path.with_name(path.name + tail))
    for _ in range(2):
        before = _database_stamps(path)
        options, pragma = _open_options(before)
        failure = None
        try:
            selected = _select(path, select, options, pragma, patience)
        except Exception as error:  # where a file is damaged, sqlite3 raises nearly anything
            failure = _failure(path, error)
        if failure is not None:
            if _database_stamps(path) == before:
                raise failure
            continue
        # Without the shared memory, SQLite does not notice a concurrent writer.
        if "shm" in options or _database_stamps(path) == before:
            return selected
    raise unreadable(path, "changed while it was read")


def _database_stamps(path: Path) -> tuple[Stamp, Stamp, bool, bool]:
    wal, shm, journal = (stamp(path.with_name(path.name + tail)) for tail in ("-wal", "-shm", "-journal"))
    return stamp(path), wal, shm is not None, bool(journal and journal[1])


def _open_options(stamps: tuple[Stamp, Stamp, bool, bool]) -> tuple[str, str | None]:
    """URI options and a pragma that open a database without creating files beside it.

    Otherwise SQLite creates ``-wal`` and ``-shm`` even with mode=ro. Without frames in the WAL, the
    database file is complete. With frames, reading needs the shared memory; if there is none (after a
    crash, or with a single owner), SQLite can keep its own index.
    """
    _, wal, has_shm, has_journal = stamps
    if not wal or not wal[1]:
        return ("mode=ro" if has_journal else "mode=ro&immutable=1"), None
    if has_shm:
        return "mode=ro&readonly_shm=1", None
    return "mode=ro&vfs=unix-none", "PRAGMA locking_mode=EXCLUSIVE"


def _select(
    path: Path,
    select: Callable[[sqlite3.Connection, frozenset[str]], _Selected],
    options: str,
    pragma: str | None,
    patience: float,
) -> _Selected:
    uri = f"{path.absolute().as_uri()}?{options}"
    connection = sqlite3.connect(uri, uri=True, timeout=patience, isolation_level=None)
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BYTES)
        connection.text_factory = lambda content: content.decode("utf-8", "replace")
        if pragma:
            connection.execute(pragma)
        connection.execute("BEGIN")
        # Tables only: a view of such a name could run anything.
        names = (row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))
        return select(connection, frozenset(names))
    finally:
        connection.close()


def _cells(connection: sqlite3.Connection, tables: frozenset[str], cells: tuple[Cell, ...]) -> Rows:
    values = {}
    for cell in cells:
        if cell.table in tables:
            query = f"SELECT {cell.value} FROM {cell.table} WHERE {cell.column} = ?"  # constants only
            row = connection.execute(query, (cell.key,)).fetchone()
            if row is not None:
                values[cell] = row[0] if isinstance(row[0], str) else ""
    return Rows(tables & {cell.table for cell in cells}, values)


def _rows(connection: sqlite3.Connection, tables: frozenset[str], table: Table) -> list[dict[str, Any]] | None:
    if table.name not in tables:
        return None
    query = f"SELECT {', '.join(table.columns)} FROM {table.name} WHERE {table.condition}"  # constants only
    return [dict(zip(table.columns, row, strict=True)) for row in connection.execute(query)]


_WHY = {
    "SQLITE_BUSY": "is locked by another program",
    "SQLITE_LOCKED": "is locked by another program",
    "SQLITE_NOTADB": "is not an SQLite database",
    "SQLITE_CORRUPT": "is damaged or cut off",
    "SQLITE_TOOBIG": "holds more than an auth store would",
}
#: For os.access: a process with another effective user asks for that one, where the system can.
EFFECTIVE = os.access in os.supports_effective_ids


def _failure(path: Path, error: Exception) -> CheckError:
    if not isinstance(error, sqlite3.Error):  # UnicodeDecodeError, for example, whose message quotes the file
        return unreadable(path, _WHY["SQLITE_CORRUPT"])
    name = getattr(error, "sqlite_errorname", None) or ""
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_AUTH")):
        for file in (path, *(path.with_name(path.name + tail) for tail in ("-wal", "-shm"))):
            if not _may_read(file):
                return CheckError(FailureReason.PERMISSION, f"{file}: this user may not read it")
    why = _WHY.get("_".join(name.split("_")[:2]), f"cannot be read ({name or 'no reason given'})")
    return unreadable(path, why)


def _may_read(path: Path) -> bool:
    """Whether this user may read a file; true if there is none."""
    try:
        path.stat()
    except PermissionError:  # of its folder
        return False
    except OSError:
        return True
    return os.access(path, os.R_OK, effective_ids=EFFECTIVE)
