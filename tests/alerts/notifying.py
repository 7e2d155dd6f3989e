"""A notifier in a small house: the world that it reports, and channels that record what they are sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from alerts.fake_ntfy import FakeNtfy
from alerts.test_worker import Fake
from alerts.worlds import DAY, HOUR, NOW, P, World, world
from exporter.alerts.channels import Channel, ChannelContext, Links, no_links
from exporter.alerts.channels.alertmanager import AlertmanagerSender
from exporter.alerts.channels.ntfy import NtfySender
from exporter.alerts.delivery import notifier, one_shot
from exporter.alerts.delivery.delivery import Senders, settings_of
from exporter.alerts.delivery.notifier import Notifier, ReportSource
from exporter.alerts.delivery.one_shot import notify_once
from exporter.alerts.delivery.outbox import open_outbox
from exporter.alerts.delivery.statistics import ChannelStatistics
from exporter.config import Config
from exporter.config.channels.alertmanager import AlertmanagerChannel
from exporter.config.channels.ntfy import NtfyChannel
from exporter.model import Report

DOWN, FINE = world(P(ends=NOW - HOUR)), world(P(ends=NOW + 300 * DAY, secret="new"))


class Manager:
    """The instances of an Alertmanager by address: what each was sent, in order."""

    def __init__(self) -> None:
        self.notified: dict[str, list[list[dict[str, Any]]]] = {}
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await self.gate.wait()
        self.notified.setdefault(request.url.host, []).append(json.loads(request.content))
        return httpx.Response(200)


class House:
    """A notifier, the world that it reports, and channels that record what they are sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path | None = None, **rest: Any) -> None:
        self.now = NOW
        self.world: World | None = DOWN
        self.hook = Fake()
        self.manager, self.ntfy = Manager(), FakeNtfy(now=NOW)
        self.rest = {"targets": [{"name": "home"}], **rest}
        self.directory = directory
        for module in (notifier, one_shot):
            monkeypatch.setattr(module, "build_senders", self.build_senders)
        monkeypatch.setattr(notifier, "TURN_GAP", 0.0)
        self.notifier = self.another()

    def config(self, **rest: Any) -> Config:
        made = {"alerts": {"group_wait": "0s"}, "channels": [HOOK], **self.rest, **rest}
        return Config.model_validate(made)

    def another(self, **rest: Any) -> Notifier:
        outbox = open_outbox(self.directory, lambda: self.now)
        return Notifier(self.config(**rest), outbox, ReportSource(self.report, self.as_of), lambda: self.now)

    async def timer(self) -> bool | None:
        """One run of ``check --notify``."""
        outbox = open_outbox(self.directory, lambda: self.now)
        try:
            return await notify_once(self.config(), outbox, ReportSource(self.report, self.as_of), lambda: self.now)
        finally:
            outbox.close()

    def report(self) -> Report:
        return Report(self.now, (self.world.report(self.now),) if self.world else ())

    def as_of(self, target: str, at: float) -> Report:
        return Report(at, (self.world.report(at),) if self.world else ())

    def build_senders(self, config: Config, links: Links = no_links) -> Senders:
        context = ChannelContext(transport=httpx.MockTransport(self.manager), clock=lambda: self.now, links=links)
        phone = ChannelContext(transport=self.ntfy.transport, clock=lambda: self.now, links=links)
        channels: dict[str, Channel] = {}
        managers = {}
        for channel in config.channels:
            match channel:
                case AlertmanagerChannel():
                    managers[channel.name] = AlertmanagerSender(channel, context)
                case NtfyChannel():
                    channels[channel.name] = NtfySender(channel, phone)
                case _:
                    channels[channel.name] = self.hook
        return Senders(channels, managers, {c.name: settings_of(c) for c in config.channels if c.name in channels})


HOOK = {"name": "hook", "type": "webhook", "url": "http://hook.test"}
PHONE = {"name": "phone", "type": "ntfy", "url": "http://ntfy.test", "topic": "topic"}
AM = {"name": "am", "type": "alertmanager", "urls": ["http://one", "http://two"]}


def counted(notifying: Notifier) -> ChannelStatistics:
    """The statistics of ``hook``, refreshed as the daemon does every second."""
    notifying.poll_outbox()
    return notifying.statistics().get("hook", ChannelStatistics())


@asynccontextmanager
async def running(house: House) -> AsyncIterator[Notifier]:
    house.notifier.start()
    try:
        yield house.notifier
    finally:
        await house.notifier.stop()
