"""The longest turn of the event loop since the last scrape is a metric."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from fakes import Fakes, config
from prometheus_client.parser import text_string_to_metric_families

from exporter.daemon.scheduler import Daemon
from exporter.daemon.turns import Turns
from exporter.state.credentials_db import CredentialDatabase


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_longest_turn_is_taken_once() -> None:
    clock = Clock()
    turns = Turns(clock)

    def turn(seconds: float) -> None:
        clock.now += seconds

    async def work() -> list[float]:
        taken = []
        for seconds in (0.25, 2.0, 0.5):
            turn(seconds)
            await asyncio.sleep(0)
        turn(1.0)
        taken.append(turns.take_longest())
        await asyncio.sleep(0)
        turn(0.125)
        taken += [turns.take_longest(), turns.take_longest()]
        return taken

    with asyncio.Runner(loop_factory=turns.new_loop) as runner:
        assert runner.run(work()) == [2.0, 0.125, 0.0]


def test_waiting_is_no_turn() -> None:
    turns = Turns()

    async def wait() -> float:
        turns.take_longest()
        await asyncio.sleep(0.2)
        return turns.take_longest()

    with asyncio.Runner(loop_factory=turns.new_loop) as runner:
        assert runner.run(wait()) < 0.2


def exported(body: bytes) -> float | None:
    name = "openclaw_auth_exporter_event_loop_lag_max_seconds"
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    return families[name].samples[0].value if name in families else None


@pytest.mark.parametrize("blocked", [3.0])
def test_scrape_shows_the_longest_turn_since_the_scrape_before(tmp_path: Path, blocked: float) -> None:
    clock = Clock()
    turns = Turns(clock)

    async def scrapes() -> list[float | None]:
        ledger = CredentialDatabase(None)
        daemon = Daemon(config("home"), ledger, lambda: config("home"), time.time, Fakes(), None, turns)
        daemon.exposition("", "")
        clock.now += blocked
        await asyncio.sleep(0)
        found = [exported(daemon.exposition("", "")[0]) for _ in range(2)]
        unmeasured = Daemon(config("home"), ledger, lambda: config("home"), make=Fakes())
        return [*found, exported(unmeasured.exposition("", "")[0])]

    with asyncio.Runner(loop_factory=turns.new_loop) as runner:
        assert runner.run(scrapes()) == [blocked, 0.0, None]
