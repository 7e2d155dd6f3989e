"""Outbound HTTP: bounded requests, and a plain sentence when one gets no usable answer.

A timeout covers the whole request, so a server that sends byte by byte gets no more time than a silent one.
Redirects are not followed, because they would carry a token elsewhere. No sentence here contains the URL, a
header value or a word of the answer, because each may be a secret.

Importing this module imports httpx, which takes about 70 ms. A command that may not need it imports it late.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import enum
import functools
import importlib
import importlib.util
import logging
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import httpx

from exporter import __version__
from exporter.lib.files import MIB, stat_regular, why_unusable
from exporter.lib.http_transport import DirectTransport
from exporter.lib.threads import IsolatedThread

# httpcore tries to import these at every request, and each time Python searches every folder of its path: a fifth of a
# request's cost. None is Python's way to say that a module is not there.
for _name in ("sniffio", "trio"):
    if importlib.util.find_spec(_name) is None:
        sys.modules[_name] = None  # type: ignore[assignment]  # the type of sys.modules does not know it

# Below this level both log the URL of every request, and a URL may be a secret.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

#: What the first request would import on the event loop: some 20 ms of CPU.
_BACKEND = "anyio._backends._asyncio"

#: Node closes an idle connection after 5 s. Ours closes earlier, or a request would meet a closing one. Seconds.
KEEP_ALIVE = 3.0

_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "keep-alive",
    "User-Agent": f"openclaw-auth-exporter/{__version__}",
}

#: How long the start of an answer's body may take, seconds.
EXCERPT_TIMEOUT = 2.0
#: The largest file of certificate authorities, in bytes. All that browsers trust are 0.3 MB.
MAX_CA_FILE = 16 * MIB
#: How long reading that file may take, in seconds.
CA_PATIENCE = 10.0

#: What to do about a status; the others have the words of the standard.
_ADVICE = {
    401: "the credentials are not accepted; check the token",
    403: "the credentials do not allow this; check the token and its permissions",
    404: "there is nothing at this address; check the url",
    405: "this address does not accept such a request; check the url",
}


class Cause(enum.StrEnum):
    """Why a request has no usable answer."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"  # name resolution, TCP, TLS, or a connection that broke
    BAD_ANSWER = "bad_answer"  # something answered, but not HTTP, or more than we accept
    BAD_REQUEST = "bad_request"  # no request can be made of this URL or these headers


class RequestError(Exception):
    """A request without a usable answer. ``message`` fits after a colon and contains no secret."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message


@dataclass(frozen=True, slots=True)
class Response:
    """The head of an answer, and its body as far as the caller asked for it."""

    status: int
    headers: Mapping[str, str]  # names in any case
    body: bytes = b""

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def phrase(self) -> str:
        """The standard's words for the status; empty for an unknown one."""
        return _phrase(self.status)

    @property
    def is_web_page(self) -> bool:
        """Whether it is a page for people, as from a captive portal or a proxy, and not from an API."""
        return "html" in self.headers.get("content-type", "").lower() or self.body.lstrip()[:1] == b"<"


