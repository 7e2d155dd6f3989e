"""One call to a gateway's admin RPC: a method's payload, or a LookError that says what stood in the way.

Called by the gateway source. Knows HTTP and the envelope (plugin ``admin-http-rpc`` of OpenClaw
2026.9.6, its source read and its answers observed); what the methods tell is not its business.
No sentence holds the token, the URL's user part, or its path.
"""

from __future__ import annotations

import asyncio
import functools
import json
import math
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from exporter.config import ConfigError, GatewayTarget, expand
from exporter.lib.redact import REDACTED, safe_text
from exporter.model import CheckError, FailureReason

MAX_BODY = 8 * 1024 * 1024  # bytes; 10,000 profiles are 3 MB
MAX_RETRY_AFTER = 3600.0  # seconds; who asks for a longer pause is asked again all the same

_PATH = "/api/v1/admin/rpc"
#: Node closes an idle connection after 5 s; ours is given up before, or a call meets a closing one.
_KEEP_ALIVE = 3.0


class AdminRpc:
    """The admin RPC of one gateway, through one HTTP client that is made at the first call."""

    def __init__(self, target: GatewayTarget, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._target = target
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        self._trusted: int | None = None  # which version of ca_file the client trusts

    async def call(self, method: str, params: Mapping[str, Any], seconds: float | None = None) -> dict[str, Any]:
        """The payload of ``method``. At most ``seconds`` (default: the target's timeout) from end to end.

        The token is read anew at every call. Raises LookError: CONNECTION (nobody answers, no such name,
        TLS), TIMEOUT, UNAUTHORIZED, NOT_ENABLED, NOT_READY, UNKNOWN_AGENT, HTTP_ERROR, INVALID_OUTPUT,
        PERMISSION (the token's file).
        """
        limit = self._target.timeout if seconds is None else min(seconds, self._target.timeout)
        url, where, login = _address(self._target.url)
        token = self._token()
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if token is not None:
            headers["Authorization"], login = f"Bearer {token}", None
        try:
            async with asyncio.timeout(limit):
                client = await self._open(url, where)
                request = client.build_request(
                    "POST", url, json={"id": "1", "method": method, "params": params}, headers=headers
                )
                response = await client.send(request, stream=True, auth=login)
                try:
                    body = await _bounded(response, where)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TimeoutException):
            raise CheckError(FailureReason.TIMEOUT, f"{where} did not answer within {limit:g} s") from None
        except httpx.HTTPError as error:
            raise _transport_error(error, where) from None
        try:
            return _payload(response, body, where)
        except CheckError as error:
            raise CheckError(error.reason, _without(error.message, token), error.retry_after) from None

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _token(self) -> str | None:
        try:
            token = self._target.secret("token")
        except ConfigError as error:
            denied = any("denied" in problem.lower() for problem in error.problems)
            reason = FailureReason.PERMISSION if denied else FailureReason.UNAUTHORIZED
            raise CheckError(reason, f"the gateway's token cannot be read: {error}") from None
        if token is None:
            return None
        if not token:
            raise CheckError(
                FailureReason.UNAUTHORIZED, "the gateway's token is empty: write it into its file or variable"
            )
        if not token.isascii() or not token.isprintable() or " " in token:
            raise CheckError(
                FailureReason.UNAUTHORIZED, "the gateway's token holds characters that no HTTP header can carry"
            )
        return token

    async def _open(self, url: httpx.URL, where: str) -> httpx.AsyncClient:
        secure, ca_file = url.scheme == "https", self._target.ca_file
        try:
            version = os.stat(expand(ca_file)).st_mtime_ns if secure and ca_file else None
            if self._client is None or self._trusted != version:
                verify = _trust(str(expand(ca_file)) if ca_file else None, version) if secure else False
                await self.aclose()
                self._trusted = version
                self._client = httpx.AsyncClient(
                    verify=verify,
                    transport=self._transport,
                    timeout=None,  # noqa: S113 - asyncio.timeout is around the whole call
                    follow_redirects=False,  # a redirect would carry the token elsewhere
                    trust_env=False,
                    limits=httpx.Limits(max_keepalive_connections=2, keepalive_expiry=_KEEP_ALIVE),
                )
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            why = "holds no certificate" if isinstance(error, ssl.SSLError) else _of_system(error)
            raise CheckError(
                FailureReason.CONNECTION, f"{where}: the certificates of ca_file cannot be used: {why}"
            ) from None
        return self._client


