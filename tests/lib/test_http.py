"""Outbound HTTP: the reason when there is no answer, limits, trust, proxies and Retry-After.

``tests/alerts/test_channel_http.py`` and ``tests/sources/test_gateway_failures.py`` send requests to real bad servers.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import socket
import ssl
import sys
from pathlib import Path

import certifi
import httpx
import pytest

from exporter.lib import http
from exporter.lib.http import Cause
from exporter.lib.http_transport import DirectTransport

SECRET = "PLANTED-SECRET"
URL = f"https://user:{SECRET}@host.test/{SECRET}"


def caused_by(error: httpx.HTTPError, *causes: BaseException) -> httpx.HTTPError:
    error.__cause__ = ExceptionGroup("addresses", [cause for cause in causes if isinstance(cause, Exception)])
    return error


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, f"certificate verify failed for {SECRET}")
    error.verify_message = f"Hostname mismatch, certificate is not valid for '{SECRET}'."
    return error


NO_HOST = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed ({SECRET!r}, 443)")
NO_TLS = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1000)")
NO_TLS.reason = "WRONG_VERSION_NUMBER"


@pytest.mark.parametrize(
    ("error", "cause", "message"),
    [
        (
            caused_by(httpx.ConnectError(URL), NO_HOST),
            Cause.CONNECTION,
            "host name not found: name or service not known",
        ),
        (caused_by(httpx.ConnectError(URL), REFUSED, REFUSED), Cause.CONNECTION, "cannot connect: connection refused"),
        (
            caused_by(httpx.ConnectError(URL), untrusted()),
            Cause.CONNECTION,
            "certificate not trusted: Hostname mismatch",
        ),
        (caused_by(httpx.ConnectError(URL), NO_TLS), Cause.CONNECTION, "no TLS connection: wrong version number"),
        (httpx.ConnectError(URL), Cause.CONNECTION, "cannot connect"),
        (httpx.ReadError(URL), Cause.CONNECTION, "the connection broke before the answer was complete"),
        (
            httpx.RemoteProtocolError("Server disconnected without sending a response."),
            Cause.CONNECTION,
            "the connection broke before the answer was complete",
        ),
        (httpx.RemoteProtocolError("illegal status line"), Cause.BAD_ANSWER, "the answer is not HTTP"),
        (httpx.ProxyError(URL), Cause.CONNECTION, "the proxy refused the connection"),
        (httpx.ConnectTimeout(URL), Cause.TIMEOUT, "no answer within 30 s"),
        (httpx.LocalProtocolError(URL), Cause.BAD_REQUEST, "the configured url or a header value is not valid"),
    ],
)
async def test_reason_is_plain_and_reveals_nothing(error: httpx.HTTPError, cause: Cause, message: str) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    async with http.Client(httpx.MockTransport(fail)) as client:
        with pytest.raises(http.RequestError) as caught:
            await client.send("GET", URL, timeout=30)
    assert (caught.value.cause, str(caught.value)) == (cause, message)


async def test_body_is_only_read_as_far_as_it_is_wanted() -> None:
    async with http.Client(httpx.MockTransport(lambda request: httpx.Response(200, content=b"x" * 100))) as client:
        assert (await client.send("GET", URL, timeout=30)).body == b""
        assert (await client.send("GET", URL, timeout=30, max_body=100)).body == b"x" * 100
        with pytest.raises(http.RequestError, match="the answer is larger than") as caught:
            await client.send("GET", URL, timeout=30, max_body=99)
    assert caught.value.cause is Cause.BAD_ANSWER


async def test_redirect_is_not_followed() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(302, headers={"Location": "https://elsewhere.test/"})

    async with http.Client(httpx.MockTransport(answer)) as client:
        assert (await client.send("GET", URL, timeout=30)).status == 302
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("content_type", "body", "is_page"),
    [("text/html; charset=utf-8", b"", True), ("", b" <!doctype html>", True), ("application/json", b"{}", False)],
)
def test_web_page_is_recognised(content_type: str, body: bytes, is_page: bool) -> None:
    assert http.Response(200, {"content-type": content_type}, body).is_web_page is is_page


# --- what is sent ------------------------------------------------------------------------------


def echo(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=request.headers.multi_items(), headers={"Set-Cookie": "seen=1"})


async def sent_headers(client: http.Client, url: str = "http://host.test/", **headers: str) -> list[list[str]]:
    response = await client.send("GET", url, timeout=30, headers=headers, max_body=10_000)
    sent: list[list[str]] = json.loads(response.body)
    return sent


async def test_callers_headers_replace_ours_however_they_are_written() -> None:
    async with http.Client(httpx.MockTransport(echo)) as client:
        assert ["accept-encoding", "identity"] in await sent_headers(client)
        sent = await sent_headers(client, accept="text/plain")
    assert [value for name, value in sent if name == "accept"] == ["text/plain"]


async def test_login_comes_from_the_caller_or_the_url_and_replaces_a_header() -> None:
    async with http.Client(httpx.MockTransport(echo)) as client:
        by_url = await sent_headers(client, "http://me:w%20rd@host.test/", authorization="Bearer x")
        answer = await client.send(
            "GET", "http://me:word@host.test/", timeout=30, login=("you", "two"), max_body=10_000
        )
    assert [value for name, value in by_url if name == "authorization"] == ["Basic bWU6dyByZA=="]
    assert ["authorization", "Basic eW91OnR3bw=="] in json.loads(answer.body)
    assert ["host", "host.test"] in by_url


async def test_no_cookie_is_kept() -> None:
    async with http.Client(httpx.MockTransport(echo)) as client:
        await sent_headers(client)
        assert "cookie" not in dict(await sent_headers(client))


# --- trust and proxies -------------------------------------------------------------------------


async def opened(client: http.Client, url: str) -> httpx.AsyncBaseTransport:
    """The connections that serve a request for ``url``."""
    await client.send("GET", url, timeout=30)
    assert client._transport is not None
    return client._transport


def connected(verify: ssl.SSLContext, keep_alive: float) -> httpx.AsyncBaseTransport:
    """Connections that nobody makes."""
    return httpx.MockTransport(lambda request: httpx.Response(200))


async def test_connection_without_tls_is_not_reused_for_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was made without certificate authorities."""
    monkeypatch.setattr(http, "DirectTransport", connected)
    async with http.Client() as client:
        plain = await opened(client, "http://host.test/")
        assert await opened(client, "http://host.test/") is plain
        assert await opened(client, "https://host.test/") is not plain


