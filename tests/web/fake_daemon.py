"""A fake daemon for the tests of the web side, and clients for an application."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from reports import agent, profile, report
from starlette.types import ASGIApp

from exporter.alerts.delivery.about import MessageFilter, SentAlert
from exporter.config import Web
from exporter.model import AgentReport, ProfileReport, Report, Step, command
from exporter.state.credentials_db import CredentialDatabase
from exporter.state.day_history import DayHistory
from exporter.web.actions import AlertActions, NoChannelError
from exporter.web.app import create_app
from exporter.web.events import Announcer
from exporter.web.limits import AttemptLimiter
from exporter.web.renewal import RunsRenewals
from exporter.web.sessions import Guard, Sessions

TOKEN = "PLANTED-SECRET-the-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PASSWORD = "PLANTED-SECRET-password"
#: Its bcrypt hash at the least cost.
HASHED = "$2b$04$IY5li8aO4/4m9ZrcPe.9OewFw0HuYxUYI1YqT4TdeWHyL./ETdUAO"


def hashed(text: str) -> str:
    """An inline script or style as a Content-Security-Policy names it."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


SILENCE = {"id": "01J", "matchers": {"target": "home"}, "until": "2026-11-22T18:00:00Z", "reason": "moving"}


class FakeActions(AlertActions):
    """Alert actions with fixed answers. They record their calls in the fake daemon."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    async def silences(self) -> list[dict[str, Any]]:
        return [SILENCE] if self._daemon.notifies else []

    async def add_silence(self, matchers: dict[str, str], seconds: float, reason: str) -> dict[str, Any]:
        self._record("add_silence", matchers, seconds, reason)
        return {"id": "01J", "matchers": matchers}

    async def remove_silence(self, id: str) -> bool:
        self._record("remove_silence", id)
        return id == "01J"

    async def overview(self, limit: int | None = None) -> dict[str, Any] | None:
        return self._daemon.notifications

    async def explanations(self) -> dict[tuple[str, str, str, str], list[str]]:
        return {}

    async def messages_about(self, wanted: MessageFilter) -> tuple[list[SentAlert], list[str]] | None:
        return None

    async def acknowledge(self, fingerprint: str) -> bool:
        self._record("acknowledge", fingerprint)
        return fingerprint == "known"

    def question(self, token: str) -> str:
        if token != "good":
            raise ValueError("This link has been used.")
        return "Acknowledge <the> alert?"

    async def act(self, token: str) -> str:
        answer = self.question(token)
        self._record("act", token)
        return answer

    def _record(self, *call: object) -> None:
        if not self._daemon.notifies:
            raise NoChannelError
        self._daemon.calls.append(call)


@dataclass
class FakeDaemon:
    """A daemon with fixed answers that records the calls of the web side."""

    shown: Report = field(default_factory=lambda: report(agent(profile())))
    down: str | None = None
    is_ready: bool = True
    problem: str | None = None
    notifies: bool = True
    notifications: dict[str, Any] | None = None
    body: bytes = b"openclaw_auth_exit_code 0\n"
    encoding: str | None = None
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    renewals: RunsRenewals | None = None
    time_zone: dt.tzinfo = dt.UTC

    days: DayHistory = field(default_factory=lambda: DayHistory(CredentialDatabase(None)))
    announcer: Announcer = field(default_factory=Announcer)

    def checking(self) -> int:
        return 0

    @property
    def alert_actions(self) -> AlertActions:
        return FakeActions(self)

    def exposition(self, accept: str, accept_encoding: str) -> tuple[bytes, str, str | None]:
        self.calls.append(("exposition", accept, accept_encoding))
        return self.body, "text/plain; version=0.0.4; charset=utf-8", self.encoding

    def report(self) -> Report:
        return self.shown

    def renewal_steps(self, agent: AgentReport, profile: ProfileReport) -> tuple[Step, ...]:
        return (command(f"openclaw renew {profile.id} --agent {agent.agent}"),)

    def zone(self) -> dt.tzinfo:
        return self.time_zone

    def health_problem(self) -> str | None:
        return self.down

    def ready(self) -> bool:
        return self.is_ready

    async def probe(self, target: str, agent: str | None, timeout: float) -> tuple[bytes, str]:
        self.calls.append(("probe", target, agent, timeout))
        if target == "bug":
            raise RuntimeError("PLANTED-SECRET-in-an-exception")
        if target not in ("home", "rack7") or agent not in (None, "main"):
            raise KeyError(target)
        return b"openclaw_auth_check_success 0\n", "text/plain; version=0.0.4; charset=utf-8"

    def scrape_targets(self) -> list[tuple[str, dict[str, str]]]:
        return [("home", {"__meta_openclaw_auth_source": "openclaw"}), ("rack7", {})]

    async def check_now(self, target: str | None) -> None:
        self.calls.append(("check_now", target))
        if target not in (None, "home"):
            raise KeyError(target)

    async def reload(self) -> str | None:
        self.calls.append(("reload",))
        return self.problem

    def calendar(self) -> str:
        return "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"


def web(**keys: Any) -> Web:
    return Web.model_validate(keys)


def client(
    app: ASGIApp, base_url: str = "http://127.0.0.1:10785", address: str = "127.0.0.1", **keys: Any
) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 12345))
    return httpx.AsyncClient(transport=transport, base_url=base_url, **keys)


async def ask(daemon: FakeDaemon, method: str, path: str, /, *, keys: Any = None, **rest: Any) -> httpx.Response:
    """Send one request to an application over ``daemon``; ``keys`` is its ``web`` configuration."""
    async with client(create_app(daemon, web(**(keys or {"token": TOKEN})))) as browser:
        return await browser.request(method, path, **rest)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Site:
    """An application with a token, its fake daemon, and the clock of its sessions."""

    renewals: RunsRenewals | None = None
    time_zone: dt.tzinfo = dt.UTC

    def __init__(self, **keys: Any) -> None:
        self.clock = Clock()
        self.daemon = FakeDaemon(renewals=self.renewals)
        self.token = TOKEN
        self.sessions = Sessions(self.clock)
        keys = {"token": TOKEN} | keys
        guard = Guard(lambda: self.token, keys.get("external_url", ""), self.sessions, AttemptLimiter(self.clock))
        self.app = create_app(self.daemon, web(**keys), guard)

    @contextlib.asynccontextmanager
    async def browser(self, base_url: str = "http://127.0.0.1:10785", **keys: Any) -> AsyncIterator[httpx.AsyncClient]:
        async with client(self.app, base_url, **keys) as browser:
            yield browser


async def log_in(browser: httpx.AsyncClient, **headers: str) -> str:
    """Sign in. Returns the CSRF token of the page."""
    answer = await browser.post("/login", data={"token": TOKEN}, headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (303, "./")
    found = re.search(r'name="csrf" value="([^"]+)"', (await browser.get("/")).text)
    assert found
    return found[1]
