"""Limits on clients: headers, bodies and failed sign-ins."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_daemon import BEARER, TOKEN, Clock, FakeDaemon, ask, client, web
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from exporter.web.app import create_app
from exporter.web.limits import AttemptLimiter, BodyLimit


async def test_a_body_over_64_kib_is_413_with_or_without_content_length() -> None:
    daemon = FakeDaemon()
    big = b"a" * (64 * 1024 + 1)
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    async def chunks() -> Any:
        for start in range(0, len(big), 1000):
            yield big[start : start + 1000]

    for body in (big, chunks()):
        answer = await ask(daemon, "POST", "/api/v1/check", headers=BEARER | form, content=body)
        assert (answer.status_code, answer.text) == (413, "The body is larger than 65536 bytes.\n")
        assert answer.headers["connection"] == "close"
    exactly = b"target=" + b"a" * (64 * 1024 - 7)
    answer = await ask(daemon, "POST", "/api/v1/check", headers=BEARER | form, content=exactly)
    assert answer.status_code == 400  # it was read: there is no such target
    assert (await ask(daemon, "GET", "/metrics", headers={"Content-Length": "9" * 5000})).status_code == 413


async def test_a_body_that_does_not_end_is_408() -> None:
    app = BodyLimit(create_app(FakeDaemon(), web(token=TOKEN)), timeout=0.01)

    async def never() -> Any:
        yield b"target="
        await asyncio.Event().wait()

    async with client(app) as slow:
        answer = await slow.post("/api/v1/check", content=never(), headers=BEARER)
    assert (answer.status_code, answer.text) == (408, "The body did not arrive in time.\n")


async def test_headers_over_16_kib_are_431() -> None:
    for headers, query in (({"X": "a" * 16_384}, ""), ({f"X-{n}": "a" for n in range(3000)}, ""), ({}, "a" * 16_384)):
        answer = await ask(FakeDaemon(), "GET", f"/metrics?{query}", headers=headers)
        assert (answer.status_code, answer.text) == (431, "The request's headers are larger than 16384 bytes.\n")
        assert answer.headers["x-frame-options"] == "DENY"


def test_the_limiter_is_bounded_and_counts_an_ipv6_network_as_one_client() -> None:
    limiter = AttemptLimiter(Clock(), tries=2, in_all=10_000)
    for number in range(5000):
        limiter.failed({"client": (f"10.0.{number // 256}.{number % 256}", 1)})
    assert len(limiter) == 1024
    for number in (1, 2):
        limiter.failed({"client": (f"2001:db8::{number}%eth0", 1)})
    with pytest.raises(HTTPException, match="429"):
        limiter.failed({"client": ("2001:db8::3%eth0", 1)})
    limiter.failed({"client": ("2001:db8:0:1::1", 1)})
    limiter.failed({"client": None})


def test_failures_from_many_addresses_are_limited_in_all() -> None:
    clock = Clock()
    limiter = AttemptLimiter(clock, in_all=100)
    for number in range(100):
        limiter.failed({"client": (f"10.0.0.{number}", 1)})
    with pytest.raises(HTTPException, match="wait 61 s"):
        limiter.failed({"client": ("10.1.0.1", 1)})
    clock.now += 60
    limiter.failed({"client": ("10.1.0.1", 1)})
    assert limiter.count("10.1.0.1") == 1
    assert limiter.count("10.0.0.1") == 0


@pytest.mark.parametrize("length", ["65537", "9" * 5000])
async def test_a_body_whose_length_is_too_large_is_refused_unread(length: str) -> None:
    sent: list[Message] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("the application was called")

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": [(b"content-length", length.encode())]}
    await BodyLimit(application)(scope, receive, send)
    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]
