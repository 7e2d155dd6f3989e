"""The webhook: its body, its headers, and the meaning of every answer."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from alerts.worlds import HOUR, NOW
from exporter.alerts.channels import ChannelContext, PermanentError, TemporaryError, build
from exporter.alerts.channels.webhook import WebhookSender, body_of
from exporter.alerts.values import Alert, Message, NotificationReason, QueuedMessage, ResolutionCause, SuppressedAlert
from exporter.config import ConfigError
from exporter.config.channels.webhook import WebhookChannel
from exporter.model import ConditionName, Family, Severity

SECRET = "PLANTED-SECRET-signing-key"
URL = "https://example.org/hook/PLANTED-SECRET-path"
ALERT = Alert(
    fingerprint="f" * 32,
    reason=NotificationReason.FIRST,
    family=Family.DEADLINE,
    condition=ConditionName.EXPIRED,
    severity=Severity.CRITICAL,
    target="home",
    agents=("main",),
    provider="anthropic",
    profile="anthropic:default",
    since=NOW - HOUR,
    deadline=NOW - HOUR,
    summary="expired – an hour ago",
    remedy=("claude setup-token",),
)
OUTGOING = QueuedMessage("01JXAMPLE00000000000000000", Message("hook", NOW, (ALERT,)))


def channel(answer: Callable[[httpx.Request], httpx.Response], **config: Any) -> WebhookSender:
    made = build(
        WebhookChannel.model_validate({"name": "hook", "type": "webhook", "url": URL} | config),
        ChannelContext(transport=httpx.MockTransport(answer), clock=lambda: NOW + 5),
    )
    assert isinstance(made, WebhookSender)
    return made


async def test_body_and_signature() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    await channel(answer, secret=SECRET).send(OUTGOING)
    (request,) = seen
    assert str(request.url) == URL
    assert request.headers["Idempotency-Key"] == OUTGOING.id
    assert request.headers["Content-Type"] == "application/json"
    expected = hmac.new(SECRET.encode(), request.content, hashlib.sha256).hexdigest()
    assert request.headers["X-Signature-256"] == f"sha256={expected}"
    assert json.loads(request.content) == {
        "schema_version": 1,
        "id": OUTGOING.id,
        "sent_at": "2026-11-22T10:00:05Z",
        "channel": "hook",
        "alerts": [
            {
                "fingerprint": "f" * 32,
                "reason": "first",
                "family": "deadline",
                "condition": "expired",
                "severity": "critical",
                "target": "home",
                "agents": ["main"],
                "provider": "anthropic",
                "profile": "anthropic:default",
                "since": "2026-11-22T09:00:00Z",
                "deadline": "2026-11-22T09:00:00Z",
                "summary": "expired – an hour ago",
                "remedy": ["claude setup-token"],
            }
        ],
    }
    assert SECRET.encode() not in request.content


async def test_message_without_a_secret_has_an_id_and_no_signature(tmp_path: Path) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    await channel(answer).send(OUTGOING)
    assert "X-Signature-256" not in seen[0].headers
    assert seen[0].headers["Idempotency-Key"] == OUTGOING.id
    (tmp_path / "key").write_text("from a file\n")
    await channel(answer, secret_file=str(tmp_path / "key")).send(OUTGOING)
    expected = hmac.new(b"from a file", seen[1].content, hashlib.sha256).hexdigest()
    assert seen[1].headers["X-Signature-256"] == f"sha256={expected}"


def test_resolution_has_its_cause() -> None:
    over = replace(ALERT, reason=NotificationReason.RESOLVED, ended_at=NOW)
    bodies = [
        body_of(QueuedMessage("id", Message("hook", NOW, (replace(over, resolution_cause=why),))), NOW)
        for why in ResolutionCause
    ]
    assert [body["alerts"][0].get("why") for body in bodies] == [why.value or None for why in ResolutionCause]


async def test_suppressed_alerts_are_in_the_body() -> None:
    bodies: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(200)

    line = SuppressedAlert(
        "f", ConditionName.UNUSABLE, Severity.WARNING, "home", ("main",), "anthropic", "a", NOW - HOUR, NOW, 2
    )
    await channel(answer).send(QueuedMessage("id", Message("hook", NOW, (), (line,))))
    assert bodies[0]["alerts"] == []
    assert bodies[0]["held_back"][0]["times"] == 2


@pytest.mark.parametrize(
    ("status", "headers", "kind", "pause"),
    [
        (301, {"Location": "https://elsewhere.example"}, PermanentError, None),
        (400, {}, PermanentError, None),
        (401, {}, PermanentError, None),
        (404, {}, PermanentError, None),
        (408, {}, TemporaryError, None),
        (413, {}, PermanentError, None),
        (425, {}, TemporaryError, None),
        (429, {"Retry-After": "17"}, TemporaryError, 17.0),
        (429, {"Retry-After": "Sun, 22 Nov 2026 10:02:05 GMT"}, TemporaryError, 120.0),
        (503, {"Retry-After": "garbage"}, TemporaryError, None),
        (500, {}, TemporaryError, None),
    ],
)
async def test_status_decides_whether_it_is_retried(
    status: int, headers: dict[str, str], kind: type[Exception], pause: float
) -> None:
    with pytest.raises(kind) as caught:
        await channel(lambda _: httpx.Response(status, headers=headers)).send(OUTGOING)
    assert getattr(caught.value, "retry_after", None) == pause
    assert "PLANTED-SECRET" not in str(caught.value) + repr(caught.value)


async def test_failed_connection_is_retried_and_reveals_no_url() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"cannot reach {URL}")

    with pytest.raises(TemporaryError) as caught:
        await channel(answer).send(OUTGOING)
    assert caught.value.reason == "connection"
    assert "PLANTED-SECRET" not in str(caught.value)


def test_missing_url_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="url is missing"):
        build(WebhookChannel(name="hook", type="webhook", url_file="/dev/null"), ChannelContext())


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _against(serve: Serve, timeout: float) -> None:
    """Send to a server that answers with ``serve``."""

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(closing, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        config = WebhookChannel.model_validate(
            {"name": "hook", "type": "webhook", "url": f"http://127.0.0.1:{port}/PLANTED-SECRET"}
        )
        await WebhookSender(config, ChannelContext(), timeout).send(OUTGOING)


async def test_timeout_covers_the_whole_answer() -> None:
    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for char in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000:
            writer.write(bytes([char]))
            await writer.drain()
            await asyncio.sleep(0.02)

    with pytest.raises(TemporaryError) as caught:
        await _against(slowly, 0.3)
    assert caught.value.reason == "timeout"


async def test_answer_that_is_not_http_is_retried() -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xff no HTTP at all\r\n\r\n")
        await writer.drain()

    with pytest.raises(TemporaryError):
        await _against(garbage, 10)


async def test_body_of_an_answer_is_not_read() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    await _against(endless, 10)
