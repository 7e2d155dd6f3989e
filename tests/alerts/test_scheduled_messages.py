"""Planting: what a server is to ring for should we be dead, and that it is kept so, whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from alerts.worlds import DAY, HOUR, NOW, Life, P, World, policy, world
from exporter.alerts.channels import Channel, PermanentError, ScheduledMessage, TemporaryError
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.delivery.scheduled_messages import GRACE, MOST, PAUSE, AsOf, ScheduledMessages, passed, plan
from exporter.alerts.lifecycle.policy import ChannelPolicy, QuietPeriod, Silence
from exporter.alerts.values import QueuedMessage
from exporter.model import ConditionName, Report, Severity

REACH = 3 * DAY
PHONE = ChannelPolicy("phone")
RULES = policy(PHONE)
SPARE = P("anthropic:spare", ends=NOW + 300 * DAY, secret="spare")


def as_of(*worlds: World) -> AsOf:
    there = {one.target: one for one in worlds}
    return lambda target, at: Report(at, (there[target].report(at),))


def report(*worlds: World) -> Report:
    return Report(NOW, tuple(one.report(NOW) for one in worlds))


def planned(
    *worlds: World, channel: ChannelPolicy = PHONE, grace: float = GRACE, **changes: Any
) -> list[ScheduledMessage]:
    rules = replace(RULES, **changes)
    ended = passed({}, report(*worlds), as_of(*worlds), rules, NOW, REACH)
    return plan(ended, rules, channel, NOW, REACH, grace)


def test_every_deadline_within_reach_is_planted_as_it_will_be_told() -> None:
    far, gone = P("anthropic:far", ends=NOW + 4 * DAY, secret="f"), P("openai:gone", ends=NOW - HOUR, secret="g")
    home = world(P(ends=NOW + 2 * DAY), far, gone)
    # No reminder step has passed, so no alert is there yet.
    (one,) = planned(home, remind_before=())
    assert one.deliver_at == NOW + 2 * DAY + GRACE
    assert (one.alert.condition, one.alert.severity, one.alert.profile) == (
        ConditionName.EXPIRED,
        Severity.WARNING,  # the other one still serves
        "anthropic:default",
    )
    # It is the alert that will be told, should we live.
    life = Life(RULES)
    life.at(NOW, home)
    (told,) = {s.fingerprint for s in life.states.values() if s.subject.profile == "anthropic:default"}
    assert one.alert.fingerprint == told


def test_what_the_channel_would_not_be_told_is_not_planted() -> None:
    home = world(P(ends=NOW + HOUR), SPARE)
    assert [one.alert.severity for one in planned(home)] == [Severity.WARNING]
    assert planned(home, channel=ChannelPolicy("pager", Severity.CRITICAL)) == []
    assert planned(home, silences=(Silence("1", {"profile": "anthropic:default"}, NOW + DAY),)) == []
    # One that ends before it would ring holds nothing back.
    assert len(planned(home, silences=(Silence("1", {"profile": "anthropic:default"}, NOW + HOUR),))) == 1


def test_it_does_not_ring_at_night_nor_before_it_has_climbed() -> None:
    night = QuietPeriod(22 * 60, 7 * 60, ZoneInfo("UTC"), Severity.CRITICAL)
    phone, midnight = replace(PHONE, quiet=night), NOW + 14 * HOUR
    (late,) = planned(world(P(ends=midnight), SPARE), channel=phone)
    assert late.deliver_at == NOW + 21 * HOUR  # 07:00
    (critical,) = planned(world(P(ends=midnight)), channel=phone)
    assert critical.deliver_at == midnight + GRACE
    (second,) = planned(world(P(ends=midnight)), channel=ChannelPolicy("second", step=1), escalate_after=HOUR)
    assert second.deliver_at == midnight + GRACE + HOUR


def test_the_soonest_are_planted_and_a_timers_come_later() -> None:
    many = world(*(P(f"anthropic:{n}", ends=NOW + HOUR + n, secret=str(n)) for n in range(MOST + 5)))
    assert [one.alert.profile for one in planned(many)] == [f"anthropic:{n}" for n in range(MOST)]
    (one,) = planned(world(P(ends=NOW + HOUR)), grace=2 * HOUR)
    assert one.deliver_at == NOW + 3 * HOUR


# --- keeping it so -----------------------------------------------------------------------------


class Server:
    """A channel that can plant, and does what it is told first."""

    max_delay = REACH

    def __init__(self, *does: Exception) -> None:
        self.name = "phone"
        self.does = list(does)
        self.given: list[list[float]] = []

    async def send(self, outgoing: QueuedMessage) -> None:
        raise AssertionError

    async def schedule(
        self, planned: Iterable[ScheduledMessage], now: float, planted: MutableMapping[str, float]
    ) -> None:
        wanted = {one.alert.fingerprint: one.deliver_at for one in planned}
        self.given.append(sorted(wanted.values()))
        for name in planted.keys() - wanted.keys():
            del planted[name]
        for name, at in wanted.items():
            planted[name] = 0.0
            if self.does:
                raise self.does.pop(0)
            planted[name] = at


class Keeping:
    def __init__(self, path: Path, *does: Exception) -> None:
        self.now = NOW
        self.outbox = Outbox(path / "alerts.sqlite", lambda: self.now)
        self.server = Server(*does)
        channels: dict[str, Channel] = {"phone": self.server}
        self.planter = ScheduledMessages(self.outbox, channels, lambda: self.now)

    async def keep(self, *worlds: World) -> None:
        await self.planter.keep({}, report(*worlds), as_of(*worlds), RULES)


async def test_what_is_planted_is_written_down_before_and_after(tmp_path: Path) -> None:
    keeping = Keeping(tmp_path, TemporaryError("timeout", 5.0, "no answer"))
    home = world(P(ends=NOW + HOUR))
    await keeping.keep(home)
    (name,) = keeping.outbox.scheduled("phone")
    assert keeping.outbox.scheduled("phone") == {name: 0.0}  # it may ring
    assert keeping.outbox.statistics()["phone"].failures == {"timeout": 1}

    await keeping.keep(home)
    assert len(keeping.server.given) == 1  # left alone for a while
    keeping.now += PAUSE / 10
    await keeping.keep(home)
    assert keeping.outbox.scheduled("phone") == {name: NOW + HOUR + GRACE}

    keeping.outbox.close()
    keeping = Keeping(tmp_path)
    await keeping.keep(world(P(ends=NOW + 300 * DAY)))
    assert (keeping.server.given, keeping.outbox.scheduled("phone")) == ([[]], {})


async def test_what_goes_wrong_is_counted_and_nothing_more(tmp_path: Path) -> None:
    keeping = Keeping(tmp_path, PermanentError("unauthorized", "no"), RuntimeError("PLANTED-SECRET"))
    home = world(P(ends=NOW + HOUR))
    await keeping.keep(home)
    keeping.now += PAUSE
    await keeping.keep(home)
    assert keeping.outbox.statistics()["phone"].failures == {"other": 1, "unauthorized": 1}
    assert keeping.outbox.statistics()["phone"].attempts == 2


async def test_a_channel_that_is_gone_is_cleared(tmp_path: Path) -> None:
    keeping = Keeping(tmp_path)
    await keeping.keep(world(P(ends=NOW + HOUR)))
    await asyncio.gather(keeping.planter.withdraw(["phone", "other"]))
    assert (keeping.server.given[-1], keeping.outbox.scheduled("phone")) == ([], {})
