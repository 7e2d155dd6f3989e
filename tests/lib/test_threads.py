"""Work on files that hang costs one thread and a time limit, and nothing else."""

from __future__ import annotations

import asyncio
import threading

import pytest
from waiting import LoopClock, until

from exporter.lib.threads import IsolatedThread


async def test_result_and_errors_of_the_work_arrive() -> None:
    isolated = IsolatedThread("test")

    def fails() -> None:
        raise ValueError("of the work")

    assert await isolated.run(lambda: threading.current_thread().name, 60.0) == "test"
    with pytest.raises(ValueError, match="of the work"):
        await isolated.run(fails, 60.0)
    assert not isolated.is_busy


async def test_work_that_hangs_is_given_up_and_no_thread_is_started_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, began, go_on = LoopClock(monkeypatch), threading.Event(), threading.Event()
    isolated = IsolatedThread("hangs")

    def hang() -> str:
        began.set()
        go_on.wait(30)
        return "late"

    first = asyncio.create_task(isolated.run(hang, 1.0))
    await until(began.is_set)
    clock.advance(2.0)
    with pytest.raises(TimeoutError):
        await first
    for _ in range(3):
        with pytest.raises(TimeoutError):  # at once
            await isolated.run(hang, 3600.0)
    assert [thread.name for thread in threading.enumerate()].count("hangs") == 1
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "hangs")

    go_on.set()
    await until(lambda: not isolated.is_busy)
    assert await isolated.run(lambda: "again", 60.0) == "again"


async def test_pieces_of_work_never_overlap_even_if_a_caller_stops_waiting() -> None:
    began, go_on, running = threading.Event(), threading.Event(), []
    isolated = IsolatedThread("test")

    def work() -> int:
        running.append(1)
        began.set()
        go_on.wait(30)
        running.pop()
        return len(running)

    first = asyncio.create_task(isolated.run(work, 60.0))
    await until(began.is_set)
    first.cancel()
    others = [asyncio.create_task(isolated.run(work, 60.0)) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert running == [1]
    go_on.set()
    assert await asyncio.gather(*others) == [0, 0, 0]
