"""Reads an agent's auth store as OpenClaw would, and notices when it changes.

The store source uses it, and the sources that ask an OpenClaw on this host.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

from exporter.lib import clock
from exporter.lib.env_file import parse_env_file
from exporter.lib.known_secrets import remember
from exporter.lib.loose_json import mapping
from exporter.model import SHARED_AGENT, CheckError, FailureReason
from exporter.sources import Fingerprint
from exporter.sources.store import files
from exporter.sources.store.credentials import Surroundings
from exporter.sources.store.cron import jobs_file, jobs_that_matter, read_jobs
from exporter.sources.store.environment import Environment, environment
from exporter.sources.store.facts import (
    NO_SECRETS,
    Layer,
    StoreFacts,
    facts,
    layer,
    merge,
    what_matters,
    what_matters_in_config,
)
from exporter.sources.store.paths import Stamp, StorePaths, read_file, stamp, unreadable
from exporter.sources.store.uses import CronJob, cron_jobs

_LOCAL = (files.LOCAL_STORE, files.LOCAL_STATE)
_SHARED = (files.SHARED_OWNER, files.SHARED_STORE, files.SHARED_STATE)
#: A file that changed less than this before its stamp was taken may change again under the same stamp, ns.
_RACY = 100_000_000
_UNREADABLE = "unreadable"
#: Where the programs that OpenClaw runs keep their login, in the user's home.
_LOGIN_FILES = {
    "claude-cli": Path(".claude", ".credentials.json"),
    "codex-cli": Path(".codex", "auth.json"),
    "google-gemini-cli": Path(".gemini", "oauth_creds.json"),
}
_RETRY_AFTER = 0.05  # seconds until a store that changed while it was read is read again
_STRANDED = "this OpenClaw no longer reads auth-profiles.json: openclaw doctor --fix imports what is in it"


class StoreReader:
    """Reads the stores of one OpenClaw. Of a secret, only its ``keyed_hash`` leaves the reader."""

    def __init__(self, keyed_hash: Callable[[str], str], now: Callable[[], float] = clock.now) -> None:
        self._keyed_hash = keyed_hash
        self._now = now
        self._configs: dict[Path, tuple[Stamp, Mapping[str, Any] | None]] = {}
        self._digests: dict[Path, tuple[tuple[Stamp, ...], str]] = {}
        self._last: Fingerprint | None = None
        self._was_unreadable = False

    def read(
        self,
        paths: StorePaths,
        agent: str,
        service: Mapping[str, str] | None = None,
        version: str | None = None,
    ) -> StoreFacts:
        """The facts about ``agent`` in the store at ``paths``: its own layer over the one it inherits.

        ``service``: the variables that OpenClaw's service has, if they are known. ``version``: OpenClaw's, likewise.
        A store that does not exist yet has no profiles. Blocks for a second at most on a healthy disk.
        Raises CheckError PERMISSION, or STORE_UNREADABLE (no state folder, locked, cut off, not OpenClaw's).
        """
        require_readable(paths.state_dir)
        try:
            return self._read(paths, agent, service, version)
        except CheckError as error:
            if error.reason is FailureReason.PERMISSION:
                raise
        time.sleep(_RETRY_AFTER)  # old releases write their files in place
        return self._read(paths, agent, service, version)

    def config(self, paths: StorePaths) -> Mapping[str, Any] | None:
        """``openclaw.json``; None if there is none. Raises CheckError."""
        path = paths.config_path
        current = stamp(path)
        if path not in self._configs or self._configs[path][0] != current or _is_racy((current,)):
            config = files.read_config(path)
            remember(config or {}, but=NO_SECRETS)
            self._configs[path] = (current, config)
        return self._configs[path][1]

    def environment(self, paths: StorePaths, service: Mapping[str, str] | None) -> Environment:
        """The variables that the service has: its own, if they are known, those of openclaw.json and of ``.env``.

        Raises CheckError.
        """
        try:
            config = self.config(paths)
        except CheckError:
            config = None
        dotenv = read_file(paths.state_dir / ".env")
        return environment(config, parse_env_file(dotenv.decode("utf-8", "replace")) if dotenv else {}, service)

    def surroundings(self, paths: StorePaths, service: Mapping[str, str] | None) -> Surroundings:
        """What is around the store: where secrets that are not in it may be. Raises CheckError."""
        env = self.environment(paths, service)
        home = Path((service or {}).get("HOME") or paths.state_dir.parent)
        return Surroundings(env, paths.state_dir, home, _exists, lambda name: _has_login(name, home, env))

    def _read(
        self, paths: StorePaths, agent: str, service: Mapping[str, str] | None, version: str | None
    ) -> StoreFacts:
        notes = []
        try:
            config = self.config(paths)
        except CheckError as error:
            config = None
            notes.append(f"the providers in use cannot be seen: {error.message}")
        stored, own, is_json, left_behind = _stored(paths)
        if left_behind is not None and stored is None:
            notes.append(_STRANDED)
        try:
            around = self.surroundings(paths, service)
        except CheckError as error:
            around = Surroundings(state_dir=paths.state_dir)
            notes.append(f"the service's variables cannot be seen: {error.message}")
        jobs: list[CronJob] | None = None
        try:
            jobs = read_jobs(paths, config)
        except CheckError as error:
            notes.append(f"the models of cron jobs cannot be seen: {error.message}")
        found = facts(
            stored,
            config,
            agent=agent,
            is_json=is_json,
            keyed_hash=self._keyed_hash,
            now=self._now(),
            around=around,
            left_behind=left_behind,
            version=version,
            jobs=jobs,
            notes=notes,
        )
        # The others are main's, which agents inherit.
        names = own.profiles if own is not None else {}
        owners = (agent if profile.id in names else SHARED_AGENT for profile in found.profiles)
        profiles = (replace(profile, owner=owner) for profile, owner in zip(found.profiles, owners, strict=True))
        return found._replace(profiles=tuple(profiles))

    def fingerprint(self, paths: Sequence[StorePaths]) -> Fingerprint | None:
        """Of what matters in the stores at ``paths``; None if there are no stores.

        When and how often a profile was used does not matter. Unchanged files cost a few stat calls. A store that
        cannot be read twice in a row counts as a change, and as long as it cannot the fingerprint is not complete.
        """
        parts, is_there, is_unreadable = [], False, False
        for path, kind in sorted({item for store in paths for item in self._relevant_files(store)}):
            # Not the mode of the WAL: reading a database as root sets it.
            stamps = (stamp(path, with_mode=True), stamp(path.with_name(f"{path.name}-wal")))
            is_there = is_there or stamps[0] is not None
            known = self._digests.get(path)
            if known is None or known[0] != stamps or known[1] == _UNREADABLE or _is_racy(stamps):
                try:
                    matter = _matter(path, kind)
                    known = (stamps, self._keyed_hash(json.dumps(matter, sort_keys=True)) if matter else "")
                except (CheckError, RecursionError):
                    known = (stamps, _UNREADABLE)
                self._digests[path] = known
            is_unreadable = is_unreadable or known[1] == _UNREADABLE
            parts.append([str(path), known[1]])
        if is_unreadable and not self._was_unreadable and self._last is not None:
            # Old releases write in place, so this may be half a file.
            self._was_unreadable = True
            return self._last
        self._was_unreadable = is_unreadable
        self._last = Fingerprint(self._keyed_hash(json.dumps(parts)), not is_unreadable) if is_there else None
        return self._last

    def _relevant_files(self, paths: StorePaths) -> list[tuple[Path, str]]:
        """The files whose contents matter, and the kind of each."""
        watched = [
            (paths.shared_database, "shared"),
            (paths.state_dir / ".env", "bytes"),
            (paths.config_path, "config"),
        ]
        for folder in {paths.agent_dir, paths.shared_dir}:
            watched.append((folder / "openclaw-agent.sqlite", "local"))
            watched += [(folder / name, "json") for name in ("auth-profiles.json", "auth-state.json")]
        _, config = self._configs.get(paths.config_path, (None, None))
        return [*watched, (jobs_file(paths, config), "cron")]


def _is_racy(stamps: Sequence[Stamp]) -> bool:
    return any(found is not None and 0 <= time.time_ns() - found[0] < _RACY for found in stamps)


def require_readable(state_dir: Path) -> None:
    """Raises CheckError if there is no state folder, or this user may not read it."""
    is_denied = False
    try:
        is_there = stat.S_ISDIR(state_dir.stat().st_mode)
        is_denied = is_there and not os.access(state_dir, os.X_OK, effective_ids=files.EFFECTIVE)
    except PermissionError:  # of a folder above it
        is_there = is_denied = True
    except (OSError, ValueError):
        is_there = False
    if is_denied:
        raise CheckError(FailureReason.PERMISSION, f"{state_dir}: this user may not read it")
    if not is_there:
        raise CheckError(FailureReason.STORE_UNREADABLE, f"there is no OpenClaw state directory {state_dir}")


def _exists(path: Path) -> bool | None:
    """Whether there is a file at ``path``; None if this user cannot tell."""
    found = stamp(path)
    return False if found is None else None if found[0] < 0 else True


def _has_login(provider: str, home: Path, env: Environment) -> bool | None:
    """Whether the program that signs in for ``provider`` has a login in ``home``; None if that is not known."""
    if provider == "claude-cli" and env.has("CLAUDE_CODE_OAUTH_TOKEN"):
        return True
    file = _LOGIN_FILES.get(provider)
    if file is None or sys.platform == "darwin":  # the keychain
        return None
    moved = env.variables.get("CLAUDE_CONFIG_DIR") if provider == "claude-cli" else None
    return _exists(Path(moved, file.name) if moved else home / file)


def _stored(paths: StorePaths) -> tuple[Layer | None, Layer | None, bool, Layer | None]:
    """The merged store, the agent's own, whether it is JSON of a release to 2026.5, and such JSON beside newer stores.

    OpenClaw reads databases only from 2026.6 on, and has none before.
    """
    shared = files.read_database(paths.shared_database, _SHARED)
    folders = list(dict.fromkeys((paths.shared_dir, paths.agent_dir)))
    databases = {folder: files.read_database(folder / "openclaw-agent.sqlite", _LOCAL) for folder in folders}
    if shared is None and not any(databases.values()):
        read = list(map(_json_layer, folders))
        return reduce(merge, read), read[-1], True, None
    values = shared.values if shared else {}
    owner = mapping(values.get(files.SHARED_OWNER)).get("location")
    layers: list[Layer | None] = [None]
    if owner != "legacy-main" and files.SHARED_STORE in values:
        layers.append(_layer(values[files.SHARED_STORE], values.get(files.SHARED_STATE), paths.shared_database))
    for folder, rows in databases.items():
        # Once the shared database owns what agents inherit, they no longer inherit main's store.
        if folder == paths.agent_dir or owner != "state-db":
            layers.append(_local_layer(folder, rows))
    return reduce(merge, layers), layers[-1], False, _left_behind(folders)


def _left_behind(folders: Sequence[Path]) -> Layer | None:
    """The JSON stores in ``folders``; None if there are none. One that cannot be read is empty."""
    try:
        return reduce(merge, map(_json_layer, folders))
    except CheckError:
        return Layer({}, {}, {})


def _layer(store: object, state: object, path: Path) -> Layer:
    found = layer(store, state)
    if found is None:
        raise unreadable(path, "holds no auth store where OpenClaw puts it")
    return found


def _json_layer(folder: Path) -> Layer | None:
    path = folder / "auth-profiles.json"
    store = files.read_json(path)
    if store is None and stamp(path) is None:
        return None
    return _layer(store, files.read_json(folder / "auth-state.json"), path)


def _local_layer(folder: Path, rows: files.Rows | None) -> Layer | None:
    if rows is None:
        return None
    path = folder / "openclaw-agent.sqlite"
    if files.LOCAL_STORE.table not in rows.tables:
        raise unreadable(path, f"has no table {files.LOCAL_STORE.table}: not OpenClaw's")
    if files.LOCAL_STORE not in rows.values:
        return None  # OpenClaw then ignores the state there too
    return _layer(rows.values[files.LOCAL_STORE], rows.values.get(files.LOCAL_STATE), path)


def _jobs(database: Path) -> list[CronJob]:
    """Cron jobs that cannot be read hide no change of a credential."""
    try:
        return jobs_that_matter(database)
    except CheckError:
        return []


def _matter(path: Path, kind: str) -> object:
    """What matters in one file. Raises CheckError."""
    if kind in ("local", "shared"):
        cells = _LOCAL if kind == "local" else _SHARED
        rows = files.read_database(path, cells, patience=0)
        if rows is None:
            return None
        owner = rows.values.get(files.SHARED_OWNER)
        matters = [what_matters(rows.values.get(cell)) for cell in cells if cell != files.SHARED_OWNER]
        return [owner, *matters, *(_jobs(path) if kind == "shared" else ())]
    content = read_file(path)
    if content is None or kind == "bytes":
        return content and content.hex()
    if kind == "cron":
        return cron_jobs(files.parse_json(content, path))
    if kind == "json":
        return [what_matters(files.parse_json(content, path))]  # an empty store differs from none
    try:
        return what_matters_in_config(files.parse_json(content, path))
    except CheckError:
        return content.hex()  # JSON5, written by hand: parsing it every few seconds costs too much
