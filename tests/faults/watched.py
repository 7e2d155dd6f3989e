"""A daemon whose signs of trouble a test reads, and faults to put into it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fakes import Fakes, config, token
from waiting import until

from exporter.daemon.overdue import WATCH_EVERY
from exporter.daemon.scheduler import Daemon
from exporter.metrics.render import render_target
from exporter.present import to_line
from exporter.state.credentials_db import CredentialDatabase
from exporter.web.daemon_api import OutdatedError

DAY = 86400.0
SECRET = "PLANTED-SECRET"


class Running:
    """A daemon that watches ``home`` and ``vps``. Only a test makes it check again after the first checks."""

    def __init__(self) -> None:
        self.fakes = Fakes()
        made = config("home", "vps", interval="1h")
        self.daemon = Daemon(made, CredentialDatabase(None), lambda: made, time.time, self.fakes)
        for source in self.fakes.sources.values():
            source.profiles = (token(time.time() + 30 * DAY),)

    async def check(self) -> None:
        await self.daemon.check_now("home")

    def beat(self, seconds: float = WATCH_EVERY) -> None:
        """Let the daemon find that ``seconds`` have passed."""
        self.daemon._beat(time.time(), seconds, seconds)

    def metrics(self) -> str | None:
        """None if the scrape fails."""
        try:
            return self.daemon.exposition("", "")[0].decode()
        except OutdatedError:
            return None

    def signs(self, target: str) -> list[bool]:
        """Whether the status and the metrics say that all is well with a target."""
        (report,) = [found for found in self.daemon.report().targets if found.target == target]
        samples = {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in (self.metrics() or "").splitlines()}
        exported = [
            value == "1.0"
            for name, value in samples.items()
            if name.startswith("openclaw_auth_check_success") and f'target="{target}"' in name
        ]
        return [report.exit_code == 0, bool(exported) and all(exported)]

    def is_ok(self, target: str = "home") -> bool:
        return all(self.signs(target))

    def is_nothing_ok(self, target: str = "home") -> bool:
        return not any(self.signs(target)) and to_line(self.daemon.report()) != "OK"

    def reasons(self, target: str = "home") -> set[str | None]:
        (report,) = [found for found in self.daemon.report().targets if found.target == target]
        return {entry.failure.reason.value if entry.failure else None for entry in report.entries}

    @property
    def heartbeat_problem(self) -> str | None:
        return self.daemon.problem()


@asynccontextmanager
async def running() -> AsyncIterator[Running]:
    world = Running()
    await world.daemon.start()
    try:
        await until(lambda: world.is_ok("home") and world.is_ok("vps") and world.heartbeat_problem is None)
        yield world
    finally:
        await world.daemon.stop()


def raising(*_: object, **__: object) -> Any:
    raise RuntimeError(SECRET)


async def cancelling(*_: object) -> Any:
    raise asyncio.CancelledError


class HangingThread:
    """Stands for something that blocks its thread until the test lets it go."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.began = threading.Event()

    def __call__(self, *_: object) -> Any:
        self.began.set()
        self.go_on.wait(30)
        raise OSError("let go")


def exported(*reports: str) -> Callable[..., Any]:
    """The rendering of the reports of these targets fails."""

    def render(report: Any, counters: Any) -> Any:
        if report.target in reports:
            raise RuntimeError(SECRET)
        return render_target(report, counters)

    return render
