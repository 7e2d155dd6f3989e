"""asyncio helpers: wait for an event or for work with a limit, and end tasks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)

#: How long cancelled work may take to clean up before it is left alone, in seconds.
CLEAN_UP = 10.0
T = TypeVar("T")


class StrayCancellationError(Exception):
    """Work ended with a CancelledError although nobody cancelled it."""


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


async def finish_within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, which runs as a task of its own.

    Raises what ``work`` raises, StrayCancellationError if it cancels itself, and TimeoutError after ``seconds``. Work
    that goes on although it is cancelled is left alone after ``CLEAN_UP`` seconds; its result is ignored.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        await _give_up(task)
        raise
    if not task.done():
        await _give_up(task)
        raise TimeoutError
    if task.cancelled():
        raise StrayCancellationError
    return task.result()


async def _give_up(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=CLEAN_UP)
    if not task.done():
        log.error("%s does not end although it is cancelled: it is left alone", task.get_coro())
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # retrieved: nobody else will


def is_cancelled() -> bool:
    """Whether somebody has cancelled the current task, so that a CancelledError in it is no stray one."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
