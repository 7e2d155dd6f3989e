"""Finds and reads the files of OpenClaw's auth store without leaving a trace.

Nothing here writes, locks a writer out, checkpoints, or creates a file beside a database. Secrets stay in
memory. Every failure is a CheckError that names the file and never its contents. The places of the files
are those of OpenClaw 2026.2 to 2026.9.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from exporter.lib.loose_json import parse
from exporter.model import CheckError, FailureReason

#: The largest file that can be a store, bytes: 10,000 profiles are 3 MB.
MAX_BYTES = 32 * 2**20
#: The largest configuration that is read as JSON5, bytes: json5 reads 60 kB in a second.
_MAX_JSON5 = 128 * 2**10
#: How long to wait for a database that is locked, seconds.
PATIENCE = 0.25

#: A file's modification time (ns), size and inode. None: there is no file.
Stamp = tuple[int, int, int] | None


@dataclass(frozen=True)
class StorePaths:
    """The places of one agent's auth store. Nothing there need exist."""

    agent_dir: Path
    state_dir: Path
    config_path: Path | None
    #: The folder of the agent whose store the others inherit, if OPENCLAW_AGENT_DIR moved it.
    main_dir: Path | None = None

    @classmethod
    def from_status(cls, payload: Mapping[str, Any]) -> StorePaths | None:
        """The places that ``models status --json`` printed on this host; None if they make no sense."""
        auth = payload.get("auth")
        agent_dir, config = _absolute(payload.get("agentDir")), _absolute(payload.get("configPath"))
        store = _absolute(auth.get("storePath")) if isinstance(auth, Mapping) else None
        if agent_dir is None:
            return None
        state_dir = _state_dir(agent_dir, store, config)
        return None if state_dir is None else cls(agent_dir, state_dir, config or state_dir / "openclaw.json")

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str], state_dir: str | None, agent: str, agent_dir: str | None = None
    ) -> StorePaths:
        """The places that OpenClaw would use with ``environ``; ``state_dir`` overrides OPENCLAW_STATE_DIR.

        OPENCLAW_AGENT_DIR moves only the agent ``main``; ``agent_dir`` is this agent's in openclaw.json.
        """
        home = Path(_given(environ, "OPENCLAW_HOME") or _given(environ, "HOME") or os.path.expanduser("~"))
        chosen = state_dir or _given(environ, "OPENCLAW_STATE_DIR")
        state = _expanded(chosen, home) if chosen else home / ".openclaw"
        config, moved = _given(environ, "OPENCLAW_CONFIG_PATH"), _given(environ, "OPENCLAW_AGENT_DIR")
        main_dir = _expanded(moved, home) if moved else None
        folder = _expanded(agent_dir, home) if agent_dir else state / "agents" / agent / "agent"
        if main_dir and agent == "main":
            folder = main_dir
        return cls(folder, state, _expanded(config, home) if config else state / "openclaw.json", main_dir)

    @property
    def shared_dir(self) -> Path:
        """The folder whose store the other agents inherit while there is no shared database."""
        return self.main_dir or self.state_dir / "agents" / "main" / "agent"

    @property
    def shared_database(self) -> Path:
        return self.state_dir / "state" / "openclaw.sqlite"


def _absolute(value: object) -> Path | None:
    is_path = isinstance(value, str) and value.startswith("/") and "\0" not in value and len(value) < 4096
    return Path(os.path.normpath(value)) if is_path and isinstance(value, str) else None


def _state_dir(agent_dir: Path, store: Path | None, config: Path | None) -> Path | None:
    """The state folder, which OpenClaw does not print: by the surest sign of it."""
    if store and store.parts[-2:] == ("state", "openclaw.sqlite"):
        return store.parents[1]
    if config and config.parent in agent_dir.parents:
        return config.parent
    for folder in (agent_dir, store.parent if store else None):
        if folder and folder.name == "agent" and folder.parts[-3:-2] == ("agents",):
            return folder.parents[2]
    return config.parent if config else None


def _given(environ: Mapping[str, str], name: str) -> str | None:
    value = environ.get(name, "").strip()
    return value if value not in ("", "undefined", "null") else None  # as OpenClaw reads them


def _expanded(text: str, home: Path) -> Path:
    return home / text[2:] if text == "~" or text.startswith("~/") else Path(text).absolute()


