"""How tests wait: for a fact, never for a number of seconds. Where time must pass, they move the clock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest


async def until(fact: Callable[[], object]) -> None:
    """Wait until ``fact`` is true. The limit, far beyond the time it takes, only ends a hang."""
    async with asyncio.timeout(30):
        while not fact():  # noqa: ASYNC110 - facts about other processes, sockets and threads have no event
            await asyncio.sleep(0.01)


async def command_has_started() -> None:
    """Wait until the commands that run are waited for: what a command has done can be seen earlier than that."""
    await until(lambda: not any(thread.name == "start a command" for thread in threading.enumerate()))
    for _ in range(10):  # from the end of the thread to the coroutine
        await asyncio.sleep(0)


class LoopClock:
    """The running loop's clock, which a test can advance: whatever waits for a time sees it pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        real, self._ahead = loop.time, 0.0
        monkeypatch.setattr(loop, "time", lambda: real() + self._ahead)

    def advance(self, seconds: float) -> None:
        self._ahead += seconds
