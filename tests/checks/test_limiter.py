"""Turns: never more looks at work than there are turns, and nobody waits behind one that waits itself."""

from __future__ import annotations

import asyncio

import pytest
from waiting import until

from exporter.checks.limiter import ConcurrencyLimiter


class Work:
    def __init__(self, turns: ConcurrencyLimiter) -> None:
        self.turns = turns
        self.running = self.most = 0
        self.over = asyncio.Event()

    async def do(self) -> None:
        async with self.turns.turn():
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                await self.over.wait()
            finally:
                self.running -= 1


async def until_running(work: Work, running: int) -> None:
    await until(lambda: work.running == running)


async def test_so_many_work_together_and_the_next_begins_when_one_ends() -> None:
    work = Work(ConcurrencyLimiter(3, patience=600))
    tasks = [asyncio.create_task(work.do()) for _ in range(10)]
    await until_running(work, 3)
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    await until_running(work, 3)
    work.over.set()
    await asyncio.gather(*tasks[1:])
    assert work.most == 3


async def test_who_waits_long_gives_its_turn_away_once() -> None:
    turns = ConcurrencyLimiter(2, patience=0.01)
    waiting = Work(turns)
    tasks = [asyncio.create_task(waiting.do()) for _ in range(6)]
    await until_running(waiting, 6)
    waiting.over.set()
    await asyncio.gather(*tasks)
    turns._patience = 600
    working = Work(turns)
    tasks = [asyncio.create_task(working.do()) for _ in range(6)]
    await until_running(working, 2)
    await asyncio.sleep(0.02)
    assert working.running == 2, "no turn was given twice"
    working.over.set()
    await asyncio.gather(*tasks)
