"""The real server on a loopback port: binding, TLS, hostile clients, stopping."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import ssl
import threading
import warnings
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from authority import Authority, needs_openssl, openssl
from fake_daemon import TOKEN, FakeDaemon, web
from starlette.types import ASGIApp
from waiting import until

from exporter.config import ConfigError, Tls
from exporter.web import server as server_module
from exporter.web.app import create_app
from exporter.web.certificates import Certificates, certificates_of
from exporter.web.listen import ListenError, bind
from exporter.web.server import WebServer

HOST = "127.0.0.1"


@contextlib.asynccontextmanager
async def running(app: ASGIApp | None = None, tls: Tls | None = None, host: str = HOST) -> AsyncIterator[WebServer]:
    server = WebServer(
        app or create_app(FakeDaemon(), web(token=TOKEN)),
        [(host, 0)],
        lambda: certificates_of(web(tls=tls)) if tls else None,
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def talk(server: WebServer, sent: bytes) -> bytes:
    """Everything that the server sends until it closes the connection."""
    reader, writer = await asyncio.open_connection(*server.addresses[0])
    try:
        writer.write(sent)
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


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


# --- clients that misbehave --------------------------------------------------------------------

GET = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"


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


# --- TLS ---------------------------------------------------------------------------------------

RSA = ("-newkey", "rsa:2048")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture
def tls(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tls:
    monkeypatch.setattr(
        "exporter.web.certificates.COMPARE_PATIENCE", 30.0
    )  # a changed file is noticed, however slow the machine
    cert, key = authority.issue("server", common_name="first")
    shutil.copy(cert, tmp_path / "cert.pem")
    shutil.copy(key, tmp_path / "key.pem")
    return Tls(cert_file=str(tmp_path / "cert.pem"), key_file=str(tmp_path / "key.pem"))


def trusting(authority: Authority, client_cert: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.cert))
    if client_cert:
        context.load_cert_chain(*client_cert)
    return context


async def certificate(server: WebServer, authority: Authority) -> tuple[str, str]:
    """The common name of the certificate that a new connection gets, and the TLS version."""
    _, writer = await asyncio.open_connection(*server.addresses[0], ssl=trusting(authority))
    shown: Any = writer.get_extra_info("peercert")
    version = writer.get_extra_info("ssl_object").version()
    writer.close()
    await writer.wait_closed()
    return dict(pair[0] for pair in shown["subject"])["commonName"], version


def install(tls: Tls, cert: Path, key: Path) -> None:
    """Replace certificate and key, each atomically."""
    for source, goal in ((cert, tls.cert_file), (key, tls.key_file)):
        shutil.copy(source, goal + ".new")
        os.replace(goal + ".new", goal)


@needs_openssl
async def test_tls_serves_and_plain_text_does_not(tls: Tls, authority: Authority) -> None:
    async with running(tls=tls) as server:
        assert server.url.startswith("https://127.0.0.1:")
        async with httpx.AsyncClient(verify=trusting(authority)) as scraper:
            assert (await scraper.get(f"{server.url}/metrics")).text == "openclaw_auth_exit_code 0\n"
            login = await scraper.post(f"{server.url}/login", data={"token": TOKEN}, headers={"Origin": server.url})
            assert login.headers["set-cookie"].endswith("; Secure")
        assert b"200" not in await talk(server, GET + b"\r\n")
        assert await certificate(server, authority) == ("first", "TLSv1.3")


@needs_openssl
async def test_tls_below_1_2_is_refused(tls: Tls, authority: Authority) -> None:
    old = trusting(authority)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that they are old is the point
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with running(tls=tls) as server:
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await asyncio.open_connection(*server.addresses[0], ssl=old)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        _, writer = await asyncio.open_connection(*server.addresses[0], ssl=old)
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.2"
        writer.close()


@needs_openssl
async def test_changed_certificates_are_used_by_new_connections(
    tls: Tls, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tls=tls) as server, httpx.AsyncClient(verify=trusting(authority)) as scraper:
        assert (await scraper.get(f"{server.url}/metrics")).status_code == 200
        assert (await certificate(server, authority))[0] == "first"
        # Another kind of key: the old certificate must not stay beside the new one.
        second = authority.issue("second", RSA, common_name="second")
        shutil.copy(second[0], tls.cert_file)
        assert (await certificate(server, authority))[0] == "first"  # half a rotation
        assert "web: the old certificates stay in use: web.tls: " in caplog.text
        assert (
            f"{tls.cert_file} and {tls.key_file} do not work together: the key belongs to another certificate"
            in caplog.text
        )
        install(tls, *second)
        assert (await certificate(server, authority))[0] == "second"
        os.unlink(tls.key_file)
        assert (await certificate(server, authority))[0] == "second"
        assert "cannot be read: No such file or directory" in caplog.text
        install(tls, *authority.issue("third", common_name="third"))
        assert (await certificate(server, authority))[0] == "third"
        assert (await scraper.get(f"{server.url}/metrics")).status_code == 200  # the old connection lives on


@needs_openssl
async def test_pipe_in_place_of_a_certificate_leaves_the_server_alive(
    tls: Tls, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tls=tls) as server:
        for file in (tls.cert_file, tls.key_file):
            os.rename(file, f"{file}.aside")
            os.mkfifo(file)
            assert (await certificate(server, authority))[0] == "first"
            assert (
                f"web: the old certificates stay in use: web.tls: {file} cannot be read: Is a named pipe" in caplog.text
            )
            os.rename(f"{file}.aside", file)
        install(tls, *authority.issue("second", common_name="second"))
        assert (await certificate(server, authority))[0] == "second"


@needs_openssl
async def test_certificates_on_a_file_system_that_hangs_delay_no_connection(
    tls: Tls, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, hangs = threading.Event(), []

    def hang(self: Certificates) -> None:
        hangs.append(threading.current_thread())
        go_on.wait(60)

    async with running(tls=tls) as server:
        monkeypatch.setattr(Certificates, "_compare", hang)
        monkeypatch.setattr("exporter.web.certificates.COMPARE_PATIENCE", 0.001)
        for _ in range(3):
            assert (await certificate(server, authority))[0] == "first"
        assert len(hangs) == 1
        go_on.set()


@needs_openssl
async def test_with_a_client_ca_only_its_certificates_get_in(tls: Tls, authority: Authority, tmp_path: Path) -> None:
    clients, strangers = Authority(tmp_path / "clients"), Authority(tmp_path / "strangers")
    ca = tmp_path / "client-ca.pem"
    shutil.copy(clients.cert, ca)
    good, bad = clients.issue("prometheus"), strangers.issue("prometheus")

    async def gets_in(cert: tuple[Path, Path] | None) -> bool:
        async with httpx.AsyncClient(verify=trusting(authority, cert)) as scraper:
            try:
                return (await scraper.get(f"{server.url}/metrics")).status_code == 200
            except httpx.TransportError:
                return False

    async with running(tls=tls.model_copy(update={"client_ca_file": str(ca)})) as server:
        assert [await gets_in(cert) for cert in (None, bad, good)] == [False, False, True]
        shutil.copy(strangers.cert, ca)  # a changed CA counts as well
        assert [await gets_in(cert) for cert in (None, bad, good)] == [False, True, False]


@needs_openssl
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_session_does_not_outlive_the_ca_that_let_it_in(
    tls: Tls, authority: Authority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    clients, strangers = Authority(tmp_path / "clients"), Authority(tmp_path / "strangers")
    ca = tmp_path / "client-ca.pem"
    shutil.copy(clients.cert, ca)
    context = trusting(authority, clients.issue("prometheus"))
    context.maximum_version = version

    def ask(address: tuple[str, int], session: ssl.SSLSession | None) -> tuple[bytes, ssl.SSLSession | None]:
        with (
            socket.create_connection(address, 10) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as sock,
        ):
            sock.sendall(GET + b"Connection: close\r\n\r\n")
            return sock.recv(12), sock.session

    async with running(tls=tls.model_copy(update={"client_ca_file": str(ca)})) as server:
        answer, session = await asyncio.to_thread(ask, server.addresses[0], None)
        assert (answer, session is not None) == (b"HTTP/1.1 200", True)
        shutil.copy(strangers.cert, ca)
        with contextlib.suppress(OSError):
            assert (await asyncio.to_thread(ask, server.addresses[0], session))[0] == b""


@needs_openssl
async def test_invalid_tls_files_are_error_sentences(tls: Tls, authority: Authority, tmp_path: Path) -> None:
    other_key = str(authority.issue("other")[1])
    encrypted, junk = str(tmp_path / "encrypted.key"), str(tmp_path / "junk.pem")
    openssl("ec", "-in", tls.key_file, "-aes256", "-passout", "pass:PLANTED-SECRET", "-out", encrypted)
    shutil.copy(__file__, junk)
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    pair = f"{tls.cert_file} and "
    for changes, text in (
        ({"cert_file": "/nowhere.pem"}, "/nowhere.pem cannot be read: No such file or directory"),
        ({"key_file": pipe}, f"{pipe} cannot be read: Is a named pipe: put a regular file there"),
        ({"key_file": other_key}, f"{pair}{other_key} do not work together: the key belongs to another certificate"),
        ({"key_file": encrypted}, f"{pair}{encrypted} do not work together: the key is encrypted; store it without"),
        ({"key_file": junk}, f"{pair}{junk} do not work together: "),
        ({"client_ca_file": junk}, f"{junk} is not a CA certificate: "),
    ):
        bad = web(tls=tls.model_copy(update=changes))
        with pytest.raises(ConfigError) as caught:
            await WebServer(create_app(FakeDaemon(), web()), [(HOST, 0)], partial(certificates_of, bad)).start()
        assert str(caught.value).startswith(f"web.tls: {text}")


def test_sockets_are_not_inherited() -> None:
    async def inheritable() -> list[bool]:
        sockets = bind(HOST, 0)
        try:
            return [sock.get_inheritable() for sock in sockets]
        finally:
            for sock in sockets:
                sock.close()

    assert asyncio.run(inheritable()) == [False]
