"""The door on a loopback port: hostile clients in crowds, requests that never end, and no descriptor left."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import resource
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fake_daemon import FakeDaemon, web
from starlette.types import ASGIApp
from waiting import LoopClock, until

from exporter.web import door as door_module
from exporter.web import server as server_module
from exporter.web.app import create_app
from exporter.web.connections import MOST
from exporter.web.door import Door, GuardedConnection
from exporter.web.server import WebServer

HOST = "127.0.0.1"
GET = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
BODY = b"POST /api/v1/check HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx"
PROBE = b"GET /probe?target=home HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Slow(FakeDaemon):
    """Probes end when a test says so."""

    free: asyncio.Event
    probing = 0

    async def probe(self, target: str, agent: str | None, timeout: float) -> tuple[bytes, str]:
        self.probing += 1
        try:
            await self.free.wait()
        finally:
            self.probing -= 1
        return b"late\n", "text/plain"


class Hall:
    """A running server with its door, and a crowd of clients that it closes at the end."""

    def __init__(self, server: WebServer) -> None:
        self.server = server
        self.address = server.addresses[0]
        self.crowd: list[socket.socket] = []

    @property
    def door(self) -> Door:
        assert self.server._uvicorn is not None
        return self.server._uvicorn.door

    def phases(self) -> list[str]:
        return sorted(phase.name for phase in self.door._connections._phase.values())

    async def enter(self, sent: bytes = b"", count: int = 1, buffer: int = 0) -> None:
        """Clients that connect, send something, and read nothing."""
        loop = asyncio.get_running_loop()
        for _ in range(count):
            sock = socket.socket()
            self.crowd.append(sock)
            sock.setblocking(False)
            if buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            await loop.sock_connect(sock, self.address)
            with contextlib.suppress(OSError):  # it was ended already
                await loop.sock_sendall(sock, sent)

    async def ask(self, sent: bytes = LAST) -> bytes:
        """Everything that the server sends until it closes the connection."""
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            writer.write(sent)
            return await asyncio.wait_for(reader.read(), 20)
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def hall(
    monkeypatch: pytest.MonkeyPatch, app: ASGIApp | None = None, most: int | None = None, tls: Any = None
) -> AsyncIterator[Hall]:
    monkeypatch.setattr(door_module, "SWEEP", 0.01)
    monkeypatch.setattr(server_module, "STOP_TIMEOUT", 1)
    if most is not None:
        monkeypatch.setattr(server_module, "free_connections", lambda: most)
    server = WebServer(app or create_app(FakeDaemon(), web()), [(HOST, 0)])
    await server.start()
    here = Hall(server)
    if tls is not None:
        here.door._tls["ssl"] = tls
    try:
        yield here
    finally:
        for sock in here.crowd:
            sock.close()
        await server.stop()


# --- time --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"GET / HT", BODY, GET + b"GET / HT"], ids=["nothing", "headers", "body", "2nd"])
async def test_a_request_that_does_not_end_is_cut_off(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = LoopClock(monkeypatch)
    async with hall(monkeypatch) as here:
        answer = asyncio.create_task(here.ask(sent))
        await until(lambda: here.phases() == ["REQUEST"])
        clock.advance(16)
        assert (await answer)[9:12] in (b"", b"200", b"408")


async def test_a_body_in_drips_does_not_prolong_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = LoopClock(monkeypatch)
    async with hall(monkeypatch) as here:
        reader, writer = await asyncio.open_connection(*here.address)
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\n")
        for _ in range(3):
            await until(lambda: here.phases() == ["REQUEST"])
            clock.advance(6)  # each pause is short
            writer.write(b"X: y\r\n")
            await asyncio.sleep(0)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


async def test_requests_that_wait_for_no_answer_are_answered_one_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd could otherwise order minutes of work with a few packets."""
    assert door_module.PIPELINE_PAUSE == 1.0
    monkeypatch.setattr(door_module, "PIPELINE_PAUSE", 10.0)  # so that it does not pass while this machine is busy
    clock = LoopClock(monkeypatch)
    async with hall(monkeypatch) as here:
        reader, writer = await asyncio.open_connection(*here.address)
        writer.write(GET * 2 + LAST)
        assert b" 200 OK" in await reader.readuntil(b"\r\n")
        while b"\r\n" in (line := await reader.readline()) and line != b"\r\n":
            pass
        await until(lambda: here.phases() == ["REQUEST"])  # its second request waits
        for _ in range(2):
            clock.advance(door_module.PIPELINE_PAUSE)
            await reader.readuntil(b" 200 OK")
        assert await reader.read()
        writer.close()


