"""The concurrency limit: never more checks than slots, and none waits behind one that is itself waiting."""

from __future__ import annotations

import asyncio

import pytest
from waiting import LoopClock, until

from exporter.checks.limiter import ConcurrencyLimiter


class Work:
    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self.limiter = limiter
        self.running = self.most = 0
        self.may_end = asyncio.Event()

    async def do(self) -> None:
        async with self.limiter.slot():
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                await self.may_end.wait()
            finally:
                self.running -= 1


async def settle() -> None:
    """Let everything happen that is due."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_next_check_begins_when_one_ends() -> None:
    work = Work(ConcurrencyLimiter(3, max_hold=600))
    tasks = [asyncio.create_task(work.do()) for _ in range(10)]
    await settle()
    assert work.running == 3
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    await settle()
    assert work.running == 3
    work.may_end.set()
    await asyncio.gather(*tasks[1:])
    assert work.most == 3


async def test_waiting_check_gives_up_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, work = LoopClock(monkeypatch), Work(ConcurrencyLimiter(2, max_hold=600))
    tasks = [asyncio.create_task(work.do()) for _ in range(6)]
    for running in (2, 4, 6):
        await settle()
        assert work.running == running
        clock.advance(601)
        await asyncio.sleep(0.001)
    work.may_end.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("held_for", [0, 601])
async def test_slot_is_released_once_however_long_it_was_held(monkeypatch: pytest.MonkeyPatch, held_for: float) -> None:
    """A slot that ended early must not be released again when its time is up."""
    clock, limiter = LoopClock(monkeypatch), ConcurrencyLimiter(2, max_hold=600)
    first = Work(limiter)
    tasks = [asyncio.create_task(first.do()) for _ in range(4)]
    await settle()
    clock.advance(held_for)
    await asyncio.sleep(0.001)
    first.may_end.set()
    await asyncio.gather(*tasks)
    clock.advance(601)  # the time of every slot is up
    await asyncio.sleep(0.001)
    second = Work(limiter)
    tasks = [asyncio.create_task(second.do()) for _ in range(6)]
    await settle()
    assert second.running == 2
    second.may_end.set()
    await until(lambda: all(task.done() for task in tasks))
