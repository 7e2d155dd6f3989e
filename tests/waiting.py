"""How tests wait: for what must come, never for so many seconds; where time itself must pass, the clock is moved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest


async def until(fact: Callable[[], object]) -> None:
    """Wait for what must come; a hang is ended by the limit, far beyond what it takes."""
    async with asyncio.timeout(30):
        while not fact():  # noqa: ASYNC110 - other processes, sockets and threads: what is waited for has no event
            await asyncio.sleep(0.01)


class LoopClock:
    """The running loop's clock: what waits there for a time to pass sees it pass, and nobody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        real, self._ahead = loop.time, 0.0
        monkeypatch.setattr(loop, "time", lambda: real() + self._ahead)

    def advance(self, seconds: float) -> None:
        self._ahead += seconds
