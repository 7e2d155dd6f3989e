"""The heartbeat: regular requests to a dead-man's switch, which alarms when they stop.

As healthchecks.io and similar services expect, it POSTs to ``/start`` when the daemon starts, to the URL itself while
all is well, and to ``/fail`` with the reason as the body while the daemon cannot do its work. Uptime Kuma's push URLs
know none of this: they get a GET with ``status=up`` or ``status=down``. The URL is a secret.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from exporter.config import ConfigError
from exporter.config.models import Heartbeat
from exporter.config.secret_reader import SecretReader
from exporter.lib import http
from exporter.lib.redact import internal_error
from exporter.lib.supervisor import SupervisedTask, Supervisor

log = logging.getLogger(__name__)

#: For one request, seconds.
TIMEOUT = 10.0
#: Attempts per heartbeat, and the seconds between them: one lost packet must not raise an alarm.
ATTEMPTS, PAUSE = 3, 2.0
_KUMA = re.compile(r"/api/push/[^/]+/?$")
_MAX_KUMA_MESSAGE = 250  # characters


class HeartbeatSender:
    """Sends a heartbeat every ``config.every`` seconds. ``problem`` returns why the daemon is not well, or None."""

    def __init__(
        self,
        config: Heartbeat,
        problem: Callable[[], str | None],
        now: Callable[[], float] = time.time,
        transport: httpx.AsyncBaseTransport | None = None,
        supervisor: Supervisor | None = None,
    ) -> None:
        self._config = config
        self._secrets = SecretReader(config)
        self._problem = problem
        self._now = now
        self._transport = transport
        self._supervisor = supervisor or Supervisor()
        self._task: SupervisedTask | None = None
        self._started = False  # it has announced itself
        #: When "all is well" last arrived, Unix seconds.
        self.success_at: float | None = None

    def start(self) -> None:
        self._task = self._supervisor.start("heartbeat", self._run)

    async def stop(self) -> None:
        if self._task is not None:
            await self._task.stop()

    async def _run(self) -> None:
        if not self._started:
            self._started = True
            await self._send("/start", "")
        while True:
            await self.send()
            await asyncio.sleep(self._config.every)

    async def send(self) -> bool:
        """Send one heartbeat; returns whether it arrived."""
        try:
            problem = self._problem()
        except Exception as error:
            problem = internal_error(error, "asking whether all is well")
        arrived = await self._send("/fail" if problem else "", problem or "")
        if arrived and problem is None:
            self.success_at = self._now()
        return arrived

    async def _send(self, path: str, body: str) -> bool:
        why = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(PAUSE)
            try:
                url = await self._secrets.read("url")
                async with http.Client(self._transport) as client:
                    for_kuma = _for_kuma(url or "", path, body)
                    if for_kuma is None:
                        address, content = _with_path(url or "", path), body.encode()
                        answer = await client.send("POST", address, timeout=TIMEOUT, content=content)
                    elif for_kuma:
                        answer = await client.send("GET", for_kuma, timeout=TIMEOUT)
                    else:
                        return True
            except (ConfigError, http.RequestError) as error:
                why = str(error)
            else:
                if answer.is_success:
                    return True
                why = http.status_text(answer.status)
        log.warning("the heartbeat did not arrive: %s", why)
        return False


def _with_path(url: str, path: str) -> str:
    """``url`` with ``path`` added before its query string."""
    if not path:
        return url
    address, mark, query = url.partition("?")
    return address.rstrip("/") + path + mark + query


def _for_kuma(url: str, path: str, body: str) -> str | None:
    """The URL to GET from Uptime Kuma, empty where it has nothing like ``path``; None if ``url`` is not Kuma's.

    Its push URL ends in ``?status=up&msg=OK&ping=`` as it is shown. Kuma 1 answers 404 to a POST and to another path.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if not _KUMA.search(parts.path):
        return None
    if path == "/start":
        return ""
    state = {"status": "down" if path else "up", "msg": body[:_MAX_KUMA_MESSAGE] or "OK"}
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    return parts._replace(query=urlencode({**given, **state})).geturl()