class Client:
    """Sends requests, over connections that stay open for a moment.

    ``ca_file`` replaces the system's certificate authorities; a changed file counts from the next request on.
    With ``use_proxies`` the proxies that the environment names are used.
    """

    def __init__(
        self, transport: httpx.AsyncBaseTransport | None = None, ca_file: Path | None = None, use_proxies: bool = False
    ) -> None:
        self._ca_file = ca_file
        self._use_proxies = use_proxies
        self._given = transport  # tests pass their own
        self._transport: httpx.AsyncBaseTransport | None = None
        self._verify: ssl.SSLContext | None = None
        self._thread = IsolatedThread("certificate authorities")

    async def send(
        self,
        method: str,
        url: str,
        *,
        timeout: float,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        login: tuple[str, str] | None = None,
        max_body: int = 0,
        excerpt: int = 0,
    ) -> Response:
        """The answer to one request, within ``timeout`` seconds. Raises RequestError.

        At most ``max_body`` bytes of the body are accepted; with 0 it is not read at all, so an answer is
        complete with its head. Of an answer that is no success, up to ``excerpt`` bytes are read, if they come
        at once: the server's reason. ``login`` is the user name and password for basic authentication.
        """
        try:
            is_secure = _check(url, headers or {})
            async with asyncio.timeout(timeout):
                transport = await self._open(is_secure)
                response = await transport.handle_async_request(_request(method, url, content, headers or {}, login))
                try:
                    body = await _read(response, max_body) if max_body else b""
                    if excerpt and not response.is_success:
                        body = await _excerpt(response, excerpt, min(EXCERPT_TIMEOUT, timeout / 2))
                finally:
                    await response.aclose()
            return Response(response.status_code, response.headers, body)
        except (TimeoutError, httpx.TimeoutException):
            raise RequestError(Cause.TIMEOUT, f"no answer within {timeout:g} s") from None
        except (httpx.InvalidURL, httpx.LocalProtocolError, ValueError):
            raise RequestError(Cause.BAD_REQUEST, "the configured url or a header value is not valid") from None
        except httpx.HTTPError as error:
            raise _explained(error) from None

    async def aclose(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def _open(self, is_secure: bool) -> httpx.AsyncBaseTransport:
        """The connections for a request; new ones when the CA file has changed."""
        try:
            verify = (
                await self._thread.run(functools.partial(_trusted, self._ca_file), CA_PATIENCE)
                if is_secure
                else _without_authorities()
            )
        except OSError as error:  # ssl.SSLError is one
            why = "it contains no certificate" if isinstance(error, ssl.SSLError) else why_unusable(error)
            raise RequestError(Cause.CONNECTION, f"ca_file cannot be used: {why}") from None
        if self._use_proxies and _BACKEND not in sys.modules:
            await asyncio.to_thread(_import_backend)
        if self._transport is None or self._verify is not verify:
            previous, self._verify = self._transport, verify
            direct = DirectTransport if not self._use_proxies else _ByProxy
            self._transport = self._given or direct(verify, KEEP_ALIVE)
            if previous is not None:
                await previous.aclose()
        return self._transport


class _ByProxy(httpx.AsyncBaseTransport):
    """By way of the proxies that the environment names."""

    def __init__(self, verify: ssl.SSLContext, keep_alive: float) -> None:
        limits = httpx.Limits(max_keepalive_connections=2, keepalive_expiry=keep_alive)
        self._client = httpx.AsyncClient(
            verify=verify,
            timeout=None,  # noqa: S113 - asyncio.timeout covers the whole request
            trust_env=True,
            limits=limits,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._client.send(request, stream=True)

    async def aclose(self) -> None:
        await self._client.aclose()


def _request(
    method: str, url: str, content: bytes, headers: Mapping[str, str], login: tuple[str, str] | None
) -> httpx.Request:
    """Made without a client of httpx, which would cost as much as sending it: it merges, follows and remembers more."""
    chosen = {name.lower() for name in headers}
    defaults = {name: value for name, value in _HEADERS.items() if name.lower() not in chosen}
    request = httpx.Request(method, url, headers={**defaults, **headers}, content=content)
    name, password = login or (request.url.username, request.url.password)
    if name or password:
        next(httpx.BasicAuth(name, password).auth_flow(request))
    return request


def _import_backend() -> None:
    with contextlib.suppress(ImportError):  # another release calls it something else
        importlib.import_module(_BACKEND)


def send_and_wait(
    method: str, url: str, *, timeout: float, content: bytes, headers: Mapping[str, str], use_proxies: bool = False
) -> Response:
    """The head of the answer to one request, for callers without an event loop. Raises RequestError."""

    async def send() -> Response:
        async with Client(use_proxies=use_proxies) as client:
            return await client.send(method, url, timeout=timeout, content=content, headers=headers)

    return asyncio.run(send())


def is_url(url: str) -> bool:
    """Whether a request can be made of ``url``."""
    try:
        _check(url, {})
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        return False
    return True


def status_text(status: int) -> str:
    """An HTTP status in words that fit after a colon or a name."""
    if 300 <= status < 400:
        return f"answered {status}: the server redirects; configure the address that it redirects to"
    words = _ADVICE.get(status) or _phrase(status)
    return f"answered {status}: {words}" if words else f"answered {status}"


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase.lower() if status in HTTPStatus.__members__.values() else ""


def retry_after(header: str | None, now: float, longest: float) -> float | None:
    """The seconds that a ``Retry-After`` header asks for, at most ``longest``; None without a valid one.

    The header is a number of seconds or a date (RFC 9110, 10.2.3).
    """
    if header is None or len(header) > 64:
        return None
    if header.strip().isdecimal():
        seconds = float(header)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), longest)


