"""Limits on clients: the size of headers and bodies, the time a body takes, and failed sign-ins."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.hosts import address_of
from exporter.web.responses import sentence

MAX_HEADERS = 16 * 1024  # bytes
MAX_BODY = 64 * 1024  # bytes
BODY_TIMEOUT = 10.0  # seconds for a whole body
MAX_ADDRESSES = 1024  # clients with failed sign-ins

#: Sent where the rest of the request is not read.
_CLOSE = {"Connection": "close"}


async def check_header_size(scope: Scope) -> None:
    """Refuse with 431 a request whose line and headers exceed ``MAX_HEADERS`` bytes.

    h11 only limits incomplete headers; headers that arrive in one piece can be some hundred kilobytes.
    """
    size = len(scope["raw_path"]) + len(scope["query_string"])
    size += sum(len(name) + len(value) for name, value in scope["headers"])
    if size > MAX_HEADERS:
        raise HTTPException(431, f"The request's headers are larger than {MAX_HEADERS} bytes.", _CLOSE)


class BodyLimit:
    """ASGI middleware: reads the whole body before it calls the application.

    Answers 413 if the body exceeds ``limit`` bytes, without reading it if Content-Length says so, and 408 if it takes
    longer than ``timeout`` seconds.
    """

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY, timeout: float = BODY_TIMEOUT) -> None:
        self._app = app
        self._limit = limit
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        too_large = sentence(413, f"The body is larger than {self._limit} bytes.", _CLOSE)
        if length.isdecimal() and int(length[:19]) > self._limit:
            return await too_large(scope, receive, send)
        body = bytearray()
        more = length != "0" or "transfer-encoding" in headers
        try:
            async with asyncio.timeout(self._timeout):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > self._limit:
                        return await too_large(scope, receive, send)
        except TimeoutError:
            return await sentence(408, "The body did not arrive in time.", _CLOSE)(scope, receive, send)
        messages: deque[Message] = deque([{"type": "http.request", "body": bytes(body), "more_body": False}])

        async def replay() -> Message:
            return messages.popleft() if messages else await receive()

        return await self._app(scope, replay, send)


class AttemptLimiter:
    """Allows ``tries`` failed sign-ins per client address (IPv6: per /64) within ``window`` seconds.

    An attempt counts before it is checked, so that concurrent attempts count too; a successful one is forgiven. At most
    ``MAX_ADDRESSES`` addresses are kept; the least recently seen is dropped first.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, tries: int = 10, window: float = 60.0) -> None:
        self._now = now
        self._tries = tries
        self._window = window
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def admit(self, scope: Scope) -> None:
        """Count an attempt. Raises HTTPException (429) if there were too many."""
        address = _client(scope)
        failed = self._failed.setdefault(address, deque())
        self._failed.move_to_end(address)
        while len(self._failed) > MAX_ADDRESSES:
            self._failed.popitem(last=False)
        now = self._now()
        while failed and failed[0] <= now - self._window:
            failed.popleft()
        if len(failed) >= self._tries:
            wait = int(failed[0] + self._window - now) + 1
            raise HTTPException(429, f"Too many failed attempts: wait {wait} s.", {"Retry-After": str(wait)})
        failed.append(now)

    def forgive(self, scope: Scope) -> None:
        """The last attempt succeeded: it does not count."""
        failed = self._failed.get(_client(scope))
        if failed:
            failed.pop()

    def __len__(self) -> int:
        return len(self._failed)


def _client(scope: Scope) -> str:
    host = (scope.get("client") or ("",))[0].partition("%")[0]
    address = address_of(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address or host)
