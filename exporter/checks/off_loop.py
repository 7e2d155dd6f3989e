"""Runs what takes longer the more profiles there are: at once for few, in a thread for many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Up to so many profiles, work takes a few milliseconds at most, and a thread would cost more than it saves.
FEW = 100
#: How long work may take in a thread, in seconds. A verdict about 10,000 profiles takes one.
LIMIT = 60.0


async def off_loop(profiles: int, work: Callable[[], T]) -> T:
    """The result of ``work`` on so many profiles. Raises what it raises, and TimeoutError after ``LIMIT`` seconds."""
    if profiles <= FEW:
        return work()
    async with asyncio.timeout(LIMIT):
        return await asyncio.to_thread(work)
