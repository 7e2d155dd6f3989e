"""Sends one HTTP request for a channel, and classifies the outcome: delivered, try again, or a person must act.

Not a channel itself, hence the underscore. No sentence contains the URL or a header value. The server's own reason is
quoted, without secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from exporter.alerts.channels import PermanentError, Sender, TemporaryError
from exporter.lib import http
from exporter.lib.loose_json import mapping, parse
from exporter.lib.redact import safe_text
from exporter.model import FailureReason

MAX_RETRY_AFTER = 86400.0  # seconds; a server that asks for a longer pause is asked again anyway

#: Worth another try although they are 4xx: timeout, too early, too many.
_RETRIED = frozenset({408, 425, 429})
_EXCERPT = 4096  # bytes of an answer that may hold the server's reason


async def send(
    sender: Sender[Any],
    method: str,
    url: str,
    *,
    content: bytes = b"",
    headers: Mapping[str, str] | None = None,
    pause: Callable[[Mapping[str, Any]], float] | None = None,
    max_body: int = 0,
) -> http.Response:
    """The head of a 2xx answer to a request with a JSON body, within the sender's time limit.

    With ``max_body``, also its body of at most so many bytes.
    ``pause`` makes the ``retry_after`` in seconds of a 429 that names none, from its JSON object. Raises
    TemporaryError (408, 425, 429, 5xx, timeouts, connections, certificates) and PermanentError (every other
    status, and a URL or header that no request can be made of).
    """
    headers = {"Content-Type": "application/json", **(headers or {})}
    try:
        async with http.Client(sender.context.transport) as client:
            answer = await client.send(
                method,
                url,
                timeout=sender.timeout,
                content=content,
                headers=headers,
                max_body=max_body,
                excerpt=_EXCERPT,
            )
    except http.RequestError as error:
        if error.cause is http.Cause.BAD_REQUEST:
            raise PermanentError(FailureReason.OTHER, error.message) from None
        # The other causes, timeout and connection, are reasons under the same names.
        reason = FailureReason.HTTP_ERROR if error.cause is http.Cause.BAD_ANSWER else FailureReason(error.cause)
        raise TemporaryError(reason, error.message) from None
    status = answer.status
    if answer.is_success:
        return answer
    reason = FailureReason.UNAUTHORIZED if status in (401, 403) else FailureReason.HTTP_ERROR
    reply = _json(answer.body)
    words = _reason(answer, reply)
    message = http.status_text(status)
    if words.lower() not in message and words.lower() != answer.phrase:
        message += f" (the server says: {words})"
    if status in _RETRIED or status >= 500:
        asked = http.retry_after(answer.headers.get("Retry-After"), sender.context.clock(), MAX_RETRY_AFTER)
        if asked is None and status == 429 and pause is not None:
            asked = pause(reply)
        raise TemporaryError(reason, message, asked)
    raise PermanentError(reason, message)


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        return mapping(parse(body))
    except (ValueError, RecursionError):
        return {}


def _reason(answer: http.Response, reply: Mapping[str, Any]) -> str:
    """The server's own words about a refusal; empty if there are none that a person could read."""
    if answer.is_web_page:
        return ""
    found = [reply[name] for name in ("error", "message", "msg", "detail") if isinstance(reply.get(name), str)]
    text = found[0] if found else answer.body.decode("utf-8", "replace")
    return safe_text(text, 120) if found or text.isprintable() else ""
