"""The notifier: turns, its reload, the one-shot, and everybody who is told beside one another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from waiting import until

from alerts.fake_ntfy import FakeNtfy
from alerts.test_worker import Fake
from alerts.worlds import DAY, HOUR, NOW, P, World, world
from exporter.alerts import lifecycle
from exporter.alerts.channels import Channel, ChannelContext, Links, TemporaryError, no_links
from exporter.alerts.channels.alertmanager import ENDS_AFTER, AlertmanagerSender
from exporter.alerts.channels.ntfy import NtfySender
from exporter.alerts.delivery import alertmanager_publisher, notifier
from exporter.alerts.delivery.notifier import Notifier, send_test
from exporter.alerts.delivery.scheduled_messages import GRACE
from exporter.alerts.delivery.statistics import ChannelStatistics
from exporter.alerts.values import fingerprint_of_test
from exporter.config import Config
from exporter.config.channels.alertmanager import AlertmanagerChannel as ConfiguredManager
from exporter.config.channels.ntfy import NtfyChannel
from exporter.model import Report

DOWN, FINE = world(P(ends=NOW - HOUR)), world(P(ends=NOW + 300 * DAY, secret="new"))


class Manager:
    """An Alertmanager's instances by address: what each was told, in order."""

    def __init__(self) -> None:
        self.notified: dict[str, list[list[dict[str, Any]]]] = {}
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await self.gate.wait()
        self.notified.setdefault(request.url.host, []).append(json.loads(request.content))
        return httpx.Response(200)


