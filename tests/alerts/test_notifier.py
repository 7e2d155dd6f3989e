"""The notifier: its turns, a reload, the one-shot, and channels that do not delay one another."""

from __future__ import annotations

import asyncio
import json
import threading
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
from exporter.alerts.channels import Channel, ChannelContext, Links, PermanentError, TemporaryError, no_links
from exporter.alerts.channels.alertmanager import ENDS_AFTER, AlertmanagerSender
from exporter.alerts.channels.ntfy import NtfySender
from exporter.alerts.delivery import alertmanager_publisher, notifier, one_shot
from exporter.alerts.delivery.delivery import Senders, settings_of
from exporter.alerts.delivery.notifier import Notifier, ReportSource
from exporter.alerts.delivery.one_shot import notify_once, send_tests
from exporter.alerts.delivery.outbox import open_outbox
from exporter.alerts.delivery.overview import overview
from exporter.alerts.delivery.scheduled_messages import GRACE
from exporter.alerts.delivery.statistics import ChannelStatistics
from exporter.alerts.values import QueuedMessage, fingerprint_of_test
from exporter.config import Config
from exporter.config.channels.alertmanager import AlertmanagerChannel
from exporter.config.channels.ntfy import NtfyChannel
from exporter.model import FailureReason, Report

SPARE = (P("anthropic:spare", ends=NOW + 300 * DAY, secret="spare"),)
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


# --- what was not delivered was not sent --------------------------------------------------------------------


class Refusing(Fake):
    """A channel that refuses everything with ``error`` until it is mended."""

    error: Exception | None = PermanentError(FailureReason.HTTP_ERROR, "404")

    async def send(self, outgoing: QueuedMessage) -> None:
        self.does = [self.error] if self.error is not None else []
        await super().send(outgoing)


async def refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[House, Refusing]:
    """A warning whose first notification was refused for good."""
    house = House(monkeypatch, tmp_path)
    await house.notifier.stop()
    house.hook = hook = Refusing()
    house.world = world(P(ends=NOW + 20 * HOUR), *SPARE)
    await house.timer()
    assert len(hook.tried) == 1
    return house, hook


async def test_warning_whose_first_was_refused_is_sent_once_the_channel_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    house, hook = await refused(monkeypatch, tmp_path)
    for minute in range(5, 350, 30):
        house.now = NOW + 60 * minute
        await house.timer()
    assert len(hook.tried) == 1, "one try per repeat_every"
    house.now = NOW + 6 * HOUR + 1
    await house.timer()
    assert len(hook.tried) == 2
    hook.error, house.now = None, NOW + 12 * HOUR + 2
    await house.timer()
    assert len(hook.got) == 1
    house.now, house.world = NOW + 13 * HOUR, FINE
    await house.timer()
    assert len(hook.got) == 2, "its end goes where it arrived"
    outbox = open_outbox(tmp_path)
    assert [one.at for one in outbox.outcomes().values()] == [house.now], "what the states follow is noted"
    outbox.close()


async def test_end_of_what_never_arrived_is_not_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    house, hook = await refused(monkeypatch, tmp_path)
    hook.error, house.now, house.world = None, NOW + HOUR, FINE
    await house.timer()
    assert len(hook.tried) == 1


async def test_new_settings_of_a_channel_try_again_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    house, hook = await refused(monkeypatch, tmp_path)
    hook.error, house.now = None, NOW + HOUR
    house.rest["channels"] = [{**HOOK, "url": "http://mended.test"}]
    await house.timer()
    assert len(hook.got) == 1


async def test_first_that_waited_for_three_days_is_sent_when_the_channel_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    house, hook = await refused(monkeypatch, tmp_path)
    hook.error = TemporaryError(FailureReason.HTTP_ERROR, "503")
    house.world = world(P(ends=NOW + 30 * DAY, down="billing", down_since=NOW), *SPARE)
    start = NOW + 7 * HOUR
    for hours in range(0, 80, 4):
        house.now = start + hours * HOUR
        await house.timer()
    outbox = open_outbox(tmp_path)
    assert {(one.made_at, one.reason) for one in outbox.undeliverable()} == {(NOW, "http_error"), (start, "http_error")}
    outbox.close()
    hook.error, house.now = None, start + 82 * HOUR
    await house.timer()
    assert len(hook.got) == 1


