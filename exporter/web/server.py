"""Sockets and uvicorn inside the daemon's event loop.

uvicorn's own server handles SIGTERM itself, raises it again afterwards and waits for clients without a limit. Here the
daemon handles signals, and ``door`` lets clients in and ends those that delay others.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable, Sequence

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.lib.supervisor import SupervisedTask, Supervisor
from exporter.web import listen
from exporter.web.certificates import Certificates
from exporter.web.connections import Phase
from exporter.web.door import Door, GuardedConnection, free_connections
from exporter.web.limits import MAX_HEADERS

STOP_TIMEOUT = 3  # seconds to finish answers when the server stops


class _Uvicorn(uvicorn.Server):
    """uvicorn's server on our sockets. ``open``, ``main_loop`` and ``close`` are its ``serve`` without signals."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config)
        self.servers = []
        self._sockets = sockets
        self._end = asyncio.Event()

    def open(self, certificates: Certificates | None) -> None:
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)

        def connection(door: Door) -> GuardedConnection:
            return GuardedConnection(door, self.config, self.server_state, self.lifespan.state)

        self.door = Door(connection, free_connections(), certificates)
        self.door.open(self._sockets)

    async def close(self) -> None:
        self.door.close()
        await self.shutdown(self._sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    def end(self) -> None:
        self.should_exit = True
        self._end.set()

    async def main_loop(self) -> None:
        # uvicorn's own loop wakes ten times a second. Once keeps the Date header right.
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._end.wait()


class WebServer:
    """Serves an ASGI application on some hosts and ports, with TLS if there are ``certificates``.

    ``app`` can be replaced while the server runs, as after a reload; the addresses cannot.
    """

    def __init__(
        self,
        app: ASGIApp,
        listen_on: Iterable[tuple[str, int]] | Sequence[socket.socket],
        certificates: Callable[[], Certificates | None] = lambda: None,
        supervisor: Supervisor | None = None,
    ) -> None:
        """``listen_on`` has sockets that listen already, or hosts and ports.

        A host is an address, a name, or empty for every address of this machine. Port 0 is any free port.
        ``certificates`` reads files; it raises ConfigError if they cannot be used.
        """
        self.app = app
        #: The bound hosts and ports, with the real port instead of 0.
        self.addresses: list[tuple[str, int]] = []
        self._listen_on = list(listen_on)
        self._read_certificates = certificates
        self._has_tls = False
        self._uvicorn: _Uvicorn | None = None
        self._supervisor = supervisor or Supervisor()
        self._task: SupervisedTask | None = None

    @property
    def url(self) -> str:
        """The URL on this host, for people."""
        host, port = self.addresses[0]
        return self._url(listen.LOOPBACK.get(host, host), port)

    @property
    def listens_on(self) -> str:
        """Every address that is bound, and the URL to open on this host if that is another one."""
        bound = [self._url(host, port) for host, port in self.addresses]
        return " and ".join(bound) + ("" if self.url in bound else f", on this host {self.url}")

    def _url(self, host: str, port: int) -> str:
        return f"{'https' if self._has_tls else 'http'}://{listen.written(host, port)}"

    @property
    def serving(self) -> bool:
        """Whether the server accepts connections."""
        return self._task is not None and self._task.is_running

    async def start(self) -> None:
        """Bind and serve. Returns when the server listens. Raises ListenError or ConfigError."""
        certificates = await asyncio.to_thread(self._read_certificates)
        self._has_tls = certificates is not None
        sockets = await asyncio.to_thread(self._sockets)
        self.addresses = [sock.getsockname()[:2] for sock in sockets]
        server = _Uvicorn(
            uvicorn.Config(
                self._call,
                loop="none",
                http=GuardedConnection,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="error",  # with warnings, clients could fill the log with malformed requests
                access_log=False,
                proxy_headers=False,  # a client could forge its address
                server_header=False,
                timeout_keep_alive=int(Phase.IDLE.value),
                timeout_graceful_shutdown=STOP_TIMEOUT,
                h11_max_incomplete_event_size=MAX_HEADERS,
            ),
            sockets,
        )
        server.open(certificates)
        self._uvicorn = server
        self._task = self._supervisor.start("web", server.main_loop)

    def _sockets(self) -> list[socket.socket]:
        open_ones = [given for given in self._listen_on if isinstance(given, socket.socket)]
        return open_ones or listen.bind_all(given for given in self._listen_on if isinstance(given, tuple))

    async def stop(self) -> None:
        """Stop: accept no connection, wait STOP_TIMEOUT for answers, then close all connections."""
        server, task = self._uvicorn, self._task
        if server is None or task is None:
            return
        server.end()
        await task.stop(grace=1.0)
        self._uvicorn = self._task = None
        await server.close()

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
