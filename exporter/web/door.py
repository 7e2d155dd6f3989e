"""Accepts connections and ends those that take too long or must make room. ``connections`` decides which.

asyncio's own server accepts without a limit, does not know a connection until its TLS handshake is over, and reports an
error for each connection that it cannot accept for want of a file descriptor, without end.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from exporter.lib import tasks
from exporter.web.connections import Connections, Phase, limit

log = logging.getLogger(__name__)

SWEEP = 1.0  # seconds between two searches for connections that have taken too long
#: Connections that are accepted in one turn of the loop, and that may be open beyond the limit while others end.
AT_ONCE = 4
#: The pause after a connection that could not be accepted, in seconds.
PAUSE = 0.2
LOG_EVERY = 60.0  # seconds
#: How long a request waits that was sent before the answer to the one before it, in seconds.
PIPELINE_PAUSE = 1.0
SHUTDOWN_TIMEOUT = 2.0  # seconds to end TLS politely
#: The descriptors that are assumed to be in use where they cannot be counted.
_USED = 32


def free_connections() -> int:
    """How many connections this process may hold."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        descriptors = 1 << 20
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return limit(descriptors, len(os.listdir(folder)))
        except OSError:
            continue
    return limit(descriptors, _USED)


class GuardedConnection(H11Protocol):
    """uvicorn's HTTP/1.1. It reports its phase to the door, and can be ended at any moment, also in the handshake."""

    transport: asyncio.Transport

    def __init__(self, door: Door, *args: Any) -> None:
        super().__init__(*args)
        self._door = door
        self._call = self.app
        self.app = self._answer
        self._answering: asyncio.Task[Any] | None = None
        self._ended = False
        #: Ends when the connection is made, after the handshake.
        self.opening: asyncio.Task[None] | None = None

    def end(self) -> None:
        """End it at once, with the work on its answer."""
        self._ended = True
        if self.cycle is not None:
            self.cycle.disconnected = True  # or uvicorn, if the answer ends first, would log that there is none
        if self.transport is not None:
            self.transport.abort()
        elif self.opening is not None:
            self.opening.cancel()
        if self._answering is not None:
            self._answering.cancel()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._answering = asyncio.current_task()
        try:
            await self._call(scope, receive, send)
        except asyncio.CancelledError:
            if not self._ended:
                raise
            # Nobody waits for the answer any more. Uvicorn would log this as an error.
        finally:
            self._answering = None

    def _phase(self) -> Phase:
        if self.flow.write_paused:
            return Phase.READING
        cycle, conn = self.cycle, self.conn
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            return Phase.ANSWER
        if cycle is None or conn.their_state is h11.SEND_BODY or conn.trailing_data[0]:
            return Phase.REQUEST
        return Phase.IDLE

    def _report(self) -> None:
        self._door.move(self, self._phase())

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP only
        transport.set_write_buffer_limits(high=1)  # so that any unread answer pauses writing
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._report()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP. If its request is being answered already, in the middle of a body, that is dropped.

        Uvicorn would log an error with a traceback when it is sent after the refusal, or refuse after its beginning.
        """
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
                return
        super().send_400_response(msg)

    def on_response_complete(self) -> None:
        if self.conn.our_state is h11.DONE and self.conn.their_state is h11.DONE and self.conn.trailing_data[0]:
            # Pipelining, which no scraper or browser does: a few packets of a crowd would be minutes of work.
            self.loop.call_later(PIPELINE_PAUSE, self._complete)
            self._report()
        else:
            self._complete()

    def _complete(self) -> None:
        super().on_response_complete()
        self._report()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._report()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._report()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._door.left(self)


class Door:
    """The connections of listening sockets. To be used from its event loop."""

    def __init__(self, make: Callable[[Door], GuardedConnection], most: int, tls: ssl.SSLContext | None = None) -> None:
        """``make`` makes the protocol of a new connection; ``most`` is how many may be open."""
        self._make = make
        self._most = most
        self._tls: dict[str, Any] = {}
        if tls is not None:
            timeout = Phase.REQUEST.value
            self._tls = {"ssl": tls, "ssl_handshake_timeout": timeout, "ssl_shutdown_timeout": SHUTDOWN_TIMEOUT}
        self._sockets: Sequence[socket.socket] = ()
        #: Every connection that holds a descriptor. Those that are being ended are not in ``_connections`` any more.
        self.open_ones: set[GuardedConnection] = set()
        self._connections: Connections[GuardedConnection] = Connections()
        self._accepts = False
        self._again: asyncio.TimerHandle | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._logged: dict[str, float] = {}

    def open(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections from these sockets, which listen and do not block."""
        self._sockets = sockets
        self._accept_again()

    def close(self) -> None:
        """Accept no more, and end the connections whose handshake is not over."""
        self._stop_accepting()
        self._sockets = ()
        for timer in (self._again, self._sweeper):
            if timer is not None:
                timer.cancel()
        for connection in list(self.open_ones):
            if connection.transport is None:
                self._end(connection)

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    # --- accepting ---------------------------------------------------------------------------

    def _accept_again(self) -> None:
        if not self._accepts:
            self._accepts = bool(self._sockets)
            for sock in self._sockets:
                self._loop.add_reader(sock, self._accept, sock)

    def _stop_accepting(self) -> None:
        self._accepts = False
        for sock in self._sockets:
            self._loop.remove_reader(sock)

    def _accept(self, sock: socket.socket) -> None:
        for _ in range(AT_ONCE):
            if len(self.open_ones) >= self._most + AT_ONCE:
                return self._stop_accepting()  # until one that is being ended has left
            try:
                accepted, _ = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return None
            except OSError as error:
                return self._cannot_accept(error)
            self._welcome(accepted)
        return None

    def _cannot_accept(self, error: OSError) -> None:
        """Without descriptors or memory, the next try would fail as well, and the socket stays readable: wait."""
        self._stop_accepting()
        self._make_room(0)  # which accepts again when the connection has left
        self._again = self._loop.call_later(PAUSE, self._accept_again)
        name = errno.errorcode.get(error.errno or 0, "unknown error")
        self._log(f"web: a connection cannot be accepted ({name}): too many files are open, or memory is short")

    def _welcome(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        connection = self._make(self)
        self.open_ones.add(connection)
        self._connections.add(connection, self._loop.time())
        connection.opening = tasks.begin(self._hand_over(connection, accepted))
        connection.opening.add_done_callback(lambda task: self._handed_over(task, connection, accepted))
        self._make_room(self._most)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP, self._sweep)

    async def _hand_over(self, connection: GuardedConnection, accepted: socket.socket) -> None:
        await self._loop.connect_accepted_socket(lambda: connection, accepted, **self._tls)

    def _handed_over(self, task: asyncio.Task[None], connection: GuardedConnection, accepted: socket.socket) -> None:
        if task.cancelled() or task.exception() is not None:  # no handshake, or it was ended in the middle of one
            accepted.close()
            self.left(connection)

    # --- ending ------------------------------------------------------------------------------

    def move(self, connection: GuardedConnection, phase: Phase) -> None:
        """The connection is now in ``phase``."""
        self._connections.move(connection, phase, self._loop.time())

    def left(self, connection: GuardedConnection) -> None:
        """The connection has given back its descriptor, or does so in this turn of the loop."""
        self.open_ones.discard(connection)
        self._connections.remove(connection)
        self._accept_again()

    def _end(self, connection: GuardedConnection) -> None:
        self._connections.remove(connection)
        connection.end()

    def _make_room(self, most: int) -> None:
        """End one connection if there are more than ``most``."""
        if len(self._connections) <= most:
            return
        victim = self._connections.to_end(self._loop.time())
        if victim is not None:
            self._log(f"web: all {self._most} connections are in use; those that take longest are ended")
            self._end(victim)

    def _sweep(self) -> None:
        for connection in self._connections.overdue(self._loop.time()):
            self._end(connection)
        self._sweeper = self._loop.call_later(SWEEP, self._sweep) if self.open_ones else None

    def _log(self, text: str) -> None:
        """The same line at most once a minute: clients must not be able to fill the log."""
        now = self._loop.time()
        if now >= self._logged.get(text, now):
            self._logged[text] = now + LOG_EVERY
            log.warning("%s", text)
