"""The real server on a loopback port."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fake_daemon import TOKEN, FakeDaemon, web
from starlette.types import ASGIApp

from exporter.config import Tls
from exporter.web.app import create_app
from exporter.web.certificates import certificates_of
from exporter.web.server import WebServer

HOST = "127.0.0.1"


@contextlib.asynccontextmanager
async def running(app: ASGIApp | None = None, tls: Tls | None = None, host: str = HOST) -> AsyncIterator[WebServer]:
    server = WebServer(
        app or create_app(FakeDaemon(), web(token=TOKEN)),
        [(host, 0)],
        lambda: certificates_of(web(tls=tls)) if tls else None,
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def talk(server: WebServer, sent: bytes) -> bytes:
    """Everything that the server sends until it closes the connection."""
    reader, writer = await asyncio.open_connection(*server.addresses[0])
    try:
        writer.write(sent)
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


GET = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