async def test_first_for_a_removed_channel_is_sent_when_it_is_added_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    house, hook = await refused(monkeypatch, tmp_path)
    for hours, channels in ((1, []), (2, [HOOK])):
        hook.error, house.now, house.rest["channels"] = None, NOW + hours * HOUR, channels
        await house.timer()
    assert len(hook.got) == 1


# --- test notifications -------------------------------------------------------------------------------------


async def test_test_notification_is_sent_acknowledged_and_stored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    house = House(monkeypatch, tmp_path, alerts={"prove_every": "7d", "group_wait": "0s"})
    house.world = None
    test = fingerprint_of_test("hook")
    async with running(house) as notifying:
        await until(lambda: notifying.holds_lock)
        assert house.hook.got == []  # not before every scheduled target was checked
        house.world = FINE
        notifying.wake()
        await until(lambda: house.hook.got == [test])
        assert notifying.statistics()["hook"].last_acknowledged is None
        assert await notifying.acknowledge(test)
        assert not await notifying.acknowledge(fingerprint_of_test("other"))
        await until(lambda: notifying.statistics()["hook"].last_acknowledged == NOW)

    house.now += 6 * DAY
    house.notifier = house.another()
    async with running(house) as notifying:
        notifying.outbox.add_silence({"target": "other"}, house.now + HOUR, "", house.now)
        notifying.wake()
        await until(lambda: notifying.silences == 1)  # after a turn
        assert len(house.hook.tried) == 1
        house.now += 15 * DAY  # two became due while it was down
        notifying.wake()
        await until(lambda: house.hook.got == [test, test])


def test_every_channel_has_statistics_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = House(monkeypatch, channels=[HOOK, AM]).notifier
    assert fresh.statistics() == {"hook": ChannelStatistics(), "am": ChannelStatistics()}
    fresh.outbox.close()


# --- Alertmanager ------------------------------------------------------------------------------


async def test_reload_changes_the_instances_and_still_ends_alerts(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch, channels=[AM])
    async with running(house) as notifying:
        await until(lambda: house.manager.notified.keys() == {"one", "two"})
        sent = len(house.manager.notified["one"])
        await notifying.reconfigure(house.config(channels=[{**AM, "urls": ["http://two", "http://three"]}]))
        await until(lambda: "three" in house.manager.notified)
        house.world = FINE
        notifying.wake()
        await until(
            lambda: {item["endsAt"] for item in house.manager.notified["three"][-1]} == {"2026-11-22T10:00:00Z"}
        )
        # A removed instance is sent nothing more: its alerts end by their endsAt.
        assert len(house.manager.notified["one"]) == sent
        assert notifying.statistics()["am"].failures == {}


async def test_hanging_alertmanager_delays_no_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch, channels=[AM, HOOK])
    house.manager.gate.clear()
    async with running(house) as notifying:
        await until(lambda: len(house.hook.got) == 1)
        house.world = FINE
        notifying.wake()
        await until(lambda: len(house.hook.got) == 2)
        assert house.manager.notified == {}


async def test_alertmanager_is_sent_the_state_at_a_change_and_every_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch, channels=[AM, HOOK])
    async with running(house) as notifying:
        await until(lambda: len(house.manager.notified.get("one", [])) == 1)
        for _ in range(3):
            turns = len(house.hook.tried)
            notifying.wake()
            await asyncio.sleep(0.02)
        assert len(house.manager.notified["one"]) == 1
        assert turns == 1
    monkeypatch.setattr(alertmanager_publisher, "PUBLISH_EVERY", 0.05)
    house.notifier = house.another(channels=[AM])
    async with running(house):
        await until(lambda: len(house.manager.notified["one"]) > 3)


async def test_alerts_of_a_timer_outlast_its_interval_and_are_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    house = House(monkeypatch, tmp_path, channels=[AM], interval="10m")
    await house.notifier.stop()
    assert await house.timer() is True
    fired = house.manager.notified["one"][0]
    assert {item["endsAt"] for item in fired} == {"2026-11-22T10:20:00Z"}  # two intervals, never less than the daemon's
    assert ENDS_AFTER < 20 * 60

    house.now, house.world = NOW + 600, FINE
    assert await house.timer() is True
    ended = house.manager.notified["one"][1]
    assert [item["labels"] for item in ended] == [item["labels"] for item in fired]
    assert {item["endsAt"] for item in ended} == {"2026-11-22T10:10:00Z"}


