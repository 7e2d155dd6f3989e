"""The gateway source fails a check with the right reason, over a real socket too, and shows no secret."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from captured import capture, verdict
from fake_gateway import OTHER, RELEASE, TOKEN, Gateway, recorded, refused, source, with_payload

from exporter.config import GatewayTarget
from exporter.model import CheckError, FailureReason, Severity
from exporter.sources import SourceContext
from exporter.sources.gateway.rpc import MAX_BODY
from exporter.sources.gateway.source import GatewaySource

# --- each failure has its own reason -----------------------------------------------------------------


async def test_gateway_that_is_not_ready_fails_the_check() -> None:
    error = await refused(Gateway(models_authStatus=recorded(capture(RELEASE, "_not_ready"))))
    assert error.reason is FailureReason.NOT_READY
    assert "Model authentication status is unavailable" in error.message


async def test_gateway_without_profiles_is_no_failure() -> None:
    seen = await source(Gateway(models_authStatus=with_payload({"providers": []}))).check("main")
    assert seen.profiles == ()
    report = verdict(seen)
    assert [c.severity for c in report.conditions if c.name == "missing"] == [Severity.CRITICAL]


HTML = httpx.Response(200, html="<!doctype html><title>router</title>")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (recorded(OTHER["wrong_token"]), FailureReason.UNAUTHORIZED),
        (httpx.Response(403, text="Forbidden"), FailureReason.UNAUTHORIZED),
        (httpx.Response(404, text="Not Found"), FailureReason.NOT_ENABLED),
        (httpx.Response(503, text="Plugin runtime is starting"), FailureReason.NOT_READY),
        (httpx.Response(503, html="<h1>upstream</h1>"), FailureReason.NOT_READY),
        (recorded(OTHER["unknown_agent"]), FailureReason.UNKNOWN_AGENT),
        (recorded(OTHER["method_not_allowed"]), FailureReason.HTTP_ERROR),
        (httpx.Response(302, headers={"location": "https://elsewhere.example/"}), FailureReason.HTTP_ERROR),
        (httpx.Response(500, text="oops"), FailureReason.HTTP_ERROR),
        (httpx.Response(429, json={"error": {"type": "rate_limited"}}), FailureReason.HTTP_ERROR),
        (httpx.Response(504, json={"ok": False, "error": {"code": "AGENT_TIMEOUT"}}), FailureReason.HTTP_ERROR),
        (HTML, FailureReason.HTTP_ERROR),
        (httpx.Response(200, text="  <html>"), FailureReason.HTTP_ERROR),
        (httpx.Response(200, content=b""), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, text="pong"), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, content=b"\xff\xfe{"), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, json=[1]), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, json={"ok": True}), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, json={"ok": True, "payload": []}), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, json={"payload": {"providers": []}}), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, json={"ok": False, "error": {"message": "no"}}), FailureReason.HTTP_ERROR),
        (with_payload({"providers": "none"}), FailureReason.INVALID_OUTPUT),
        (with_payload({}), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, content=b"[" * 200_000), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, content=b" " * (MAX_BODY + 1)), FailureReason.INVALID_OUTPUT),
        (httpx.Response(200, headers={"content-encoding": "zstd"}, content=b"{}"), FailureReason.INVALID_OUTPUT),
        (httpx.ConnectError("refused"), FailureReason.CONNECTION),
        (httpx.ReadError("reset"), FailureReason.CONNECTION),
        (httpx.RemoteProtocolError("Server disconnected without sending a response."), FailureReason.CONNECTION),
        (httpx.RemoteProtocolError("illegal status line"), FailureReason.INVALID_OUTPUT),
        (httpx.ConnectTimeout("slow"), FailureReason.TIMEOUT),
        (httpx.ReadTimeout("slow"), FailureReason.TIMEOUT),
        (httpx.Response(500, json={"error": {"message": "EACCES: permission denied, open"}}), FailureReason.PERMISSION),
    ],
)
async def test_gateway_failure_has_its_reason(answer: Any, reason: FailureReason) -> None:
    error = await refused(Gateway(models_authStatus=answer))
    assert error.reason is reason


async def test_missing_plugin_is_reported_with_its_remedy() -> None:
    error = await refused(Gateway(models_authStatus=httpx.Response(404)))
    assert "openclaw plugins enable admin-http-rpc" in error.message


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (httpx.Response(503, json={"ok": False, "error": {"message": "suspended", "retryAfterMs": 2500}}), 2.5),
        (httpx.Response(409, json={"ok": False, "error": {"message": "busy", "retryAfterMs": 250}}), 0.25),
        (httpx.Response(503, headers={"retry-after": "7"}), 7.0),
        (httpx.Response(503, headers={"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}), None),
        (httpx.Response(503, json={"error": {"retryAfterMs": "soon"}}), None),
        (httpx.Response(503, json={"error": {"retryAfterMs": -1}}), None),
        (httpx.Response(503, json={"error": {"retryAfterMs": 1e300}}), 3600.0),
    ],
)
async def test_pause_requested_by_the_gateway_is_passed_on(answer: httpx.Response, seconds: float | None) -> None:
    error = await refused(Gateway(models_authStatus=answer))
    assert (error.reason, error.retry_after) == (FailureReason.NOT_READY, seconds)


async def test_untrusted_certificate_is_named_as_the_cause() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        failed = ssl.SSLCertVerificationError("verify failed")
        failed.verify_message = "self-signed certificate"
        raise httpx.ConnectError("x") from failed

    error = await refused(handler, url="https://gw.example")
    assert error.reason is FailureReason.CONNECTION
    assert "self-signed certificate" in error.message


async def test_ca_file_without_certificates_fails_the_check(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for name in ("empty.pem", "missing.pem"):
        error = await refused(Gateway(), url="https://gw.example", ca_file=str(tmp_path / name))
        assert error.reason is FailureReason.CONNECTION
        assert "ca_file" in error.message


@pytest.mark.parametrize("url", ["http://", "http://[::1", "http://a:b:c", "https:///x"])
async def test_invalid_url_is_reported_with_an_example(url: str) -> None:
    assert (await refused(Gateway(), url=url)).reason is FailureReason.CONNECTION


# --- the token ------------------------------------------------------------------------------------------


async def test_rotated_token_file_is_used_at_the_next_call(tmp_path: Path) -> None:
    file, gateway = tmp_path / "token", Gateway()
    subject = source(gateway, token=None, token_file=str(file), agents=["main"])
    for token in ("first-token", "second-token"):
        file.write_text(token + "\n")
        await subject.check("main")
        assert gateway.requests[-1].headers["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize("token", ["", "two words", "PLANTED-SECRET\x07", "PLANTED-SECRETß"])
async def test_token_that_no_header_can_carry_is_refused(token: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(token)
    error = await refused(Gateway(), token=None, token_file=str(tmp_path / "token"))
    assert error.reason is FailureReason.UNAUTHORIZED
    assert "PLANTED" not in str(error)


async def test_missing_token_file_is_unauthorized(tmp_path: Path) -> None:
    error = await refused(Gateway(), token=None, token_file=str(tmp_path / "none"))
    assert error.reason is FailureReason.UNAUTHORIZED


async def test_echoed_token_is_redacted() -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        message = f"no: {request.headers['authorization']}, that is {token}, at http://user-part:{TOKEN}@host/"
        return httpx.Response(500, json={"ok": False, "error": {"message": message}})

    for token in (TOKEN, "hunter2"):  # a short one looks like any word
        error = await refused(echo, url=f"http://user-part:{TOKEN}@gw.example:1", token=token)
        assert error.reason is FailureReason.HTTP_ERROR
        assert token not in str(error)


async def test_endless_answer_is_refused() -> None:
    sent = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal sent
            while sent < 4 * MAX_BODY:
                sent += 65536
                yield b" " * 65536

    error = await refused(lambda request: httpx.Response(200, stream=Endless()))
    assert error.reason is FailureReason.INVALID_OUTPUT
    assert "larger than 8 MiB" in error.message
    assert sent == MAX_BODY + 65536


async def test_login_in_the_url_is_used_only_without_a_token() -> None:
    gateway = Gateway()
    await source(gateway, url="http://me:word@gw.example/base/", agents=["main"]).check("main")
    assert gateway.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert str(gateway.requests[0].url) == "http://gw.example/base/api/v1/admin/rpc"
    await source(gateway, url="http://me:word@gw.example", token=None, agents=["main"]).check("main")
    assert gateway.requests[-1].headers["authorization"] == "Basic bWU6d29yZA=="


# --- over a real socket ------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def serving(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """The URL of a server that answers each connection so; all of them have ended when this ends."""
    connections: list[asyncio.Task[None]] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.append(task)
        with contextlib.suppress(OSError):
            await answer(reader, writer)
        with contextlib.suppress(OSError):
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*connections)


async def _check_agent(url: str, timeout: str = "5s") -> CheckError:
    target = GatewayTarget(source="gateway", url=url, token=TOKEN, timeout=timeout)
    subject = GatewaySource(target, SourceContext(keyed_hash=lambda text: "hash"))
    with pytest.raises(CheckError) as caught:
        await subject.check("main")
    await subject.aclose()
    assert TOKEN not in str(caught.value)
    return caught.value


async def test_closed_port_is_a_connection_failure() -> None:
    async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None: ...

    async with serving(nothing) as url:
        pass
    error = await _check_agent(url)
    assert error.reason is FailureReason.CONNECTION
    assert "connection refused" in error.message


async def test_slow_answer_times_out() -> None:
    done = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not done.is_set():
            writer.write(b" ")
            await asyncio.sleep(0.05)

    async with serving(drip) as url:
        try:
            async with asyncio.timeout(30):
                error = await _check_agent(url, timeout="300ms")
        finally:
            done.set()
    assert error.reason is FailureReason.TIMEOUT


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", FailureReason.CONNECTION),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", FailureReason.CONNECTION),
        (b"220 mail.example ESMTP\r\n\r\n", FailureReason.INVALID_OUTPUT),
    ],
)
async def test_broken_or_foreign_answer_has_its_reason(said: bytes, reason: FailureReason) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}}")  # the whole request: what is left unread would reset the connection
        writer.write(said)

    async with serving(answer) as url:
        assert (await _check_agent(url)).reason is reason


async def test_plain_http_in_place_of_tls_is_a_connection_failure() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(answer) as url:
        error = await _check_agent(url.replace("http:", "https:"))
    assert error.reason is FailureReason.CONNECTION
    assert "TLS" in error.message
