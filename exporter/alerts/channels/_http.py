"""Sends one HTTP request for a channel, and classifies the outcome: delivered, try again, or a person must act.

Not a channel itself, hence the underscore. No sentence contains the URL or a header value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exporter.alerts.channels import PermanentError, Sender, TemporaryError
from exporter.lib import http
from exporter.model import FailureReason

MAX_RETRY_AFTER = 86400.0  # seconds; a server that asks for a longer pause is asked again anyway

#: Worth another try although they are 4xx: timeout, too early, too many.
_RETRIED = frozenset({408, 425, 429})


async def send(
    sender: Sender[Any],
    method: str,
    url: str,
    *,
    content: bytes = b"",
    headers: Mapping[str, str] | None = None,
    pause: float | None = None,
) -> http.Response:
    """The head of a 2xx answer to a request with a JSON body, within the sender's time limit.

    ``pause`` is the ``retry_after`` in seconds of a 429 that names none. Raises TemporaryError (408, 425,
    429, 5xx, timeouts, connections, certificates) and PermanentError (every other status, and a URL or
    header that no request can be made of).
    """
    headers = {"Content-Type": "application/json", **(headers or {})}
    try:
        async with http.Client(sender.context.transport) as client:
            answer = await client.send(method, url, timeout=sender.timeout, content=content, headers=headers)
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
    message = http.status_text(status)
    if status in _RETRIED or status >= 500:
        asked = http.retry_after(answer.headers.get("Retry-After"), sender.context.clock(), MAX_RETRY_AFTER)
        raise TemporaryError(reason, message, pause if asked is None and status == 429 else asked)
    raise PermanentError(reason, message)
