"""asyncio helpers: wait for an event with a limit, and end tasks."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any


async def wait_at_most(event: asyncio.Event, seconds: float) -> None:
    """Return when ``event`` is set, or after ``seconds``."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def end(*tasks: asyncio.Task[Any] | None, grace: float = 0.0) -> None:
    """Cancel tasks (None: not started) that are not done within ``grace`` seconds, and wait until all have ended."""
    started = [task for task in tasks if task is not None]
    if started and grace > 0:
        await asyncio.wait(started, timeout=grace)
    for task in started:
        task.cancel()
    await asyncio.gather(*started, return_exceptions=True)
