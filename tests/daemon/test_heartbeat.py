"""The heartbeat: which URL is called when, and what is logged when it does not arrive."""

from __future__ import annotations

import httpx
import pytest

from exporter.config.models import Heartbeat as Configured
from exporter.daemon import heartbeat
from exporter.daemon.heartbeat import HeartbeatSender

URL = "https://hc.example/PLANTED-SECRET"


class Switch:
    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.heard: list[tuple[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.heard.append((request.url.path.removeprefix("/PLANTED-SECRET"), request.content.decode()))
        code = self.codes.pop(0) if self.codes else 200
        if code == 0:
            raise httpx.ConnectError(f"cannot reach {URL}")
        return httpx.Response(code)


def beating(switch: Switch, problem: str | None) -> HeartbeatSender:
    config = Configured.model_validate({"url": URL})
    return HeartbeatSender(config, lambda: problem, lambda: 1000.0, httpx.MockTransport(switch))


async def test_problem_is_sent_to_the_fail_url() -> None:
    switch = Switch()
    well = beating(switch, None)
    assert await well.send()
    assert well.success_at == 1000.0
    ill = beating(switch, "the ledger cannot be used")
    assert await ill.send()
    assert ill.success_at is None
    assert switch.heard == [("", ""), ("/fail", "the ledger cannot be used")]


@pytest.mark.parametrize(
    ("url", "fail"),
    [
        ("https://hc.example/uuid/", "https://hc.example/uuid/fail"),
        ("https://hc.example/key/home?create=1", "https://hc.example/key/home/fail?create=1"),
    ],
)
async def test_fail_is_added_to_the_path_of_the_url(url: str, fail: str) -> None:
    heard: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        heard.append(str(request.url))
        return httpx.Response(200)

    config = Configured.model_validate({"url": url})
    assert await HeartbeatSender(config, lambda: None, transport=httpx.MockTransport(answer)).send()
    assert await HeartbeatSender(config, lambda: "the disk is full", transport=httpx.MockTransport(answer)).send()
    assert heard == [url, fail]


@pytest.mark.parametrize("base", ["https://kuma.example/api/push/abc", "http://127.0.0.1:3001/kuma/api/push/abc"])
@pytest.mark.parametrize("query", ["?status=up&msg=OK&ping=", "?ping=", ""])
async def test_uptime_kuma_gets_its_own_requests(base: str, query: str) -> None:
    heard: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        """As Uptime Kuma 1: another method or path is 404."""
        heard.append((request.method, str(request.url)))
        return httpx.Response(200 if request.method == "GET" and request.url.path.endswith("/push/abc") else 404)

    config = Configured.model_validate({"url": base + query})
    well = HeartbeatSender(config, lambda: None, transport=httpx.MockTransport(answer))
    assert await well._send("/start", "")
    assert heard == []
    assert await well.send()
    assert await HeartbeatSender(config, lambda: "the disk is full", transport=httpx.MockTransport(answer)).send()
    assert [method for method, _ in heard] == ["GET", "GET"]
    up, down = (httpx.URL(url).params for _, url in heard)
    assert (up["status"], up["msg"]) == ("up", "OK")
    assert (down["status"], down["msg"]) == ("down", "the disk is full")
    assert ("ping" in up) is ("ping" in query)


async def test_lost_packet_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "PAUSE", 0.0)
    switch = Switch(0, 503, 200)
    assert await beating(switch, None).send()
    assert len(switch.heard) == 3


async def test_failed_heartbeat_is_logged_without_the_url(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(heartbeat, "PAUSE", 0.0)
    beats = beating(Switch(0, 0, 0), None)
    assert not await beats.send()
    assert beats.success_at is None
    assert "did not arrive: cannot connect" in caplog.text
    assert "PLANTED-SECRET" not in caplog.text


async def test_start_is_sent() -> None:
    switch = Switch()
    beats = beating(switch, None)
    beats.start()
    while len(switch.heard) < 2:  # there is no event to wait for
        import asyncio

        await asyncio.sleep(0.01)
    await beats.stop()
    assert switch.heard == [("/start", ""), ("", "")]


async def test_problem_that_cannot_be_told_is_a_problem() -> None:
    def fails() -> str | None:
        raise RuntimeError("PLANTED-SECRET")

    switch = Switch()
    config = Configured.model_validate({"url": URL})
    sender = HeartbeatSender(config, fails, lambda: 1000.0, httpx.MockTransport(switch))
    assert await sender.send()
    assert sender.success_at is None
    assert switch.heard == [("/fail", "Internal error while asking whether all is well (RuntimeError)")]
