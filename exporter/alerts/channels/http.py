"""One HTTP request of a channel, and what its answer means: delivered, try again, or a person must act.

Used by every channel that speaks HTTP. Bounded from end to end: a server that sends byte by byte
gets no more time than one that is silent. Of an answer only the head is read, never a body that
we do not need; so 2xx is delivered as soon as it is said. No sentence holds the URL, a header that
was sent, or a word of the answer.
"""

from __future__ import annotations

import asyncio
import email.utils
import functools
import logging
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from exporter import __version__
from exporter.alerts.channels import DeliveryError, PermanentError, TemporaryError
from exporter.model import FailureReason

# At lower levels these log every request's URL, and a URL may be the secret.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

TIMEOUT = 15.0  # seconds for a whole request
MAX_RETRY_AFTER = 86400.0  # seconds; who asks for a longer pause is asked again all the same

#: Worth trying again although they are 4xx: time-out, too early, too many.
_AGAIN = frozenset({408, 425, 429})
_MEANS = {
    400: "it does not accept what we send",
    401: "it does not accept the credentials: check the token",
    403: "the credentials are not allowed to do this: check the token and what it may write to",
    404: "there is nothing at the configured address: check the url",
    405: "the configured address takes no such request: check the url",
    408: "it gave up waiting for the request",
    410: "what the configured address named is gone",
    413: "it does not accept a message of this size",
    425: "it is too early",
    429: "it has had too many requests",
    500: "it failed on its side",
    502: "what stands before it cannot reach it",
    503: "it is not available",
    504: "what stands before it got no answer from it",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of a 2xx answer."""

    status: int
    is_page: bool  # a page for a person: from a portal or a proxy, not from an API


async def send(
    method: str,
    url: str,
    *,
    content: bytes = b"",
    headers: Mapping[str, str] | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    timeout: float = TIMEOUT,
    pause: float | None = None,
    clock: Callable[[], float] = time.time,
) -> Answer:
    """One request, within ``timeout`` seconds. Redirects are not followed and no proxy is asked.

    ``pause`` is the ``retry_after`` of a 429 that names none, in seconds. Raises TemporaryError (408,
    425, 429, 5xx, time-outs, connections and certificates) and PermanentError (what else is not 2xx,
    and a request that cannot be made at all).
    """
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError
        async with (
            asyncio.timeout(timeout),
            httpx.AsyncClient(
                transport=transport,
                verify=_trust() if parts.scheme == "https" else False,
                timeout=None,  # noqa: S113 - asyncio.timeout is around the whole request
                follow_redirects=False,  # a redirect would carry the token elsewhere
                trust_env=False,
                headers={"User-Agent": f"openclaw-auth-exporter/{__version__}", "Accept-Encoding": "identity"},
            ) as client,
            client.stream(method, url, content=content, headers=_ascii(headers or {})) as answer,
        ):
            _evaluate(answer, pause, clock)
            return Answer(answer.status_code, "text/html" in answer.headers.get("Content-Type", "").lower())
    except (TimeoutError, httpx.TimeoutException):
        raise TemporaryError(FailureReason.TIMEOUT, None, f"there was no answer within {timeout:g} s") from None
    except (httpx.InvalidURL, httpx.LocalProtocolError, ValueError):
        raise PermanentError(FailureReason.OTHER, "no request can be made of the configured url and headers") from None
    except httpx.TransportError as error:
        raise _of_transport(error) from None


def _evaluate(answer: httpx.Response, pause: float | None, clock: Callable[[], float]) -> None:
    """Nothing where an answer means delivered; else raises what it means."""
    status = answer.status_code
    if 200 <= status < 300:
        return
    reason = FailureReason.UNAUTHORIZED if status in (401, 403) else FailureReason.HTTP_ERROR
    means = _MEANS.get(status, "")
    if 300 <= status < 400:
        means = "it sends us elsewhere: configure the address that it redirects to"
    message = f"it answered {status}: {means}" if means else f"it answered {status}"
    if status in _AGAIN or status >= 500:
        asked = retry_after(answer.headers.get("Retry-After"), clock())
        raise TemporaryError(reason, pause if asked is None and status == 429 else asked, message)
    raise PermanentError(reason, message)


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds that a ``Retry-After`` asks for, as a number or as a date; None where it says neither."""
    if header is None or len(header) > 64:
        return None
    if header.strip().isdecimal():
        seconds = float(header)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _of_transport(error: httpx.TransportError) -> DeliveryError:
    """What went wrong on the way, in words of ours: an exception's own may hold the URL."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = cause.verify_message.partition(",")[0]  # what follows names the host
            return TemporaryError(FailureReason.CONNECTION, None, f"its certificate is not trusted: {why}")
        if isinstance(cause, ssl.SSLError):
            return TemporaryError(FailureReason.CONNECTION, None, "no TLS connection comes about")
        if isinstance(cause, ConnectionRefusedError):
            return TemporaryError(FailureReason.CONNECTION, None, "nobody listens at the configured address")
    if isinstance(error, httpx.RemoteProtocolError):
        return TemporaryError(FailureReason.HTTP_ERROR, None, "what it answered is not HTTP")
    if isinstance(error, httpx.ConnectError):
        return TemporaryError(FailureReason.CONNECTION, None, "it cannot be reached")
    return TemporaryError(FailureReason.CONNECTION, None, "the connection broke")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception, what it came from, and so on. Those of several addresses tried come as a group."""
    pending: list[BaseException] = [error]
    for _ in range(32):
        if not pending:
            return
        one = pending.pop(0)
        yield one
        if isinstance(one, BaseExceptionGroup):
            pending.extend(one.exceptions)
        pending.extend(cause for cause in (one.__cause__, one.__context__) if cause is not None)


def _ascii(headers: Mapping[str, str]) -> dict[str, str]:
    """Raises ValueError, with nothing of them in it, where headers cannot be sent."""
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise ValueError
    return dict(headers)


@functools.cache
def _trust() -> ssl.SSLContext:
    """The system's roots, loaded once: it takes 20 ms and half a megabyte."""
    return ssl.create_default_context()
