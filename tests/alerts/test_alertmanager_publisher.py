"""Publishing to an Alertmanager: what is counted, and that one failure does not end it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from waiting import until

from alerts.test_channel_alertmanager import Instances, channel
from alerts.worlds import HOUR, MINUTE, NOW, Life, P, policy, world
from exporter.alerts import lifecycle
from exporter.alerts.delivery import alertmanager_publisher
from exporter.alerts.delivery.alertmanager_publisher import AlertmanagerPublisher
from exporter.alerts.delivery.statistics import ChannelStatistics
from exporter.alerts.values import Alert, AlertState
from exporter.lib import tasks

FIRING = Life(policy())
FIRING.at(NOW, world(P(ends=NOW - HOUR)))


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


async def test_nothing_to_publish_counts_nothing() -> None:
    publisher = AlertmanagerPublisher(channel(Instances(one=503), "one"), Clock())
    assert await publisher.publish_once({}, {}, 240.0)
    assert publisher.statistics == ChannelStatistics()


async def test_state_that_no_instance_accepts_is_pending() -> None:
    instances, clock = Instances(one=503, two=400), Clock()
    publisher = AlertmanagerPublisher(channel(instances, "one", "two"), clock)
    for _ in range(2):
        assert not await publisher.publish_once({}, FIRING.states, 240.0)
        clock.now += MINUTE
    assert publisher.statistics == ChannelStatistics(
        attempts=4, failures={"http_error": 4}, pending=1, oldest_pending=NOW
    )
    assert (publisher.problem or "").startswith("2 of 2 instances: http_error: answered 503")

    instances.broken = {"two": 400}  # one instance is enough: they inform each other
    assert not await publisher.publish_once({}, FIRING.states, 240.0)
    assert (publisher.statistics.pending, publisher.statistics.oldest_pending) == (0, None)
    assert publisher.statistics.last_success == clock.now
    assert (publisher.problem or "").startswith("1 of 2 instances: http_error: answered 400")

    instances.broken = {}
    assert await publisher.publish_once({}, FIRING.states, 240.0)
    assert publisher.problem is None


async def test_internal_error_does_not_end_the_publishing(monkeypatch: pytest.MonkeyPatch) -> None:
    instances, faults = (
        Instances(),
        [ValueError("it may quote a secret") for _ in range(2)],
    )  # at the start, and when it publishes

    def firing(states: Mapping[str, AlertState], now: float) -> tuple[Alert, ...]:
        if faults:
            raise faults.pop()
        return lifecycle.firing(states, now)

    publisher = AlertmanagerPublisher(channel(instances, "one"), Clock())
    monkeypatch.setattr(alertmanager_publisher, "firing", firing)
    monkeypatch.setattr(alertmanager_publisher, "PUBLISH_EVERY", 0.01)
    monkeypatch.setattr("exporter.lib.supervisor.FIRST_PAUSE", 0.01)
    publisher.start(FIRING.states)
    async with asyncio.timeout(30):
        while not instances.received:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)
    await publisher.stop()
    assert faults == []


async def test_publication_that_fails_is_tried_again_soon_and_then_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    instances, pauses = Instances(one=503), list[float]()

    async def wait_at_most(event: asyncio.Event, seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 6:
            instances.broken = {}
        if len(pauses) == 8:
            instances.broken = {"one": 503}
        await (asyncio.Event().wait() if len(pauses) == 10 else asyncio.sleep(0))

    monkeypatch.setattr(tasks, "wait_at_most", wait_at_most)
    publisher = AlertmanagerPublisher(channel(instances, "one"), Clock())
    publisher.start(FIRING.states)
    await until(lambda: len(pauses) == 10)
    await publisher.stop()
    assert pauses == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0, 60.0, 5.0, 10.0]
