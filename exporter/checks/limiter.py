"""Turns: so many looks work at a time. A look that keeps waiting for its target gives its turn away.

A fleet that is looked at all at once would keep the loop, and with it every scrape, busy for seconds, and
hold the history of all its looks together. Used by the monitor.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

#: How many looks work together.
MAX_CONCURRENT = 16
#: How long a look may keep its turn, seconds. What takes longer waits for its target, and is in nobody's way.
MAX_HOLD = 0.2


class ConcurrencyLimiter:
    """Given in the order in which they were asked for."""

    def __init__(self, together: int = MAX_CONCURRENT, patience: float = MAX_HOLD) -> None:
        self._free = asyncio.Semaphore(together)
        self._patience = patience

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and keep it for the block or until patience ends."""
        await self._free.acquire()
        over = asyncio.get_running_loop().call_later(self._patience, self._free.release)
        try:
            yield
        finally:
            if over.when() > asyncio.get_running_loop().time():  # else it is given away already, or in a moment
                over.cancel()
                self._free.release()
