"""Waiting for events with a limit, and ending tasks."""

from __future__ import annotations

import asyncio
import contextlib
import gc

import pytest
from waiting import LoopClock, until

from exporter.lib.tasks import StrayCancellationError, begin, end, finish_within, wait_at_most


async def test_wait_ends_with_the_event_or_the_limit() -> None:
    event = asyncio.Event()
    await wait_at_most(event, 0.01)
    assert not event.is_set()
    event.set()
    await wait_at_most(event, 3600.0)


async def test_task_that_completes_within_its_grace_is_not_cancelled() -> None:
    quick = asyncio.create_task(asyncio.sleep(0.01, "done"))
    await end(quick, None, grace=60.0)
    assert quick.result() == "done"


async def test_other_tasks_are_cancelled_and_an_error_is_ignored() -> None:
    async def fail() -> None:
        raise ValueError

    failing, stuck = asyncio.create_task(fail()), asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    await end(failing, stuck)
    assert stuck.cancelled()
    assert isinstance(failing.exception(), ValueError)


async def test_work_that_ends_in_time_gives_its_result_or_its_error() -> None:
    async def fail() -> None:
        raise ValueError("of the work")

    assert await finish_within(60.0, asyncio.sleep(0, "done")) == "done"
    with pytest.raises(ValueError, match="of the work"):
        await finish_within(60.0, fail())


async def test_work_that_cancels_itself_is_an_error_and_not_a_cancellation() -> None:
    async def cancel_itself() -> None:
        raise asyncio.CancelledError

    with pytest.raises(StrayCancellationError):
        await finish_within(60.0, cancel_itself())


async def test_work_that_ignores_its_cancellation_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, go_on, cancelled = LoopClock(monkeypatch), asyncio.Event(), asyncio.Event()

    async def ignore() -> None:
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                cancelled.set()

    waiting = asyncio.create_task(finish_within(5.0, ignore()))
    await asyncio.sleep(0)
    clock.advance(6.0)
    await until(cancelled.is_set)
    assert not waiting.done()
    clock.advance(11.0)
    with pytest.raises(TimeoutError):
        await waiting
    go_on.set()


async def test_caller_that_is_cancelled_takes_its_work_with_it() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(finish_within(60.0, work()))
    await asyncio.sleep(0)
    await end(waiting)
    assert ended.is_set()
    assert waiting.cancelled()


async def test_error_that_nobody_awaits_is_not_logged_by_asyncio(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("PLANTED-SECRET")

    task = begin(fail())
    await asyncio.wait({task})
    del task
    gc.collect()
    assert caplog.text == ""


async def test_end_leaves_a_task_alone_that_ignores_its_cancellation(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock, go_on = LoopClock(monkeypatch), asyncio.Event()

    async def ignore() -> None:
        while not go_on.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await go_on.wait()

    task = begin(ignore(), name="stubborn")
    await asyncio.sleep(0)
    ending = asyncio.create_task(end(task))
    await asyncio.sleep(0)
    clock.advance(11.0)
    await ending
    assert "the task 'stubborn' does not end although it is cancelled: it is left alone" in caplog.text
    go_on.set()
    await task
