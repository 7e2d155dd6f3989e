"""What takes longer the more profiles a target has runs in a thread once there are many, and loses no fact."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fakes import Fakes, config
from waiting import LoopClock, until

from exporter.checks import off_loop, target_checker
from exporter.checks.monitor import Monitor
from exporter.checks.target_checker import TargetChecker
from exporter.daemon import exposition_cache
from exporter.daemon.probe import probe
from exporter.metrics.definitions import ExporterState
from exporter.metrics.render import Fragment
from exporter.model import FailureReason, ObservedProfile, TargetReport
from exporter.state.credentials_db import CredentialDatabase
from exporter.state.history import SuppliedDate

NOW = 1_795_000_000.0
DAY = 86400.0


class World:
    """One target with so many profiles."""

    def __init__(self, profiles: int) -> None:
        self.fakes = Fakes()
        self.monitor = Monitor(config("home"), CredentialDatabase(None, lambda: NOW), lambda: NOW, self.fakes)
        self.fakes["home"].profiles = tuple(
            ObservedProfile(f"anthropic:{n}", "anthropic", "token", "ok", expires_at=NOW + 30 * DAY)
            for n in range(profiles)
        )
        self.checker = self.monitor.checkers["home"]


def noting(threads: list[threading.Thread], work: Any) -> Any:
    def noted(*args: Any, **rest: Any) -> Any:
        threads.append(threading.current_thread())
        return work(*args, **rest)

    return noted


@pytest.mark.parametrize(("profiles", "is_in_thread"), [(off_loop.FEW + 1, True), (off_loop.FEW - 1, False)])
async def test_many_profiles_are_recorded_and_evaluated_in_a_thread(
    profiles: int, is_in_thread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    for name in ("evaluate", "record_observation", "record_report"):
        monkeypatch.setattr(target_checker, name, noting(threads, getattr(target_checker, name)))
    world = World(profiles)
    report = await world.monitor.check()
    assert len([*report.profiles]) == profiles
    assert len(threads) >= 3
    assert (threading.main_thread() not in threads) is is_in_thread


@pytest.mark.parametrize(("profiles", "is_in_thread"), [(off_loop.FEW + 1, True), (off_loop.FEW - 1, False)])
async def test_probe_of_many_profiles_is_rendered_in_a_thread(
    profiles: int, is_in_thread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    monkeypatch.setattr(exposition_cache, "render_target", noting(threads, vars(exposition_cache)["render_target"]))
    world = World(profiles)
    cache = exposition_cache.ExpositionCache(lambda: ExporterState("1"))

    def rendered(checker: TargetChecker, report: TargetReport) -> Coroutine[Any, Any, Fragment]:
        return cache.put(report, checker.counters, lambda: True)

    for _ in range(2):  # a report that is still fresh has been rendered
        body, _ = await probe(world.monitor, "home", None, 60.0, lambda: NOW, lambda _: None, rendered)
        assert body.count(b"\nopenclaw_auth_profile_info{") == profiles
    assert len(threads) == 1
    assert (threading.main_thread() not in threads) is is_in_thread
    for_one, _ = await probe(world.monitor, "home", "main", 60.0, lambda: NOW, lambda _: None, rendered)
    assert for_one == body


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Evaluations that have begun wait until the second event is set."""
    began, go_on, real = threading.Event(), threading.Event(), vars(target_checker)["evaluate"]

    def waits(*args: Any) -> Any:
        began.set()
        go_on.wait(60)
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(target_checker, "evaluate", waits)
        try:
            yield began, go_on
        finally:
            go_on.set()


async def test_fact_that_arrives_during_an_evaluation_is_kept_and_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(off_loop.FEW + 1)
    undated = ObservedProfile("anthropic:undated", "anthropic", "token", "static")
    world.fakes["home"].profiles += (undated,)
    await world.monitor.check()
    with held(monkeypatch) as (began, go_on):
        evaluating = asyncio.create_task(world.checker.evaluate(world.monitor.config.policy))
        await until(began.is_set)
        world.checker.take_supplied_dates({undated.id: SuppliedDate(expires_at=NOW - DAY, supplied_at=NOW)})
        go_on.set()
        report = await evaluating
    [supplied] = [profile for profile in report.agents[0].profiles if profile.id == undated.id]
    assert supplied.expires_at == NOW - DAY
    assert undated.id in world.checker._agents["main"].history.supplied


async def test_evaluation_that_hangs_is_a_failed_check_and_the_next_one_heals(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, world = LoopClock(monkeypatch), World(off_loop.FEW + 1)
    await world.monitor.check()
    with held(monkeypatch) as (began, _):
        evaluating = asyncio.create_task(world.checker.evaluate(world.monitor.config.policy))
        await until(began.is_set)
        clock.advance(off_loop.LIMIT)
        failed = (await evaluating).agents[0].failure
        assert failed is not None
        assert failed.reason is FailureReason.TIMEOUT
    assert (await world.checker.evaluate(world.monitor.config.policy)).agents[0].failure is None
