"""A Board for the tests of the web side, and clients for an app."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
from reports import agent, profile, report
from starlette.types import ASGIApp

from exporter.config import Web
from exporter.model import Report
from exporter.web.app import NoChannelError

TOKEN = "PLANTED-SECRET-the-token"
PASSWORD = "PLANTED-SECRET-password"
#: Its bcrypt hash at the least cost.
HASHED = "$2b$04$IY5li8aO4/4m9ZrcPe.9OewFw0HuYxUYI1YqT4TdeWHyL./ETdUAO"


@dataclass
class FakeBoard:
    """Answers what it is told to and remembers what it was asked."""

    shown: Report = field(default_factory=lambda: report(agent(profile())))
    is_healthy: bool = True
    is_ready: bool = True
    problem: str | None = None
    notifies: bool = True
    notifications: dict[str, Any] | None = None
    body: bytes = b"openclaw_auth_exit_code 0\n"
    encoding: str | None = None
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def exposition(self, accept: str, accept_encoding: str) -> tuple[bytes, str, str | None]:
        self.asked.append(("exposition", accept, accept_encoding))
        return self.body, "text/plain; version=0.0.4; charset=utf-8", self.encoding

    def report(self) -> Report:
        return self.shown

    def healthy(self) -> bool:
        return self.is_healthy

    def ready(self) -> bool:
        return self.is_ready

    async def probe(self, target: str, agent: str | None, timeout: float) -> tuple[bytes, str]:
        self.asked.append(("probe", target, agent, timeout))
        if target == "bug":
            raise RuntimeError("PLANTED-SECRET-in-an-exception")
        if target not in ("home", "rack7") or agent not in (None, "main"):
            raise KeyError(target)
        return b"openclaw_auth_check_success 0\n", "text/plain; version=0.0.4; charset=utf-8"

    def scrape_targets(self) -> list[tuple[str, dict[str, str]]]:
        return [("home", {"__meta_openclaw_auth_source": "openclaw"}), ("rack7", {})]

    async def check_now(self, target: str | None) -> None:
        self.asked.append(("check_now", target))
        if target not in (None, "home"):
            raise KeyError(target)

    async def reload(self) -> str | None:
        self.asked.append(("reload",))
        return self.problem

    def calendar(self) -> str:
        return "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"

    @property
    def people(self) -> FakeBoard:
        return self

    async def silences(self) -> list[dict[str, Any]]:
        return [{"id": "01J", "matchers": {"target": "home"}}] if self.notifies else []

    async def add_silence(self, matchers: dict[str, str], seconds: float, reason: str) -> dict[str, Any]:
        if not self.notifies:
            raise NoChannelError
        self.asked.append(("add_silence", matchers, seconds, reason))
        return {"id": "01J", "matchers": matchers}

    async def remove_silence(self, id: str) -> bool:
        self.asked.append(("remove_silence", id))
        return id == "01J"

    async def overview(self, limit: int | None = None) -> dict[str, Any] | None:
        return self.notifications

    async def acknowledge(self, fingerprint: str) -> bool:
        self.asked.append(("acknowledge", fingerprint))
        return fingerprint == "known"

    def action(self, token: str) -> str:
        if token != "good":
            raise ValueError("This link has been used.")
        return "Acknowledge <the> alert?"

    async def act(self, token: str) -> str:
        said = self.action(token)
        self.asked.append(("act", token))
        return said


def web(**keys: Any) -> Web:
    return Web.model_validate(keys)


def client(
    app: ASGIApp, base_url: str = "http://127.0.0.1:10785", address: str = "127.0.0.1", **keys: Any
) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 12345))
    return httpx.AsyncClient(transport=transport, base_url=base_url, **keys)
