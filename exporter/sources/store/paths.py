"""Locates the files of OpenClaw's auth store on this host, and reads a small one safely.

The places are those of OpenClaw 2026.2 to 2026.9. Importing this module is cheap: it does not need SQLite.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from exporter.lib.files import NotRegularError, TooLargeError, read_regular, stat_regular, why_unusable
from exporter.model import CheckError, FailureReason

#: OpenClaw's folder in the home directory and its configuration file, with the former names that it still reads if
#: the first does not exist (read in the source of 2026.1.29 to 2026.9.6).
_STATE_DIRS = (".openclaw", ".clawdbot", ".moltbot", ".moldbot")
_CONFIG_FILES = ("openclaw.json", "clawdbot.json", "moltbot.json", "moldbot.json")
#: The largest file that can be a store, bytes: 10,000 profiles are 3 MB.
MAX_BYTES = 32 * 2**20

#: A file's modification time (ns), size and inode. None: there is no file.
Stamp = tuple[int, ...] | None


class StorePaths(NamedTuple):
    """The places of one agent's auth store. Nothing there need exist."""

    agent_dir: Path
    state_dir: Path
    config_path: Path
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

        OPENCLAW_AGENT_DIR moves only the agent ``main``; ``agent_dir`` is this agent's in openclaw.json. It looks
        which folders and files exist under their former names, so it may block.
        """
        home = Path(_given(environ, "OPENCLAW_HOME") or _given(environ, "HOME") or os.path.expanduser("~"))
        chosen = state_dir or _given(environ, "OPENCLAW_STATE_DIR")
        homes = [home / name for name in _STATE_DIRS]
        if chosen:
            state, homes = _expanded(chosen, home), []
        elif (former := _given(environ, "CLAWDBOT_STATE_DIR")) and stamp(homes[0]) is None:
            state = _expanded(former, home)
        else:
            state = next((folder for folder in homes if stamp(folder) is not None), homes[0])
        config, moved = _given(environ, "OPENCLAW_CONFIG_PATH"), _given(environ, "OPENCLAW_AGENT_DIR")
        main_dir = _expanded(moved, home) if moved else None
        folder = _expanded(agent_dir, home) if agent_dir else state / "agents" / agent / "agent"
        if main_dir and agent == "main":
            folder = main_dir
        return cls(folder, state, _expanded(config, home) if config else _config_in([state, *homes]), main_dir)

    @property
    def shared_dir(self) -> Path:
        """The folder whose store the other agents inherit while there is no shared database."""
        return self.main_dir or self.state_dir / "agents" / "main" / "agent"

    @property
    def shared_database(self) -> Path:
        return self.state_dir / "state" / "openclaw.sqlite"


def _config_in(folders: list[Path]) -> Path:
    """The first configuration file that exists in ``folders``; where the first folder would have it if none does."""
    candidates = [folder / name for folder in folders for name in _CONFIG_FILES]
    return next((path for path in candidates if stamp(path) is not None), candidates[0])


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


def stamp(path: Path, *, with_mode: bool = False) -> Stamp:
    """Changes when the file does, ``with_mode`` also when its owner or mode do. Each error has its own stamp."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        return (-1, -1, getattr(error, "errno", None) or -1)
    content = (found.st_mtime_ns, found.st_size, found.st_ino)
    return (*content, found.st_ctime_ns) if with_mode else content


def unreadable(path: Path, why: str) -> CheckError:
    return CheckError(FailureReason.STORE_UNREADABLE, f"{path} {why}")


def regular_size(path: Path) -> int | None:
    """The size of the regular file at ``path``, bytes; None if there is none.

    Raises CheckError PERMISSION, or STORE_UNREADABLE if it is not a regular file.
    """
    try:
        return stat_regular(path).st_size
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _denied(path, error) from None


def read_file(path: Path, limit: int = MAX_BYTES) -> bytes | None:
    """The bytes of the regular file at ``path``; None if there is none.

    Raises CheckError like ``regular_size``, and STORE_UNREADABLE if it is over ``limit`` bytes.
    """
    try:
        return read_regular(path, limit)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except TooLargeError:
        raise unreadable(path, f"is larger than {limit // 2**20} MB: it cannot be an auth store") from None
    except OSError as error:
        raise _denied(path, error) from None


def _denied(path: Path, error: OSError) -> CheckError:
    if isinstance(error, PermissionError):
        return CheckError(FailureReason.PERMISSION, f"{path}: this user may not read it")
    if isinstance(error, NotRegularError):
        return unreadable(path, f"is not a regular file: it {why_unusable(error)}")
    return CheckError(FailureReason.STORE_UNREADABLE, f"{path}: {why_unusable(error)}")
