"""Announces to open pages that what they show has changed, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

from starlette.responses import Response, StreamingResponse

from exporter.lib import tasks
from exporter.web.responses import sentence

#: How many pages are told at a time. Further ones ask once a minute.
MAX_STREAMS = 64
#: Seconds between two events of a page: a fleet has a new report many times a second.
GAP = 1.0
#: Seconds after which a page hears that the exporter is still there.
SIGN_OF_LIFE = 15.0


class Announcer:
    """Counts the changes of what pages show. To be used from the event loop."""

    def __init__(self) -> None:
        self.revision = 0
        self._changed = asyncio.Event()
        self._closed = asyncio.Event()

    @property
    def is_closed(self) -> bool:
        return self._closed.is_set()

    def announce(self) -> None:
        """A page would show something else now."""
        self.revision += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def close(self) -> None:
        """End all streams: the exporter stops."""
        self._closed.set()
        self.announce()

    async def next(self, seen: int) -> int:
        """The revision once it is another one than ``seen``, or after ``SIGN_OF_LIFE``."""
        await tasks.wait_at_most(self._closed, GAP)
        if self.revision == seen and not self.is_closed:
            await tasks.wait_at_most(self._changed, SIGN_OF_LIFE)
        return self.revision


class EventStreams:
    """The answers of ``/api/v1/events``."""

    def __init__(self, announcer: Announcer, checking: Callable[[], int]) -> None:
        """``checking`` is how many targets are being checked."""
        self._announcer = announcer
        self._checking = checking
        self._open = 0

    def answer(self) -> Response:
        if self._open >= MAX_STREAMS or self._announcer.is_closed:
            return sentence(503, "Too many pages are open, or the exporter stops: try again later.")
        return StreamingResponse(self._events(), media_type="text/event-stream")

    async def _events(self) -> AsyncIterator[str]:
        self._open += 1
        try:
            yield "retry: 2000\n\n"
            revision = self._announcer.revision
            while not self._announcer.is_closed:
                yield f"data: {json.dumps({'revision': revision, 'checking': self._checking()})}\n\n"
                revision = await self._announcer.next(revision)
        finally:
            self._open -= 1
