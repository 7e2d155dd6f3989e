"""Long-lived tasks: started again when they fail, counted and named meanwhile, and all ended by stop."""

from __future__ import annotations

import asyncio
import gc

import pytest
from waiting import LoopClock, until

from exporter.lib import supervisor as module
from exporter.lib.supervisor import Supervisor

SECRET = "PLANTED-SECRET"


class Work:
    """A long-lived task that fails when the test says so."""

    def __init__(self) -> None:
        self.starts = 0
        self.fails = asyncio.Event()
        self.error: BaseException | None = RuntimeError(SECRET)

    async def __call__(self) -> None:
        self.starts += 1
        await self.fails.wait()
        self.fails.clear()
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("error", [RuntimeError(SECRET), MemoryError(), asyncio.CancelledError(), None], ids=repr)
async def test_task_that_fails_is_started_again_counted_and_named_meanwhile(
    error: BaseException | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock, work, supervisor = LoopClock(monkeypatch), Work(), Supervisor()
    work.error = error
    supervisor.start("pulse", work)
    await until(lambda: work.starts == 1)
    assert (supervisor.problem, supervisor.restarts) == (None, {"pulse": 0})

    work.fails.set()
    await until(lambda: supervisor.problem is not None)
    kind = "UnexpectedEndError" if error is None else type(error).__name__
    sentence = f"Internal error while running the task 'pulse' ({kind})"
    assert supervisor.problem == f"{sentence}; it starts again in 1 s or less"
    assert work.starts == 1
    clock.advance(1.1)
    await until(lambda: work.starts == 2)
    assert supervisor.restarts == {"pulse": 1}
    assert supervisor.problem == f"{sentence}; it has just started again"
    clock.advance(1.1)
    assert supervisor.problem is None
    await supervisor.stop()
    assert caplog.text.count(f"{sentence}; it starts again in 1 s") == 1
    assert SECRET not in caplog.text


async def test_pauses_grow_up_to_a_limit_and_shrink_after_a_steady_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, work, supervisor = LoopClock(monkeypatch), Work(), Supervisor()
    supervisor.start("pulse", work)

    async def pause_after(seconds: float) -> float:
        """How long the task pauses if it fails when it has run for so long."""
        starts = work.starts
        clock.advance(seconds)
        work.fails.set()
        await until(lambda: "starts again in" in (supervisor.problem or ""))
        pause = float((supervisor.problem or "").split("starts again in ")[1].split()[0])
        clock.advance(pause - 0.5)
        await asyncio.sleep(0)
        assert work.starts == starts
        clock.advance(0.6)
        await until(lambda: work.starts > starts)
        return pause

    await until(lambda: work.starts == 1)
    assert [await pause_after(5.0) for _ in range(9)] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert await pause_after(module.STEADY) == 1.0
    await supervisor.stop()


async def test_task_that_is_stopped_may_end_within_its_grace() -> None:
    work, supervisor = Work(), Supervisor()
    work.error = None
    task = supervisor.start("worker", work)
    await until(lambda: work.starts == 1)
    stopping = asyncio.create_task(task.stop(grace=60.0))
    await asyncio.sleep(0)
    work.fails.set()
    await stopping
    assert (work.starts, supervisor.problem, supervisor.restarts) == (1, None, {})


async def test_name_belongs_to_one_running_task_and_its_count_to_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    work, supervisor = Work(), Supervisor()
    task = supervisor.start("heartbeat", work)
    with pytest.raises(RuntimeError, match="'heartbeat' already runs"):
        supervisor.start("heartbeat", work)
    work.fails.set()
    await until(lambda: work.starts == 2)
    await task.stop()
    supervisor.start("heartbeat", work)  # as a reload does
    assert supervisor.restarts == {"heartbeat": 1}
    await supervisor.stop()


async def test_stop_leaves_no_task_and_nothing_starts_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, works = Supervisor(), [Work() for _ in range(3)]
    for number, work in enumerate(works):
        supervisor.start(str(number), work)
    works[0].fails.set()  # it stops in its pause
    supervisor.begin("short", works[2]())
    await until(lambda: supervisor.problem is not None)
    supervisor.begin("not begun yet", works[2]())
    await supervisor.stop()
    supervisor.start("late", works[1])
    assert supervisor.begin("late", works[1]()) is None
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert works[1].starts == 1


async def test_error_in_short_work_is_logged_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    work, supervisor = Work(), Supervisor()
    work.fails.set()
    task = supervisor.begin("rendering again", work())
    assert task is not None
    await asyncio.wait({task})
    del task
    gc.collect()
    assert "Internal error while rendering again (RuntimeError)" in caplog.text
    assert SECRET not in caplog.text
