"""The real server on a loopback port: binding, hostile clients, stopping."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from typing import Any

import httpx
import pytest
from fake_daemon import FakeDaemon, web
from running_server import GET, HOST, running, talk
from waiting import until

from exporter.web import server as server_module
from exporter.web.app import create_app
from exporter.web.listen import ListenError, bind
from exporter.web.server import WebServer


def connections(server: WebServer) -> set[Any]:
    assert server._uvicorn is not None
    return server._uvicorn.server_state.connections


# --- listening ---------------------------------------------------------------------------------


async def test_main_loop_that_fails_is_started_again_and_requests_are_served(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    good, faults = server_module._Uvicorn.on_tick, [RuntimeError("PLANTED-SECRET")]

    async def on_tick(server: Any, counter: int) -> bool:
        if faults:
            raise faults.pop()
        return await good(server, counter)

    monkeypatch.setattr(server_module._Uvicorn, "on_tick", on_tick)
    monkeypatch.setattr("exporter.lib.supervisor.FIRST_PAUSE", 0.05)
    async with running() as server, httpx.AsyncClient() as scraper:
        await until(lambda: "running the task 'web' (RuntimeError)" in caplog.text)
        for _ in range(2):
            assert (await scraper.get(f"{server.url}/metrics")).status_code == 200
            await until(lambda: server._supervisor.problem is None)
        assert server.serving
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*server.addresses[0])
    assert "PLANTED-SECRET" not in caplog.text


async def test_port_0_is_any_free_port_and_is_reported() -> None:
    async with running() as server:
        assert server.serving
        [(host, port)] = server.addresses
        assert (host, server.url) == (HOST, f"http://127.0.0.1:{port}")
        async with httpx.AsyncClient() as scraper:
            answer = await scraper.get(f"{server.url}/metrics")
            assert answer.text == "openclaw_auth_exit_code 0\n"
            assert "server" not in answer.headers
            assert answer.headers["date"].endswith("GMT")
            assert (await scraper.head(f"{server.url}/metrics")).content == b""
    assert not server.serving
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, port)


async def test_a_busy_port_is_an_error_sentence() -> None:
    async with running() as server:
        port = server.addresses[0][1]
        second = WebServer(server.app, [(HOST, port)])
        with pytest.raises(ListenError) as caught:
            await second.start()
        assert str(caught.value) == (
            f"web.listen: cannot listen on 127.0.0.1:{port}: "
            "another program listens there; stop it, or set another web.listen"
        )
        await second.stop()  # nothing to do, and no error
    # The port is free again at once.
    await second.start()
    await second.stop()
    await second.stop()


async def test_several_addresses_serve_the_same_or_none_is_bound() -> None:
    server = WebServer(create_app(FakeDaemon(), web()), [(HOST, 0), (HOST, 0)])
    await server.start()
    try:
        assert len(set(server.addresses)) == 2
        async with httpx.AsyncClient() as scraper:
            for host, port in server.addresses:
                assert (await scraper.get(f"http://{host}:{port}/metrics")).status_code == 200
    finally:
        await server.stop()
    with socket.create_server((HOST, 0)) as busy:
        port = bind_a_free_port()
        with pytest.raises(ListenError, match="another program listens there"):
            await WebServer(server.app, [(HOST, port), (HOST, busy.getsockname()[1])]).start()
        socket.create_server((HOST, port)).close()


def bind_a_free_port() -> int:
    with socket.create_server((HOST, 0)) as free:
        return int(free.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("192.0.2.1", "web.listen: cannot listen on 192.0.2.1:0: this machine does not have this address"),
        ("no such host.invalid", "web.listen: 'no such host.invalid' is not an address of this machine: "),
    ],
)
async def test_a_foreign_address_is_an_error_sentence(host: str, text: str) -> None:
    with pytest.raises(ListenError) as caught:
        await WebServer(create_app(FakeDaemon(), web()), [(host, 0)]).start()
    assert str(caught.value).startswith(text)


async def test_a_name_is_all_its_addresses_on_one_port() -> None:
    async with running(host="localhost") as server:
        assert {host for host, _ in server.addresses} <= {"127.0.0.1", "::1"}
        assert len({port for _, port in server.addresses}) == 1


@pytest.mark.parametrize(
    ("host", "bound", "to_open"),
    [
        ("127.0.0.1", {"http://127.0.0.1:{}"}, "http://127.0.0.1:{}"),
        ("localhost", {"http://127.0.0.1:{}", "http://[::1]:{}"}, None),
        ("0.0.0.0", {"http://0.0.0.0:{}"}, "http://127.0.0.1:{}"),  # noqa: S104 - on a free port, for a moment
        ("::", {"http://[::]:{}"}, "http://[::1]:{}"),
        ("", {"http://0.0.0.0:{}", "http://[::]:{}"}, None),
    ],
)
async def test_every_bound_address_is_named(host: str, bound: set[str], to_open: str | None) -> None:
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6")
    async with running(host=host) as server:
        port = server.addresses[0][1]
        assert port != 0
        named, _, opened = server.listens_on.partition(", on this host ")
        assert set(named.split(" and ")) <= {url.format(port) for url in bound}
        assert len(named.split(" and ")) == len(server.addresses)
        assert (opened or named).startswith(("http://127.0.0.1:", "http://[::1]:"))
        assert to_open is None or (opened or named) == to_open.format(port)


async def test_the_server_leaves_signal_handlers_alone() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with running():
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_the_app_can_be_replaced_while_serving() -> None:
    async with running() as server, httpx.AsyncClient() as scraper:
        assert (await scraper.get(f"{server.url}/metrics")).text == "openclaw_auth_exit_code 0\n"
        server.app = create_app(FakeDaemon(body=b"another\n"), web())
        assert (await scraper.get(f"{server.url}/metrics")).text == "another\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [  # what is too large arrives in one piece (431) or in several (400)
        (GET + b"X: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (GET + b"X: a\r\n" * 20_000 + b"\r\n", 431),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
        (GET + b"Host: evil.example\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 421),
        (b"GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"GET /..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (GET + b"Content-Length: 9999999999\r\n\r\n", 413),
        (GET + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n", 200),
        (GET + b"Content-Length: -1\r\n\r\n", 400),
        (GET + b"Accept-Encoding: \xff;;q=,gzip;q=9e9\r\nConnection: close\r\n\r\n", 200),
        (GET + b"Upgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n", 200),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200, 400),
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
    ],
)
async def test_hostile_requests_are_answered_and_the_next_one_is_served(sent: bytes, status: int) -> None:
    async with running() as server:
        answer = await asyncio.wait_for(talk(server, sent), 10)
        # A large request may be cut off before its answer has been read.
        if len(sent) > 16_384:
            assert answer[:13] in (b"HTTP/1.1 431 ", b"HTTP/1.1 400 ", b"")
        else:
            assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert (await talk(server, GET + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_body_that_breaks_off_into_nonsense_is_refused_once_and_logged_nowhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Uvicorn sent the application's answer after the refusal, which is an error with a traceback."""
    head = b"POST /-/reload HTTP/1.1\r\nHost: evil.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with running() as server:
        for body in (b"3\r\nabc\r\n0\x1d\r\n\r\n", b"zz\r\n", b"-1\r\n\r\n"):
            answer = await asyncio.wait_for(talk(server, head + body), 10)
            assert answer.startswith(b"HTTP/1.1 4")
            assert answer.count(b"HTTP/1.1 ") == 1
        await asyncio.sleep(0)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


