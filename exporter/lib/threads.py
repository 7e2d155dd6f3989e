"""Blocking work on files that may hang, as those of a network file system do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class IsolatedThread:
    """Runs blocking work in a thread of its own, one piece after another.

    Work that hangs costs this one thread: no second one is started beside it, none is taken from the pool that
    ``asyncio.to_thread`` shares, and the process can exit without it.
    """

    def __init__(self, name: str) -> None:
        """``name`` is the thread's, for debuggers."""
        self._name = name
        self._turn = asyncio.Lock()
        self._work: Future[object] | None = None  # the latest piece
        self._hangs = False  # it has been given up

    async def run(self, work: Callable[[], T], seconds: float) -> T:
        """The result of ``work``.

        Raises what ``work`` raises, and TimeoutError after ``seconds``, or at once while earlier work hangs.
        """
        self._hangs = self._hangs and self.is_busy
        if self._hangs:
            raise TimeoutError
        try:
            async with asyncio.timeout(seconds), self._turn:
                if self._work is not None and self.is_busy:  # the caller of the latest piece was cancelled
                    await asyncio.wait({asyncio.wrap_future(self._work)})
                result = begin(work, self._name)
                self._work = result  # type: ignore[assignment]  # read only for whether it is done
                return await asyncio.wrap_future(result)
        except TimeoutError:
            self._hangs = self.is_busy
            raise

    @property
    def is_busy(self) -> bool:
        """Whether work has not ended, perhaps work that was given up."""
        return self._work is not None and not self._work.done()


def begin(work: Callable[[], T], name: str) -> Future[T]:
    """Start ``work`` in a new thread, without which the process can exit."""
    result: Future[T] = Future()
    threading.Thread(target=_run, args=(work, result), name=name, daemon=True).start()
    return result


def _run(work: Callable[[], T], result: Future[T]) -> None:
    if not result.set_running_or_notify_cancel():
        return
    try:
        found = work()
    except Exception as error:
        result.set_exception(error)
    except BaseException as error:  # nobody cancels a thread, and only the main thread ends the process
        result.set_exception(RuntimeError(f"{type(error).__name__} in a thread"))
    else:
        result.set_result(found)
