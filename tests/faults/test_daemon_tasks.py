"""The daemon's long-lived tasks fail, and it is started, reloaded and stopped in any order: no task is lost or left."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fakes import Fakes, config, token
from waiting import until

from exporter.alerts.delivery.alertmanager_publisher import AlertmanagerPublisher
from exporter.alerts.delivery.evaluation import Evaluator
from exporter.alerts.delivery.worker import ChannelWorker
from exporter.config import Config
from exporter.daemon import pulse, scheduler
from exporter.daemon.faults import Faults
from exporter.daemon.heartbeat import HeartbeatSender
from exporter.daemon.otlp import OtlpSender
from exporter.daemon.pulse import Pulse
from exporter.daemon.scheduler import Daemon
from exporter.lib import supervisor
from exporter.model import CheckError, FailureReason
from exporter.state.credentials_db import CredentialDatabase

SECRET = "PLANTED-SECRET"
#: Where nothing listens: discard's port on loopback.
NOWHERE = "http://127.0.0.1:9"
HEARTBEAT = {"url": NOWHERE + "/beat", "every": "1s"}
CHANNELS = [
    {"name": "hook", "type": "webhook", "url": NOWHERE},
    {"name": "am", "type": "alertmanager", "urls": [NOWHERE]},
]
OTLP = {"url": NOWHERE + "/v1/metrics", "every": "1s"}
LONG_LIVED = {"pulse", "ledger", "stores", "lists", "otlp", "heartbeat", "notifier", "channel hook", "channel am"}


def raising(*_: object, **__: object) -> Any:
    raise RuntimeError(SECRET)


def raising_outside_of_its_defence(duty: str) -> Callable[[Faults, str], Any]:
    """``Faults.surviving`` raises for one duty."""
    good = Faults.surviving
    return lambda faults, doing: raising() if doing == duty else good(faults, doing)


class Running:
    """A daemon with every long-lived task that it can have without systemd and a web server."""

    def __init__(self) -> None:
        self.fakes = Fakes()
        self.config: Callable[[], Config] = lambda: config("home", heartbeat=HEARTBEAT, channels=CHANNELS, otlp=OTLP)
        self.daemon = Daemon(self.config(), CredentialDatabase(None), self.reread, time.time, self.fakes)
        for source in self.fakes.sources.values():
            source.profiles = (token(time.time() + 3e6),)

    def reread(self) -> Config:
        return self.config()

    def restarts(self, task: str) -> float:
        """What the metric shows."""
        lines = self.daemon.exposition("", "")[0].decode().splitlines()
        prefix = f'openclaw_auth_exporter_task_restarts_total{{task="{task}"}} '
        (line,) = [line for line in lines if line.startswith(prefix)]
        return float(line.removeprefix(prefix))


@asynccontextmanager
async def running() -> AsyncIterator[Running]:
    world = Running()
    await world.daemon.start()
    try:
        await until(lambda: set(world.daemon.supervisor.restarts) == LONG_LIVED)
        yield world
    finally:
        await world.daemon.stop()


@pytest.mark.parametrize(
    ("task", "place", "fault"),
    [
        ("pulse", (Pulse, "_step"), raising),
        ("ledger", (Faults, "surviving"), raising_outside_of_its_defence("saving what was checked")),
        ("stores", (Faults, "surviving"), raising_outside_of_its_defence("comparing stores")),
        ("lists", (Faults, "surviving"), raising_outside_of_its_defence("comparing lists of targets")),
        ("otlp", (OtlpSender, "send"), raising),
        ("heartbeat", (HeartbeatSender, "send"), raising),
        ("notifier", (Evaluator, "evaluate"), raising),
        ("channel hook", (ChannelWorker, "_send_due"), raising),
        ("channel am", (AlertmanagerPublisher, "_publish"), raising),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_task_that_fails_is_named_counted_and_started_again(
    task: str,
    place: tuple[object, str],
    fault: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for module, name in (
        (pulse, "PULSE"),
        *((scheduler, name) for name in ("SAVE_EVERY", "COMPARE_EVERY", "LISTS_EVERY")),
    ):
        monkeypatch.setattr(module, name, 0.01)
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr("exporter.daemon.heartbeat.PAUSE", 0.0)
    monkeypatch.setattr("exporter.alerts.delivery.notifier.MAX_SLEEP", 0.05)
    monkeypatch.setattr("exporter.alerts.delivery.worker.MAX_SLEEP", 0.05)
    monkeypatch.setattr("exporter.alerts.delivery.alertmanager_publisher.PUBLISH_EVERY", 0.05)
    async with running() as world:
        world.daemon._alerting._config.heartbeat.__dict__["every"] = 0.05  # the least in a file is 1 s
        assert world.daemon.health_problem() is None
        assert world.restarts(task) == 0
        with monkeypatch.context() as patch:
            patch.setattr(*place, fault)
            await until(lambda: f"the task {task!r} (RuntimeError)" in caplog.text)
            await until(lambda: "Internal error while running the task" in (world.daemon.health_problem() or ""))
            assert world.daemon.problem() is not None, "the heartbeat reports it"
            await until(lambda: world.restarts(task) > 0)
        await until(lambda: world.daemon.health_problem() is None and world.daemon.problem() is None)
        assert set(world.daemon.supervisor.restarts) == LONG_LIVED
    assert SECRET not in caplog.text


async def test_trouble_of_a_target_is_no_trouble_of_the_daemon() -> None:
    async with running() as world:
        world.fakes["home"].error = CheckError(FailureReason.CONNECTION, "the gateway reboots")
        await world.daemon.check_now("home")
        world.fakes["home"].error = RuntimeError(SECRET)
        await world.daemon.check_now("home")
        assert world.daemon.health_problem() is None