@functools.lru_cache(maxsize=16)
def _trust(ca_file: str | None, version: int | None) -> ssl.SSLContext:
    """Whom to trust. Shared by all targets: a context with the system's roots takes 20 ms and half a megabyte."""
    return ssl.create_default_context(cafile=ca_file)


def _address(configured: str) -> tuple[httpx.URL, str, httpx.BasicAuth | None]:
    """Where to POST, how to call that place in a sentence, and the URL's user part, which is in neither."""
    try:
        url = httpx.URL(configured)
        bare = url.copy_with(username=None, password=None, query=None, fragment=None)
        netloc = bare.netloc.decode("ascii")
        if not url.host:
            raise ValueError
        login = httpx.BasicAuth(url.username, url.password) if url.userinfo else None
        return bare.copy_with(path=url.path.rstrip("/") + _PATH), f"{url.scheme}://{netloc}", login
    except (httpx.InvalidURL, ValueError, UnicodeError):
        raise CheckError(
            FailureReason.CONNECTION, 'the target\'s url is none: write it like "http://127.0.0.1:18789"'
        ) from None


async def _bounded(response: httpx.Response, where: str) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise CheckError(FailureReason.INVALID_OUTPUT, f"{where} answered in an encoding that was not asked for")
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_BODY:
            raise CheckError(FailureReason.INVALID_OUTPUT, f"{where} answered with more than {MAX_BODY >> 20} MiB")
    return bytes(body)


# --- what the answer means -------------------------------------------------------------------------


def _payload(response: httpx.Response, body: bytes, where: str) -> dict[str, Any]:
    """The payload in an answer. Raises LookError with a reason of its own for each thing that went wrong."""
    status = response.status_code
    answer = _json(body)
    error = answer.get("error") if isinstance(answer, dict) else None
    error = error if isinstance(error, dict) else {}
    pause = _retry_after(error, response.headers)
    said = _said(error)
    if status in (401, 403):
        raise CheckError(
            FailureReason.UNAUTHORIZED, f"{where} does not accept the token ({status}): set token_file to its own"
        )
    if status == 404 and not error:
        raise CheckError(
            FailureReason.NOT_ENABLED,
            f"{where} has no admin RPC (404): openclaw plugins enable admin-http-rpc, then restart the gateway",
        )
    if status == 503 or (status != 429 and "retryAfterMs" in error):
        raise CheckError(FailureReason.NOT_READY, f"{where} is not ready{said or f' ({status})'}", pause)
    if _is_unknown_agent(error):
        raise CheckError(FailureReason.UNKNOWN_AGENT, f"{where}{said}")
    if 300 <= status < 400:
        raise CheckError(
            FailureReason.HTTP_ERROR, f"{where} redirects elsewhere ({status}): write the gateway's own url"
        )
    if status != 200:
        raise CheckError(FailureReason.HTTP_ERROR, f"{where} answered {status}{said}", pause)
    if _is_html(response, body):
        raise CheckError(
            FailureReason.HTTP_ERROR, f"{where} answered with a web page: that is not a gateway's admin RPC"
        )
    if not isinstance(answer, dict):
        raise CheckError(FailureReason.INVALID_OUTPUT, f"{where} answered with something that is no JSON object")
    if answer.get("ok") is not True and error:
        raise CheckError(FailureReason.HTTP_ERROR, f"{where} refused{said}", pause)
    payload = answer.get("payload")
    if answer.get("ok") is not True or not isinstance(payload, dict):
        raise CheckError(FailureReason.INVALID_OUTPUT, f"{where} answered without a payload")
    return payload


