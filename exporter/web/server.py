"""Sockets, TLS and uvicorn inside the daemon's event loop.

uvicorn's own server handles SIGTERM itself, raises it again afterwards and waits for clients without a limit. Here the
daemon handles signals, and no client can delay anything: the number of connections, the time for headers and the time
without reading are limited.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import threading
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from exporter.config import ConfigError, Tls, expand
from exporter.lib.files import MIB, read_regular
from exporter.lib.supervisor import SupervisedTask, Supervisor
from exporter.web import listen
from exporter.web.limits import MAX_HEADERS

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 512
HEADER_TIMEOUT = 10.0  # seconds from a connection, or a request's first byte, to the last header
STALL_TIMEOUT = 20.0  # seconds without the client reading any of its answer
HANDSHAKE_TIMEOUT = 10.0  # seconds
#: How long a connection waits for the comparison of the certificates' files, in seconds: once while it hangs.
COMPARE_PATIENCE = 0.05
MAX_CERTIFICATES = 16 * MIB
# Longer than the usual scrape interval, so that Prometheus keeps its connection.
KEEP_ALIVE = 75  # seconds
STOP_TIMEOUT = 3  # seconds to finish answers when the server stops


# --- TLS -------------------------------------------------------------------------------------


class Certificates(ssl.SSLContext):
    """The server side of TLS: version 1.2 or later, with client certificates if ``tls`` names a CA.

    For every connection a thread compares the files and reads them again if they have changed. While they cannot be
    used, as in the middle of a rotation, the old ones stay in use; no connection waits for a file system that hangs.
    Each change makes a new context: a context that is loaded twice keeps the first certificate if the kind of key
    differs, and resumes sessions that an old CA had allowed.
    """

    def __new__(cls, tls: Tls) -> Certificates:
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, tls: Tls) -> None:
        """Raises ConfigError if the files cannot be used."""
        self._tls = tls
        self._current_signature = self._signature()
        self._current = self._load()
        self._comparing: threading.Thread | None = None

    def wrap_bio(self, *args: Any, **keys: Any) -> ssl.SSLObject:
        """asyncio calls this for each connection."""
        if self._comparing is None or not self._comparing.is_alive():
            self._comparing = threading.Thread(target=self._compare, name="certificates", daemon=True)
            self._comparing.start()
            self._comparing.join(COMPARE_PATIENCE)
        return self._current.wrap_bio(*args, **keys)

    def _compare(self) -> None:
        signature = self._signature()
        if signature != self._current_signature:
            self._current_signature = signature
            try:
                self._current = self._load()
                log.info("web: the certificates were reloaded")
            except ConfigError as error:
                log.error("web: the old certificates stay in use: %s", error)

    def _files(self) -> list[str]:
        return [file for file in (self._tls.cert_file, self._tls.key_file, self._tls.client_ca_file) if file]

    def _signature(self) -> list[tuple[int, int, int] | None]:
        signature: list[tuple[int, int, int] | None] = []
        for file in self._files():
            try:
                stat = os.stat(expand(file))
                signature.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
            except OSError:
                signature.append(None)
        return signature

    def _load(self) -> ssl.SSLContext:
        for file in self._files():
            try:
                read_regular(expand(file), MAX_CERTIFICATES)  # OpenSSL would wait for the writer of a pipe
            except OSError as error:
                raise ConfigError("web.tls", [f"{file} cannot be read: {error.strerror}"]) from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        tls = self._tls
        try:
            context.load_cert_chain(expand(tls.cert_file), expand(tls.key_file), password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            problem = f"{tls.cert_file} and {tls.key_file} do not work together: {_why_not(error)}"
            raise ConfigError("web.tls", [problem]) from None
        if tls.client_ca_file:
            try:
                context.load_verify_locations(expand(tls.client_ca_file))
            except ssl.SSLError as error:
                raise ConfigError(
                    "web.tls", [f"{tls.client_ca_file} is not a CA certificate: {error.reason}"]
                ) from None
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _why_not(error: ssl.SSLError | ValueError) -> str:
    match getattr(error, "reason", None):
        case "KEY_VALUES_MISMATCH" | "KEY_TYPE_MISMATCH" | "NO_CERTIFICATE_ASSIGNED":
            return "the key belongs to another certificate"
        case None if isinstance(error, ssl.SSLError):
            return "they are not PEM files"
        case reason:
            return reason or str(error)


def _no_password() -> str:
    # Without this, OpenSSL asks for a password on the terminal.
    raise ValueError("the key is encrypted; store it without a passphrase")


# --- connections -----------------------------------------------------------------------------


class _Connection(H11Protocol):
    """uvicorn's HTTP/1.1 with the limits that it lacks."""

    transport: asyncio.Transport
    _deadline: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None
    idle_since: float

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP only
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        self._expect_headers()
        if len(self.connections) > MAX_CONNECTIONS:
            self._make_room()

    def _make_room(self) -> None:
        """End the connection that has been idle longest, or this one if all are busy."""
        others = [other for other in self.connections if isinstance(other, _Connection) and other is not self]
        idle = [other for other in others if other.is_idle]
        victim = min(idle, key=lambda other: other.idle_since, default=self)
        self.connections.discard(victim)  # now: more connections may arrive before uvicorn notices its end
        victim.transport.abort()

    @property
    def is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.is_idle:
            self._expect_headers()
        else:
            self._cancel_deadline()

    def _expect_headers(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_TIMEOUT, self.transport.abort)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def on_response_complete(self) -> None:
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def _watch_reader(self, unread: int) -> None:
        self._stall = self.loop.call_later(STALL_TIMEOUT, self._check_reader, unread)

    def _check_reader(self, before: int) -> None:
        unread = self.transport.get_write_buffer_size()
        if unread < before:
            self._watch_reader(unread)
        else:
            self.transport.abort()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._cancel_stall()

    def _cancel_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        self._cancel_stall()
        super().connection_lost(exc)


