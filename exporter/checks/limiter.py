"""Limits concurrent checks. A check that keeps waiting for its target gives up its slot.

If a fleet were checked all at once, it would keep the event loop, and with it every scrape, busy for seconds and hold
the data of all checks in memory together.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

#: How many checks run at the same time.
MAX_CONCURRENT = 16
#: How long a check holds its slot, in seconds. One that takes longer is waiting for its target and uses no CPU.
MAX_HOLD = 0.2


class ConcurrencyLimiter:
    """Hands out slots in the order of the requests."""

    def __init__(self, slots: int = MAX_CONCURRENT, max_hold: float = MAX_HOLD) -> None:
        self._free = asyncio.Semaphore(slots)
        self._max_hold = max_hold

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it for the block, for at most ``max_hold`` seconds."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        expiry = loop.call_later(self._max_hold, self._free.release)
        try:
            yield
        finally:
            if expiry.when() > loop.time():  # else it has been released, or is about to be
                expiry.cancel()
                self._free.release()
