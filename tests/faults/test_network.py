"""No network for two days, servers that ask for patience or refuse: nothing is lost, nothing is told twice."""

from __future__ import annotations

import email.utils
import time
from dataclasses import replace
from pathlib import Path

import pytest
from alerts.worlds import DAY, HOUR, MINUTE, NOW, P, world

from exporter.alerts.delivery.worker import MAX_PAUSE

from .servers import BadServer, nobody, saying
from .worlds import Setting, config, webhook

#: Another one serves its provider, so that its expiry is a warning.
SOON = P("anthropic:soon", ends=NOW + DAY - MINUTE, secret="1")
OTHER = P("anthropic:other", ends=NOW + 300 * DAY, secret="2")


def story(server: BadServer, path: str) -> list[tuple[str | None, str, str]]:
    """What was told at a path, in order: profile, reason, condition."""
    alerts = [alert for body in server.received(path) for alert in body["alerts"]]
    return [(alert["profile"], alert["reason"], alert["condition"]) for alert in alerts]


async def test_two_days_without_a_network(tmp_path: Path) -> None:
    """A timer looks every hour; one channel is reached, one is not. When the network is back, the one that
    could not be reached hears what counts, in order and once: reminders and repeats that are behind us are dropped."""
    with BadServer() as server:
        with nobody() as port:
            made = config(webhook(server.url + "/good", "good"), webhook(f"http://127.0.0.1:{port}/late", "late"))
            setting = Setting(tmp_path, made, world(SOON, OTHER))
            for _ in range(48):
                await setting.timer()
                setting.clock.now += HOUR
                if setting.clock.now == NOW + 36 * HOUR:  # renewed meanwhile
                    setting.world = world(replace(SOON, ends=NOW + 365 * DAY, secret="3"), OTHER)
                if setting.clock.now == NOW + 40 * HOUR:  # and something else is wrong
                    setting.world = replace(
                        setting.world,
                        agents={"main": (*setting.world.agents["main"], P("openai:b", ends=NOW + 41 * HOUR))},
                    )
            assert story(server, "good") == [
                (SOON.id, "first", "expiring"),
                (SOON.id, "reminder", "expiring"),  # 6 h
                (SOON.id, "reminder", "expiring"),  # 1 h
                (SOON.id, "escalated", "expired"),
                (SOON.id, "renewed", "expired"),
                ("openai:b", "first", "expiring"),
                (None, "escalated", "no_usable_profile"),
                (None, "repeat", "no_usable_profile"),  # 6 h later
            ]
            notifier = setting.notifier()
            statistics = notifier.outbox.statistics()["late"]
            waiting = [o.id for o in notifier.outbox.due("late", NOW + 3 * DAY)]
            await notifier.stop()
            assert server.received("late") == []
            assert (statistics.undeliverable, statistics.last_success) == (0, None)
            assert statistics.failures == {"connection": statistics.attempts}
        with BadServer(port=port) as back:
            setting.clock.now += MAX_PAUSE
            assert await setting.timer()
    late = story(back, "late")
    assert [told[1:] for told in late if told[0] == SOON.id] == [
        ("first", "expiring"),
        ("escalated", "expired"),
        ("renewed", "expired"),
    ]
    assert [told for told in late if told[0] != SOON.id] == [
        ("openai:b", "first", "expiring"),
        (None, "escalated", "no_usable_profile"),
        (None, "repeat", "no_usable_profile"),
    ]
    assert len(late) == 6
    assert [body["id"] for body in back.received("late")][: len(waiting)] == waiting, "under the ids they had"


@pytest.mark.parametrize(
    ("status", "header", "at_least", "at_most"),
    [
        (429, "Retry-After: 90", 90.0, 90.0),
        (429, "Retry-After: {date}", 4000.0, 5000.0),
        (503, "Retry-After: 40", 40.0, 40.0),
        (503, "X-Nothing: 1", 1.6, 2.4),
        (408, "X-Nothing: 1", 1.6, 2.4),
        (500, "X-Nothing: 1", 1.6, 2.4),
    ],
    ids=["429 seconds", "429 a date", "503 seconds", "503", "408", "500"],
)
async def test_patience_that_was_asked_for(
    tmp_path: Path, status: int, header: str, at_least: float, at_most: float
) -> None:
    header = header.format(date=email.utils.formatdate(time.time() + 5000, usegmt=True))
    with BadServer({"hook": saying(status, header)}) as server:
        setting = Setting(tmp_path, config(webhook(server.url + "/hook")), world(SOON))
        assert not await setting.timer()
        notifier = setting.notifier()
        due = notifier.outbox.next_due("hook")
        await notifier.stop()
        assert due is not None
        assert at_least <= due - NOW <= at_most
        server.recover()
        setting.clock.now = due - 0.1
        assert not await setting.timer(), "it waits"
        setting.clock.now = due
        assert await setting.timer()
    first, second = server.received("hook")
    assert first["id"] == second["id"]
    assert first["alerts"] == second["alerts"]


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 413])
async def test_what_only_a_person_can_mend_is_given_up_in_sight_and_what_follows_is_told(
    tmp_path: Path, status: int
) -> None:
    with BadServer({"hook": saying(status, "Location: /elsewhere")}) as server:
        setting = Setting(tmp_path, config(webhook(server.url + "/hook")), world(SOON, OTHER))
        assert not await setting.timer()
        setting.clock.now += HOUR
        assert await setting.timer(), "nothing waits"
        assert len(server.received("hook")) == 1
        assert server.received("elsewhere") == []
        server.recover()
        setting.clock.now = NOW + DAY
        assert await setting.timer()
        assert server.reasons("hook") == ["first", "first"], "what did not arrive was not sent"
        notifier = setting.notifier()
        assert [(one.channel, one.alerts) for one in notifier.outbox.undeliverable()] == [("hook", 1)]
        assert notifier.outbox.statistics()["hook"].undeliverable == 1
        await notifier.stop()