class _Uvicorn(uvicorn.Server):
    """uvicorn's server on our sockets. ``open``, ``main_loop`` and ``close`` are its ``serve`` without signals."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config)
        self._sockets = sockets
        self._end = asyncio.Event()

    async def open(self, certificates: Certificates | None) -> None:
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)

        def connection() -> asyncio.Protocol:
            return _Connection(self.config, self.server_state, self.lifespan.state)

        tls: dict[str, Any] = {}
        if certificates is not None:
            tls = {
                "ssl": certificates,
                "ssl_handshake_timeout": HANDSHAKE_TIMEOUT,
                "ssl_shutdown_timeout": 2.0,
            }
        loop = asyncio.get_running_loop()
        self.servers = [await loop.create_server(connection, sock=sock, backlog=128, **tls) for sock in self._sockets]

    async def close(self) -> None:
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


# --- the server ------------------------------------------------------------------------------


class WebServer:
    """Serves an ASGI application on one host and port, with TLS if ``tls`` names a certificate.

    ``app`` can be replaced while the server runs, as after a reload; the address cannot.
    """

    def __init__(
        self, app: ASGIApp, host: str, port: int, tls: Tls | None = None, supervisor: Supervisor | None = None
    ) -> None:
        """``host`` is an address, a name, or empty for every address of this machine. Port 0 is any free port."""
        self.app = app
        #: The bound hosts and ports, with the real port instead of 0.
        self.addresses: list[tuple[str, int]] = []
        self._host = host
        self._port = port
        self._tls = tls if tls is not None and tls.cert_file else None
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
        return f"{'https' if self._tls else 'http'}://{listen.written(host, port)}"

    @property
    def serving(self) -> bool:
        """Whether the server accepts connections."""
        return self._task is not None and self._task.is_running

    async def start(self) -> None:
        """Bind and serve. Returns when the server listens. Raises ListenError or ConfigError."""
        certificates = await asyncio.to_thread(Certificates, self._tls) if self._tls else None
        sockets = await asyncio.to_thread(listen.bind, self._host, self._port)
        self.addresses = [sock.getsockname()[:2] for sock in sockets]
        server = _Uvicorn(
            uvicorn.Config(
                self._call,
                loop="none",
                http=_Connection,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="error",  # with warnings, clients could fill the log with malformed requests
                access_log=False,
                proxy_headers=False,  # a client could forge its address
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=STOP_TIMEOUT,
                h11_max_incomplete_event_size=MAX_HEADERS,
            ),
            sockets,
        )
        await server.open(certificates)
        self._uvicorn = server
        self._task = self._supervisor.start("web", server.main_loop)

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
