"""A gateway that answers as OpenClaw 2026.9.6 does, or as a test wants it, and the source that asks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from captured import capture

from exporter.config import GatewayTarget
from exporter.model import CheckError
from exporter.sources import InMemorySourceCache, SourceContext
from exporter.sources.gateway.source import GatewaySource

RELEASE = "gateway-2026.9.6"


TOKEN = "PLANTED-SECRET-token"


OTHER = capture(RELEASE, "_other_responses")


NOW = 1_800_000_000.0


Handler = Callable[[httpx.Request], httpx.Response]


class Gateway:
    """Answers each method with what is set; counts calls."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {
            "models.authStatus": recorded(capture(RELEASE, "mixed_providers")),
            "agents.list": recorded(OTHER["agents_list"]),
            "status": httpx.Response(200, json={"id": "1", "ok": True, "payload": {"runtimeVersion": "2026.9.6"}}),
            "usage.status": recorded(OTHER["usage_status"]),
        }
        self.answers.update({name.replace("_", "."): answer for name, answer in answers.items()})
        self.calls: list[str] = []
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        method = json.loads(request.content)["method"]
        self.calls.append(method)
        self.requests.append(request)
        answer = self.answers[method]
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, httpx.Response)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def recorded(data: dict[str, Any]) -> httpx.Response:
    return httpx.Response(data["status"], json=data["body"])


def with_payload(payload: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={"id": "1", "ok": True, "payload": payload})


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def source(
    handler: Handler, clock: Clock | None = None, cache: InMemorySourceCache | None = None, **config: Any
) -> GatewaySource:
    now = clock or Clock()
    target = GatewayTarget(**{"source": "gateway", "name": "rack7", "token": TOKEN, "timeout": "5s", **config})
    context = SourceContext(
        keyed_hash=lambda text: f"hash{len(text)}", cache=cache or InMemorySourceCache(now), now=now
    )
    return GatewaySource(target, context, transport=httpx.MockTransport(handler))


async def refused(handler: Handler, **config: Any) -> CheckError:
    subject = source(handler, **config)
    with pytest.raises(CheckError) as caught:
        await subject.check("main")
    await subject.aclose()
    assert TOKEN not in str(caught.value)
    assert "user-part" not in str(caught.value)
    assert caught.value.message
    return caught.value


# --- agents, version, usage -------------------------------------------------------------------------


def agent_list(*entries: dict[str, Any], default: str = "main") -> httpx.Response:
    return with_payload({"defaultId": default, "agents": list(entries)})
