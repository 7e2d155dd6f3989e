"""A web configuration file (``web.config_file``) in effect: read again when it changes, and its limit of requests."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping

from starlette.exceptions import HTTPException
from starlette.types import Scope

from exporter.config import ConfigError, find_credential
from exporter.config.web_config_file import RateLimit, WebConfigFile, parse_web_config
from exporter.web.current_file import CurrentFile

log = logging.getLogger(__name__)

_GONE = "{} gone: to serve without, restart the exporter"
#: A web configuration that had users when the exporter started has none now.
USERS_GONE = _GONE.format("basic_auth_users is")


class CurrentWebConfig:
    """The file's content. A check of the file's status finds out whether it has changed."""

    def __init__(self, path: str) -> None:
        self.path = find_credential(path)
        self._file = CurrentFile(self.path, "a web configuration", self._parse)
        self._first: WebConfigFile | None = None
        self._headers: Mapping[str, str] = {}
        self._reported = ""

    def _parse(self, text: str, where: str) -> WebConfigFile:
        found = parse_web_config(text, self.path)
        self._first = first = self._first or found
        # A file that is only half written is valid too, and must not open the door.
        asked = first.tls is not None and first.tls.client_auth != "none"
        if asked and (found.tls is None or found.tls.client_auth == "none"):
            raise ConfigError(where, [_GONE.format("the client certificates of tls_server_config are")])
        if first.users and not found.users:
            raise ConfigError(where, [USERS_GONE])
        return found

    def read(self) -> WebConfigFile:
        """What the file says now. Blocks. Raises ConfigError while it cannot be used."""
        return self._file.load()

    async def check(self, scope: Scope) -> None:
        """Refuse every request (503) while the file cannot be used: it may be about to require a password."""
        try:
            self._headers = (await self._file.refresh()).headers
        except ConfigError as error:
            if str(error) != self._reported:
                log.error("web: every request is refused: %s", error)
            self._reported = str(error)
            raise HTTPException(503, "The web configuration cannot be used. The log has the reason.") from None
        self._reported = ""

    def headers(self) -> Mapping[str, str]:
        """The headers of every answer, as they were read last."""
        return self._headers


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
