"""The clock jumps an hour, both ways: nothing is lost, nothing is told twice, nothing waits for the old time."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from alerts.worlds import DAY, HOUR, MINUTE, NOW, P, world
from fakes import Fakes, token
from fakes import config as watching
from waiting import until

from exporter.daemon import pulse
from exporter.daemon.scheduler import Daemon
from exporter.state.credentials_db import CredentialDatabase

from .servers import BadServer, saying
from .worlds import Setting, config, webhook

OTHER = P("anthropic:other", ends=NOW + 300 * DAY, secret="2")


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
async def test_a_pause_does_not_outlast_the_clock_it_was_counted_by(tmp_path: Path, jump: float) -> None:
    """In one process, for what it remembers beside the file."""
    with BadServer({"hook": saying(429, "Retry-After: 60")}) as server:
        soon = P("anthropic:soon", ends=NOW + 2 * HOUR, secret="1")
        setting = Setting(tmp_path, config(webhook(server.url + "/hook")), world(soon, OTHER))
        notifier = setting.notifier()
        notifier.start()
        await until(lambda: notifier.outbox.attempts_recorded == 1)
        server.recover()
        setting.clock.now += jump
        notifier._delivery.wake()
        await until(lambda: notifier.outbox.attempts_recorded == 2)
        assert [body["id"] for body in server.received("hook")] == [server.received("hook")[0]["id"]] * 2
        assert server.reasons("hook") == ["first", "first"]
        await notifier.stop()


@pytest.mark.parametrize("first", [HOUR, -HOUR])
async def test_jumps_between_looks_tell_the_truth_once(tmp_path: Path, first: float) -> None:
    """The verdict withholds deadlines while the clock is behind what is stored; here it is always asked."""
    soon = P("anthropic:soon", ends=NOW + 10 * HOUR + MINUTE, secret="1")
    with BadServer() as server:
        setting = Setting(tmp_path, config(webhook(server.url + "/hook")), world(soon, OTHER))
        for jump in (first, -first, first, -first):
            await setting.timer()
            setting.clock.now += jump
        for _ in range(12):
            await setting.timer()
            setting.clock.now += HOUR
        assert server.reasons("hook") == ["first", "reminder", "reminder", "escalated"]


async def test_a_running_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past a deadline: told without a look. Back before it, and before what is stored: the clock is told, and
    nothing is called over. When the clock is right again nothing is told once more."""
    monkeypatch.setattr(pulse, "PULSE", 0.02)
    offset = 0.0

    def now() -> float:
        return time.time() + offset

    fakes = Fakes()
    with BadServer() as server:
        made = watching("home", channels=[webhook(server.url + "/hook")], alerts={"group_wait": "0s"})
        daemon = Daemon(made, CredentialDatabase(tmp_path, now), lambda: made, now, fakes, tmp_path)
        fakes["home"].profiles = (token(time.time() + 30 * MINUTE),)
        story: list[tuple[str, str]] = []

        def told() -> list[tuple[str, str]]:
            return [(a["reason"], a["condition"]) for body in server.received("hook") for a in body["alerts"]]

        async def goes_on_with(reason: str, condition: str) -> None:
            story.append((reason, condition))
            await until(lambda: len(told()) >= len(story))
            await asyncio.sleep(0.2)  # for what should not come
            assert told() == story

        await daemon.start()
        try:
            await goes_on_with("first", "expiring")
            offset = HOUR
            await goes_on_with("escalated", "no_usable_profile")
            assert fakes["home"].checks == ["main"]
            await daemon.check_now(None)  # OpenClaw's word is still "ok": its own clock was never wrong
            await goes_on_with("first", "status_disagrees")
            offset = 0.0
            await goes_on_with("first", "clock")
            offset = HOUR
            await goes_on_with("resolved", "clock")
        finally:
            await daemon.stop()
