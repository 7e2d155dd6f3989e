"""Loading the configuration again: one reload after another, none before the daemon has started or after it stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from exporter.config import ConfigError
from exporter.daemon import systemd
from exporter.lib import tasks
from exporter.lib.redact import internal_error

log = logging.getLogger(__name__)

STOPPING = "the exporter stops: nothing was reloaded"


class Reloader:
    """Reloads on request. Requests that come while one waits for its turn share that one."""

    def __init__(
        self,
        load_and_apply: Callable[[], Coroutine[Any, Any, None]],
        status: Callable[[], str],
        now: Callable[[], float],
    ) -> None:
        """``load_and_apply`` raises, and has changed nothing, if the new configuration cannot be used."""
        self._load_and_apply = load_and_apply
        self._status = status
        self._now = now
        self._started = asyncio.Event()
        #: To be held while a configuration comes into use.
        self.turn = asyncio.Lock()
        self._waiting: asyncio.Task[str | None] | None = None  # the one whose turn has not come
        self._all: set[asyncio.Task[str | None]] = set()
        self._stops = False
        #: Whether the last reload, or the start, could use the configuration, and when one last could.
        self.succeeded, self.succeeded_at = True, now()

    def open(self) -> None:
        """The daemon has started: reload what was requested meanwhile, and whatever is requested from now on."""
        self._started.set()

    async def close(self) -> None:
        """End a reload that is under way, and begin none any more."""
        self._stops = True
        await tasks.end(*self._all)

    def request(self) -> asyncio.Task[str | None] | None:
        """Reload soon; the task returns what ``reload`` does. None while the daemon stops."""
        if self._stops:
            return None
        if self._waiting is None:
            self._waiting = tasks.begin(self._in_turn(), name="reload")
            self._all.add(self._waiting)
            self._waiting.add_done_callback(self._all.discard)
        return self._waiting

    async def reload(self) -> str | None:
        """Load the configuration again. A bad one changes nothing, and its problem is returned."""
        task = self.request()
        if task is None:
            return STOPPING
        await asyncio.wait({task})  # whoever stops waiting does not end it for the others
        return STOPPING if task.cancelled() else task.result()

    async def _in_turn(self) -> str | None:
        try:
            await self._started.wait()
            await self.turn.acquire()
        finally:
            self._waiting = None  # the configuration may change from here on, so a later request needs its own
        try:
            return await self._reload()
        finally:
            self.turn.release()

    async def _reload(self) -> str | None:
        systemd.reloading()
        why = None
        try:
            await self._load_and_apply()
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and tasks.is_cancelled():
                raise
            why = str(error) if isinstance(error, ConfigError) else internal_error(error, "reloading")
        self.succeeded = why is None
        if why is None:
            self.succeeded_at = self._now()
            log.info("the configuration is reloaded: %s", self._status())
        else:
            log.error("the configuration is not used: %s", why)
        systemd.ready(self._status())
        return why
