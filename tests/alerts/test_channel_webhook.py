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
from exporter.alerts.values import (
    AgentNote,
    Alert,
    Message,
    NotificationReason,
    QueuedMessage,
    ResolutionCause,
    SuppressedAlert,
    alert_of_test,
)
from exporter.config import ConfigError
from exporter.config.channels.webhook import WebhookChannel
from exporter.model import RUNBOOK, ConditionName, Family, Severity

SECRET = "PLANTED-SECRET-signing-key"
URL = "https://example.org/hook/PLANTED-SECRET-path"
ALERT = Alert(
    fingerprint="f" * 32,
    reason=NotificationReason.FIRST,
    family=Family.DEADLINE,
    condition=ConditionName.EXPIRED,
    severity=Severity.CRITICAL,
    exporter="rack7",
    target="local",
    agents=("main",),
    provider="anthropic",
    profile="anthropic:default",
    since=NOW - HOUR,
    deadline=NOW - HOUR,
    summary="expired – an hour ago",
    remedy=("claude setup-token",),
    labels={"owner": "ops"},
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
        "title": "anthropic:default has expired on rack7",
        "text": "It expired on Sun 2026-11-22 09:00 UTC (1 h ago).\n"
        "Target local; agent main; profile anthropic:default; exporter rack7.\n"
        "Critical: act now.\nTo fix it:\n  claude setup-token",
        "severity": "critical",
        "runbook": f"{RUNBOOK}#openclawauthexpired",
        "alerts": [
            {
                "fingerprint": "f" * 32,
                "reason": "first",
                "family": "deadline",
                "condition": "expired",
                "severity": "critical",
                "exporter": "rack7",
                "target": "local",
                "agents": ["main"],
                "provider": "anthropic",
                "profile": "anthropic:default",
                "since": "2026-11-22T09:00:00Z",
                "deadline": "2026-11-22T09:00:00Z",
                "title": "anthropic:default has expired on rack7",
                "summary": "expired – an hour ago",
                "remedy": ["claude setup-token"],
                "runbook": f"{RUNBOOK}#openclawauthexpired",
                "labels": {"owner": "ops"},
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


CONFIG = WebhookChannel.model_validate({"name": "hook", "type": "webhook", "url": URL})


def body(*alerts: Alert, at: float = NOW, now: float = NOW) -> dict[str, Any]:
    context = ChannelContext(clock=lambda: now)
    return body_of(QueuedMessage("id", Message("hook", at, alerts)), context, CONFIG)


def test_only_the_time_of_sending_differs_between_two_tries() -> None:
    alerts = (ALERT, replace(ALERT, condition=ConditionName.EXPIRING, deadline=NOW + HOUR))
    first, second = body(*alerts), body(*alerts, now=NOW + 50 * HOUR)
    assert first.pop("sent_at") != second.pop("sent_at")
    assert first == second


def test_new_critical_alert_leads_the_message() -> None:
    repeat = replace(ALERT, reason=NotificationReason.REPEAT, target="rack8")
    over = replace(ALERT, reason=NotificationReason.RESOLVED, ended_at=NOW)
    soon = replace(ALERT, condition=ConditionName.EXPIRING, severity=Severity.WARNING, deadline=NOW + HOUR)
    found = body(over, soon, repeat, ALERT)
    assert [(one["reason"], one["severity"]) for one in found["alerts"]] == [
        ("first", "critical"),
        ("repeat", "critical"),
        ("first", "warning"),
        ("resolved", "critical"),
    ]
    assert (found["severity"], found["runbook"]) == ("critical", f"{RUNBOOK}#openclawauthexpired")


def test_facts_that_an_alert_need_not_have() -> None:
    notes = (AgentNote("work", None, NOW + HOUR), AgentNote("third", ConditionName.EXPIRING))
    some = replace(ALERT, is_assumed=True, times=3, until=NOW, new_agents=("main",), notes=notes, cause="auth")
    found = body(some)["alerts"][0]
    assert {name: found[name] for name in found.keys() - body(ALERT)["alerts"][0].keys()} == {
        "cause": "auth",
        "deadline_is_latest": True,
        "times": 3,
        "until": "2026-11-22T10:00:00Z",
        "new_agents": ["main"],
        "other_agents": [
            {"agent": "work", "condition": None, "deadline": "2026-11-22T11:00:00Z"},
            {"agent": "third", "condition": "expiring", "deadline": None},
        ],
    }


def test_test_has_no_section_of_the_runbook() -> None:
    found = body(alert_of_test("hook", NOW, "This is a test"))
    assert (found["runbook"], found["alerts"][0]["runbook"]) == (None, None)


def test_resolution_has_its_cause() -> None:
    over = replace(ALERT, reason=NotificationReason.RESOLVED, ended_at=NOW)
    bodies = [body(replace(over, resolution_cause=why)) for why in ResolutionCause]
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
    assert bodies[0]["title"] == "Over: a on home/main was unusable"
    assert bodies[0]["runbook"] is None


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
