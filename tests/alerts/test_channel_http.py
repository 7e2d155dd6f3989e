"""Every bad answer that a server can give, for every channel that uses HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import logging
import shutil
import ssl
import subprocess
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exporter.alerts.channels import ChannelContext, DeliveryError, PermanentError, TemporaryError, _http
from exporter.alerts.channels.alertmanager import AlertmanagerSender
from exporter.alerts.channels.ntfy import PAUSE, NtfySender
from exporter.alerts.channels.webhook import WebhookSender
from exporter.config.channels.alertmanager import AlertmanagerChannel
from exporter.config.channels.ntfy import NtfyChannel
from exporter.config.channels.webhook import WebhookChannel
from exporter.lib import http

from .messages import NOW, SECRET, alert, outgoing

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Deliver = Callable[..., Awaitable[None]]

#: Time limits in seconds: for servers that answer, on a slow machine too, and for those that never do.
PATIENT, SHORT = 30.0, 0.5


@dataclass
class Server:
    """Answers every connection with ``behave``."""

    behave: Handler
    tls: ssl.SSLContext | None = None
    waits: bool = True  # until the head of a request has arrived
    connections: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.waits:
                await reader.readuntil(b"\r\n\r\n")
            await self.behave(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def answering(status: int, *headers: str, body: bytes = b"{}") -> Handler:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = [f"HTTP/1.1 {status} Something", f"Content-Length: {len(body)}", "Connection: close", *headers]
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        await writer.drain()

    return answer


def sending(data: bytes) -> Handler:
    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return send


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def byte_by_byte(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Each byte arrives soon after the one before, but the answer never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def slow_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """It accepts the message, but the body of its answer never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
    await asyncio.Event().wait()


# --- the channels ------------------------------------------------------------------------------


def context(**changes: Any) -> ChannelContext:
    return ChannelContext(clock=lambda: NOW, **changes)


async def by_ntfy(root: str, timeout: float = PATIENT) -> None:
    config = NtfyChannel(name="phone", type="ntfy", url=root, topic="topic", token=SECRET)
    await NtfySender(config, context(), timeout=timeout).send(outgoing())


async def by_webhook(root: str, timeout: float = PATIENT) -> None:
    config = WebhookChannel.model_validate(
        {"name": "hook", "type": "webhook", "url": f"{root}/{SECRET}?{SECRET}", "secret": SECRET}
    )
    await WebhookSender(config, context(), timeout=timeout).send(outgoing())


async def by_alertmanager(root: str, timeout: float = PATIENT) -> None:
    config = AlertmanagerChannel(name="am", type="alertmanager", urls=[f"{root}/{SECRET}"])
    channel = AlertmanagerSender(config, context(), timeout=timeout)
    (error,) = await channel.publish([alert()], [], NOW)
    if error is not None:
        raise error


SENDER = WebhookSender(WebhookChannel(name="hook", type="webhook", url="http://hook.test"), context())

CHANNELS = [
    pytest.param(by_ntfy, id="ntfy"),
    pytest.param(by_webhook, id="webhook"),
    pytest.param(by_alertmanager, id="alertmanager"),
]


@pytest.fixture(params=CHANNELS)
def deliver(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Any:
    """One delivery by each of the channels. The log must contain no secret."""
    caplog.set_level(logging.DEBUG, "exporter")
    yield request.param
    assert SECRET not in caplog.text


async def failure(deliver: Deliver, behave: Handler) -> DeliveryError:
    """The error of one delivery to such a server, after one request. It contains no secret."""
    async with Server(behave) as server:
        with pytest.raises(DeliveryError) as caught:
            await deliver(f"http://127.0.0.1:{server.port}")
        assert server.connections == 1
    error = caught.value
    for text in (repr(error), error.message, "".join(traceback.format_exception(error))):
        assert SECRET not in text
        assert str(server.port) not in text
    return error


IN_40_S = email.utils.formatdate(NOW + 40, usegmt=True)
BROKE = "the connection broke before the answer was complete"
IN_THE_PAST = email.utils.formatdate(NOW - 40, usegmt=True)


@pytest.mark.parametrize(
    ("status", "headers", "reason", "retry_after"),
    [
        (408, [], "http_error", None),
        (425, [], "http_error", None),
        (429, ["Retry-After: 17"], "http_error", 17.0),
        (429, [f"Retry-After: {IN_40_S}"], "http_error", 40.0),
        (429, [f"Retry-After: {IN_THE_PAST}"], "http_error", 0.0),
        (429, ["Retry-After: 99999999"], "http_error", 86400.0),
        (500, [], "http_error", None),
        (502, ["Retry-After: soon"], "http_error", None),
        (503, ["Retry-After: 120"], "http_error", 120.0),
        (504, [], "http_error", None),
        (599, [], "http_error", None),
    ],
)
async def test_status_that_is_retried(
    deliver: Deliver, status: int, headers: list[str], reason: str, retry_after: float | None
) -> None:
    error = await failure(deliver, answering(status, *headers, body=SECRET.encode()))
    assert isinstance(error, TemporaryError)
    assert (error.reason, error.retry_after) == (reason, retry_after)
    assert error.message.startswith(f"answered {status}")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (301, "http_error"),
        (302, "http_error"),
        (308, "http_error"),
        (400, "http_error"),
        (401, "unauthorized"),
        (403, "unauthorized"),
        (404, "http_error"),
        (410, "http_error"),
        (413, "http_error"),
        (422, "http_error"),
    ],
)
async def test_status_that_is_permanent(deliver: Deliver, status: int, reason: str) -> None:
    error = await failure(deliver, answering(status, "Location: http://127.0.0.1:1/", body=SECRET.encode()))
    assert isinstance(error, PermanentError)
    assert error.reason == reason
    assert error.message.startswith(f"answered {status}")