# --- stopping ----------------------------------------------------------------------------------


async def test_stopping_waits_for_answers_but_for_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "STOP_TIMEOUT", 1)
    asked, cancelled = asyncio.Event(), asyncio.Event()

    class Endless(FakeDaemon):
        async def probe(self, target: str, agent: str | None, timeout: float) -> tuple[bytes, str]:
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            raise AssertionError

    async with running(create_app(Endless(body=b"x" * 30_000_000), web())) as server:
        writers = []
        for sent in (
            b"",
            b"GET / HT",
            GET + b"\r\n",  # does not read
            b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx",
            b"GET /probe?target=home HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ):
            _, writer = await asyncio.open_connection(*server.addresses[0])
            writer.write(sent)
            writers.append(writer)
        await asked.wait()
        left = connections(server)
        await asyncio.wait_for(server.stop(), 10)
        await asyncio.wait_for(cancelled.wait(), 10)
        await until(lambda: not left)
        for writer in writers:
            writer.close()


async def test_an_answer_under_way_is_finished_when_stopping() -> None:
    asked, free = asyncio.Event(), asyncio.Event()

    class Slow(FakeDaemon):
        async def probe(self, target: str, agent: str | None, timeout: float) -> tuple[bytes, str]:
            asked.set()
            await free.wait()
            return b"late\n", "text/plain"

    async with running(create_app(Slow(), web())) as server:
        answer = asyncio.create_task(talk(server, b"GET /probe?target=home HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        await asked.wait()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        free.set()
        assert (await answer).endswith(b"late\n")
        await stopping


def test_sockets_are_not_inherited() -> None:
    async def inheritable() -> list[bool]:
        sockets = bind(HOST, 0)
        try:
            return [sock.get_inheritable() for sock in sockets]
        finally:
            for sock in sockets:
                sock.close()

    assert asyncio.run(inheritable()) == [False]
