"""Trouble of our own is never shown as OK: each step between a check's start and its report raises, or hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fakes import Fakes, FakeSource, config, token
from waiting import LoopClock, until

from exporter.checks import limiter, target_checker
from exporter.checks.monitor import Monitor
from exporter.lib import tasks
from exporter.metrics.render import one_shot
from exporter.model import CheckError, FailureReason, Report
from exporter.present import to_json, to_line
from exporter.state.credentials_db import CredentialDatabase

NOW = 1_795_346_770.0
DAY = 86400.0


def _raises(error: BaseException) -> Callable[..., Any]:
    def fault(*_: object, **__: object) -> Any:
        raise error

    return fault


def _raises_later(error: BaseException) -> Callable[..., Any]:
    async def fault(*_: object) -> Any:
        raise error

    return fault


async def _hangs(*_: object) -> Any:
    await asyncio.Event().wait()


async def _hangs_and_ignores_being_cancelled(*_: object) -> Any:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if asyncio.get_running_loop().time() > _END_OF_TEST:
                raise


_END_OF_TEST = 1e8  # so that asyncio.run can end the loop; LoopClock is behind it


@asynccontextmanager
async def _hanging_slot(*_: object) -> AsyncIterator[None]:
    await asyncio.Event().wait()
    yield


#: Only what is awaited can raise the last one.
ERRORS = [RuntimeError("PLANTED-SECRET"), RecursionError(), MemoryError(), TimeoutError(), asyncio.CancelledError()]
#: Steps of a check by their places, which a test replaces.
ASYNC_STEPS: dict[str, tuple[object, str]] = {
    "listing the agents": (FakeSource, "agents"),
    "asking the source": (FakeSource, "check"),
    "the slot of the processes": (FakeSource, "slot"),
    "the slot of the checks": (limiter.ConcurrencyLimiter, "slot"),
    "reading the ledger": (CredentialDatabase, "run"),
}
STEPS: dict[str, tuple[object, str]] = {
    "recording the observation": (target_checker, "record_observation"),
    "evaluating": (target_checker, "evaluate"),
    "recording the report": (target_checker, "record_report"),
    "counting": (target_checker, "_count_unusable"),
    "writing the ledger": (CredentialDatabase, "record"),
    "the programs of the source": (FakeSource, "programs"),
}


class World:
    """One target, checked without a daemon, as a timer does."""

    def __init__(self) -> None:
        self.now = NOW
        self.fakes = Fakes()
        self.monitor = Monitor(config("home"), CredentialDatabase(None, lambda: self.now), lambda: self.now, self.fakes)
        self.fakes["home"].profiles = (token(NOW + 30 * DAY),)

    async def check(self) -> Report:
        self.now += 300
        # Something is always new: what says the same as before takes none of the steps.
        self.fakes["home"].profiles = (token(NOW + 30 * DAY, last_used_at=self.now),)
        return await self.monitor.check()


def is_ok(report: Report) -> bool:
    """Whether anything that is shown of the report says that all is well; all of it must say the same."""
    metrics, shown = one_shot(report).decode(), to_json(report)
    reasons = [agent["error"] and agent["error"]["reason"] for target in shown["targets"] for agent in target["agents"]]
    signs: set[bool] = {
        report.exit_code == 0,
        shown["exit_code"] == 0,
        to_line(report) == "OK",
        'check_success{agent="main",target="home"} 1.0' in metrics,
        'exit_code{agent="main",target="home"} 0.0' in metrics,
        'condition="check_failed"' not in metrics,
        None in reasons,
    }
    assert len(signs) == 1, signs
    assert "PLANTED-SECRET" not in f"{metrics}{shown}{to_line(report)}"
    return signs.pop()


def reason_of(report: Report) -> FailureReason | None:
    failure = report.targets[0].entries[-1].failure
    return failure.reason if failure else None


def _put(monkeypatch: pytest.MonkeyPatch, place: tuple[object, str], fault: Callable[..., Any]) -> None:
    monkeypatch.setattr(*place, fault)


def _cases() -> Iterator[Any]:
    """Each step, with each error that it can raise, at a target's first check and at a later one."""
    for step in (*ASYNC_STEPS, *STEPS):
        for error in ERRORS if step in ASYNC_STEPS else ERRORS[:-1]:
            for is_first in (True, False):
                if is_first or step != "reading the ledger":  # which is read once for each agent
                    when = "first check" if is_first else "later check"
                    yield pytest.param(step, error, is_first, id=f"{step}-{type(error).__name__}-{when}")


