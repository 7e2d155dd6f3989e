"""Scheduled messages: which deadlines a server delivers on its own, and that it is kept so, whatever fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from waiting import until

from alerts.worlds import DAY, HOUR, NOW, Life, P, World, policy, world
from exporter.alerts.channels import Channel, PermanentError, ScheduledMessage, TemporaryError
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.delivery.scheduled_messages import (
    GRACE,
    MAX_SCHEDULED,
    PAUSE,
    AsOf,
    ScheduledMessages,
    needed_later,
    passed_deadlines,
    plan,
)
from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy, QuietPeriod, Silence
from exporter.alerts.values import QueuedMessage
from exporter.model import ConditionName, Report, Severity

MAX_DELAY = 3 * DAY
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
    passed = passed_deadlines({}, report(*worlds), as_of(*worlds), rules, NOW, MAX_DELAY)
    return plan(passed, rules, channel, NOW, MAX_DELAY, grace)


def test_deadline_within_max_delay_is_scheduled_as_it_will_be_notified() -> None:
    far, gone = P("anthropic:far", ends=NOW + 4 * DAY, secret="f"), P("openai:gone", ends=NOW - HOUR, secret="g")
    home = world(P(ends=NOW + 2 * DAY), far, gone)
    # No reminder step was reached, so there is no alert yet.
    (one,) = planned(home, remind_before=())
    assert one.deliver_at == NOW + 2 * DAY + GRACE
    assert (one.alert.condition, one.alert.severity, one.alert.profile) == (
        ConditionName.EXPIRED,
        Severity.WARNING,  # the other one still serves
        "anthropic:default",
    )
    # A running exporter notifies of the same alert.
    life = Life(RULES)
    life.at(NOW, home)
    (notified,) = {s.fingerprint for s in life.states.values() if s.subject.profile == "anthropic:default"}
    assert one.alert.fingerprint == notified


def test_alert_that_the_channel_would_not_be_sent_is_not_scheduled() -> None:
    home = world(P(ends=NOW + HOUR), SPARE)
    assert [one.alert.severity for one in planned(home)] == [Severity.WARNING]
    assert planned(home, channel=ChannelPolicy("pager", Severity.CRITICAL)) == []
    assert planned(home, silences=(Silence("1", {"profile": "anthropic:default"}, NOW + DAY),)) == []
    # A silence that ends before the delivery suppresses nothing.
    assert len(planned(home, silences=(Silence("1", {"profile": "anthropic:default"}, NOW + HOUR),))) == 1


def test_delivery_waits_for_the_end_of_quiet_hours_and_for_escalation() -> None:
    night = QuietPeriod(22 * 60, 7 * 60, ZoneInfo("UTC"), Severity.CRITICAL)
    phone, midnight = replace(PHONE, quiet=night), NOW + 14 * HOUR
    (late,) = planned(world(P(ends=midnight), SPARE), channel=phone)
    assert late.deliver_at == NOW + 21 * HOUR  # 07:00
    (critical,) = planned(world(P(ends=midnight)), channel=phone)
    assert critical.deliver_at == midnight + GRACE
    (second,) = planned(world(P(ends=midnight)), channel=ChannelPolicy("second", step=1), escalate_after=HOUR)
    assert second.deliver_at == midnight + GRACE + HOUR


def test_soonest_deadlines_are_scheduled_and_those_of_a_timer_later() -> None:
    many = world(*(P(f"anthropic:{n}", ends=NOW + HOUR + n, secret=str(n)) for n in range(MAX_SCHEDULED + 5)))
    assert [one.alert.profile for one in planned(many)] == [f"anthropic:{n}" for n in range(MAX_SCHEDULED)]
    (one,) = planned(world(P(ends=NOW + HOUR)), grace=2 * HOUR)
    assert one.deliver_at == NOW + 3 * HOUR


def test_delivered_message_is_needed_until_its_alert_is_notified_silenced_or_over() -> None:
    life = Life(RULES)
    home = world(P(ends=NOW + HOUR))
    life.at(NOW, home)

    def names(rules: AlertPolicy = RULES) -> set[str]:
        return set(needed_later(life.states, rules, PHONE, NOW + 2 * HOUR))

    assert names() == set(), "notified"
    life.states = {key: replace(state, notified={}) for key, state in life.states.items()}
    assert names() == {f"d-{state.fingerprint}" for state in life.states.values()}
    assert names(replace(RULES, silences=(Silence("1", {"target": "home"}, NOW + DAY),))) == set()
    life.states = {key: replace(state, firing=False) for key, state in life.states.items()}
    assert names() == set(), "over"


# --- keeping the servers as planned -----------------------------------------------------------------------------


class Server:
    """A channel that schedules messages, and raises the given errors first. ``messages``: name to delivery time."""

    max_delay = MAX_DELAY

    def __init__(self, *does: Exception) -> None:
        self.name = "phone"
        self.does = list(does)
        self.messages: dict[str, float] = {}
        self.tries = 0

    async def send(self, outgoing: QueuedMessage) -> None:
        raise AssertionError

    async def can_cancel(self, name: str) -> bool:
        return True

    async def schedule(self, name: str, message: ScheduledMessage) -> None:
        self.tries += 1
        if self.does:
            raise self.does.pop(0)
        self.messages[name] = message.deliver_at

    async def cancel(self, name: str) -> None:
        self.messages.pop(name, None)


class Scheduling:
    """Scheduled messages over an outbox and a server."""

    def __init__(self, path: Path, *does: Exception, server: Server | None = None) -> None:
        self.now = NOW
        self.outbox = Outbox(path / "alerts.sqlite", lambda: self.now)
        self.server = server or Server(*does)
        channels: dict[str, Channel] = {"phone": self.server}
        self.messages = ScheduledMessages(self.outbox, channels, lambda: self.now)

    async def update(self, *worlds: World) -> None:
        await self.messages.update({}, report(*worlds), as_of(*worlds), RULES)


async def test_schedule_is_stored_before_and_after_each_request(tmp_path: Path) -> None:
    scheduling = Scheduling(tmp_path, TemporaryError("timeout", "no answer", 5.0))
    home = world(P(ends=NOW + HOUR))
    await scheduling.update(home)
    (name,) = scheduling.outbox.scheduled("phone")
    assert scheduling.outbox.scheduled("phone") == {name: 0.0}  # it may be delivered
    assert scheduling.outbox.statistics()["phone"].failures == {"timeout": 1}

    await scheduling.update(home)
    assert scheduling.server.tries == 1  # left alone for a while
    scheduling.now += PAUSE / 10
    await scheduling.update(home)
    assert scheduling.outbox.scheduled("phone") == scheduling.server.messages == {name: NOW + HOUR + GRACE}

    scheduling.outbox.close()
    scheduling = Scheduling(tmp_path, server=scheduling.server)
    await scheduling.update(world(P(ends=NOW + 300 * DAY)))
    assert (scheduling.server.messages, scheduling.outbox.scheduled("phone")) == ({}, {})


async def test_failures_are_counted_and_reveal_no_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scheduling = Scheduling(tmp_path, PermanentError("unauthorized", "no"), RuntimeError("PLANTED-SECRET"))
    home = world(P(ends=NOW + HOUR))
    await scheduling.update(home)
    scheduling.now += PAUSE
    await scheduling.update(home)
    assert scheduling.outbox.statistics()["phone"].failures == {"other": 1, "unauthorized": 1}
    assert scheduling.outbox.statistics()["phone"].attempts == 2
    assert "PLANTED-SECRET" not in caplog.text


async def test_messages_of_a_removed_channel_are_cancelled_before_the_next_update(tmp_path: Path) -> None:
    scheduling, home = Scheduling(tmp_path), world(P(ends=NOW + HOUR))
    await scheduling.update(home)
    after = ScheduledMessages(scheduling.outbox, {"phone": scheduling.server}, lambda: NOW)
    done = asyncio.Event()
    after.take_over(scheduling.messages, ["phone", "other"], done.set)
    after.update_in_background({}, report(home), as_of(home), RULES)  # waits for the cancelling
    await done.wait()
    assert (scheduling.server.messages, scheduling.outbox.scheduled("phone")) == ({}, {})
    after.update_in_background({}, report(home), as_of(home), RULES)
    await until(lambda: scheduling.server.messages != {})
    await until(lambda: not after.is_busy)


async def test_incomplete_report_cancels_nothing(tmp_path: Path) -> None:
    scheduling = Scheduling(tmp_path)
    await scheduling.update(world(P(ends=NOW + HOUR)))
    rules = replace(RULES, targets=frozenset({"home", "vps"}))
    await scheduling.messages.update({}, Report(NOW), as_of(), rules)
    assert len(scheduling.server.messages) == 1