async def test_changed_ca_file_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "DirectTransport", connected)
    file = tmp_path / "ca.pem"
    shutil.copy(certifi.where(), file)
    async with http.Client(ca_file=file) as client:
        before = await opened(client, "https://host.test/")
        assert await opened(client, "https://host.test/") is before
        file.touch()
        assert await opened(client, "https://host.test/") is not before
        file.write_text("nothing of the kind")
        with pytest.raises(http.RequestError, match="ca_file cannot be used: it contains no certificate"):
            await client.send("GET", "https://host.test/", timeout=30)
        file.unlink()
        with pytest.raises(http.RequestError, match="ca_file cannot be used: no such file"):
            await client.send("GET", "https://host.test/", timeout=30)


async def test_ca_file_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ca.pem")
    async with http.Client(ca_file=tmp_path / "ca.pem") as client:
        with pytest.raises(
            http.RequestError, match="ca_file cannot be used: is a named pipe: put a regular file there"
        ):
            await client.send("GET", "https://host.test", timeout=60.0)


@pytest.mark.parametrize("use_proxies", [True, False])
async def test_proxies_are_used_only_on_request(use_proxies: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with http.Client(use_proxies=use_proxies) as client:
        with pytest.raises(http.RequestError):
            await client.send("GET", "http://127.0.0.1:1/", timeout=30)
        assert isinstance(client._transport, http._ByProxy if use_proxies else DirectTransport)
        if isinstance(client._transport, http._ByProxy):
            assert client._transport._client.trust_env


async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


async def test_a_new_connection_imports_nothing_and_makes_no_tls_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed import searches every folder of Python's path, and is tried again each time."""
    searched: list[str] = []

    class Finder:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            searched.append(name)

    server = await asyncio.start_server(answer_once, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, http.Client() as first, http.Client() as second:
        assert (await first.send("GET", url, timeout=30)).status == 204
        monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
        monkeypatch.setattr(ssl, "SSLContext", None)
        for client in (first, second):
            assert (await client.send("GET", url, timeout=30)).status == 204
    assert searched == []