# --- scheduled messages ----------------------------------------------------------------------------------


async def test_deadlines_are_scheduled_and_cancelled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    house = House(monkeypatch, tmp_path, channels=[PHONE])
    house.world = world(P(ends=NOW + 12 * HOUR))
    async with running(house):
        await until(lambda: len(house.ntfy.published) == 2)
    assert [float(one["delay"]) for one in house.ntfy.delayed] == [NOW + 12 * HOUR + GRACE]
    assert [item["title"] for item in house.ntfy.phone.values()] == ["anthropic:default expires in 12 h on home"]

    # After a restart, scheduled messages stay until every target is checked, and are not scheduled again.
    house.now, seen = NOW + 60, house.world
    house.world, house.notifier = None, house.another()
    async with running(house) as notifying:
        await until(lambda: notifying.holds_lock)
        house.world = seen
        notifying.wake()
        scheduled = notifying._delivery.scheduled
        await until(lambda: scheduled._updated_at == house.now and not scheduled.is_busy)
        assert (len(house.ntfy.published), len(house.ntfy.delayed)) == (2, 1)
        # The topic changes: the message is cancelled at the old one and scheduled at the new one.
        await notifying.reconfigure(house.config(channels=[{**PHONE, "topic": "other"}]))
        await until(lambda: [item["topic"] for item in house.ntfy.delayed] == ["other"])
        await until(lambda: not notifying._delivery.scheduled.is_busy)
        house.world, notifying._delivery.scheduled._updated_at = FINE, None
        notifying.wake()
        await until(lambda: not house.ntfy.delayed)


async def test_timer_schedules_messages_for_after_its_next_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    house = House(monkeypatch, tmp_path, channels=[PHONE], interval="1h")
    house.world = world(P(ends=NOW + DAY))
    await house.notifier.stop()
    assert await house.timer() is True
    assert [float(one["delay"]) for one in house.ntfy.delayed] == [NOW + DAY + 2 * HOUR]


async def test_failure_to_schedule_delays_no_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch, channels=[PHONE, HOOK])
    house.world, house.ntfy.burst = world(P(ends=NOW + HOUR)), 0
    async with running(house) as notifying:
        await until(lambda: len(house.hook.got) == 1)
        await until(lambda: notifying.outbox.statistics()["phone"].failures)


# --- turns -------------------------------------------------------------------------------------


async def test_suppressed_alert_is_not_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    night = {"from": "00:00", "to": "23:59", "timezone": "UTC"}
    house = House(monkeypatch, channels=[{**HOOK, "quiet_hours": night}, {**HOOK, "name": "silenced"}])
    async with running(house) as notifying:
        notifying.outbox.add_silence({"target": "home"}, NOW + HOUR, "", NOW)
        house.world = world(P(ends=NOW - HOUR), P("anthropic:b", ends=NOW - HOUR, secret="b"))
        await until(lambda: len(notifying.states()) == 3)
        await notifying.wait_until_idle()  # a turn ends with its statistics, a moment after the states
        statistics = notifying.statistics()
        assert {name: (one.pending, one.oldest_pending) for name, one in statistics.items()} == {
            "hook": (0, None),
            "silenced": (0, None),
        }
        assert house.hook.tried == []


async def test_turn_that_hangs_is_a_problem_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch)
    monkeypatch.setattr(notifier, "TURN_HANGS", 0.0)
    good, began, go_on = lifecycle.advance, threading.Event(), threading.Event()

    def advance(*given: Any) -> Any:
        began.set()
        go_on.wait(30)
        return good(*given)

    monkeypatch.setattr(lifecycle, "advance", advance)
    async with running(house) as notifying:
        await until(began.is_set)
        assert str(notifying.problem).startswith("evaluating alerts has not ended for ")
        go_on.set()
        await until(lambda: notifying.problem is None)


