"""The notifier: its turns, a reload, the one-shot, and channels that do not delay one another."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from alerts.notifying import AM, FINE, HOOK, PHONE, House, counted, running
from alerts.worlds import DAY, HOUR, NOW, P, World, world
from exporter.alerts import lifecycle
from exporter.alerts.channels import Links, PermanentError, TemporaryError
from exporter.alerts.channels.alertmanager import ENDS_AFTER
from exporter.alerts.delivery import alertmanager_publisher, notifier
from exporter.alerts.delivery.delivery import Senders
from exporter.alerts.delivery.one_shot import send_tests
from exporter.alerts.delivery.overview import overview
from exporter.alerts.delivery.scheduled_messages import GRACE
from exporter.alerts.delivery.statistics import ChannelStatistics
from exporter.alerts.values import fingerprint_of_test
from exporter.config import Config

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
