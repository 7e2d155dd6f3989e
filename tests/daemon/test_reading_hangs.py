"""A configuration, or a file that it names, on a file system that hangs: the reload fails, and nothing else does."""

from __future__ import annotations

import asyncio
import threading

import pytest
from fakes import Fakes, config
from waiting import LoopClock, until

from exporter.config import Config
from exporter.daemon.configuration import READ_LIMIT
from exporter.daemon.scheduler import Daemon
from exporter.state.credentials_db import CredentialDatabase
from exporter.web.daemon_api import OutdatedError


def is_exported(daemon: Daemon, successful: int) -> bool:
    try:
        return b"config_last_reload_successful %d" % successful in daemon.exposition("", "")[0]
    except OutdatedError:
        return False


async def test_reload_from_a_file_system_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    began, go_on = threading.Event(), threading.Event()

    def reread() -> Config:
        began.set()
        go_on.wait(60)
        return config("home", "new")

    daemon = Daemon(config("home"), CredentialDatabase(None), reread, make=Fakes())
    await daemon.start()
    try:
        await until(lambda: is_exported(daemon, 1) and b"check_success{" in daemon.exposition("", "")[0])
        # The clock that is put forward must not end a composition.
        clock = LoopClock(monkeypatch)
        first = asyncio.create_task(daemon.reload())
        await until(began.is_set)
        clock.advance(READ_LIMIT)
        why = "the configuration: the file system of one of its files did not answer within 30 s"
        assert [await first, await daemon.reload()] == [why, why]
        await until(lambda: is_exported(daemon, 0))
        go_on.set()
        await until(lambda: not daemon._configuration.is_busy)
        assert await daemon.reload() is None
        assert [name for name, _ in daemon.scrape_targets()] == ["home", "new"]
    finally:
        go_on.set()
        await daemon.stop()