@pytest.mark.parametrize("error", [ValueError("PLANTED-SECRET"), asyncio.CancelledError()])
async def test_internal_error_does_not_end_the_notifications(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(monkeypatch)
    good, faults = lifecycle.advance, [error]

    def advance(*given: Any) -> Any:
        if faults:
            raise faults.pop()
        return good(*given)

    monkeypatch.setattr(lifecycle, "advance", advance)
    monkeypatch.setattr("exporter.lib.supervisor.FIRST_PAUSE", 0.1)
    async with running(house) as notifying:
        await until(lambda: notifying.problem is not None)
        assert notifying.problem == f"Internal error while evaluating alerts ({type(error).__name__})"
        await until(lambda: len(house.hook.got) == 1)
        await until(lambda: notifying.problem is None)
    assert "PLANTED-SECRET" not in caplog.text


async def test_long_turn_is_followed_by_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch)
    monkeypatch.setattr(notifier, "TURN_GAP", 1000.0)
    monkeypatch.setattr(notifier, "MAX_TURN_GAP", 0.4)
    turns, good = [], lifecycle.advance

    def advance(*given: Any) -> Any:
        turns.append(1)
        return good(*given)

    monkeypatch.setattr(lifecycle, "advance", advance)
    async with running(house) as notifying:
        await until(lambda: turns)
        for _ in range(20):
            notifying.wake()
            await asyncio.sleep(0.001)
        assert len(turns) == 1
        await until(lambda: len(turns) == 2)  # and evaluates what came meanwhile


async def test_tries_between_turns_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch)
    house.hook.does = [TemporaryError("timeout")]
    async with running(house) as notifying:
        await until(lambda: len(house.hook.tried) == 1)
        await until(lambda: counted(notifying).failures)


# --- tests and what is shown -------------------------------------------------------------------


async def test_notify_test_reaches_each_channel_with_its_links(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch, channels=[HOOK, PHONE, AM])
    house.hook.does = [TemporaryError("timeout", "no answer")]

    def links(action: str, about: Any, channel: str) -> str:
        return f"https://status.test/{action}-{channel}"

    results = await send_tests(house.config(), ["hook", "phone", "am"], NOW, links)
    assert results == [("hook", "timeout: no answer"), ("phone", None), ("am", None)]
    (shown,) = house.ntfy.phone.values()
    assert [item["url"] for item in shown["actions"]] == ["https://status.test/acknowledge-phone"]
    assert [one["labels"]["alertname"] for one in house.manager.notified["two"][0]] == ["OpenClawAuthTest"]


async def test_reload_reads_secrets_outside_of_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    house, threads = House(monkeypatch, channels=[HOOK]), set[int]()

    def build_senders(config: Config, links: Links) -> Senders:
        threads.add(threading.get_ident())
        return house.build_senders(config, links)

    async with running(house) as notifying:
        monkeypatch.setattr(notifier, "build_senders", build_senders)
        await notifying.reconfigure(house.config())
    assert threads
    assert threading.get_ident() not in threads


async def test_undeliverable_message_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch, channels=[HOOK, AM])
    house.hook.does = [PermanentError("http_error", "answered 404")]
    async with running(house) as notifying:
        await until(lambda: notifying.outbox.undeliverable())
        await until(lambda: counted(notifying).undeliverable)
        shown = overview(await notifying.status(), NOW)
    hook, manager = shown["channels"]
    (id,) = [item["id"] for item in hook["dead"]]
    assert hook == {
        "name": "hook",
        "type": "webhook",
        "pending": 0,
        "oldest": None,
        "last_success": None,
        "last_proven": None,
        "problem": "http_error: answered 404",
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
    assert [item["condition"] for item in shown["alerts"]] == ["no_usable_profile", "expired"]
    assert [item["state"] for item in shown["alerts"][0]["notified"]] == ["dead"]


async def test_title_names_the_agent_if_its_target_has_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    house = House(monkeypatch, tmp_path, channels=[PHONE])
    await house.notifier.stop()
    house.ntfy.burst = 1000
    alone: dict[str, tuple[P, ...]] = {"main": (P(ends=NOW),)}
    for agents in (alone, {**alone, "work": (P(ends=NOW + 30 * DAY, secret="own"),)}):
        house.world = World(agents)
        house.now += HOUR
        await house.timer()
        house.now, house.world = house.now + HOUR, World({**agents, "main": (P(ends=NOW + 60 * DAY, secret="new"),)})
        await house.timer()
    titles = [message["title"].rpartition(" on ")[2] for message in house.ntfy.published]
    assert titles == ["home", "home", "home/main", "home/main"]
