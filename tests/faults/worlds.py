"""A notifier over a world that a test decides, with a clock that it sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alerts.worlds import NOW, World

from exporter.alerts.delivery.notifier import Notifier
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


class Setting:
    """What is the case, the clock, and notifiers over it; each ``notifier`` is as a new process."""

    def __init__(self, directory: Path | None, made: Config, world: World, clock: Clock | None = None) -> None:
        self.directory = directory
        self.config = made
        self.world = world
        self.clock = clock or Clock()

    def report(self) -> Report:
        return Report(self.clock.now, (self.world.report(self.clock.now),))

    def notifier(self) -> Notifier:
        return Notifier(self.config, self.directory, self.report, self.clock)

    async def timer(self) -> bool | None:
        """What ``check --notify`` does at a look: whether all was handed over, None where another process tells."""
        notifier = self.notifier()
        try:
            return await notifier.once()
        finally:
            await notifier.stop()
