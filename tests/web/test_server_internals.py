"""The undocumented parts of uvicorn and Starlette that ``exporter/web`` overrides or reads.

Each test runs the library without our code. A failure here after an upgrade names what changed, before a test of our
own server fails for a reason that is hard to see. pyproject.toml bounds uvicorn to the releases that pass.

Undocumented behaviour of other libraries is tested through ours: pydantic's kinds of errors in the tests of the
configuration's sentences, prometheus_client's number format against its own exposition in the tests of the metrics, and
that asyncio calls ``SSLContext.wrap_bio`` for each connection in test_server_tls.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import socket
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from typing import Any

import h11
import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from waiting import until

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


class Recorder(H11Protocol):
    """uvicorn's protocol, with a record of the methods that our server overrides."""

    made: list[Recorder]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.calls: list[str] = []
        self.made.append(self)

    def connection_made(self, transport: Any) -> None:
        assert self not in self.connections
        super().connection_made(transport)
        self.calls.append("connection_made")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.calls.append("data_received")

    def on_response_complete(self) -> None:
        self.calls.append("on_response_complete")
        super().on_response_complete()

    def pause_writing(self) -> None:
        self.calls.append("pause_writing")
        super().pause_writing()

    def resume_writing(self) -> None:
        self.calls.append("resume_writing")
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("connection_lost")
        super().connection_lost(exc)


class Running:
    """uvicorn's server, opened in the same steps as ``exporter.web.server._Uvicorn``."""

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        self.made: list[Recorder] = []
        self.protocol = type("ThisRecorder", (Recorder,), {"made": self.made})
        config = uvicorn.Config(
            app,
            loop="none",
            http=self.protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            **options,
        )
        self.server = uvicorn.Server(config)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self.socket.getsockname()[:2]

    async def open(self) -> None:
        config, state = self.server.config, self.server.server_state
        config.load()
        self.server.lifespan = config.lifespan_class(config)
        listener = await asyncio.get_running_loop().create_server(
            lambda: self.protocol(config, state, self.server.lifespan.state), sock=self.socket
        )
        self.server.servers = [listener]


@contextlib.asynccontextmanager
async def running(app: ASGIApp = hello, **options: Any) -> AsyncIterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.getLogger("uvicorn.error"), "disabled", True)
        run = Running(app, timeout_graceful_shutdown=1, **options)
        await run.open()
        try:
            yield run
        finally:
            for connection in list(run.server.server_state.connections):
                connection.transport.abort()
            await run.server.shutdown([run.socket])


async def test_a_server_opens_in_steps_that_leave_the_signals_alone() -> None:
    async with running() as run:
        assert not run.server.should_exit
        assert run.server.server_state.connections == set(), "connections is no longer an empty set at the start"
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{run.address[1]}/")
        assert answer.text == "hello"


async def test_every_overridden_method_is_called_in_this_order() -> None:
    async with running() as run:
        reader, writer = await asyncio.open_connection(*run.address)
        writer.write(GET)
        await reader.readuntil(b"hello")
        writer.close()
        await until(lambda: bool(run.made) and "connection_lost" in run.made[0].calls)
        assert run.made[0].calls == ["connection_made", "data_received", "on_response_complete", "connection_lost"], (
            "uvicorn calls its protocol's methods otherwise: exporter/web/door.py overrides them to bound connections"
        )


async def test_a_connection_is_in_the_shared_set_while_it_lives() -> None:
    async with running() as run:
        _, writer = await asyncio.open_connection(*run.address)
        await until(lambda: bool(run.made))
        (connection,) = run.made
        connections: Any = run.server.server_state.connections
        assert connection.connections is connections, "a protocol no longer shares the server's set of connections"
        assert connections == {connection}
        assert connection.loop is asyncio.get_running_loop()
        connection.connections.discard(connection)  # our server does this before uvicorn does
        connection.transport.abort()
        await until(lambda: "connection_lost" in connection.calls)
        writer.close()


async def test_the_cycle_shows_whether_a_request_is_being_answered() -> None:
    asked, free = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await free.wait()
        await hello(scope, receive, send)

    async with running(slow) as run:
        reader, writer = await asyncio.open_connection(*run.address)
        await until(lambda: bool(run.made))
        (connection,) = run.made
        assert connection.cycle is None, "cycle is no longer None before the first request"
        writer.write(GET)
        await asked.wait()
        assert connection.cycle.response_complete is False, "response_complete no longer marks an answer under way"
        free.set()
        await reader.readuntil(b"hello")
        await until(lambda: "on_response_complete" in connection.calls)
        assert connection.cycle.response_complete is True, "response_complete no longer marks a finished answer"
        writer.close()


