"""The real server with TLS: its certificates, those of clients, and files that are none."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import threading
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from authority import Authority, needs_openssl, openssl
from fake_daemon import TOKEN, FakeDaemon, web
from running_server import GET, HOST, running, talk

from exporter.config import ConfigError, Tls
from exporter.web.app import create_app
from exporter.web.certificates import Certificates, certificates_of
from exporter.web.server import WebServer

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
