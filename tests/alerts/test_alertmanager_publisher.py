"""What is counted and shown of the Alertmanagers: what was asked of them, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from alerts.test_channel_alertmanager import Instances, channel
from alerts.worlds import HOUR, MINUTE, NOW, Life, P, policy, world
from exporter.alerts import lifecycle
from exporter.alerts.delivery import alertmanager_publisher
from exporter.alerts.delivery.alertmanager_publisher import AlertmanagerPublisher
from exporter.alerts.delivery.statistics import ChannelStatistics
from exporter.alerts.values import Alert, AlertState

FIRING = Life(policy())
FIRING.at(NOW, world(P(ends=NOW - HOUR)))


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


async def test_where_there_was_nothing_to_tell_nothing_was_told() -> None:
    publisher = AlertmanagerPublisher({"am": channel(Instances(one=503), "one")}, Clock())
    assert await publisher.once({}, {}, 240.0)
    assert publisher.counted == {"am": ChannelStatistics()}


async def test_what_no_instance_takes_waits_and_is_shown() -> None:
    instances, clock = Instances(one=503, two=400), Clock()
    publisher = AlertmanagerPublisher({"am": channel(instances, "one", "two")}, clock)
    for _ in range(2):
        assert not await publisher.once({}, FIRING.states, 240.0)
        clock.now += MINUTE
    assert publisher.counted["am"] == ChannelStatistics(
        attempts=4, failures={"http_error": 4}, pending=1, oldest_pending=NOW
    )
    assert publisher.problems["am"].startswith("2 of 2 instances: http_error: answered 503")

    instances.broken = {"two": 400}  # they tell each other
    assert not await publisher.once({}, FIRING.states, 240.0)
    assert (publisher.counted["am"].pending, publisher.counted["am"].oldest_pending) == (0, None)
    assert publisher.counted["am"].last_success == clock.now
    assert publisher.problems["am"].startswith("1 of 2 instances: http_error: answered 400")

    instances.broken = {}
    assert await publisher.once({}, FIRING.states, 240.0)
    assert publisher.problems == {}


async def test_one_fault_of_ours_does_not_end_the_publishing(monkeypatch: pytest.MonkeyPatch) -> None:
    instances, faults = Instances(), [ValueError("it may quote a secret")]

    def firing(states: Mapping[str, AlertState], now: float) -> tuple[Alert, ...]:
        if faults:
            raise faults.pop()
        return lifecycle.firing(states, now)

    publisher = AlertmanagerPublisher({"am": channel(instances, "one")}, Clock())
    monkeypatch.setattr(alertmanager_publisher, "firing", firing)
    monkeypatch.setattr(alertmanager_publisher, "PUBLISH_EVERY", 0.01)
    publisher.show(FIRING.states)
    publisher._workers = [asyncio.create_task(publisher._work("am"))]
    async with asyncio.timeout(30):
        while not instances.received:  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)
    await publisher.stop()
    assert faults == []