class House:
    """A notifier over a world that a test changes, with channels that a test holds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path | None = None, **rest: Any) -> None:
        self.now = NOW
        self.world: World | None = DOWN
        self.hook = Fake()
        self.manager, self.ntfy = Manager(), FakeNtfy(now=NOW)
        self.rest = {"targets": [{"name": "home"}], **rest}
        self.directory = directory
        self.links: list[Links] = []
        monkeypatch.setattr(notifier, "channels_of", self.channels_of)
        monkeypatch.setattr(notifier, "BREATHER", 0.0)
        self.notifier = self.another()

    def config(self, **rest: Any) -> Config:
        made = {"alerts": {"group_wait": "0s"}, "channels": [HOOK], **self.rest, **rest}
        return Config.model_validate(made)

    def another(self, **rest: Any) -> Notifier:
        return Notifier(self.config(**rest), self.directory, self.report, lambda: self.now, as_of=self.as_of)

    def report(self) -> Report:
        return Report(self.now, (self.world.report(self.now),) if self.world else ())

    def as_of(self, target: str, at: float) -> Report:
        return Report(at, (self.world.report(at),) if self.world else ())

    def channels_of(
        self, config: Config, links: Links = no_links
    ) -> tuple[dict[str, Channel], dict[str, AlertmanagerSender]]:
        self.links.append(links)
        context = ChannelContext(transport=httpx.MockTransport(self.manager), clock=lambda: self.now, links=links)
        phone = ChannelContext(transport=self.ntfy.transport, clock=lambda: self.now, links=links)
        news: dict[str, Channel] = {}
        managers = {}
        for channel in config.channels:
            match channel:
                case ConfiguredManager():
                    managers[channel.name] = AlertmanagerSender(channel, context)
                case NtfyChannel():
                    news[channel.name] = NtfySender(channel, phone)
                case _:
                    news[channel.name] = self.hook
        return news, managers


HOOK = {"name": "hook", "type": "webhook", "url": "http://hook.test"}
PHONE = {"name": "phone", "type": "ntfy", "url": "http://ntfy.test", "topic": "topic"}
AM = {"name": "am", "type": "alertmanager", "urls": ["http://one", "http://two"]}


def counted(running_one: Notifier) -> ChannelStatistics:
    """As the daemon has it, whose pulse sees to it."""
    running_one.look_for_others()
    return running_one.statistics().get("hook", ChannelStatistics())


@asynccontextmanager
async def running(house: House) -> AsyncIterator[Notifier]:
    house.notifier.start()
    try:
        yield house.notifier
    finally:
        await house.notifier.stop()


# --- proof -------------------------------------------------------------------------------------


async def test_a_proof_is_told_acknowledged_and_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    house = House(monkeypatch, tmp_path, alerts={"prove_every": "7d", "group_wait": "0s"})
    house.world = None
    proof = fingerprint_of_test("hook")
    async with running(house) as running_one:
        await until(lambda: running_one.holds_lock)
        assert house.hook.got == []  # not before all that is scheduled was looked at
        house.world = FINE
        running_one.wake()
        await until(lambda: house.hook.got == [proof])
        assert running_one.statistics()["hook"].last_acknowledged is None
        assert await running_one.acknowledge(proof)
        assert not await running_one.acknowledge(fingerprint_of_test("other"))
        await until(lambda: running_one.statistics()["hook"].last_acknowledged == NOW)

    house.now += 6 * DAY
    house.notifier = house.another()
    async with running(house) as running_one:
        running_one.outbox.add_silence({"target": "other"}, house.now + HOUR, "", house.now)
        running_one.wake()
        await until(lambda: running_one.silences == 1)  # a turn later
        assert len(house.hook.tried) == 1
        house.now += 15 * DAY  # asleep over two of them
        running_one.wake()
        await until(lambda: house.hook.got == [proof, proof])


def test_every_channel_is_counted_before_anything_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = House(monkeypatch, channels=[HOOK, AM]).notifier
    assert fresh.statistics() == {"hook": ChannelStatistics(), "am": ChannelStatistics()}
    fresh.outbox.close()


# --- Alertmanager ------------------------------------------------------------------------------


async def test_a_reload_takes_other_instances_and_still_ends_what_fired(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch, channels=[AM])
    async with running(house) as running_one:
        await until(lambda: house.manager.notified.keys() == {"one", "two"})
        told = len(house.manager.notified["one"])
        await running_one.reconfigure(house.config(channels=[{**AM, "urls": ["http://two", "http://three"]}]))
        await until(lambda: "three" in house.manager.notified)
        house.world = FINE
        running_one.wake()
        await until(lambda: {one["endsAt"] for one in house.manager.notified["three"][-1]} == {"2026-11-22T10:00:00Z"})
        # Who is no longer named hears nothing more: what fires there ends by its endsAt.
        assert len(house.manager.notified["one"]) == told
        assert running_one.statistics()["am"].failures == {}


async def test_a_hanging_alertmanager_is_in_nobodys_way(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch, channels=[AM, HOOK])
    house.manager.gate.clear()
    async with running(house) as running_one:
        await until(lambda: len(house.hook.got) == 1)
        house.world = FINE
        running_one.wake()
        await until(lambda: len(house.hook.got) == 2)
        assert house.manager.notified == {}


async def test_alertmanagers_are_told_when_something_changed_and_each_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch, channels=[AM, HOOK])
    async with running(house) as running_one:
        await until(lambda: len(house.manager.notified.get("one", [])) == 1)
        for _ in range(3):
            turns = len(house.hook.tried)
            running_one.wake()
            await asyncio.sleep(0.02)
        assert len(house.manager.notified["one"]) == 1
        assert turns == 1
    monkeypatch.setattr(alertmanager_publisher, "PUBLISH_EVERY", 0.05)
    house.notifier = house.another(channels=[AM])
    async with running(house):
        await until(lambda: len(house.manager.notified["one"]) > 3)


async def test_a_timers_alerts_outlive_the_gap_and_are_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    house = House(monkeypatch, tmp_path, channels=[AM], interval="10m")
    assert await house.notifier.once() is True
    await house.notifier.stop()
    fired = house.manager.notified["one"][0]
    assert {one["endsAt"] for one in fired} == {"2026-11-22T10:20:00Z"}  # two intervals, never less than the daemon's
    assert ENDS_AFTER < 20 * 60

    house.now, house.world = NOW + 600, FINE
    house.notifier = house.another(channels=[AM])
    assert await house.notifier.once() is True
    await house.notifier.stop()
    ended = house.manager.notified["one"][1]
    assert [one["labels"] for one in ended] == [one["labels"] for one in fired]
    assert {one["endsAt"] for one in ended} == {"2026-11-22T10:10:00Z"}


# --- planting ----------------------------------------------------------------------------------


async def test_deadlines_are_planted_beside_the_news_and_taken_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    house = House(monkeypatch, tmp_path, channels=[PHONE])
    house.world = world(P(ends=NOW + 12 * HOUR))
    async with running(house):
        await until(lambda: len(house.ntfy.published) == 2)
    assert [float(one["delay"]) for one in house.ntfy.delayed] == [NOW + 12 * HOUR + GRACE]
    assert [one["title"] for one in house.ntfy.phone.values()] == ["anthropic:default expires in 12 h on home"]

    # Restarted: what is planted stays so until all is looked at, and is not planted again.
    house.now, seen = NOW + 60, house.world
    house.world, house.notifier = None, house.another()
    async with running(house) as running_one:
        await until(lambda: running_one.holds_lock)
        house.world = seen
        running_one.wake()
        await until(lambda: running_one._planted_at == house.now and not running_one._aside)
        assert (len(house.ntfy.published), len(house.ntfy.delayed)) == (2, 1)
        # Its topic changes: what is planted there is taken back, and planted at the new one.
        await running_one.reconfigure(house.config(channels=[{**PHONE, "topic": "other"}]))
        await until(lambda: [one["topic"] for one in house.ntfy.delayed] == ["other"])
        house.world, running_one._planted_at = FINE, None
        running_one.wake()
        await until(lambda: not house.ntfy.delayed)


async def test_a_timer_plants_too_and_gives_itself_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    house = House(monkeypatch, tmp_path, channels=[PHONE], interval="1h")
    house.world = world(P(ends=NOW + DAY))
    assert await house.notifier.once() is True
    await house.notifier.stop()
    assert [float(one["delay"]) for one in house.ntfy.delayed] == [NOW + DAY + 2 * HOUR]


async def test_planting_that_fails_is_in_nobodys_way(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch, channels=[PHONE, HOOK])
    house.world, house.ntfy.burst = world(P(ends=NOW + HOUR)), 0
    async with running(house) as running_one:
        await until(lambda: len(house.hook.got) == 1)
        await until(lambda: running_one.outbox.statistics()["phone"].failures)


# --- turns -------------------------------------------------------------------------------------


async def test_what_is_held_back_is_not_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    night = {"from": "00:00", "to": "23:59", "timezone": "UTC"}
    house = House(monkeypatch, channels=[{**HOOK, "quiet_hours": night}, {**HOOK, "name": "silenced"}])
    async with running(house) as running_one:
        running_one.outbox.add_silence({"target": "home"}, NOW + HOUR, "", NOW)
        house.world = world(P(ends=NOW - HOUR), P("anthropic:b", ends=NOW - HOUR, secret="b"))
        await until(lambda: len(running_one.states()) == 3)
        await running_one.settled()  # the turn is over only when it has counted, a moment after the states
        said = running_one.statistics()
        assert {name: (one.pending, one.oldest_pending) for name, one in said.items()} == {
            "hook": (0, None),
            "silenced": (0, None),
        }
        assert house.hook.tried == []


async def test_a_fault_of_ours_does_not_end_the_alarm(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(monkeypatch)
    good, faults = lifecycle.advance, [ValueError("PLANTED-SECRET")]

    def advance(*given: Any) -> Any:
        if faults:
            raise faults.pop()
        return good(*given)

    monkeypatch.setattr(lifecycle, "advance", advance)
    async with running(house) as running_one:
        await until(lambda: running_one.problem is not None)
        assert running_one.problem == "an error of the exporter's own: ValueError"
        running_one.wake()
        await until(lambda: len(house.hook.got) == 1)
        await until(lambda: running_one.problem is None)
    assert "PLANTED-SECRET" not in caplog.text


async def test_after_a_long_turn_there_is_a_breather(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch)
    monkeypatch.setattr(notifier, "BREATHER", 1000.0)
    monkeypatch.setattr(notifier, "LONGEST_BREATHER", 0.4)
    turns, good = [], lifecycle.advance

    def advance(*given: Any) -> Any:
        turns.append(1)
        return good(*given)

    monkeypatch.setattr(lifecycle, "advance", advance)
    async with running(house) as running_one:
        await until(lambda: turns)
        for _ in range(20):
            running_one.wake()
            await asyncio.sleep(0.001)
        assert len(turns) == 1
        await until(lambda: len(turns) == 2)  # and what came meanwhile is looked at after it


async def test_deliveries_between_turns_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch)
    house.hook.does = [TemporaryError("timeout")]
    async with running(house) as running_one:
        await until(lambda: len(house.hook.tried) == 1)
        await until(lambda: counted(running_one).failures)


# --- tests and what is shown -------------------------------------------------------------------


async def test_a_test_goes_to_each_channel_with_its_links(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch, channels=[HOOK, PHONE, AM])
    house.hook.does = [TemporaryError("timeout", None, "no answer")]

    def links(action: str, about: Any, channel: str) -> str:
        return f"https://status.test/{action}-{channel}"

    results = await send_test(house.config(), ["hook", "phone", "am"], NOW, links)
    assert results == [("hook", "timeout: no answer"), ("phone", None), ("am", None)]
    (shown,) = house.ntfy.phone.values()
    assert [one["url"] for one in shown["actions"]] == ["https://status.test/acknowledge-phone"]
    assert [one["labels"]["alertname"] for one in house.manager.notified["two"][0]] == ["OpenClawAuthTest"]


async def test_a_message_that_was_given_up_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    from exporter.alerts.channels import PermanentError
    from exporter.alerts.delivery.overview import overview

    house = House(monkeypatch, channels=[HOOK, AM])
    house.hook.does = [PermanentError("http_error", "it answered 404")]
    async with running(house) as running_one:
        await until(lambda: running_one.outbox.undeliverable())
        await until(lambda: counted(running_one).undeliverable)
        shown = await asyncio.to_thread(overview, running_one, NOW)
    hook, manager = shown["channels"]
    (id,) = [one["id"] for one in hook["dead"]]
    assert hook == {
        "name": "hook",
        "type": "webhook",
        "pending": 0,
        "oldest": None,
        "last_success": None,
        "last_proven": None,
        "problem": "http_error: it answered 404",
        "given_up": 1,
        "dead": [
            {
                "id": id,
                "reason": "http_error",
                "made_at": "2026-11-22T10:00:00Z",
                "given_up_at": "2026-11-22T10:00:00Z",
                "what": "No anthropic credential works on home",
            }
        ],
    }
    assert (manager["name"], manager["type"], manager["dead"]) == ("am", "alertmanager", [])
    assert [one["condition"] for one in shown["alerts"]] == ["no_usable_profile", "expired"]
    assert [one["state"] for one in shown["alerts"][0]["notified"]] == ["dead"]
