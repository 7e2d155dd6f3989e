"""A check that is due and does not end makes its target stale, by the time that the process ran."""

from __future__ import annotations

from typing import cast

import pytest

from exporter.checks.schedule import ScheduleInputs, stale_after
from exporter.checks.target_checker import TargetChecker
from exporter.config.targets import OpenClawTarget
from exporter.daemon.overdue import REPORT_AGAIN, WATCH_EVERY, OverdueWatch

STALE = stale_after(60.0)


class World:
    """A target whose checks are due every 300 s. Its last check ended, and the next one hangs since it was due."""

    def __init__(self) -> None:
        self.name, self.target = "home", OpenClawTarget(source="openclaw", name="home", timeout="60s")
        self.completed_check_started_at: float | None = 1000.0
        self.now = 1300.0
        self.watch = OverdueWatch(
            lambda: self.now, lambda _: ScheduleInputs(interval=300, comparable=False, check_started_at=self.now)
        )

    def beat(self, elapsed: float = WATCH_EVERY) -> tuple[float, bool] | None:
        """For how long the check is overdue, and whether that is to be reported; None if it is not."""
        found = [*self.watch.beat([cast(TargetChecker, self)], elapsed)]
        return (found[0].seconds, found[0].is_stale) if found else None


@pytest.fixture
def world() -> World:
    return World()


def test_check_that_is_not_due_yet_is_not_overdue(world: World) -> None:
    world.now = 1299.0
    assert world.beat() is None
    world.now = 1300.0
    assert world.beat() == (15.0, False)


def test_first_check_is_due_from_the_start(world: World) -> None:
    world.completed_check_started_at = None
    assert world.beat() == (15.0, False)


def test_short_beats_add_up(world: World) -> None:
    assert [world.beat(5.0) for _ in range(6)] == [None, None, (15.0, False), None, None, (30.0, False)]


def test_long_beat_counts_as_two(world: World) -> None:
    assert world.beat(8 * 3600.0) == (30.0, False)
    assert world.beat() == (45.0, False)


def test_target_is_stale_after_its_limit_and_is_reported_every_minute(world: World) -> None:
    reported = [found[0] for _ in range(40) if (found := world.beat()) and found[1]]
    assert reported == [STALE + 15, STALE + 15 + REPORT_AGAIN, STALE + 15 + 2 * REPORT_AGAIN, STALE + 195]


def test_target_that_was_stale_is_stale_again_as_soon_as_another_one(world: World) -> None:
    for _ in range(25):
        found = world.beat()
    assert found == (STALE + 15, True)
    world.completed_check_started_at = world.now
    assert world.beat() is None
    world.now += 300
    reported = [found[0] for _ in range(26) if (found := world.beat()) and found[1]]
    assert reported == [STALE + 15]
