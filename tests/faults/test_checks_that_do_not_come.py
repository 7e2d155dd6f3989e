"""The daemon never shows OK while a check that is due does not come, or does not end."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest
from apscheduler.events import EVENT_JOB_EXECUTED, JobExecutionEvent
from fakes import Fakes
from waiting import LoopClock, until

from exporter.config import Config
from exporter.daemon.overdue import WATCH_EVERY
from exporter.daemon.scheduler import Daemon
from exporter.present import to_line
from exporter.state.credentials_db import CredentialDatabase

from .watched import Running, running

# --- checks that do not come -------------------------------------------------------------------------


def _is_overdue(world: Running) -> None:
    world.daemon._monitor.checkers["home"].completed_check_started_at = 0.0


async def test_target_whose_job_was_lost_is_stale_until_its_job_is_added_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as world:
        _is_overdue(world)
        with monkeypatch.context() as patch:
            patch.setattr(world.daemon._jobs._scheduler, "add_job", lambda *_, **__: None)
            world.daemon._jobs._scheduler.remove_job("check:home")
            for _ in range(15):  # 225 s: the check may still come
                world.beat()
            assert world.is_ok()
            for _ in range(20):
                world.beat()
            await until(world.is_nothing_ok)
            assert world.reasons() == {"stale"}
            assert "UNKNOWN" in to_line(world.daemon.report())
            assert world.is_ok("vps")
            assert "a check has been due for" in str(world.heartbeat_problem)
            assert 'check_failures_total{agent="main",reason="stale",target="home"} 1.0' in (world.metrics() or "")
        world.beat()
        await until(world.is_ok)
        assert world.heartbeat_problem is None
    assert "its job was lost" in caplog.text


async def test_evaluation_that_became_due_during_the_last_one_is_not_lost() -> None:
    async with running() as world:
        scheduler = world.daemon._jobs._scheduler
        scheduler.remove_job("evaluate:home")  # as APScheduler does with a run that it skips
        now = datetime.now(UTC)
        world.daemon._jobs._ended(JobExecutionEvent(EVENT_JOB_EXECUTED, "evaluate:home", "default", now))
        assert scheduler.get_job("evaluate:home") is not None


async def test_stale_target_is_reported_again_so_that_alerting_sees_it_more_than_once() -> None:
    async with running() as world:
        world.fakes["home"].gate.clear()
        checking = asyncio.create_task(world.check())
        await until(lambda: len(world.fakes["home"].checks) == 2)
        _is_overdue(world)
        times = set()
        for _ in range(60):
            world.beat()
            for _ in range(5):  # let the evaluation run
                await asyncio.sleep(0)
            times |= {
                entry.failure.at
                for target in world.daemon.report().targets
                for entry in target.entries
                if entry.failure is not None
            }
        assert len(times) > 3
        world.fakes["home"].gate.set()
        await checking
        await until(world.is_ok)


async def test_check_that_hangs_is_ended_and_the_next_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as world:
        clock, home = LoopClock(monkeypatch), world.fakes["home"]
        home.gate.clear()
        checking = asyncio.create_task(world.check())
        await until(lambda: home.running)
        clock.advance(151.0)
        await checking
        assert world.reasons() == {"timeout"}
        assert world.is_nothing_ok()
        assert home.running == 0
        home.gate.set()
        await world.check()
        assert world.is_ok()


async def test_host_that_was_asleep_gives_the_due_checks_their_chance_first() -> None:
    async with running() as world:
        _is_overdue(world)
        world.daemon._beat(time.time(), 8 * 3600.0, 1.0)  # the clock of the process did not run
        world.beat(8 * 3600.0)  # or it did, and the process was stopped
        await world.daemon._evaluate("home")
        assert world.is_ok()


async def test_target_without_schedule_is_never_stale() -> None:
    made = Config.model_validate({"targets": [{"name": "home", "schedule": False}]})
    fakes = Fakes()
    daemon = Daemon(made, CredentialDatabase(None), lambda: made, time.time, fakes)
    await daemon.start()
    try:
        for _ in range(100):
            daemon._beat(time.time(), WATCH_EVERY, WATCH_EVERY)
        assert daemon.report().targets == ()
        assert daemon.problem() is None
    finally:
        await daemon.stop()
