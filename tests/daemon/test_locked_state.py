"""Another process that holds the state files for long does not stall the daemon's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from fakes import Fakes, config, token
from waiting import until

from exporter.daemon import pulse, scheduler
from exporter.daemon.scheduler import Daemon
from exporter.lib import sqlite
from exporter.state.credentials_db import CredentialDatabase

#: How many turns the loop must make while the file is held.
TURNS = 200
HOOK = {"name": "hook", "type": "webhook", "url": "http://127.0.0.1:9/"}


class Heartbeat:
    """Counts the turns of the running loop."""

    def __init__(self) -> None:
        self.turns = 0
        self._task = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(0.001)
            self.turns += 1

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Holder:
    """Another process: holds a file from ``held`` until the loop has made enough turns, or no turn for 10 s."""

    def __init__(self, path: Path, heartbeat: Heartbeat) -> None:
        self.held, self.is_over = threading.Event(), threading.Event()
        self.has_stalled = False
        self._path, self._heartbeat = path, heartbeat
        threading.Thread(target=self._hold, daemon=True).start()

    def _hold(self) -> None:
        with contextlib.closing(sqlite3.connect(self._path, timeout=60, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            self.held.set()
            seen, until_turn, quiet_since = 0, self._heartbeat.turns + TURNS, time.monotonic()
            while self._heartbeat.turns < until_turn and not self.has_stalled:
                if self._heartbeat.turns != seen:
                    seen, quiet_since = self._heartbeat.turns, time.monotonic()
                self.has_stalled = time.monotonic() - quiet_since > 10
                time.sleep(0.01)
        self.is_over.set()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll the files all the time, and let a transaction on the loop wait for longer than the holder tolerates."""
    monkeypatch.setattr(pulse, "PULSE", 0.01)
    monkeypatch.setattr(scheduler, "SAVE_EVERY", 0.01)
    monkeypatch.setattr(sqlite, "BUSY", 60.0)


@pytest.mark.parametrize("file", ["ledger.sqlite", "alerts.sqlite"])
async def test_held_file_does_not_stall_the_loop(tmp_path: Path, file: str) -> None:
    made = config("home", channels=[HOOK])
    ledger, fakes = CredentialDatabase(tmp_path), Fakes()
    daemon = Daemon(made, ledger, lambda: config("home", "new", channels=[HOOK]), make=fakes, directory=tmp_path)
    fakes["home"].profiles = (token(time.time() + 3600),)
    await daemon.start()
    heartbeat = Heartbeat()
    try:
        await until(lambda: daemon.report().exit_code == 2)
        holder = Holder(tmp_path / file, heartbeat)
        await until(holder.held.is_set)
        fakes["home"].profiles = (token(time.time() - 1),)
        fakes["home"].agent_ids = ["main", "work"]
        work = [
            asyncio.create_task(daemon.check_now("home")),
            asyncio.create_task(daemon.reload()),
            asyncio.create_task(daemon.alert_actions.add_silence({"target": "vps"}, 60.0, "")),
            asyncio.create_task(daemon.probe("home", None, 30.0)),
            asyncio.create_task(daemon.alert_actions.silences()),
            asyncio.create_task(daemon.alert_actions.overview()),
        ]
        await until(lambda: daemon.exposition("", "") and holder.is_over.is_set())
        assert not holder.has_stalled
        await asyncio.gather(*work)
        await until(lambda: 'agent="work"' in daemon.exposition("", "")[0].decode())
    finally:
        await heartbeat.stop()
        await daemon.stop()
        await asyncio.to_thread(ledger.close)
    again = CredentialDatabase(tmp_path)
    assert again.agents("home") == ["main", "work"], "what was recorded meanwhile is saved afterwards"
