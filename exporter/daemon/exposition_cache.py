"""Keeps the exposition rendered, so that a scrape renders nothing. Also logs changed verdicts.

The daemon puts in each new report; a scrape gets what was composed last.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial

from exporter.checks.off_loop import off_loop
from exporter.lib.redact import internal_error
from exporter.lib.threads import IsolatedThread
from exporter.metrics.definitions import ExporterState
from exporter.metrics.render import Exposition, Fragment, renamed, render_target, unrendered
from exporter.model import AgentCounters, FailureReason, TargetReport

log = logging.getLogger(__name__)

#: How long to wait before composing again, as a multiple of what composing took: in a fleet, checks end all the time.
COMPOSE_PAUSE = 9.0
#: How long rendering and composing may take before they count as failed, in seconds.
RENDER_LIMIT = 30.0


class ExpositionCache:
    """The exposition of one daemon. To be used from its event loop."""

    def __init__(
        self, state: Callable[[], ExporterState], labels_of: Callable[[str], Mapping[str, str]] = lambda target: {}
    ) -> None:
        """``labels_of`` gives the further labels of a target's series by its name."""
        self._labels_of = labels_of
        self._exposition = Exposition(state)
        self._composing = asyncio.Lock()
        self._compose_at = 0.0  # not before this monotonic time
        self._thread = IsolatedThread("exposition")
        self._rendered: dict[str, tuple[TargetReport, Fragment, Mapping[str, AgentCounters], Mapping[str, str]]] = {}
        self._problems: dict[str, str | None] = {}  # target -> why its last report could not be rendered
        #: Why the exposition lacks the latest reports, as a sentence. While it does, it must not be served.
        self.outdated: str | None = None
        self._logged: dict[tuple[str, str], tuple[int, FailureReason | None]] = {}

    def body(self, accept: str, accept_encoding: str) -> tuple[bytes, str, str | None]:
        """For the two headers of a scrape: body, Content-Type and Content-Encoding."""
        return self._exposition.body(accept, accept_encoding)

    async def expect(self, targets: Collection[tuple[str, str, Mapping[str, AgentCounters]]]) -> None:
        """Export the counters of targets (name, source, counters) before the first check, so that they start at 0."""
        labelled = [(*target, self._labels_of(target[0])) for target in targets]
        for target, fragment in await asyncio.to_thread(_expected, labelled):
            self._exposition.put(target, fragment)

    async def put(
        self, report: TargetReport, counters: Mapping[str, AgentCounters], is_latest: Callable[[], bool]
    ) -> Fragment:
        """Export ``report`` from the next ``compose`` on, unless a newer one exists once it is rendered.

        Returns its sample lines.
        """
        known, labels = self._rendered.get(report.target), self._labels_of(report.target)
        if known is not None and known[3] != labels:
            known = None
        if known is not None and known[0] is report and known[2] == counters:
            return known[1]
        before = (known[0], known[1]) if known is not None else None
        problem = None
        try:
            async with asyncio.timeout(RENDER_LIMIT):
                size = sum(len(agent.profiles) for agent in report.agents)
                fragment = await off_loop(size, partial(render_target, report, counters, before, labels))
        except Exception as error:
            problem = internal_error(error, f"rendering the metrics of {report.target}")
            log.error("%s", problem)
            fragment = unrendered(report.target)
        if is_latest():
            self._exposition.put(report.target, fragment)
            self._problems[report.target] = problem
            self._rendered.pop(report.target, None)
            if problem is None:
                self._rendered[report.target] = report, fragment, counters, labels
        return fragment

    def remove(self, target: str) -> None:
        """Export nothing of ``target`` from the next ``compose`` on."""
        self._exposition.remove(target)
        self._rendered.pop(target, None)
        self._problems.pop(target, None)

    async def compose(self, *, at_once: bool = False) -> None:
        """When this returns, everything put and removed before is visible to scrapes; else ``outdated`` says why.

        ``at_once``: without the pause after the last time, for what a person waits for.
        """
        wanted = self._exposition.changes
        # One at a time. Those that waited find theirs composed, although a fleet has put more since: if each waited for
        # another turn, more would come than are served.
        async with self._composing:
            if not self._exposition.has_composed(wanted):
                await asyncio.sleep(0.0 if at_once else max(self._compose_at - time.monotonic(), 0.0))
                started = time.monotonic()
                try:
                    await self._thread.run(self._exposition.compose, RENDER_LIMIT)
                    self.outdated = None
                except Exception as error:
                    self.outdated = internal_error(error, "composing the metrics")
                    log.error("%s", self.outdated)
                ended = time.monotonic()
                self._compose_at = ended + COMPOSE_PAUSE * (ended - started)

    @property
    def unrendered(self) -> list[str]:
        """The targets whose last report could not be rendered."""
        return [target for target, problem in self._problems.items() if problem]

    @property
    def problem(self) -> str | None:
        """Why scrapes get less than the reports hold, as a sentence; None if they get all of it."""
        return self.outdated or next(filter(None, self._problems.values()), None)

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


def _expected(
    targets: Collection[tuple[str, str, Mapping[str, AgentCounters], Mapping[str, str]]],
) -> list[tuple[str, Fragment]]:
    """The fragments of targets before their first checks. Most of a fleet differ only by the target's name."""
    plain: dict[tuple[object, ...], tuple[str, Fragment]] = {}  # by source and labels
    found = []
    for target, source, counters, labels in targets:
        if counters.keys() != {"*"}:
            found.append((target, render_target(TargetReport(target, source), counters, None, labels)))
            continue
        kind = (source, *labels.items())
        if kind not in plain:
            plain[kind] = target, render_target(TargetReport(target, source), counters, None, labels)
        found.append((target, renamed(plain[kind][1], plain[kind][0], target)))
    return found
