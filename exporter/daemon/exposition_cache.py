"""Keeps the exposition rendered, so that a scrape renders nothing. Also logs changed verdicts.

The daemon puts in each new report; a scrape gets what was composed last.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from exporter.metrics.definitions import ExporterState
from exporter.metrics.render import Exposition, render_target
from exporter.model import AgentCounters, FailureReason, TargetReport

log = logging.getLogger(__name__)

#: How long to wait before composing again, as a multiple of what composing took: in a fleet, checks end all the time.
COMPOSE_PAUSE = 9.0


class ExpositionCache:
    """The exposition of one daemon. To be used from its event loop."""

    def __init__(self, state: Callable[[], ExporterState]) -> None:
        self._exposition = Exposition(state)
        self._composing = asyncio.Lock()
        self._compose_at = 0.0  # not before this monotonic time
        self._logged: dict[tuple[str, str], tuple[int, FailureReason | None]] = {}

    def body(self, accept: str, accept_encoding: str) -> tuple[bytes, str, str | None]:
        """For the two headers of a scrape: body, Content-Type and Content-Encoding."""
        return self._exposition.body(accept, accept_encoding)

    def expect(self, target: str, source: str, counters: Mapping[str, AgentCounters]) -> None:
        """Export ``counters`` of a target before its first check, so that they start at 0."""
        self._exposition.put(target, render_target(TargetReport(target, source), counters))

    async def put(
        self, report: TargetReport, counters: Mapping[str, AgentCounters], is_latest: Callable[[], bool]
    ) -> None:
        """Export ``report`` from the next ``compose`` on, unless a newer one exists once it is rendered."""
        fragment = await asyncio.to_thread(render_target, report, counters)
        if is_latest():
            self._exposition.put(report.target, fragment)

    def remove(self, target: str) -> None:
        """Export nothing of ``target`` from the next ``compose`` on."""
        self._exposition.remove(target)

    async def compose(self) -> None:
        """When this returns, everything that was put and removed is visible to scrapes."""
        async with self._composing:  # one at a time; those that waited find nothing left to do
            if self._exposition.stale:
                await asyncio.sleep(max(self._compose_at - time.monotonic(), 0.0))
                started = time.monotonic()
                await asyncio.to_thread(self._exposition.compose)
                ended = time.monotonic()
                self._compose_at = ended + COMPOSE_PAUSE * (ended - started)

    def log_changes(self, report: TargetReport) -> None:
        """Log a line for each agent whose verdict changed."""
        for agent in report.entries:
            verdict = (agent.exit_code, agent.failure.reason if agent.failure else None)
            key = (agent.target, agent.agent)
            if self._logged.get(key) != verdict:
                self._logged[key] = verdict
                worst = agent.conditions[0].summary if agent.exit_code else "nothing to do"
                level = {0: logging.INFO, 2: logging.WARNING}.get(agent.exit_code, logging.ERROR)
                log.log(level, "%s/%s: exit code %d: %s", *key, agent.exit_code, worst)
