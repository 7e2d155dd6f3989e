"""Sends requests over connections of asyncio: what ``httpx`` does by way of httpcore and anyio, at a third of the cost.

A fleet opens a connection for nearly every check, because Node closes an idle one after five seconds. h11 reads and
writes HTTP; asyncio does everything else. One connection carries one request at a time.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import h11
import httpx

#: The largest head of an answer, and how much is read at once, in bytes.
MAX_HEAD, CHUNK = 100 * 1024, 64 * 1024
#: How many idle connections to one server are kept.
MAX_IDLE = 2
#: How long one address of a server may take before the next one is tried beside it, in seconds (RFC 8305).
HAPPY_EYEBALLS = 0.25

_Origin = tuple[str, str, int]


class DirectTransport(httpx.AsyncBaseTransport):
    """Connections without a proxy. An idle one is closed after ``keep_alive`` seconds."""

    def __init__(self, verify: ssl.SSLContext, keep_alive: float) -> None:
        self._verify = verify
        self._keep_alive = keep_alive
        self._idle: dict[_Origin, list[_Connection]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The head of the answer, with its body as a stream. Raises httpx.TransportError."""
        url = request.url
        secure = url.scheme == "https"
        origin = (url.scheme, url.raw_host.decode("ascii"), url.port or (443 if secure else 80))
        connection = self._take(origin) or await self._open(origin)
        try:
            head = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        return httpx.Response(head.status_code, headers=[*head.headers], stream=_Body(self, origin, connection))

    async def aclose(self) -> None:
        idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    async def _open(self, origin: _Origin) -> _Connection:
        scheme, host, port = origin
        context = self._verify if scheme == "https" else None
        name = host if context else None
        # A name may have several addresses, some of them dead.
        delay = None if _is_address(host) else HAPPY_EYEBALLS
        try:
            opened = await asyncio.open_connection(
                host, port, ssl=context, server_hostname=name, happy_eyeballs_delay=delay
            )
        except OSError as error:  # ssl.SSLError is one
            raise httpx.ConnectError("") from _first(error)
        return _Connection(*opened)

    def _take(self, origin: _Origin) -> _Connection | None:
        connections = self._idle.get(origin, [])
        while connections:
            connection = connections.pop()
            if connection.is_usable:
                connection.wake()
                return connection
            connection.close()
        return None

    def give_back(self, origin: _Origin, connection: _Connection) -> None:
        """Keep the connection for a moment if another request can use it."""
        connections = self._idle.setdefault(origin, [])
        if len(connections) >= MAX_IDLE or not connection.restart():
            connection.close()
            return
        connections.append(connection)
        connection.rest(self._keep_alive, lambda: self._forget(origin, connection))

    def _forget(self, origin: _Origin, connection: _Connection) -> None:
        connections = self._idle.get(origin, [])
        if connection in connections:
            connections.remove(connection)
        if not connections:
            self._idle.pop(origin, None)
        connection.close()


class _Connection:
    """One connection, and where HTTP is on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._closing: asyncio.TimerHandle | None = None

    @property
    def is_usable(self) -> bool:
        """False once the server has closed it, or sent what nobody asked for."""
        return (
            not self._writer.transport.is_closing() and not self._reader.at_eof() and self._http.our_state is h11.IDLE
        )

    async def ask(self, request: httpx.Request) -> h11.Response:
        """Send the request, and return the head of its answer."""
        with _errors():
            head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            parts = [
                self._http.send(head),
                self._http.send(h11.Data(request.content)),
                self._http.send(h11.EndOfMessage()),
            ]
            self._writer.write(b"".join(part for part in parts if part))
            await self._writer.drain()
        while isinstance(event := await self.event(), h11.InformationalResponse):
            pass  # the answer proper follows
        if not isinstance(event, h11.Response):
            raise httpx.RemoteProtocolError("the server speaks another protocol from here on")
        return event

    async def event(self) -> h11.Event | type[h11.PAUSED]:
        """The next part of the answer."""
        with _errors():
            while True:
                event = self._http.next_event()
                if event is not h11.NEED_DATA:
                    return event  # type: ignore[return-value]  # mypy does not narrow the sentinel
                data = await self._reader.read(CHUNK)
                if not data and self._http.their_state is h11.SEND_RESPONSE:
                    raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
                self._http.receive_data(data)

    def restart(self) -> bool:
        """Whether another request can follow: the answer is complete, and the server keeps the connection."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return self.is_usable

    def rest(self, seconds: float, then: Callable[[], None]) -> None:
        self._closing = asyncio.get_running_loop().call_later(seconds, then)

    def wake(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def close(self) -> None:
        """At once: nothing waits to be sent, and the farewell of TLS would wait for the server's."""
        self.wake()
        transport = self._writer.transport
        transport.abort()
        # asyncio's transport holds a method of its own, so that only a garbage collection would free it, which is rare
        # in a daemon: every sweep of 1,000 gateways would leave 2 MB until then.
        getattr(transport, "__dict__", {}).pop("_read_ready_cb", None)


class _Body(httpx.AsyncByteStream):
    """The body of an answer. Closing it before its end closes the connection."""

    def __init__(self, transport: DirectTransport, origin: _Origin, connection: _Connection) -> None:
        self._transport, self._origin, self._connection = transport, origin, connection
        self._is_open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            event = await self._connection.event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)) or event is h11.PAUSED:
                return

    async def aclose(self) -> None:
        if self._is_open:
            self._is_open = False
            self._transport.give_back(self._origin, self._connection)


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdecimal()


def _first(error: OSError) -> OSError:
    """The first error of several addresses, which asyncio only has in its text."""
    found = None if error.errno is not None else re.match(r"Multiple exceptions: \[Errno (\d{1,5})\]", str(error))
    return OSError(int(found[1]), os.strerror(int(found[1]))) if found else error


@contextmanager
def _errors() -> Iterator[None]:
    """The errors of asyncio and h11 as those of httpx."""
    try:
        yield
    except h11.RemoteProtocolError as error:
        raise httpx.RemoteProtocolError(str(error)) from error
    except h11.LocalProtocolError as error:
        raise httpx.LocalProtocolError(str(error)) from error
    except (OSError, EOFError) as error:
        raise httpx.ReadError("") from error
