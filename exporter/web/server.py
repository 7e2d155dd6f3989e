"""Sockets, TLS and uvicorn inside the daemon's event loop.

uvicorn's own server handles SIGTERM itself, raises it again afterwards and waits for clients without a limit. Here the
daemon handles signals, and ``door`` lets clients in and ends those that delay others.
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

from exporter.config import ConfigError, Tls, expand
from exporter.lib.files import MIB, read_regular
from exporter.lib.supervisor import SupervisedTask, Supervisor
from exporter.web import listen
from exporter.web.connections import Phase
from exporter.web.door import Door, GuardedConnection, free_connections
from exporter.web.limits import MAX_HEADERS

log = logging.getLogger(__name__)

#: How long a connection waits for the comparison of the certificates' files, in seconds: once while it hangs.
COMPARE_PATIENCE = 0.05
MAX_CERTIFICATES = 16 * MIB
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


# --- the server ------------------------------------------------------------------------------


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
