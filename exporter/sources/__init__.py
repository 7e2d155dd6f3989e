"""Sources look and say what they saw. One protocol, one file each, registered in ``build``.

A source does I/O and translates; it judges nothing. Where it cannot answer it raises LookError.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from exporter.config import TargetBase
from exporter.lib import clock
from exporter.model import Observation


class SourceCache(Protocol):
    """What a source may remember between looks and runs: small texts, never secrets."""

    def get_cached(self, key: str, max_age: float) -> str | None:
        """The text noted under ``key`` at most ``max_age`` seconds ago, else None."""

    def put_cached(self, key: str, text: str) -> None: ...


class InMemorySourceCache:
    """Remembers in this process only."""

    def __init__(self, now: Callable[[], float] = clock.now) -> None:
        self._now = now
        self._pages: dict[str, tuple[float, str]] = {}

    def get_cached(self, key: str, max_age: float) -> str | None:
        at, text = self._pages.get(key, (0.0, ""))
        return text if key in self._pages and 0 <= self._now() - at <= max_age else None

    def put_cached(self, key: str, text: str) -> None:
        self._pages[key] = (self._now(), text)


@dataclass(frozen=True)
class SourceContext:
    """What sources are given: our clock, the keyed hash, a notebook, and the bound on processes."""

    #: Hex of a keyed hash, the only form in which anything derived from a secret leaves a source.
    keyed_hash: Callable[[str], str]
    cache: SourceCache = field(default_factory=InMemorySourceCache)
    now: Callable[[], float] = clock.now
    #: How many processes may run together, over all targets.
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    environ: Mapping[str, str] = field(default_factory=dict)


class Source(Protocol):
    """One way to look at one target."""

    #: openclaw, store, gateway, claude or simulated: the ``source`` of reports.
    kind: str
    #: What ``auto`` chose and why, for people; None when nothing had to be chosen.
    chosen: str | None

    async def agents(self) -> list[str]:
        """The agents to look at, the default one first. Raises LookError."""

    async def check(self, agent: str) -> Observation:
        """One look at one agent. Raises LookError."""

    def fingerprint(self) -> str | None:
        """A keyed hash of what matters in the store on this host, cheap enough to take every few
        seconds; None where there is no store to compare (yet). Never raises."""

    async def aclose(self) -> None:
        """Give back what is held open."""


def build(target: TargetBase, context: SourceContext) -> Source:
    """The source a target is configured with. The one place where sources are registered."""
    kind = getattr(target, "source", None)
    maker: Callable[[Any, SourceContext], Source]
    # Imported where chosen: a timer's `check` pays only for what it uses.
    match kind:
        case "auto":
            from exporter.sources.auto import AutoSource as maker
        case "openclaw":
            from exporter.sources.openclaw.source import OpenClawSource as maker
        case "store":
            from exporter.sources.store.source import StoreSource as maker
        case "gateway":
            from exporter.sources.gateway.source import GatewaySource as maker
        case "claude":
            from exporter.sources.claude import ClaudeSource as maker
        case "simulated":
            from exporter.sources.simulated import SimulatedSource as maker
        case _:
            raise AssertionError(f"no source is registered as {kind!r}")
    return maker(target, context)