async def test_request_that_is_ended_just_when_more_of_it_comes_is_logged_nowhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with hall(monkeypatch) as here:
        await here.enter(BODY)
        (connection,) = here.door.open_ones
        await until(lambda: connection.cycle and connection.cycle.message_event._waiters)  # for the rest of the body
        connection.data_received(b"x")
        connection.end()
        await until(lambda: not here.door.open_ones and connection._answering is None)
    assert caplog.text == ""


async def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = LoopClock(monkeypatch)
    async with hall(monkeypatch, create_app(FakeDaemon(body=b"x" * 30_000_000), web())) as here:
        await here.enter(GET, buffer=4096)
        await until(lambda: here.phases() == ["READING"])
        clock.advance(121)
        await until(lambda: not here.door.open_ones)


async def test_a_small_answer_that_is_not_read_is_unread_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is too small for asyncio to pause writing by itself, and too large for the system's buffers."""
    clock = LoopClock(monkeypatch)
    async with hall(monkeypatch, create_app(FakeDaemon(body=b"x" * 60_000), web())) as here:
        await here.enter(buffer=2048)
        await until(lambda: [one for one in here.door.open_ones if one.transport is not None])
        for connection in here.door.open_ones:
            connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
        await asyncio.get_running_loop().sock_sendall(here.crowd[0], GET)
        await until(lambda: here.phases() == ["READING"])
        clock.advance(121)
        await until(lambda: not here.door.open_ones)


async def test_a_handshake_that_does_not_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = LoopClock(monkeypatch)
    async with hall(monkeypatch, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) as here:
        answer = asyncio.create_task(here.ask(b"\x16\x03\x01"))
        await until(lambda: here.phases() == ["REQUEST"])
        clock.advance(16)
        assert await answer == b""
        await until(lambda: not here.door.open_ones)


# --- crowds ------------------------------------------------------------------------------------