@pytest.mark.parametrize(("step", "error", "is_first"), list(_cases()))
async def test_step_that_raises_is_a_failed_check_and_heals(
    step: str, error: BaseException, is_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    if not is_first:
        assert is_ok(await world.check())
    is_coroutine = step in ("listing the agents", "asking the source")
    with monkeypatch.context() as patch:
        _put(patch, (ASYNC_STEPS | STEPS)[step], _raises_later(error) if is_coroutine else _raises(error))
        report = await world.check()
        assert not is_ok(report)
        assert reason_of(report) in (FailureReason.OTHER, FailureReason.TIMEOUT, FailureReason.STALE)
        assert is_first or [profile.id for _, profile in report.profiles] == ["anthropic:default"]  # still known
        again = await world.monitor.checkers["home"].evaluate(world.monitor.config.policy)
        assert again.exit_code == 1
        assert world.monitor.as_of(world.now + DAY).exit_code == 1
    assert is_ok(await world.check())


@pytest.mark.parametrize(
    ("step", "hang", "is_first"),
    [
        ("listing the agents", _hangs, True),
        ("listing the agents", _hangs, False),
        ("listing the agents", _hangs_and_ignores_being_cancelled, False),
        ("asking the source", _hangs, True),
        ("asking the source", _hangs, False),
        ("asking the source", _hangs_and_ignores_being_cancelled, False),
        ("the slot of the processes", _hanging_slot, True),
        ("the slot of the processes", _hanging_slot, False),
        ("the slot of the checks", _hanging_slot, True),
        ("the slot of the checks", _hanging_slot, False),
        ("reading the ledger", _hangs, True),
    ],
)
async def test_step_that_hangs_is_given_up_and_the_next_check_runs(
    step: str, hang: Callable[..., Any], is_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, world = LoopClock(monkeypatch), World()
    monkeypatch.setattr(tasks, "CLEAN_UP", 1.0)
    if not is_first:
        assert is_ok(await world.check())
    with monkeypatch.context() as patch:
        _put(patch, ASYNC_STEPS[step], hang)
        checking = asyncio.create_task(world.check())
        for _ in range(20):
            await asyncio.sleep(0.001)
            clock.advance(100.0)
            if checking.done():
                break
        await until(checking.done)
        report = checking.result()
        assert not is_ok(report)
        assert reason_of(report) in (FailureReason.TIMEOUT, FailureReason.STALE)
    assert is_ok(await world.check())
    clock.advance(2 * _END_OF_TEST)


async def test_source_that_lists_no_agents_is_a_failed_check() -> None:
    world = World()
    world.fakes["home"].agent_ids = []
    report = await world.check()
    assert not is_ok(report)
    assert reason_of(report) is FailureReason.INVALID_OUTPUT


@pytest.mark.parametrize(
    "place", [(FakeSource, "programs"), (target_checker, "listing_failure_steps")], ids=lambda p: p[1]
)
async def test_listing_that_fails_is_a_failed_check_even_if_its_steps_cannot_be_told(
    place: tuple[object, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    assert is_ok(await world.check())
    world.fakes["home"].listing_error = CheckError(FailureReason.CONNECTION, "refused")
    monkeypatch.setattr(*place, _raises(RuntimeError("PLANTED-SECRET")))
    report = await world.check()
    assert not is_ok(report)
    assert reason_of(report) is FailureReason.CONNECTION
