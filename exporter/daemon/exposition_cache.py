"""What the daemon shows of a new report: ``/metrics``, rendered and composed beside the scrape's path, and the journal.

The daemon puts reports in as looks end; scrapes get what was composed last.
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

#: How much longer than composing takes we wait before it is done again: the looks of a fleet end all the time.
COMPOSE_PAUSE = 9.0


class ExpositionCache:
    """The exposition and the journal of one daemon. To be used from its event loop."""

    def __init__(self, state: Callable[[], ExporterState]) -> None:
        self._exposition = Exposition(state)
        self._composing = asyncio.Lock()
        self._compose_at = 0.0  # monotonic; not before
        self._told: dict[tuple[str, str], tuple[int, FailureReason | None]] = {}

    def body(self, accept: str, accept_encoding: str) -> tuple[bytes, str, str | None]:
        """For a scrape's two headers: body, Content-Type and Content-Encoding."""
        return self._exposition.body(accept, accept_encoding)

    def expect(self, target: str, source: str, counters: Mapping[str, AgentCounters]) -> None:
        """A target that is still to be looked at: its counters begin with 0."""
        self._exposition.put(target, render_target(TargetReport(target, source), counters))

    async def put(
        self, report: TargetReport, counters: Mapping[str, AgentCounters], is_latest: Callable[[], bool]
    ) -> None:
        """Show ``report`` from the next ``compose`` on, where it is still the latest of its target when rendered."""
        fragment = await asyncio.to_thread(render_target, report, counters)
        if is_latest():
            self._exposition.put(report.target, fragment)

    def remove(self, target: str) -> None:
        """Show nothing of ``target`` from the next ``compose`` on."""
        self._exposition.remove(target)

    async def compose(self) -> None:
        """What was put and removed is shown when this returns."""
        async with self._composing:  # one at a time; whoever waits finds nothing left to do
            if self._exposition.stale:
                await asyncio.sleep(max(self._compose_at - time.monotonic(), 0.0))
                began = time.monotonic()
                await asyncio.to_thread(self._exposition.compose)
                took = time.monotonic() - began
                self._compose_at = time.monotonic() + COMPOSE_PAUSE * took

    def tell_journal(self, report: TargetReport) -> None:
        """One line where a verdict changed, so that the journal tells the story."""
        for agent in report.entries:
            now = (agent.exit_code, agent.failure.reason if agent.failure else None)
            key = (agent.target, agent.agent)
            if self._told.get(key) != now:
                self._told[key] = now
                worst = agent.conditions[0].summary if agent.exit_code else "nothing to do"
                level = {0: logging.INFO, 2: logging.WARNING}.get(agent.exit_code, logging.ERROR)
                log.log(level, "%s/%s: exit code %d: %s", *key, agent.exit_code, worst)
