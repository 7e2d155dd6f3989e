"""One-line plain-text answers, and the middleware that every request and answer passes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: How much of an answer is sent in one turn of the loop, in bytes.
PIECE = 256 * 1024

_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With no-referrer, browsers send "Origin: null" with the forms of this page, and the check of the origin would
    # refuse them. Neither policy sends a referrer to another site.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def sentence(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer of one line of plain text."""
    return PlainTextResponse(text + "\n", status, dict(headers or {}))


class Gate:
    """ASGI middleware: passes on a request that no check refuses, and adds security headers to every answer.

    A check refuses a request by an HTTPException. Headers that an answer sets itself stay as they are, unless
    ``headers`` has them: those are on every answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        checks: Sequence[Callable[[Scope], Awaitable[None]]],
        headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._app = app
        self._checks = checks
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers.update(self._headers())
            for piece in _pieces(message):
                await send(piece)
                if piece is not message:
                    await asyncio.sleep(0)

        try:
            for check in self._checks:
                await check(scope)
        except HTTPException as error:
            refusal = sentence(error.status_code, error.detail, error.headers)
            return await refusal(scope, receive, send_with_headers)
        return await self._app(scope, receive, send_with_headers)


def _pieces(message: Message) -> Iterator[Message]:
    """The message, or several with pieces of its body: sending megabytes at once would take a long turn of the loop."""
    body = message.get("body", b"")
    if len(body) <= PIECE:
        yield message
        return
    for start in range(0, len(body), PIECE):
        is_last = start + PIECE >= len(body)
        more = message.get("more_body", False) or not is_last
        yield {**message, "body": body[start : start + PIECE], "more_body": more}
