"""Web configuration files in use: the checks before ``serve`` starts, and a server with such a file."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from fake_daemon import TOKEN, FakeDaemon, web

from exporter.web.app import create_app
from exporter.web.certificates import certificates_of
from exporter.web.server import WebServer
from exporter.web.users import users_of

HOST = "127.0.0.1"


def require_usable(path: Path) -> None:
    """What ``serve`` checks before it starts. Raises ConfigError."""
    config = web(config_file=str(path))
    certificates_of(config)
    users = users_of(config)
    assert users is not None
    users.load()


@contextlib.asynccontextmanager
async def serving(path: Path) -> AsyncIterator[WebServer]:
    config = web(config_file=str(path), token=TOKEN)
    server = WebServer(create_app(FakeDaemon(), config), [(HOST, 0)], lambda: certificates_of(config))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