async def test_body_and_flow_show_what_a_connection_waits_for() -> None:
    asked = asyncio.Event()

    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        while (await receive()).get("more_body"):
            pass
        await hello(scope, receive, send)

    async with running(reading) as run:
        reader, writer = await asyncio.open_connection(*run.address)
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\na")
        await asked.wait()
        (connection,) = run.made
        assert connection.cycle.more_body is True, "more_body no longer marks a body that has not arrived"
        assert connection.conn.their_state is h11.SEND_BODY
        assert connection.flow.write_paused is False, "flow.write_paused is gone"
        writer.write(b"a")
        await reader.readuntil(b"hello")
        assert connection.cycle.more_body is False
        writer.write(b"GET / HT")
        await until(lambda: connection.conn.trailing_data[0] == b"GET / HT")
        writer.close()


async def test_a_connection_that_was_accepted_elsewhere_is_served() -> None:
    """The door accepts by itself, and replaces ``app`` of each connection."""
    async with running() as run:
        connection = run.protocol(run.server.config, run.server.server_state, run.server.lifespan.state)
        connection.app, replaced = hello, connection.app
        assert replaced is run.server.config.loaded_app, "uvicorn keeps the application elsewhere"
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, ours)
        reader, writer = await asyncio.open_connection(sock=theirs)
        writer.write(GET)
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_writing_pauses_for_a_client_that_does_not_read_and_resumes() -> None:
    sent = 0

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while sent < 300:
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
            sent += 1
        await send({"type": "http.response.body", "body": b""})

    async with running(endless) as run:
        reader, writer = await asyncio.open_connection(*run.address, limit=1024)
        writer.write(GET)
        await until(lambda: bool(run.made) and "pause_writing" in run.made[0].calls)
        await asyncio.sleep(0)
        assert sent < 300, "send() no longer waits while writing is paused: a slow client would fill the memory"
        assert run.made[0].transport.get_write_buffer_size() > 0
        while await reader.read(1_000_000) and "on_response_complete" not in run.made[0].calls:
            pass
        assert "resume_writing" in run.made[0].calls
        writer.close()


async def test_one_tick_refreshes_the_date_and_returns_whether_to_exit() -> None:
    async with running() as run:
        server = run.server
        assert await server.on_tick(0) is False
        headers = dict(server.server_state.default_headers)
        assert abs(parsedate_to_datetime(headers[b"date"].decode()).timestamp() - time.time()) < 5, (
            "on_tick(0) no longer writes the Date header: exporter/web/server.py calls it once a second"
        )
        server.should_exit = True
        assert await server.on_tick(0) is True, "should_exit no longer ends the main loop"


async def test_shutdown_closes_idle_connections_and_cancels_slow_answers() -> None:
    asked, cancelled = asyncio.Event(), asyncio.Event()

    async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with running(stuck) as run:
        idle, idle_writer = await asyncio.open_connection(*run.address)
        _, busy_writer = await asyncio.open_connection(*run.address)
        busy_writer.write(GET)
        await asked.wait()
        await asyncio.wait_for(run.server.shutdown([run.socket]), 10)
        assert await idle.read() == b"", "shutdown() no longer closes idle connections"
        assert run.socket.fileno() == -1, "shutdown() no longer closes the sockets it is given"
        await asyncio.wait_for(cancelled.wait(), 10)
        idle_writer.close()
        busy_writer.close()


async def test_headers_above_the_configured_size_are_refused() -> None:
    async with running(h11_max_incomplete_event_size=1000) as run:
        reader, writer = await asyncio.open_connection(*run.address)
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"a" * 2000)
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()


def test_the_overridden_methods_take_the_same_arguments() -> None:
    wanted = {
        "connection_made": ["self", "transport"],
        "data_received": ["self", "data"],
        "on_response_complete": ["self"],
        "pause_writing": ["self"],
        "resume_writing": ["self"],
        "connection_lost": ["self", "exc"],
    }
    for name, parameters in wanted.items():
        assert list(inspect.signature(getattr(H11Protocol, name)).parameters) == parameters, f"H11Protocol.{name}"
    assert list(inspect.signature(uvicorn.Server.main_loop).parameters) == ["self"]


async def test_starlette_answers_404_to_a_trailing_slash_if_redirects_are_off() -> None:
    app = Starlette(routes=[Route("/page", lambda request: PlainTextResponse("page"))])
    app.router.redirect_slashes = False
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/page/")).status_code == 404, "router.redirect_slashes no longer has an effect"