def stamp(path: Path) -> Stamp:
    """Changes when the file does. Each error of reading it has its own stamp."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        return (-1, -1, getattr(error, "errno", None) or -1)
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def read_file(path: Path, limit: int = MAX_BYTES) -> bytes | None:
    """The bytes of the regular file at ``path``; None if there is none.

    Raises CheckError PERMISSION, or STORE_UNREADABLE if it is not a regular file or over ``limit`` bytes.
    """
    try:
        # Opening a pipe under that name must not block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise _denied(path, error) from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise CheckError(FailureReason.STORE_UNREADABLE, f"{path} is not a regular file")
        if found.st_size > limit:
            why = f"is larger than {limit // 2**20} MB: it cannot be an auth store"
            raise CheckError(FailureReason.STORE_UNREADABLE, f"{path} {why}")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(limit)
    except OSError as error:
        raise _denied(path, error) from None
    finally:
        os.close(descriptor)


def _denied(path: Path, error: OSError | ValueError) -> CheckError:
    if isinstance(error, PermissionError):
        return CheckError(FailureReason.PERMISSION, f"{path}: this user may not read it")
    why = (error.strerror or "cannot be read").lower() if isinstance(error, OSError) else "is no path"
    return CheckError(FailureReason.STORE_UNREADABLE, f"{path}: {why}")


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
    raise CheckError(FailureReason.STORE_UNREADABLE, f"{path} {why}") from None


def _json(content: bytes | str) -> Any:
    text = content if isinstance(content, str) else content.decode("utf-8-sig")
    return parse(text)


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
        raise CheckError(FailureReason.STORE_UNREADABLE, f"{path} is not an object")
    return config


def _parse_json5(content: bytes, path: Path) -> Any:
    import json5  # costs 20 ms of start-up, and OpenClaw itself writes plain JSON

    if len(content) > _MAX_JSON5:
        raise CheckError(FailureReason.STORE_UNREADABLE, f"{path} is not JSON, and too large for JSON5")
    try:
        return json5.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise CheckError(FailureReason.STORE_UNREADABLE, f"{path} is not JSON5, or it is cut off") from None


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
    """The requested tables that a database has, and the requested values, parsed."""

    tables: frozenset[str]
    values: Mapping[Cell, Any]


def read_database(path: Path, cells: Iterable[Cell], patience: float = PATIENCE) -> Rows | None:
    """The ``cells`` of the SQLite database at ``path``, in one snapshot; None if there is none.

    Waits ``patience`` seconds for a lock. Raises CheckError PERMISSION or STORE_UNREADABLE.
    """
    cells = tuple(cells)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise CheckError(FailureReason.STORE_UNREADABLE, f"{path} is not a regular file")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise _denied(path, error) from None
    for _ in range(2):
        before = _database_stamps(path)
        options, pragma = _open_options(before)
        try:
            rows = _select(path, cells, options, pragma, patience)
        except sqlite3.Error as error:
            if _database_stamps(path) == before:
                raise _unreadable(path, error) from None
            continue
        # Without the shared memory, SQLite does not notice a concurrent writer.
        if "shm" in options or _database_stamps(path) == before:
            values = {cell: parse_json(text, path) for cell, text in rows.values.items()}
            return Rows(rows.tables, values)
    raise CheckError(FailureReason.STORE_UNREADABLE, f"{path} changed while it was read")


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


class _Texts(NamedTuple):
    tables: frozenset[str]
    values: Mapping[Cell, str]


def _select(path: Path, cells: tuple[Cell, ...], options: str, pragma: str | None, patience: float) -> _Texts:
    uri = f"{path.absolute().as_uri()}?{options}"
    connection = sqlite3.connect(uri, uri=True, timeout=patience, isolation_level=None)
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BYTES)
        connection.text_factory = lambda content: content.decode("utf-8", "replace")
        if pragma:
            connection.execute(pragma)
        connection.execute("BEGIN")
        # Tables only: a view of such a name could run anything.
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        values = {}
        for cell in cells:
            if cell.table in names:
                query = f"SELECT {cell.value} FROM {cell.table} WHERE {cell.column} = ?"  # constants only
                row = connection.execute(query, (cell.key,)).fetchone()
                if row is not None:
                    values[cell] = row[0] if isinstance(row[0], str) else ""
        return _Texts(frozenset(names & {cell.table for cell in cells}), values)
    finally:
        connection.close()


_WHY = {
    "SQLITE_BUSY": "is locked by another program",
    "SQLITE_LOCKED": "is locked by another program",
    "SQLITE_NOTADB": "is not an SQLite database",
    "SQLITE_CORRUPT": "is damaged or cut off",
    "SQLITE_TOOBIG": "holds more than an auth store would",
}


_EFFECTIVE = os.access in os.supports_effective_ids


def _unreadable(path: Path, error: sqlite3.Error) -> CheckError:
    name = getattr(error, "sqlite_errorname", None) or ""
    files = [path, *(path.with_name(path.name + tail) for tail in ("-wal", "-shm"))]
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_READONLY", "SQLITE_IOERR")):
        for file in files:
            if file.exists() and not os.access(file, os.R_OK, effective_ids=_EFFECTIVE):
                return CheckError(FailureReason.PERMISSION, f"{file}: this user may not read it")
    why = _WHY.get("_".join(name.split("_")[:2]), f"cannot be read ({name or 'no reason given'})")
    return CheckError(FailureReason.STORE_UNREADABLE, f"{path} {why}")