def _check(url: str, headers: Mapping[str, str]) -> bool:
    """Whether the request is over TLS. Raises ValueError where no request can be made."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise ValueError
    return parts.scheme == "https"


async def _read(response: httpx.Response, limit: int) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise RequestError(Cause.BAD_ANSWER, "the answer is compressed, which was not requested")
    body = bytearray()
    async for chunk in _stream(response):
        body += chunk
        if len(body) > limit:
            raise RequestError(Cause.BAD_ANSWER, f"the answer is larger than {limit >> 20} MiB")
    return bytes(body)


def _stream(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it was sent: ``aiter_bytes`` would pass it through four generators."""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return aiter(response.stream)


async def _excerpt(response: httpx.Response, limit: int, timeout: float) -> bytes:
    """The start of the body, as far as it arrives within ``timeout`` seconds."""
    body = bytearray()
    if response.headers.get("content-encoding", "identity") != "identity":
        return b""
    with contextlib.suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(timeout):
            async for chunk in _stream(response):
                body += chunk
                if len(body) >= limit:
                    break
    return bytes(body[:limit])


def _trusted(ca_file: Path | None) -> ssl.SSLContext:
    """The certificate authorities to trust: the same object until the file changes. Raises OSError."""
    if ca_file is None:
        return _tls_context(None, None)
    return _tls_context(ca_file, stat_regular(ca_file, MAX_CA_FILE).st_mtime_ns)  # OpenSSL would wait for a pipe


@functools.lru_cache(maxsize=16)
def _tls_context(ca_file: Path | None, version: int | None) -> ssl.SSLContext:
    """Shared by all clients: a context with the system's authorities takes 20 ms and half a megabyte."""
    return ssl.create_default_context(cafile=ca_file)


@functools.cache
def _without_authorities() -> ssl.SSLContext:
    """Shared by all clients without TLS: httpx would make a context for each. It trusts nobody."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


# --- why there is no answer ----------------------------------------------------------------------------


def _explained(error: httpx.HTTPError) -> RequestError:
    """An httpx error in our words: its own text may contain the URL."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = cause.verify_message.partition(",")[0]  # the rest names the host
            return RequestError(Cause.CONNECTION, f"certificate not trusted: {why}")
        if isinstance(cause, ssl.SSLError):
            why = (cause.reason or "the server does not speak TLS").replace("_", " ").lower()
            return RequestError(Cause.CONNECTION, f"no TLS connection: {why}")
        if isinstance(cause, socket.gaierror):
            return RequestError(Cause.CONNECTION, f"host name not found: {_system_text(cause)}")
    if isinstance(error, httpx.RemoteProtocolError) and not _is_disconnect(error):
        return RequestError(Cause.BAD_ANSWER, "the answer is not HTTP")
    if isinstance(error, httpx.ProxyError):
        return RequestError(Cause.CONNECTION, "the proxy refused the connection")
    if isinstance(error, httpx.ConnectError):
        failed = next((cause for cause in causes if isinstance(cause, OSError) and cause.errno), None)
        return RequestError(Cause.CONNECTION, f"cannot connect: {_system_text(failed)}" if failed else "cannot connect")
    return RequestError(Cause.CONNECTION, "the connection broke before the answer was complete")


def _is_disconnect(error: httpx.RemoteProtocolError) -> bool:
    text = str(error).lower()
    return "disconnected" in text or "peer closed" in text or "connection closed" in text


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and what lies beneath it. A host with several addresses gives a group of errors."""
    pending: list[BaseException | None] = [error]
    for _ in range(50):
        if not pending:
            return
        cause = pending.pop(0)
        if cause is None:
            continue
        yield cause
        pending += [cause.__cause__, cause.__context__]
        if isinstance(cause, BaseExceptionGroup):
            pending += cause.exceptions


def _system_text(error: OSError) -> str:
    """The operating system's words. asyncio replaces them by a text that repeats the address."""
    if isinstance(error.errno, int) and error.errno > 0:
        return os.strerror(error.errno).lower()
    return error.strerror.lower() if error.strerror else "unknown error"