ATTACKS: dict[str, tuple[bytes, bytes | None]] = {
    "clients that send nothing": (b"", None),
    "headers that do not end": (b"GET / HTTP/1.1\r\nHost: loc", None),
    "bodies that do not end": (BODY, None),
    "idle clients": (GET, b"openclaw_auth_exit_code 0\n"),
    "probes that take long": (PROBE, b"late\n"),
    "answers that are not read": (GET, b"x" * 6_000_000),
    "handshakes that do not end": (b"\x16\x03\x01", None),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_crowd_of_hostile_clients_keeps_no_scrape_waiting(attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent, body = ATTACKS[attack]
    daemon = Slow(body=body or b"ok\n")
    daemon.free = asyncio.Event()
    scrape: Callable[[Hall], Any] = lambda here: here.ask()  # noqa: E731 - replaced below
    tls = None
    if attack == "handshakes that do not end":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        scrape = lambda here: here.ask(b"\x15\x03\x03\x00\x02\x02\x00")  # noqa: E731 - an alert: it is answered by the end
    async with hall(monkeypatch, create_app(daemon, web()), most=16, tls=tls) as here:
        for _ in range(5):
            await here.enter(sent, count=25, buffer=4096)
            answer = await scrape(here)
            assert answer.startswith(b"HTTP/1.1 200 ") or (tls is not None and answer == b"")
            assert len(here.door.open_ones) <= 16 + door_module.AT_ONCE
        await until(lambda: daemon.probing <= 16)  # nobody works for those that were ended


async def test_a_scraper_keeps_its_connection_while_others_never_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hall(monkeypatch, most=16) as here:
        reader, writer = await asyncio.open_connection(*here.address)
        for _ in range(5):
            writer.write(GET)
            assert (await reader.readuntil(b"exit_code 0\n")).startswith(b"HTTP/1.1 200 ")
            await here.enter(BODY, count=40)
        writer.close()


async def test_busy_connections_stay_while_idle_ones_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Slow()
    daemon.free = asyncio.Event()
    async with hall(monkeypatch, create_app(daemon, web()), most=8) as here:
        busy = asyncio.create_task(here.ask(PROBE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))
        await until(lambda: daemon.probing)
        for _ in range(20):
            await here.enter(GET)
            await until(lambda: "REQUEST" not in here.phases())
        daemon.free.set()
        assert (await busy).endswith(b"late\n")


async def test_what_was_ended_leaves_no_line_for_each_and_no_task(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    daemon = Slow()
    daemon.free = asyncio.Event()
    async with hall(monkeypatch, create_app(daemon, web()), most=8) as here:
        await here.enter(PROBE, count=100)
        await until(lambda: daemon.probing == 8)
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [line for line in lines if "ASGI" in line] == []
    assert lines.count("web: all 8 connections are in use; those that take longest are ended") == 1


# --- descriptors -------------------------------------------------------------------------------


async def test_without_descriptors_it_pauses_logs_one_line_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(door_module, "PAUSE", 0.01)
    tries = 0

    async with hall(monkeypatch) as here:
        real = here.door._sockets[0]

        class Exhausted:
            def accept(self) -> Any:
                nonlocal tries
                tries += 1
                raise OSError(errno.EMFILE, "Too many open files")

        exhausted: Any = Exhausted()
        accept = here.door._accept
        monkeypatch.setattr(here.door, "_accept", lambda sock: accept(exhausted))
        here.door._stop_accepting()
        here.door._accept_again()
        answer = asyncio.create_task(here.ask())
        await until(lambda: tries >= 3)
        monkeypatch.setattr(here.door, "_accept", accept)
        assert (await answer).startswith(b"HTTP/1.1 200 ")
        assert real.fileno() != -1
    lines = [record.getMessage() for record in caplog.records if "accepted" in record.getMessage()]
    assert lines == ["web: a connection cannot be accepted (EMFILE): too many files are open, or memory is short"]


async def test_accepting_stops_at_the_limit_and_resumes_when_somebody_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hall(monkeypatch, most=8) as here:
        held: list[GuardedConnection] = []
        end = GuardedConnection.end
        monkeypatch.setattr(GuardedConnection, "end", lambda self: held.append(self))  # they do not leave
        await here.enter(count=30)
        await until(lambda: not here.door._accepts)
        assert len(here.door.open_ones) == 8 + door_module.AT_ONCE
        monkeypatch.setattr(GuardedConnection, "end", end)
        for connection in held:
            connection.end()
        assert (await here.ask()).startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_resets_at_once_is_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with hall(monkeypatch) as here:
        for sent in (b"", GET, BODY):
            await here.enter(sent)
            here.crowd[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            here.crowd[-1].close()
        assert (await here.ask()).startswith(b"HTTP/1.1 200 ")
        await until(lambda: not here.door.open_ones)
    assert caplog.text == ""


def test_the_limit_is_half_of_the_free_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (100, 100))
    monkeypatch.setattr(os, "listdir", lambda folder: ["0"] * 20)
    assert door_module.free_connections() == 40
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert door_module.free_connections() == MOST

    def nothing(folder: str) -> list[str]:
        raise FileNotFoundError(folder)

    monkeypatch.setattr(os, "listdir", nothing)
    assert door_module.free_connections() == MOST
