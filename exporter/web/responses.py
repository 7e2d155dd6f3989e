"""Answers in one line of plain text, and the security headers that every answer carries."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


class SecurityHeaders:
    """ASGI middleware: adds the security headers that an answer does not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
