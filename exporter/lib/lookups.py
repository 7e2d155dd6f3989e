"""An event loop whose name lookups cannot use up the threads that everything else needs.

``getaddrinfo`` blocks its thread for as long as a dead name server keeps it waiting, however long its caller waits.
asyncio runs it in the few threads of ``asyncio.to_thread``, so a handful of lookups would stop rendering, evaluation
and reloads, and at the end the process would wait for them.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import threading
from concurrent.futures import Future
from typing import Any

#: How many lookups run at the same time, those that nobody waits for any more included. Others wait for one to end.
MAX_LOOKUPS = 32


class Loop(asyncio.SelectorEventLoop):
    """Looks names up in threads of their own, which the end of the process does not wait for."""

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        super().__init__(selector)
        self._lookups = asyncio.Semaphore(MAX_LOOKUPS)

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        await self._lookups.acquire()
        found: Future[Any] = Future()
        found.add_done_callback(self._ended)
        arguments = (host, port, family, type, proto, flags)
        try:
            threading.Thread(target=_look_up, args=(found, arguments), name="name lookup", daemon=True).start()
        except RuntimeError as error:  # no thread can be started
            found.set_exception(OSError(str(error)))
        answer = asyncio.wrap_future(found)
        # Nobody reads the error of a lookup whose caller has gone, and asyncio must not log it.
        answer.add_done_callback(lambda ended: None if ended.cancelled() else ended.exception())
        return await asyncio.shield(answer)

    def _ended(self, _: Future[Any]) -> None:
        if not self.is_closed():
            self.call_soon_threadsafe(self._lookups.release)


def _look_up(found: Future[Any], arguments: tuple[Any, ...]) -> None:
    try:
        answer = socket.getaddrinfo(*arguments)
    except Exception as error:
        found.set_exception(error)
    else:
        found.set_result(answer)
