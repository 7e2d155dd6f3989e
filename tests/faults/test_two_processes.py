"""Several processes on one state: one tells, the others only look, and take over when it is gone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from alerts.worlds import HOUR, NOW, P, world
from waiting import until

from exporter.alerts.delivery import notifier as module

from .servers import BadServer
from .worlds import Setting, config, webhook

SOON = P("anthropic:soon", ends=NOW + HOUR, secret="1")
OTHER = P("anthropic:other", ends=NOW + 300 * HOUR, secret="2")


async def until_told(server: BadServer, count: int) -> None:
    await until(lambda: len(server.received("hook")) >= count)


async def test_of_two_daemons_and_a_timer_one_tells_and_another_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LOCK_EVERY", 0.05)
    with BadServer() as server:
        setting = Setting(tmp_path, config(webhook(server.url + "/hook")), world(SOON, OTHER))
        one, two = setting.notifier(), setting.notifier()
        one.start()
        await until_told(server, 1)
        two.start()
        assert await setting.timer() is None, "it only looks"
        for _ in range(3):  # turns of the second, as after a check, for what should not come
            two.wake()
            await asyncio.sleep(0.1)
        assert not two.holds_lock
        assert caplog.text.count("sends the notifications; this one waits") == 1
        assert "from now on" not in caplog.text
        assert server.reasons("hook") == ["first"]

        await one.stop()
        await until(lambda: two.holds_lock)
        assert caplog.text.count("the other process has ended; this one sends the notifications from now on") == 1
        assert "this one waits" not in caplog.text.rpartition("from now on")[2]
        setting.clock.now += 2 * HOUR
        two.wake()
        await until_told(server, 2)
        assert await setting.timer() is None
        await two.stop()
        assert await setting.timer() is True, "nothing is left to tell"
        assert server.reasons("hook") == ["first", "escalated"]


async def test_timers_that_meet_tell_once(tmp_path: Path) -> None:
    with BadServer() as server:
        setting = Setting(tmp_path, config(webhook(server.url + "/hook")), world(SOON, OTHER))
        processes = [setting.timer_process() for _ in range(5)]
        results = await asyncio.gather(*(process.once() for process in processes))
        for process in processes:
            await process.stop()
        assert sorted(results, key=str) == [None, None, None, None, True]
        assert server.reasons("hook") == ["first"]


async def test_a_silence_by_another_process_is_heard(tmp_path: Path) -> None:
    known = P("anthropic:known", ends=NOW + 2 * HOUR, secret="3")
    with BadServer() as server:
        setting = Setting(tmp_path, config(webhook(server.url + "/hook")), world(known, OTHER))
        daemon, person = setting.notifier(), setting.notifier()
        daemon.start()
        await until_told(server, 1)
        person.outbox.add_silence({"profile": SOON.id}, NOW + HOUR / 2, "I know", NOW)
        setting.world = world(SOON, known, OTHER)
        daemon.poll_outbox()
        await until(lambda: len(daemon.states()) >= 2)
        await asyncio.sleep(0.2)  # for what should not come
        assert len(server.received("hook")) == 1
        setting.clock.now = NOW + HOUR / 2
        daemon.wake()
        await until_told(server, 2)
        (alert,) = server.received("hook")[1]["alerts"]
        assert (alert["profile"], alert["reason"]) == (SOON.id, "first")
        await person.stop()
        await daemon.stop()
