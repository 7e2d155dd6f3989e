"""What asyncio itself reports: errors in callbacks, in tasks nobody awaits, and connections it cannot accept.

asyncio's own handler logs each with the error's text and its arguments, which may quote a secret, and as often as it
happens: without free file descriptors that is thousands of times a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any

from exporter.lib.logs import kind_and_place, without_arguments

log = logging.getLogger(__name__)

#: For how long errors of one kind are only counted after one was logged, in seconds.
LOG_EVERY = 60.0


class LoopErrors:
    """An exception handler for one event loop: at most a line a minute for each kind of error, without its text."""

    def __init__(self) -> None:
        self._more: Counter[str] = Counter()  # by what was logged less than LOG_EVERY ago: how often it happened since

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        what = _described(context)
        if what in self._more:
            self._more[what] += 1
            return
        self._more[what] = 0
        log.error("%s", what)
        loop.call_later(LOG_EVERY, self._sum_up, loop, what)

    def _sum_up(self, loop: asyncio.AbstractEventLoop, what: str) -> None:
        if (count := self._more.pop(what)) > 0:
            log.error("%s (%d times more in the last %.0f s)", what, count, LOG_EVERY)
            self._more[what] = 0
            loop.call_later(LOG_EVERY, self._sum_up, loop, what)


def _described(context: dict[str, Any]) -> str:
    """asyncio's message without the arguments in it, the kind of the error, and where it was raised."""
    message = str(context.get("message", "error in the event loop"))
    if not message.startswith("socket."):
        message = without_arguments(message)
    error = context.get("exception")
    return f"asyncio: {message}" + (f" ({kind_and_place(error)})" if isinstance(error, BaseException) else "")
