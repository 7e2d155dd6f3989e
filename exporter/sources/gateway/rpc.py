"""One call to a gateway's admin RPC: the payload of a method, or a CheckError with the reason of the failure.

Used by the gateway source. This module knows the envelope (plugin ``admin-http-rpc`` of OpenClaw 2026.9.6: its
source was read and its answers were observed), but not the methods. No sentence contains the token, the user
part of the URL, or its path.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import httpx

from exporter.config import ConfigError, GatewayTarget, expand
from exporter.config.secret_reader import SecretReader
from exporter.lib import http
from exporter.lib.known_secrets import KNOWN
from exporter.lib.loose_json import mapping, number, parse
from exporter.lib.redact import safe_text
from exporter.model import CheckError, FailureReason
from exporter.sources import denied

MAX_BODY = 8 * 1024 * 1024  # bytes; 10,000 profiles are 3 MB
MAX_RETRY_AFTER = 3600.0  # seconds; a gateway that asks for a longer pause is asked again anyway

_PATH = "/api/v1/admin/rpc"
_REASONS = {
    http.Cause.TIMEOUT: FailureReason.TIMEOUT,
    http.Cause.CONNECTION: FailureReason.CONNECTION,
    http.Cause.BAD_ANSWER: FailureReason.INVALID_OUTPUT,
    http.Cause.BAD_REQUEST: FailureReason.CONNECTION,
}


#: What changes in an answer with the time alone.
_TIMES = re.compile(r'"(?:ts|remainingMs)":-?\d{1,20}')


class RpcAnswer:
    """A payload that is parsed when it is needed."""

    def __init__(self, response: http.Response, where: str) -> None:
        self._response, self._where = response, where

    def payload(self) -> dict[str, Any]:
        """Raises CheckError."""
        return _payload(self._response, self._where)

    def digest(self) -> bytes:
        """The same for answers that say the same at different times."""
        text = _TIMES.sub("", self._response.body.decode("latin-1"))  # any byte is one character
        return hashlib.blake2b(f"{self._response.status} {text}".encode(), digest_size=16).digest()


class AdminRpc:
    """The admin RPC of one gateway."""

    def __init__(self, target: GatewayTarget, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._target = target
        self._secrets = SecretReader(target)
        self._client = http.Client(transport, expand(target.ca_file) if target.ca_file else None)

    async def call(self, method: str, params: Mapping[str, Any], seconds: float | None = None) -> dict[str, Any]:
        """The payload of ``method``. Raises CheckError, as ``ask`` and ``RpcAnswer.payload`` do."""
        return (await self.ask(method, params, seconds)).payload()

    async def ask(self, method: str, params: Mapping[str, Any], seconds: float | None = None) -> RpcAnswer:
        """The answer to ``method``. At most ``seconds`` (default: the target's timeout) from end to end.

        The token is read again at every call. Raises CheckError: CONNECTION (name resolution, TCP, TLS),
        TIMEOUT, UNAUTHORIZED, NOT_ENABLED, NOT_READY, UNKNOWN_AGENT, HTTP_ERROR, INVALID_OUTPUT, PERMISSION
        (the token's file).
        """
        limit = self._target.timeout if seconds is None else min(seconds, self._target.timeout)
        url, where, login = _address(self._target.url)
        token = await self._token()
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"], login = f"Bearer {token}", None
        content = json.dumps({"id": "1", "method": method, "params": params}).encode()
        try:
            response = await self._client.send(
                "POST", url, timeout=limit, content=content, headers=headers, login=login, max_body=MAX_BODY
            )
        except http.RequestError as error:
            raise CheckError(_REASONS[error.cause], f"{where}: {error.message}") from None
        return RpcAnswer(response, where)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _token(self) -> str | None:
        try:
            token = await self._secrets.read("token")
        except ConfigError as error:
            denied = any("denied" in problem.lower() for problem in error.problems)
            reason = FailureReason.PERMISSION if denied else FailureReason.UNAUTHORIZED
            raise CheckError(reason, f"the gateway's token cannot be read: {error}") from None
        if token is None or (token.isascii() and token.isprintable() and token and " " not in token):
            return token
        problem = "is empty: write it into its file or variable"
        if token:
            problem = "contains characters that an HTTP header cannot carry"
        raise CheckError(FailureReason.UNAUTHORIZED, f"the gateway's token {problem}")


def _address(configured: str) -> tuple[str, str, tuple[str, str] | None]:
    """The URL to POST to, the gateway's name in sentences, and the login in the URL's user part."""
    try:
        parts = urlsplit(configured)
        is_valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        sentence = 'the target\'s url is not valid: write it like "http://127.0.0.1:18789"'
        raise CheckError(FailureReason.CONNECTION, sentence)
    user, has_user, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    login = (unquote(name), unquote(password)) if has_user else None
    KNOWN.add(unquote(password))
    bare = SplitResult(parts.scheme, host, parts.path.rstrip("/") + _PATH, "", "")
    return bare.geturl(), f"{parts.scheme}://{host}", login


# --- what the answer means -------------------------------------------------------------------------


def _payload(response: http.Response, where: str) -> dict[str, Any]:
    """The payload in an answer. Raises CheckError, with the reason of what is wrong."""

    def failure(reason: FailureReason, sentence: str, retry_after: float | None = None) -> CheckError:
        return CheckError(reason, f"{where} {sentence}", retry_after)

    status, answer = response.status, _json(response.body)
    error = mapping(answer, "error")
    pause, words = _pause(error, response.headers), _quoted(error)
    if status in (401, 403):
        sentence = f"does not accept the token ({status}): set token_file to the gateway's own"
        raise failure(FailureReason.UNAUTHORIZED, sentence)
    if status == 404 and not error:
        sentence = "has no admin RPC (404): openclaw plugins enable admin-http-rpc, then restart the gateway"
        raise failure(FailureReason.NOT_ENABLED, sentence)
    if status == 503 or (status != 429 and "retryAfterMs" in error):
        raise failure(FailureReason.NOT_READY, f"is not ready{words or f' ({status})'}", pause)
    if _is_unknown_agent(error):
        raise CheckError(FailureReason.UNKNOWN_AGENT, f"{where}{words}")
    if 300 <= status < 400:
        raise failure(FailureReason.HTTP_ERROR, f"redirects ({status}): configure the gateway's own url")
    if denied(words):
        raise failure(FailureReason.PERMISSION, f"may not read what it needs{words}", pause)
    if status != 200:
        raise failure(FailureReason.HTTP_ERROR, f"answered {status}{words}", pause)
    if response.is_web_page:
        raise failure(FailureReason.HTTP_ERROR, "answered with a web page: that is not a gateway's admin RPC")
    if not isinstance(answer, dict):
        raise failure(FailureReason.INVALID_OUTPUT, "did not answer with a JSON object")
    if answer.get("ok") is not True and error:
        raise failure(FailureReason.HTTP_ERROR, f"refused{words}", pause)
    payload = answer.get("payload")
    if answer.get("ok") is not True or not isinstance(payload, dict):
        raise failure(FailureReason.INVALID_OUTPUT, "answered without a payload")
    return payload


def _json(body: bytes) -> Any:
    """The JSON value in ``body``; None when there is none."""
    try:
        return parse(body)
    except (ValueError, RecursionError):
        return None


def _is_unknown_agent(error: Mapping[str, Any]) -> bool:
    is_code = mapping(error, "details").get("code") == "UNKNOWN_AGENT_ID"
    return is_code or "unknown agent" in str(error.get("message")).lower()


def _quoted(error: Mapping[str, Any]) -> str:
    """The gateway's own words, to append to a sentence."""
    message = error.get("message")
    return f": {safe_text(message)}" if isinstance(message, str) and message.strip() else ""


def _pause(error: Mapping[str, Any], headers: Mapping[str, str]) -> float | None:
    """The seconds that the gateway asks us to wait, in its envelope or in the HTTP header."""
    asked = number(error.get("retryAfterMs"))
    if asked is not None:
        return min(asked / 1000, MAX_RETRY_AFTER) if asked > 0 else None
    return http.retry_after(headers.get("retry-after"), time.time(), MAX_RETRY_AFTER) or None
