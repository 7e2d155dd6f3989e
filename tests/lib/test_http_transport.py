"""Connections are kept for a moment, used again only if they are whole, and closed."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from waiting import LoopClock, until

from exporter.lib import http
from exporter.lib.http import KEEP_ALIVE, Cause, Client
from exporter.lib.http_transport import DirectTransport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers each request with ``answer``; counts connections and those that were closed."""

    def __init__(self) -> None:
        self.answer: Callable[[], bytes] = lambda: OK
        self.connections = self.closed = 0
        self.closes = False
        self.requests: list[bytes] = []
        self.url = ""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests.append(head)
                if b"content-length: 4\r\n" in head.lower():
                    await reader.readexactly(4)
                writer.write(self.answer())
                if self.closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        self.closed += 1
        writer.close()


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Server, Client]]:
    server = Server()
    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/path?query"
    async with listening:
        async with Client() as client:
            yield server, client
        await until(lambda: server.closed == server.connections)


async def body(server: Server, client: Client) -> bytes:
    return (await client.send("POST", server.url, timeout=30, content=b"four", max_body=100)).body


async def test_closed_connection_is_freed_without_garbage_collection() -> None:
    """A daemon collects every ten minutes, and a fleet has a connection for each check."""
    async with serving() as (server, client):
        gc.disable()
        try:
            await body(server, client)
            assert isinstance(client._transport, DirectTransport)
            ((connection,),) = client._transport._idle.values()
            transport = weakref.ref(connection._writer.transport)
            del connection
            await client.aclose()
            await until(lambda: transport() is None)
        finally:
            gc.enable()


async def test_connection_is_used_again_and_closed_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as (server, client):
        assert [await body(server, client) for _ in range(3)] == [b"ok"] * 3
        assert server.connections == 1
        assert server.requests[0].startswith(b"POST /path?query HTTP/1.1\r\nHost: 127.0.0.1:")
        LoopClock(monkeypatch).advance(KEEP_ALIVE + 1)
        await until(lambda: server.closed == 1)
        assert await body(server, client) == b"ok"
        assert server.connections == 2


async def test_connection_that_the_server_closed_is_not_used() -> None:
    async with serving() as (server, client):
        server.closes = True
        assert await body(server, client) == b"ok"
        await until(lambda: server.closed == 1)
        await asyncio.sleep(0)
        assert await body(server, client) == b"ok"
        assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    ],
)
async def test_answer_of_any_form_is_read(answer: bytes) -> None:
    async with serving() as (server, client):
        server.answer = lambda: answer
        assert [await body(server, client) for _ in range(2)] == [b"ok"] * 2
        assert server.connections == (2 if b"close" in answer else 1)


async def test_answer_whose_body_is_not_wanted_ends_its_connection() -> None:
    async with serving() as (server, client):
        server.answer = lambda: b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
        for _ in range(2):
            assert (await client.send("GET", server.url, timeout=30)).status == 200
        await until(lambda: server.closed == 2)


async def test_server_that_changes_the_protocol_is_no_endless_loop() -> None:
    async with serving() as (server, client):
        server.answer = lambda: b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
        with pytest.raises(http.RequestError) as raised:
            await body(server, client)
        assert raised.value.cause is Cause.BAD_ANSWER


async def test_name_of_which_no_address_answers_has_the_reason() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with Client() as client:
        with pytest.raises(http.RequestError, match="cannot connect: connection refused"):
            await client.send("GET", f"http://localhost:{port}/", timeout=30)


async def test_closed_client_leaves_no_connection() -> None:
    async with serving() as (server, client):
        await body(server, client)
        await client.aclose()
        await until(lambda: server.closed == 1)
