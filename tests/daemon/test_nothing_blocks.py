"""No file is opened, no database connected to and no program started on the event loop of a running daemon."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pytest
from stand_ins import COMMAND
from waiting import until

from exporter.config import Config
from exporter.daemon import scheduler
from exporter.daemon.scheduler import Daemon
from exporter.simulator.world import World
from exporter.state.credentials_db import CredentialDatabase
from exporter.web.app import create_app

#: What a thread may do to a file system, as Python's audit events name it.
BLOCKING = {
    "open",
    "os.listdir",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.scandir",
    "sqlite3.connect",
    "subprocess.Popen",
    "tempfile.mkdtemp",
    "tempfile.mkstemp",
}
TOKEN = "a-token-for-tests-that-is-long-enough"
PASSWORD, HASHED = "PLANTED-SECRET-password", "$2b$04$IY5li8aO4/4m9ZrcPe.9OewFw0HuYxUYI1YqT4TdeWHyL./ETdUAO"


class Watch:
    """Notes the blocking calls of one thread. An audit hook cannot be removed, so there is one for all tests."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self.found: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.thread is None or event not in BLOCKING or threading.current_thread() is not self.thread:
            return
        self.note(event, args)

    def note(self, event: str, args: tuple[Any, ...]) -> None:
        if str(args[:1]).endswith(".py',)"):
            return  # the lines of a traceback are read
        place: str | None = None
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            code = frame.f_code.co_filename
            if "importlib" in code:
                return  # a module that is imported late, once
            place = place or (f"{code}:{frame.f_lineno}" if "/exporter/" in code else None)
            frame = frame.f_back
        if place is not None:
            self.found.append(f"{event} {args[:1]!r} at {place}")

    def wrap(self, patch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        """Note the calls of a function that has no audit event."""
        real = getattr(owner, name)

        def call(*args: Any, **keys: Any) -> Any:
            if threading.current_thread() is self.thread:
                self.note(f"{owner.__name__}.{name}", args)
            return real(*args, **keys)

        patch.setattr(owner, name, call)

    @contextmanager
    def on_this_thread(self) -> Iterator[list[str]]:
        self.thread, self.found = threading.current_thread(), []
        try:
            yield self.found
        finally:
            self.thread = None


#: What may wait and has no audit event. ``wait`` with a limit is one of a child that was killed.
SILENT = [(os, name) for name in ("stat", "lstat", "access", "readlink", "waitpid")] + [(subprocess.Popen, "wait")]


@pytest.fixture(scope="session")
def hook() -> Watch:
    return Watch()


@pytest.fixture
def watch(hook: Watch, monkeypatch: pytest.MonkeyPatch) -> Watch:
    for owner, name in SILENT:
        hook.wrap(monkeypatch, owner, name)
    return hook


def configuration(folder: Path, extra: dict[str, Any]) -> Config:
    """Every kind of source, channel and file that needs no other program."""
    (folder / "token").write_text(TOKEN)
    (folder / "url").write_text("http://127.0.0.1:9/hook")
    (folder / "env").write_text("A=b")
    (folder / "users").write_text(f"alice:{HASHED}\n")
    command = [*COMMAND, "--world", str(folder / "world.json"), "openclaw"]
    agent = folder / "state" / "agents" / "main" / "agent"
    agent.mkdir(parents=True, exist_ok=True)
    (agent / "auth-profiles.json").write_text('{"version": 1, "profiles": {}}')
    files = {"env_file": str(folder / "env"), "timeout": "20s"}
    return Config.model_validate(
        {
            "targets": [
                {"name": "command", "source": "openclaw", "command": command, **files},
                {"name": "store", "source": "store", "state_dir": str(folder / "state"), **files},
                {"name": "auto", "source": "auto", "state_dir": str(folder / "state"), **files},
                {"name": "claude", "source": "claude", "command": ["/nowhere/claude"], **files},
                {
                    "name": "gateway",
                    "source": "gateway",
                    "url": "http://127.0.0.1:9",
                    "token_file": str(folder / "token"),
                },
            ],
            "channels": [
                {"name": "hook", "type": "webhook", "url_file": str(folder / "url"), "min_severity": "info"},
                {"name": "script", "type": "command", "command": ["/bin/true"], "min_severity": "info"},
            ],
            "heartbeat": {"url_file": str(folder / "url"), "every": "10s"},
            "web": {"token_file": str(folder / "token"), "users_file": str(folder / "users")},
            **extra,
        }
    )


async def test_nothing_blocks_the_loop_of_a_running_daemon(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "COMPARE_EVERY", 0.05)
    monkeypatch.setattr(scheduler, "SAVE_EVERY", 0.05)
    world = World()
    world.paste_token("anthropic:default", -60.0, time.time())
    world.save(tmp_path / "world.json")
    made, again = configuration(tmp_path, {}), configuration(tmp_path, {"name": "other"})
    ledger = CredentialDatabase(tmp_path)
    daemon = Daemon(made, ledger, lambda: again, directory=tmp_path)
    app = create_app(daemon, made.web)
    transport = httpx.ASGITransport(app)
    with watch.on_this_thread() as found:
        await daemon.start()
        try:
            await until(lambda: daemon.exposition("", "")[0].count(b"\nopenclaw_auth_check_success{") >= 5)
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
                for path in ("/metrics", "/probe?target=store", "/", "/api/v1/status", "/calendar.ics", "/-/healthy"):
                    assert (await client.get(path)).status_code == 200
                for path in ("/api/v1/check", "/-/reload"):
                    assert (await client.post(path, timeout=60)).status_code == 200
                assert (await client.get("/metrics", auth=("alice", PASSWORD))).status_code == 200
        finally:
            await daemon.stop()
    assert found == []
