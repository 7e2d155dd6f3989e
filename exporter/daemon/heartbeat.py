"""A heartbeat to a dead-man's switch: what rings when we are dead.

As healthchecks.io and its like expect: ``/start`` when we begin, the URL itself while all is well,
``/fail`` with the reason in the body while we cannot do our work. The URL is a secret.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import httpx

from exporter.config import ConfigError
from exporter.config.models import Heartbeat as Configured

log = logging.getLogger(__name__)

#: For one call, seconds.
TIMEOUT = 10.0
#: Tries of one beat, and the pause between them in seconds: one lost packet is no death.
TRIES, PAUSE = 3, 2.0


class HeartbeatSender:
    """Beats every ``every`` seconds until it is stopped. ``problem`` says why not all is well, or None."""

    def __init__(
        self,
        config: Configured,
        problem: Callable[[], str | None],
        now: Callable[[], float] = time.time,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._config = config
        self._problem = problem
        self._now = now
        self._transport = transport
        self._task: asyncio.Task[None] | None = None
        #: When "all is well" last arrived, Unix seconds.
        self.success_at: float | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="heartbeat")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        await self._tell("/start", "")
        while True:
            await self.beat()
            await asyncio.sleep(self._config.every)

    async def beat(self) -> bool:
        """Tell how we are; whether that arrived."""
        problem = self._problem()
        arrived = await self._tell("/fail" if problem else "", problem or "")
        if arrived and problem is None:
            self.success_at = self._now()
        return arrived

    async def _tell(self, path: str, body: str) -> bool:
        why = ""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(PAUSE)
            try:
                url = self._config.secret("url")
                if not url:
                    raise ConfigError("heartbeat", ["it has no url"])
                # Of the answer only the head is read, and all of it within the time: one that comes byte by byte
                # would stop our heart.
                async with (
                    asyncio.timeout(TIMEOUT),
                    httpx.AsyncClient(
                        transport=self._transport,
                        timeout=None,  # noqa: S113 - asyncio.timeout is around the whole request
                        trust_env=False,
                    ) as client,
                    client.stream("POST", _address(url, path), content=body.encode()) as answer,
                ):
                    if answer.is_success:
                        return True
                    why = f"it answered {answer.status_code}"
            except ConfigError as error:
                why = str(error)
            except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
                why = type(error).__name__  # its text may quote the URL
        log.warning("the heartbeat did not arrive (%s)", why)
        return False


def _address(url: str, path: str) -> str:
    """``path`` below the URL's own, before its query: what is appended to that would be a value of it."""
    if not path:
        return url
    place, mark, query = url.partition("?")
    return place.rstrip("/") + path + mark + query
