"""Delivery to a channel: at least once with one id, in order per alert, no channel delays another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from alerts.test_outbox import message
from alerts.worlds import DAY, HOUR, NOW
from exporter.alerts.channels import PermanentError, TemporaryError
from exporter.alerts.delivery.delivery import Delivery, Senders
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.delivery.worker import FIRST_PAUSE, MAX_PAUSE, ChannelWorker, pause_after
from exporter.alerts.values import NotificationReason, QueuedMessage
from exporter.lib.sqlite import StateError

PLANTED = "PLANTED-SECRET-url"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Fake:
    """A channel that raises the given errors in order, and then delivers."""

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


def worker_for(outbox: Outbox, clock: Clock, channel: Fake) -> ChannelWorker:
    return ChannelWorker(outbox, channel, clock, lambda: 1.0)


def enqueue(outbox: Outbox, *about: str, channel: str = "hook") -> list[str]:
    return outbox.commit(
        outbox.states(), [message(NotificationReason.FIRST, one, channel=channel) for one in about], NOW
    )


async def test_internal_error_does_not_end_the_delivery(
    outbox: Outbox, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    enqueue(outbox, "a")
    channel, due, faults = Fake(), outbox.due, [ValueError(PLANTED)]

    def failing_once(name: str, now: float, limit: int = 20) -> list[QueuedMessage]:
        if faults:
            raise faults.pop()
        return due(name, now, limit)

    monkeypatch.setattr(outbox, "due", failing_once)
    monkeypatch.setattr("exporter.lib.supervisor.FIRST_PAUSE", 0.01)
    worker = worker_for(outbox, clock, channel)
    worker.start()
    async with asyncio.timeout(30):
        await channel.arrived.wait()
    await worker.stop()
    assert channel.got == ["a"]
    assert "Internal error while running the task 'channel hook' (ValueError)" in caplog.text
    assert PLANTED not in caplog.text


async def test_due_messages_are_delivered_in_order(outbox: Outbox, clock: Clock) -> None:
    channel = Fake()
    enqueue(outbox, *"abcdefghijklmnopqrstuvwxyz")
    assert await worker_for(outbox, clock, channel).flush()
    assert channel.got == list("abcdefghijklmnopqrstuvwxyz")
    assert outbox.statistics()["hook"].attempts == 26


async def test_failed_message_delays_only_its_own_alert_and_keeps_its_id(outbox: Outbox, clock: Clock) -> None:
    channel = Fake(TemporaryError("timeout"))
    ids = enqueue(outbox, "a", "b", "a")
    worker = worker_for(outbox, clock, channel)
    assert not await worker.flush()
    assert channel.got == ["b"]
    assert worker.problem is None  # b was delivered after a had failed
    clock.now += FIRST_PAUSE
    assert await worker.flush()
    assert channel.got == ["b", "a", "a"]
    assert [id for id, about in channel.tried if about == "a"] == [ids[0], ids[0], ids[2]]


async def test_pause_that_a_server_asks_for_holds_for_the_whole_channel(outbox: Outbox, clock: Clock) -> None:
    channel = Fake(TemporaryError("http_error", retry_after=120.0))
    enqueue(outbox, "a", "b")
    worker = worker_for(outbox, clock, channel)
    assert not await worker.flush()
    clock.now += 119
    assert not await worker.flush()
    assert len(channel.tried) == 1
    clock.now += 1
    assert await worker.flush()
    assert sorted(channel.got) == ["a", "b"]


async def test_permanent_error_makes_one_message_undeliverable(outbox: Outbox, clock: Clock) -> None:
    channel = Fake(PermanentError("unauthorized", "check the token"))
    enqueue(outbox, "a", "a")
    worker = worker_for(outbox, clock, channel)
    assert not await worker.flush()
    assert channel.got == ["a"]
    assert [one.reason for one in outbox.undeliverable()] == ["unauthorized"]


async def test_two_days_without_a_network_lose_no_message(outbox: Outbox, clock: Clock) -> None:
    channel = Fake(*[TemporaryError("connection")] * 10_000)
    (first,) = enqueue(outbox, "a")
    worker = worker_for(outbox, clock, channel)
    while clock.now < NOW + 2 * DAY:
        await worker.flush()
        clock.now = max(outbox.next_due("hook") or 0.0, clock.now + 1)
    assert 200 < len(channel.tried) < 400
    channel.does.clear()
    assert await worker.flush()
    assert channel.got == ["a"]
    assert {id for id, _ in channel.tried} == {first}


async def test_message_is_undeliverable_after_three_days(outbox: Outbox, clock: Clock) -> None:
    channel = Fake(*[TemporaryError("connection")] * 10_000)
    enqueue(outbox, "a")
    worker = worker_for(outbox, clock, channel)
    while outbox.next_due("hook") is not None:
        await worker.flush()
        clock.now += HOUR
    assert outbox.statistics()["hook"].undeliverable == 1
    assert NOW + 3 * DAY <= outbox.undeliverable()[0].given_up_at <= NOW + 3 * DAY + HOUR


async def test_hanging_channel_delays_no_other_and_stops_in_time(outbox: Outbox, clock: Clock) -> None:
    hanging, good = Hanging(name="hanging"), Fake(name="good")
    enqueue(outbox, "a", channel="hanging")
    delivery = Delivery(Senders({"hanging": hanging, "good": good}, {}), outbox, clock)
    delivery.start({})
    await hanging.arrived.wait()
    enqueue(outbox, "a", channel="good")
    delivery.wake()
    await good.arrived.wait()
    await delivery.stop(grace=0.01)
    assert good.got == ["a"]
    assert [o.id for o in outbox.due("hanging", NOW)] == [hanging.tried[0][0]], "sent again next time, with its id"


async def test_waiting_until_idle_ends_when_every_message_was_tried(outbox: Outbox, clock: Clock) -> None:
    quick, broken = Fake(), Fake(TemporaryError("timeout"), name="broken")
    delivery = Delivery(Senders({"hook": quick, "broken": broken}, {}), outbox, clock)
    await asyncio.wait_for(delivery.wait_until_idle(), 1)  # there was no wake
    delivery.start({})
    enqueue(outbox, "a", "b")
    enqueue(outbox, "c", channel="broken")
    delivery.wake()
    await asyncio.wait_for(delivery.wait_until_idle(), 30)
    assert (quick.got, len(broken.tried)) == (["a", "b"], 1)
    await delivery.stop()


async def test_worker_delivers_what_an_earlier_process_left(outbox: Outbox, clock: Clock) -> None:
    channel = Fake()
    enqueue(outbox, "a")
    worker = worker_for(outbox, clock, channel)
    worker.start()
    await channel.arrived.wait()
    await worker.stop()
    assert outbox.statistics()["hook"].pending == 0


async def test_internal_error_is_retried_and_reveals_no_secret(
    outbox: Outbox, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    channel = Fake(RuntimeError(f"https://{PLANTED}@example.org"))
    enqueue(outbox, "a")
    worker = worker_for(outbox, clock, channel)
    with caplog.at_level(logging.DEBUG):
        assert not await worker.flush()
    assert worker.problem == "other: Internal error while sending a message (RuntimeError)"
    assert PLANTED not in caplog.text
    assert caplog.messages


async def test_sent_message_is_not_sent_again_because_the_disk_is_full(
    outbox: Outbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Fake()
    enqueue(outbox, "a")
    worker = worker_for(outbox, clock, channel)
    real: Callable[[str, float], None] = outbox.sent

    def full(id: str, now: float) -> None:
        raise StateError("the alert state cannot be written: disk full")

    monkeypatch.setattr(outbox, "sent", full)
    for _ in range(3):
        with pytest.raises(StateError):
            await worker.flush()
    monkeypatch.setattr(outbox, "sent", real)
    assert await worker.flush()
    assert channel.got == ["a"]


def test_pauses_grow_to_a_limit_and_are_never_shorter_than_asked_for() -> None:
    pauses = [pause_after(attempts, None) for attempts in range(1, 15)]
    assert pauses[:4] == [2.0, 4.0, 8.0, 16.0]
    assert pauses[-1] == MAX_PAUSE
    assert pause_after(1, 30.0) == 30.0
    assert pause_after(14, 30.0) == MAX_PAUSE
    assert pause_after(10_000, None) == MAX_PAUSE
    assert pause_after(1, 1e12) == DAY
