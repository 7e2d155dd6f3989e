"""Delivery: at least once under one id, in order per alert, no channel in another's way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from alerts.test_outbox import message
from alerts.worlds import DAY, HOUR, NOW
from exporter.alerts.channels import PermanentError, TemporaryError
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.delivery.worker import FIRST_PAUSE, LONGEST_PAUSE, DeliveryWorker, pause_after
from exporter.alerts.values import NotificationReason, QueuedMessage
from exporter.lib.sqlite import StateError

PLANTED = "PLANTED-SECRET-url"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Fake:
    """A channel that does what it is told, in order; when nothing is left it delivers."""

    def __init__(self, *does: Exception | None, name: str = "hook") -> None:
        self.name = name
        self.does = list(does)
        self.tried: list[tuple[str, str]] = []
        self.got: list[str] = []
        self.arrived = asyncio.Event()

    async def send(self, outgoing: QueuedMessage) -> None:
        about = "".join(alert.fingerprint for alert in outgoing.message.alerts)
        self.tried.append((outgoing.id, about))
        trouble = self.does.pop(0) if self.does else None
        if trouble is not None:
            raise trouble
        self.got.append(about)
        self.arrived.set()


class Hanging(Fake):
    async def send(self, outgoing: QueuedMessage) -> None:
        self.tried.append((outgoing.id, ""))
        self.arrived.set()
        await asyncio.Event().wait()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outbox(tmp_path: Path, clock: Clock) -> Outbox:
    return Outbox(tmp_path / "alerts.sqlite", clock)


def deliverer(outbox: Outbox, clock: Clock, *channels: Fake) -> DeliveryWorker:
    return DeliveryWorker(outbox, {channel.name: channel for channel in channels}, clock, lambda: 1.0)


def enqueue(outbox: Outbox, *about: str, channel: str = "hook") -> list[str]:
    return outbox.commit(
        outbox.states(), [message(NotificationReason.FIRST, one, channel=channel) for one in about], NOW
    )


async def test_one_fault_of_ours_does_not_end_what_is_told_on_a_channel(
    outbox: Outbox, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    enqueue(outbox, "a")
    channel, due, faults = Fake(), outbox.due, [ValueError(PLANTED)]

    def failing_once(name: str, now: float, limit: int = 20) -> list[QueuedMessage]:
        if faults:
            raise faults.pop()
        return due(name, now, limit)

    monkeypatch.setattr(outbox, "due", failing_once)
    monkeypatch.setattr("exporter.alerts.delivery.worker.MAX_SLEEP", 0.01)
    delivers = deliverer(outbox, clock, channel)
    delivers.start()
    async with asyncio.timeout(30):
        await channel.arrived.wait()
    await delivers.stop()
    assert channel.got == ["a"]
    assert "an error of the exporter's own: ValueError" in caplog.text
    assert PLANTED not in caplog.text


async def test_everything_due_is_delivered_in_order(outbox: Outbox, clock: Clock) -> None:
    channel = Fake()
    enqueue(outbox, *"abcdefghijklmnopqrstuvwxyz")
    assert await deliverer(outbox, clock, channel).flush()
    assert channel.got == list("abcdefghijklmnopqrstuvwxyz")
    assert outbox.statistics()["hook"].attempts == 26


async def test_a_failing_head_holds_back_its_own_alert_only_and_keeps_its_id(outbox: Outbox, clock: Clock) -> None:
    channel = Fake(TemporaryError("timeout"))
    ids = enqueue(outbox, "a", "b", "a")
    delivers = deliverer(outbox, clock, channel)
    assert not await delivers.flush()
    assert channel.got == ["b"]
    assert delivers.problems == {}  # b was delivered after a failed
    clock.now += FIRST_PAUSE
    assert await delivers.flush()
    assert channel.got == ["b", "a", "a"]
    assert [id for id, about in channel.tried if about == "a"] == [ids[0], ids[0], ids[2]]


async def test_a_pause_that_was_asked_for_is_kept_by_the_whole_channel(outbox: Outbox, clock: Clock) -> None:
    channel = Fake(TemporaryError("http_error", 120.0))
    enqueue(outbox, "a", "b")
    delivers = deliverer(outbox, clock, channel)
    assert not await delivers.flush()
    clock.now += 119
    assert not await delivers.flush()
    assert len(channel.tried) == 1
    clock.now += 1
    assert await delivers.flush()
    assert sorted(channel.got) == ["a", "b"]


async def test_permanent_trouble_is_given_up_and_what_follows_goes_on(outbox: Outbox, clock: Clock) -> None:
    channel = Fake(PermanentError("unauthorized", "check the token"))
    enqueue(outbox, "a", "a")
    delivers = deliverer(outbox, clock, channel)
    assert not await delivers.flush()
    assert channel.got == ["a"]
    assert [one.reason for one in outbox.undeliverable()] == ["unauthorized"]


async def test_two_days_without_a_network_lose_nothing(outbox: Outbox, clock: Clock) -> None:
    channel = Fake(*[TemporaryError("connection")] * 10_000)
    (first,) = enqueue(outbox, "a")
    delivers = deliverer(outbox, clock, channel)
    while clock.now < NOW + 2 * DAY:
        await delivers.flush()
        clock.now = max(outbox.next_due("hook") or 0.0, clock.now + 1)
    assert 200 < len(channel.tried) < 400
    channel.does.clear()
    assert await delivers.flush()
    assert channel.got == ["a"]
    assert {id for id, _ in channel.tried} == {first}


async def test_after_three_days_it_is_given_up_visibly(outbox: Outbox, clock: Clock) -> None:
    channel = Fake(*[TemporaryError("connection")] * 10_000)
    enqueue(outbox, "a")
    delivers = deliverer(outbox, clock, channel)
    while outbox.next_due("hook") is not None:
        await delivers.flush()
        clock.now += HOUR
    assert outbox.statistics()["hook"].undeliverable == 1
    assert NOW + 3 * DAY <= outbox.undeliverable()[0].given_up_at <= NOW + 3 * DAY + HOUR


async def test_a_hanging_channel_delays_no_other_and_stopping_is_bounded(outbox: Outbox, clock: Clock) -> None:
    hanging, good = Hanging(name="hanging"), Fake(name="good")
    enqueue(outbox, "a", channel="hanging")
    delivers = deliverer(outbox, clock, hanging, good)
    delivers.start()
    await hanging.arrived.wait()
    enqueue(outbox, "a", channel="good")
    delivers.wake()
    await good.arrived.wait()
    await delivers.stop(grace=0.01)
    assert good.got == ["a"]
    assert [o.id for o in outbox.due("hanging", NOW)] == [hanging.tried[0][0]], "sent again next time, under its id"


async def test_who_waits_for_rest_waits_until_all_was_tried(outbox: Outbox, clock: Clock) -> None:
    quick, broken = Fake(), Fake(TemporaryError("timeout"), name="broken")
    worker = deliverer(outbox, clock, quick, broken)
    await asyncio.wait_for(worker.rested(), 1)  # nobody was woken
    worker.start()
    enqueue(outbox, "a", "b")
    enqueue(outbox, "c", channel="broken")
    worker.wake()
    await asyncio.wait_for(worker.rested(), 30)
    assert (quick.got, len(broken.tried)) == (["a", "b"], 1)
    await worker.stop()


async def test_a_worker_delivers_what_an_earlier_run_left(outbox: Outbox, clock: Clock) -> None:
    channel = Fake()
    enqueue(outbox, "a")
    delivers = deliverer(outbox, clock, channel)
    delivers.start()
    await channel.arrived.wait()
    await delivers.stop()
    assert outbox.statistics()["hook"].pending == 0


async def test_an_error_of_our_own_is_tried_again_and_tells_no_secret(
    outbox: Outbox, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    channel = Fake(RuntimeError(f"https://{PLANTED}@example.org"))
    enqueue(outbox, "a")
    delivers = deliverer(outbox, clock, channel)
    with caplog.at_level(logging.DEBUG):
        assert not await delivers.flush()
    assert delivers.problems == {"hook": "other: an error of the exporter's own: RuntimeError"}
    assert PLANTED not in caplog.text
    assert caplog.messages


async def test_what_was_handed_over_is_not_sent_again_because_the_disk_was_full(
    outbox: Outbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Fake()
    enqueue(outbox, "a")
    delivers = deliverer(outbox, clock, channel)
    real: Callable[[str, float], None] = outbox.sent

    def full(id: str, now: float) -> None:
        raise StateError("the alert state cannot be written: disk full")

    monkeypatch.setattr(outbox, "sent", full)
    for _ in range(3):
        with pytest.raises(StateError):
            await delivers.flush()
    monkeypatch.setattr(outbox, "sent", real)
    assert await delivers.flush()
    assert channel.got == ["a"]


def test_pauses_grow_to_an_end_and_never_undercut_what_was_asked_for() -> None:
    pauses = [pause_after(attempts, None) for attempts in range(1, 15)]
    assert pauses[:4] == [2.0, 4.0, 8.0, 16.0]
    assert pauses[-1] == LONGEST_PAUSE
    assert pause_after(1, 30.0) == 30.0
    assert pause_after(14, 30.0) == LONGEST_PAUSE
    assert pause_after(10_000, None) == LONGEST_PAUSE
    assert pause_after(1, 1e12) == DAY
