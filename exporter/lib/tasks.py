"""asyncio helpers: begin and end tasks, and wait for an event or for work with a limit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterable
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


def begin(work: Coroutine[Any, Any, T], name: str | None = None) -> asyncio.Task[T]:
    """A task for work that ends. Its error is for whoever awaits it: asyncio logs none that nobody awaits.

    Work that does not end by itself belongs to a ``Supervisor``.
    """
    task = asyncio.create_task(work, name=name or getattr(work, "__qualname__", None))
    task.add_done_callback(_retrieve)
    return task


async def run_all(works: Iterable[Coroutine[Any, Any, None]], a_turn: int) -> None:
    """Run ``works`` side by side. At most ``a_turn`` of them begin in one turn of the loop, which goes on meanwhile.

    The first error ends the others, and is raised as an ExceptionGroup.
    """
    async with asyncio.TaskGroup() as group:
        for number, work in enumerate(works, start=1):
            group.create_task(work)
            if number % a_turn == 0:
                await asyncio.sleep(0)


def _retrieve(ended: asyncio.Task[Any]) -> None:
    if not ended.cancelled():
        ended.exception()  # asyncio would log it with its text, which may quote a secret


def wait_in_thread(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], seconds: float) -> T:
    """The result of ``work``, which runs on ``loop`` while the calling thread waits.

    Raises what ``work`` raises, and TimeoutError after ``seconds``.
    """
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result(seconds)
    except TimeoutError:
        future.cancel()
        raise


async def end(*tasks: asyncio.Task[Any] | None, grace: float = 0.0) -> None:
    """Cancel tasks (None: not started) that are not done within ``grace`` seconds, and wait until all have ended.

    A task that goes on although it is cancelled is left alone after ``CLEAN_UP`` seconds.
    """
    started = {task for task in tasks if task is not None}
    if not started:
        return
    for task in started:
        task.add_done_callback(_retrieve)
    if grace > 0:
        await asyncio.wait(started, timeout=grace)
    for task in started:
        task.cancel()
    _, left = await asyncio.wait(started, timeout=CLEAN_UP)
    for task in left:
        log.error("the task %r does not end although it is cancelled: it is left alone", task.get_name())


async def finish_within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, which runs as a task of its own.

    Raises what ``work`` raises, StrayCancellationError if it cancels itself, and TimeoutError after ``seconds``. Work
    that goes on although it is cancelled is left alone after ``CLEAN_UP`` seconds; its result is ignored.
    """
    task = begin(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        await end(task)
        raise
    if not task.done():
        await end(task)
        raise TimeoutError
    if task.cancelled():
        raise StrayCancellationError
    return task.result()


def is_cancelled() -> bool:
    """Whether somebody has cancelled the current task, so that a CancelledError in it is no stray one."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
