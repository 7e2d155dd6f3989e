"""OpenClaw state folders for tests, written as its releases write them. Used by the tests of the store source."""

from __future__ import annotations

import hmac
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from exporter.model import CheckError, ObservedProfile
from exporter.sources.store.facts import StoreFacts
from exporter.sources.store.paths import StorePaths
from exporter.sources.store.reader import StoreReader

NOW = 1_795_000_000.0  # Unix seconds
MS = int(NOW * 1000)
SECRET = "PLANTED-SECRET-sk-ant-oat01-AAAAAAAAAAAAAAAAAAAA"
DAY = 86_400_000


def keyed_hash(text: str) -> str:
    return hmac.new(b"key", text.encode(), "sha256").hexdigest()


def token(**more: Any) -> dict[str, Any]:
    return {"type": "token", "provider": "anthropic", "token": SECRET, **more}


def oauth(**more: Any) -> dict[str, Any]:
    return {"type": "oauth", "provider": "openai", "access": SECRET + "a", "refresh": SECRET + "r", **more}


class Home:
    """One OpenClaw state folder, written as its releases write it."""

    def __init__(self, root: Path) -> None:
        self.state_dir = root / ".openclaw"
        self.state_dir.mkdir(parents=True, exist_ok=True)

    def paths(self, agent: str = "main") -> StorePaths:
        return StorePaths.from_environment({}, str(self.state_dir), agent)

    def read(self, agent: str = "main", service: Mapping[str, str] | None = None) -> StoreFacts:
        return StoreReader(keyed_hash, lambda: NOW).read(self.paths(agent), agent, service)

    def fails(self, agent: str = "main") -> CheckError:
        with pytest.raises(CheckError) as caught:
            self.read(agent)
        assert SECRET not in str(caught.value)
        assert caught.value.__context__ is None or SECRET not in repr(caught.value.__context__)
        return caught.value

    def write_config(self, config: object) -> None:
        text = config if isinstance(config, str) else json.dumps(config)
        (self.state_dir / "openclaw.json").write_text(text)

    def write_json(self, profiles: object, agent: str = "main", **more: Any) -> Path:
        path = self.paths(agent).agent_dir / "auth-profiles.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"version": 1, "profiles": profiles, **more}))
        return path

    def local(self, agent: str = "main") -> Path:
        return self.paths(agent).agent_dir / "openclaw-agent.sqlite"

    @property
    def shared(self) -> Path:
        return self.state_dir / "state" / "openclaw.sqlite"

    def write_local(self, store: object, state: object = None, agent: str = "main") -> Path:
        path = self.local(agent)
        with closing(connect(path)) as database:
            for name, value in (("store", store), ("state", state)):
                database.execute(
                    f"CREATE TABLE IF NOT EXISTS auth_profile_{name} ({name}_key TEXT NOT NULL PRIMARY KEY,"
                    f" {name}_json TEXT NOT NULL, updated_at INTEGER NOT NULL) STRICT"
                )
                if value is not None:
                    write_cell(database, f"auth_profile_{name}", "primary", value)
        return path

    def write_shared(self, store: object = None, state: object = None, owner: str | None = "state-db") -> Path:
        with closing(connect(self.shared)) as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS config_machine_state (state_key TEXT NOT NULL PRIMARY KEY,"
                " value_json TEXT NOT NULL, updated_at_ms INTEGER NOT NULL) STRICT"
            )
            values = {"authProfiles.store": store, "authProfiles.state": state}
            for key, value in {**values, "auth.sharedStore": owner and {"location": owner}}.items():
                if value is not None:
                    write_cell(database, "config_machine_state", key, value)
        return self.shared


def connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    return database


def write_cell(database: sqlite3.Connection, table: str, key: str, value: object) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    database.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, 0)", (key, text))


def store_of(**profiles: Mapping[str, Any]) -> dict[str, Any]:
    return {"version": 1, "profiles": {name.replace("_", ":", 1): raw for name, raw in profiles.items()}}


def usage_of(name: str, **stats: Any) -> dict[str, Any]:
    return {"version": 1, "usageStats": {name: stats}}


def one(facts: StoreFacts) -> ObservedProfile:
    assert len(facts.profiles) == 1
    return facts.profiles[0]


def by_id(facts: StoreFacts) -> dict[str, ObservedProfile]:
    return {profile.id: profile for profile in facts.profiles}


@contextmanager
def another_user() -> Iterator[None]:
    """Root may read everything: be nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
