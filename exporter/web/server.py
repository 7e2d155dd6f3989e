"""The listening side: sockets, TLS and uvicorn inside our own event loop.

uvicorn's own server takes SIGTERM for itself, raises it again when it is done and waits for
clients as long as they like. The daemon takes the signals here, and no client can hold anything
up: connections are bounded in number, in the time their headers take and in how long they may
not read.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import ssl
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from exporter.config import ConfigError, Tls, expand
from exporter.lib.errors import ExpectedError
from exporter.web.security import MAX_HEADERS

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 512
HEADER_TIMEOUT = 10.0  # seconds from a connection, or a request's first byte, to the last header
STALL_TIMEOUT = 20.0  # seconds in which a client has read nothing of its answer
HANDSHAKE_TIMEOUT = 10.0  # seconds
# Longer than the usual scrape interval, so that Prometheus keeps its connection.
KEEP_ALIVE = 75  # seconds
STOP_TIMEOUT = 3  # seconds for running answers when stopping


class ListenError(ExpectedError):
    """The server cannot listen on its address."""


# --- TLS -------------------------------------------------------------------------------------


class Certificates(ssl.SSLContext):
    """The server side of TLS: 1.2 at the least, client certificates where a CA is named.

    The files are looked at with each connection, and read again when they have changed; while they
    cannot be used (a rotation half done) the old ones serve on. Each change is a context of its
    own: in one that is loaded twice the first certificate stays where the kind of key differs, and
    sessions to resume outlive the CA they were let in by.
    """

    def __new__(cls, tls: Tls) -> Certificates:
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, tls: Tls) -> None:
        """Raises ConfigError if the files cannot be used."""
        self._tls = tls
        self._seen = self._signature()
        self._current = self._load()

    def wrap_bio(self, *args: Any, **keys: Any) -> ssl.SSLObject:
        """What asyncio calls for each connection."""
        seen = self._signature()
        if seen != self._seen:
            self._seen = seen
            try:
                self._current = self._load()
                log.info("web: the certificates were read again")
            except ConfigError as error:
                log.error("web: the old certificates stay in use: %s", error)
        return self._current.wrap_bio(*args, **keys)

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
                expand(file).open("rb").close()
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
            return "the key is of another certificate"
        case None if isinstance(error, ssl.SSLError):
            return "they are no PEM files"
        case reason:
            return reason or str(error)


def _no_password() -> str:
    # Without this OpenSSL asks on the terminal.
    raise ValueError("the key is encrypted; write it without a passphrase")


# --- connections -----------------------------------------------------------------------------


class _Connection(H11Protocol):
    """uvicorn's HTTP/1.1 with the bounds it does not have."""

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
        """Ends the connection that has waited longest for nothing; this one where all are busy."""
        others = [other for other in self.connections if isinstance(other, _Connection) and other is not self]
        idle = [other for other in others if other.is_idle]
        victim = min(idle, key=lambda other: other.idle_since, default=self)
        self.connections.discard(victim)  # at once: more may arrive before its end is noticed
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
    """uvicorn's server, listening on our sockets our way. Its ``serve`` would take the signals;
    ``open`` and ``until_ended`` are its steps without that."""

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

    async def until_ended(self) -> None:
        await self.main_loop()
        await self.shutdown(self._sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    def end(self) -> None:
        self.should_exit = True
        self._end.set()

    async def main_loop(self) -> None:
        # uvicorn wakes ten times a second; once is enough to keep the Date header right.
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._end.wait()


# --- the server ------------------------------------------------------------------------------


class WebServer:
    """Serves an ASGI application on one host and port, with TLS where ``tls`` names a certificate.

    ``app`` may be replaced while it runs (a reloaded configuration); the address may not.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, tls: Tls | None = None) -> None:
        """``host``: an address, a name, or empty for every address of this machine; port 0: any."""
        self.app = app
        #: Host and port of what was bound; the port is the real one where 0 was asked for.
        self.addresses: list[tuple[str, int]] = []
        self._host = host
        self._port = port
        self._tls = tls if tls is not None and tls.cert_file else None
        self._uvicorn: _Uvicorn | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it can be reached from this host, for people and logs."""
        host, port = self.addresses[0]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
        scheme = "https" if self._tls else "http"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    @property
    def serving(self) -> bool:
        """Whether it accepts connections."""
        return self._task is not None and not self._task.done()

    async def start(self) -> None:
        """Binds and serves; returns when it listens. Raises ListenError with a sentence."""
        certificates = Certificates(self._tls) if self._tls else None
        sockets = await _bind(self._host, self._port)
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
                log_level="error",  # a warning for each malformed request would let clients fill the log
                access_log=False,
                proxy_headers=False,  # nobody's word for who the client is
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=STOP_TIMEOUT,
                h11_max_incomplete_event_size=MAX_HEADERS,
            ),
            sockets,
        )
        await server.open(certificates)
        self._uvicorn = server
        self._task = asyncio.create_task(server.until_ended(), name="web")
        self._task.add_done_callback(_report)

    async def stop(self) -> None:
        """Ends it: no new connections, STOP_TIMEOUT for running answers, then all are cut off."""
        server, task = self._uvicorn, self._task
        if server is None or task is None:
            return
        server.end()
        await asyncio.wait({task})
        self._uvicorn = self._task = None

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("web: the server ended", exc_info=task.exception())


async def _bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address of ``host``; without a host, on all of this machine's."""
    where = f"{f'[{host}]' if ':' in host else host}:{port}"
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE if not host else 0
        )
    except OSError as error:
        raise ListenError(f"web.listen: {host!r} is no address of this machine: {error.strerror}") from None
    sockets: list[socket.socket] = []
    last: OSError | None = None
    for family, kind, protocol, _, address in dict.fromkeys(found):
        sock = None
        try:
            sock = socket.socket(family, kind, protocol)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # With port 0 the first address gets one and the others share it.
            chosen = sockets[0].getsockname()[1] if sockets and not port else port
            sock.bind((address[0], chosen, *address[2:]))
            sock.listen(128)
            sock.setblocking(False)
            sockets.append(sock)
        except OSError as error:
            last = error
            if sock is not None:
                sock.close()
            # A name or wildcard may stand for a family this machine does not have.
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                break
            continue
    else:
        if sockets:
            return sockets
    for sock in sockets:
        sock.close()
    raise ListenError(f"web.listen: cannot listen on {where}: {_why(last)}") from None


def _why(error: OSError | None) -> str:
    match error.errno if error else None:
        case errno.EADDRINUSE:
            return "another program listens there; end it, or set another web.listen"
        case errno.EACCES:
            return "ports below 1024 need privileges; set a higher port in web.listen"
        case errno.EADDRNOTAVAIL:
            return "this machine does not have this address"
    return (error.strerror if error else None) or "no address was found"
