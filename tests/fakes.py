"""A source whose answers a test decides."""

from __future__ import annotations

import asyncio
from typing import Any

from exporter.config import Config
from exporter.config.targets import TargetBase
from exporter.model import CheckError, Dialect, Observation, ObservedProfile
from exporter.sources import Fingerprint, Source, SourceContext


def token(expires_at: float | None = None, **rest: Any) -> ObservedProfile:
    status = "ok" if expires_at is not None else "static"
    return ObservedProfile("anthropic:default", "anthropic", "token", status, expires_at=expires_at, **rest)


class FakeSource(Source):
    """Answers as a test sets it, counts checks, and can be made to wait or to fail."""

    kind = "openclaw"

    def __init__(self, target: TargetBase, context: SourceContext) -> None:
        self.name = target.name
        self.context = context
        self.profiles: tuple[ObservedProfile, ...] = ()
        self.agent_ids = ["main"]
        self.error: Exception | None = None
        self.listing_error: CheckError | None = None
        self.print: str | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.checks: list[str] = []
        self.running = 0
        self.most_running = 0
        self.closed = False

    async def agents(self) -> list[str]:
        if self.listing_error:
            raise self.listing_error
        return list(self.agent_ids)

    async def check(self, agent: str) -> Observation:
        self.checks.append(agent)
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        if self.error:
            raise self.error
        return Observation(
            self.name, agent, self.kind, Dialect.ROUTES, self.context.now(), self.profiles, ("anthropic",)
        )

    def fingerprint(self) -> Fingerprint | None:
        return Fingerprint(self.print) if self.print is not None else None

    async def aclose(self) -> None:
        self.closed = True


class Fakes:
    """Creates the FakeSources of a monitor and keeps them by target."""

    def __init__(self) -> None:
        self.sources: dict[str, FakeSource] = {}

    def __call__(self, target: TargetBase, context: SourceContext) -> FakeSource:
        self.sources[target.name] = FakeSource(target, context)
        return self.sources[target.name]

    def __getitem__(self, name: str) -> FakeSource:
        return self.sources[name]


def config(*names: str, **rest: object) -> Config:
    return Config.model_validate({"targets": [{"name": name} for name in names], **rest})
