"""A web configuration file (``web.config_file``) in effect: read again when it changes, and its limit of requests."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Mapping

from starlette.exceptions import HTTPException
from starlette.types import Scope

from exporter.config import ConfigError, find_credential
from exporter.config.reading import read_text
from exporter.config.web_config_file import RateLimit, WebConfigFile, parse_web_config

log = logging.getLogger(__name__)

MAX_FILE = 1  # MiB


class CurrentWebConfig:
    """The file's content. A check of the file's status finds out whether it has changed."""

    def __init__(self, path: str) -> None:
        self.path = find_credential(path)
        self._signature: tuple[int, int, int] | None = None
        self._last: WebConfigFile | None = None
        self._reported = ""

    def read(self) -> WebConfigFile:
        """What the file says now. Raises ConfigError while it cannot be used."""
        signature = None
        try:
            stat = os.stat(self.path)
            signature = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except OSError:
            pass  # reading the file reports why
        if self._last is None or signature is None or signature != self._signature:
            self._signature = None
            self._last = parse_web_config(read_text(self.path, MAX_FILE, "a web configuration"), self.path)
            self._signature = signature
        return self._last

    async def check(self, scope: Scope) -> None:
        """Refuse every request (503) while the file cannot be used: it may be about to require a password."""
        try:
            self.read()
        except ConfigError as error:
            if str(error) != self._reported:
                log.error("web: every request is refused: %s", error)
            self._reported = str(error)
            raise HTTPException(503, "The web configuration cannot be used. The log has the reason.") from None
        self._reported = ""

    def headers(self) -> Mapping[str, str]:
        """The headers of every answer, as they were read last."""
        return self._last.headers if self._last else {}


class RequestLimit:
    """A token bucket for all requests together, which may also be scrapes (429)."""

    def __init__(self, limit: RateLimit, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._tokens = float(limit.burst)
        self._at = clock()

    async def check(self, scope: Scope) -> None:
        """Refuse a request that comes too soon."""
        now = self._clock()
        self._tokens = min(float(self._limit.burst), self._tokens + (now - self._at) / self._limit.interval)
        self._at = now
        if self._tokens < 1:
            after = max(1, math.ceil((1 - self._tokens) * self._limit.interval))
            raise HTTPException(429, "Too many requests.", {"Retry-After": str(after)})
        self._tokens -= 1
