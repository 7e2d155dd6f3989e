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
    """Counts failed sign-ins within ``window`` seconds, per client address (IPv6: per /64) and in all.

    It answers those that failed, and never refuses one that is right: the secret is compared first. Otherwise anybody
    could lock out everybody who comes by the same proxy. At most ``MAX_ADDRESSES`` addresses are kept; the least
    recently seen is dropped first.
    """

    def __init__(
        self, now: Callable[[], float] = time.monotonic, tries: int = 10, in_all: int = 100, window: float = 60.0
    ) -> None:
        self._now = now
        self._tries = tries
        self._window = window
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque()
        self._in_all = in_all

    def count(self, address: str) -> int:
        """The failures of an address that still count, at most ``tries``."""
        return len(self._recent(self._failed.get(address, deque())))

    def wait(self, address: str) -> int:
        """For how many seconds further failures from there are too many; 0 if they are not."""
        waits = [0.0]
        for times, most in ((self._failed.get(address, deque()), self._tries), (self._all, self._in_all)):
            if len(self._recent(times)) >= most:
                waits.append(times[0] + self._window - self._now() + 1)
        return int(max(waits))

    def failed(self, scope: Scope) -> None:
        """Count a failed sign-in. Raises HTTPException (429) if there were too many."""
        address = client_of(scope)
        if wait := self.wait(address):
            raise HTTPException(429, f"Too many failed attempts: wait {wait} s.", {"Retry-After": str(wait)})
        self._failed.setdefault(address, deque()).append(self._now())
        self._failed.move_to_end(address)
        self._all.append(self._now())
        while len(self._failed) > MAX_ADDRESSES:
            self._failed.popitem(last=False)

    def _recent(self, times: deque[float]) -> deque[float]:
        while times and times[0] <= self._now() - self._window:
            times.popleft()
        return times

    def __len__(self) -> int:
        return len(self._failed)


def client_of(scope: Scope) -> str:
    """The client's address; of IPv6, its /64."""
    host = (scope.get("client") or ("",))[0].partition("%")[0]
    address = address_of(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address or host)