@pytest.mark.parametrize(
    ("behave", "reason", "message"),
    [
        pytest.param(sending(b"\x00\xff garbage\r\n\r\n"), "http_error", "the answer is not HTTP", id="garbage"),
        pytest.param(sending(b"SSH-2.0-OpenSSH_9.6\r\n"), "connection", BROKE, id="ssh"),
        pytest.param(sending(b""), "connection", BROKE, id="nothing"),
    ],
)
async def test_answer_that_is_not_http_is_retried(deliver: Deliver, behave: Handler, reason: str, message: str) -> None:
    error = await failure(deliver, behave)
    assert isinstance(error, TemporaryError)
    assert (error.reason, error.retry_after, error.message) == (reason, None, message)


@pytest.mark.parametrize("behave", [silence, byte_by_byte])
async def test_answer_that_never_ends_is_a_timeout(deliver: Deliver, behave: Handler) -> None:
    error = await failure(lambda root: deliver(root, SHORT), behave)
    assert isinstance(error, TemporaryError)
    assert (error.reason, error.retry_after) == ("timeout", None)
    assert error.message == "no answer within 0.5 s"


async def test_refused_connection_is_retried(deliver: Deliver) -> None:
    async with Server(silence) as server:
        port = server.port
    with pytest.raises(TemporaryError) as caught:
        await deliver(f"http://127.0.0.1:{port}")
    assert (caught.value.reason, caught.value.message) == ("connection", "cannot connect: connection refused")


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_2xx_is_delivered(deliver: Deliver, status: int) -> None:
    async with Server(answering(status, body=b"" if status == 204 else b"garbage")) as server:
        await deliver(f"http://127.0.0.1:{server.port}")
    assert server.connections == 1


async def test_2xx_is_delivered_although_its_body_never_ends(deliver: Deliver) -> None:
    async with Server(slow_body) as server:
        await deliver(f"http://127.0.0.1:{server.port}")


@pytest.fixture
def unsigned(tmp_path: Path) -> ssl.SSLContext:
    """A server's TLS context with a self-signed certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is not installed")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    kind = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(["openssl", *kind, *subject, *files], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    return tls


async def test_untrusted_certificate_is_retried(deliver: Deliver, unsigned: ssl.SSLContext) -> None:
    async with Server(answering(200), unsigned) as server:
        with pytest.raises(TemporaryError) as caught:
            await deliver(f"https://127.0.0.1:{server.port}")
    assert caught.value.reason == "connection"
    assert caught.value.message == "certificate not trusted: self-signed certificate"
    assert server.connections == 0  # no request was sent


async def test_server_without_tls_is_retried(deliver: Deliver) -> None:
    async with Server(answering(400), waits=False) as server:
        with pytest.raises(TemporaryError) as caught:
            await deliver(f"https://127.0.0.1:{server.port}")
    assert (caught.value.reason, caught.value.message) == ("connection", "no TLS connection: wrong version number")


@pytest.mark.parametrize(
    "url", ["", "ftp://127.0.0.1/", f"http://[{SECRET}", f"{SECRET}", "http://127.0.0.1:99999999/"]
)
async def test_invalid_url_is_permanent(url: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        await _http.send(SENDER, "POST", url)
    assert isinstance(caught.value, PermanentError)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("token", [f"{SECRET}\nX-Other: 1", f"{SECRET}\0", f"{SECRET}é"])
async def test_token_that_no_header_can_carry_is_permanent(token: str) -> None:
    with pytest.raises(PermanentError) as caught:
        await _http.send(SENDER, "POST", "http://127.0.0.1:1/", headers={"Authorization": token})
    assert caught.value.message == "the configured url or a header value is not valid"


def test_ntfy_pause_is_long_enough_for_its_rate_limit() -> None:
    """A 429 of ntfy 2.13 has no Retry-After, and it allows one message every 5 s."""
    assert PAUSE >= 5


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("0", 0.0),
        ("²", None),
        (" 30 ", 30.0),
        ("9" * 60, 86400.0),
        ("9" * 100, None),
        ("Mon, 99 Nov 2026 10:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400.0),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert http.retry_after(header, NOW, 86400.0) == seconds