def _json(body: bytes) -> Any:
    """None for what is no JSON; what else is in it is for the caller to say."""
    try:
        return json.loads(body, parse_int=_integer)
    except (ValueError, RecursionError):
        return None


def _integer(digits: str) -> float:
    # int() refuses thousands of digits, and one such number must not cost the whole answer.
    return int(digits) if len(digits) < 300 else math.inf


def _is_html(response: httpx.Response, body: bytes) -> bool:
    return "html" in response.headers.get("content-type", "").lower() or body.lstrip()[:1] == b"<"


def _is_unknown_agent(error: Mapping[str, Any]) -> bool:
    details = error.get("details")
    if isinstance(details, dict) and details.get("code") == "UNKNOWN_AGENT_ID":
        return True
    message = error.get("message")
    return isinstance(message, str) and "unknown agent" in message.lower()


def _said(error: Mapping[str, Any]) -> str:
    message = error.get("message")
    return f": {safe_text(message)}" if isinstance(message, str) and message.strip() else ""


def _retry_after(error: Mapping[str, Any], headers: httpx.Headers) -> float | None:
    """Seconds the gateway asks us to wait, by its own word or by HTTP's."""
    asked = error.get("retryAfterMs")
    if isinstance(asked, int | float) and not isinstance(asked, bool):
        return min(asked / 1000, MAX_RETRY_AFTER) if asked > 0 else None
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(seconds, MAX_RETRY_AFTER) if seconds > 0 else None


def _without(text: str, token: str | None) -> str:
    """A gateway may echo what it was sent."""
    return text.replace(token, REDACTED) if token else text


# --- what kept an answer from coming -----------------------------------------------------------------


def _transport_error(error: httpx.HTTPError, where: str) -> CheckError:
    causes = list(_causes(error))
    if isinstance(error, httpx.RemoteProtocolError) and not _is_disconnect(error):
        return CheckError(FailureReason.INVALID_OUTPUT, f"{where} does not speak HTTP")
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return CheckError(
                FailureReason.CONNECTION, f"{where}: its certificate is not trusted: {cause.verify_message}"
            )
        if isinstance(cause, ssl.SSLError):
            return CheckError(FailureReason.CONNECTION, f"{where}: no TLS connection: {_of_tls(cause)}")
        if isinstance(cause, socket.gaierror):
            return CheckError(FailureReason.CONNECTION, f"{where}: there is no such host: {_of_system(cause)}")
    if isinstance(error, httpx.ConnectError):
        told = next((c for c in causes if isinstance(c, OSError) and c.errno), None)
        why = _of_system(told) if told else "nobody listens there, or it cannot be reached"
        return CheckError(FailureReason.CONNECTION, f"{where}: cannot connect: {why}")
    return CheckError(FailureReason.CONNECTION, f"{where}: the connection broke before the answer was there")


def _is_disconnect(error: httpx.RemoteProtocolError) -> bool:
    text = str(error).lower()
    return "disconnected" in text or "peer closed" in text or "connection closed" in text


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What lies beneath ``error``, groups included (one attempt per address of a host)."""
    todo: list[BaseException | None] = [error]
    for _ in range(50):
        if not todo:
            return
        one = todo.pop(0)
        if one is None:
            continue
        yield one
        todo += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            todo += one.exceptions


def _of_system(error: BaseException) -> str:
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number).lower()  # asyncio's own text repeats the address instead
    told = getattr(error, "strerror", None)
    return told.lower() if isinstance(told, str) and told else "it cannot be read"


def _of_tls(error: ssl.SSLError) -> str:
    return (error.reason or "the other side speaks no TLS").replace("_", " ").lower()
