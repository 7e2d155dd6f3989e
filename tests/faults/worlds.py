"""A notifier over a world that a test decides, with a clock that it sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alerts.worlds import NOW, World

from exporter.alerts.delivery.notifier import Notifier, ReportSource
from exporter.alerts.delivery.one_shot import notify_once
from exporter.alerts.delivery.outbox import open_outbox
from exporter.config import Config
from exporter.model import Report


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def config(*channels: dict[str, Any], **rest: Any) -> Config:
    alerts = {"group_wait": "0s", **rest.pop("alerts", {})}
    return Config.model_validate({"targets": [{"name": "home"}], "channels": channels, "alerts": alerts, **rest})


def webhook(url: str, name: str = "hook", **rest: Any) -> dict[str, Any]:
    return {"name": name, "type": "webhook", "url": url, **rest}


class Timer:
    """A process that a timer starts: ``check --notify`` on one open outbox."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self.outbox = open_outbox(setting.directory, setting.clock)

    async def once(self) -> bool | None:
        """One run: whether everything was delivered, None where another process notifies."""
        return await notify_once(
            self._setting.config, self.outbox, ReportSource(self._setting.report), self._setting.clock
        )

    async def stop(self) -> None:
        self.outbox.close()


class Setting:
    """A world, its clock, and notifiers for it; each ``notifier`` and ``timer_process`` is like a new process."""

    def __init__(self, directory: Path | None, made: Config, world: World, clock: Clock | None = None) -> None:
        self.directory = directory
        self.config = made
        self.world = world
        self.clock = clock or Clock()

    def report(self) -> Report:
        return Report(self.clock.now, (self.world.report(self.clock.now),))

    def notifier(self) -> Notifier:
        outbox = open_outbox(self.directory, self.clock)
        return Notifier(self.config, outbox, ReportSource(self.report), self.clock)

    def timer_process(self) -> Timer:
        return Timer(self)

    async def timer(self) -> bool | None:
        """One run of ``check --notify``: whether everything was delivered, None where another process notifies."""
        process = self.timer_process()
        try:
            return await process.once()
        finally:
            await process.stop()
