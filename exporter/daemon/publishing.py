"""Passes on the reports that checks and evaluations made: to the schedule, the log, the alerting and the exposition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from exporter.checks.monitor import Monitor
from exporter.checks.target_checker import TargetChecker
from exporter.daemon.alerting import Alerting
from exporter.daemon.exposition_cache import ExpositionCache
from exporter.daemon.faults import Faults
from exporter.daemon.jobs import Jobs
from exporter.metrics.render import Fragment
from exporter.model import TargetReport
from exporter.state.day_history import DayHistory

#: How long passing on a report may take, in seconds: notifying, then rendering.
PUBLISH_LIMIT, NOTIFY_LIMIT = 120.0, 30.0


class Publisher:
    """Passes on new reports. What fails delays nothing else, and is a fault of the daemon until it succeeds again."""

    def __init__(
        self,
        monitor: Monitor,
        jobs: Jobs,
        days: DayHistory,
        alerting: Alerting,
        exposition: ExpositionCache,
        faults: Faults,
        announce: Callable[[], None],
        now: Callable[[], float],
    ) -> None:
        """``announce`` notifies open pages."""
        self._monitor = monitor
        self._jobs = jobs
        self._days = days
        self._alerting = alerting
        self._exposition = exposition
        self._faults = faults
        self._announce = announce
        self._now = now

    async def publish(self, *checkers: TargetChecker) -> None:
        """Pass on new reports: plan, log, notify, export. Waits for the alerting once, however many reports it is."""
        current = [checker for checker in checkers if self._monitor.is_current(checker)]
        reports = [(checker, checker.report) for checker in current if checker.report is not None]
        with self._faults.surviving("passing on reports"):
            async with asyncio.timeout(PUBLISH_LIMIT):
                with self._faults.surviving("scheduling"):
                    for checker, report in reports:
                        self._jobs.plan(checker)
                        self._exposition.log_changes(report)
                        self._days.note(report, self._now())
                        await asyncio.sleep(0)
                if any(checker.target.schedule for checker, _ in reports):
                    with self._faults.surviving("notifying"):  # before rendering, which would slow it down
                        async with asyncio.timeout(NOTIFY_LIMIT):
                            await self._alerting.notify()
                for checker, report in reports:
                    await self.render(checker, report)
                    await asyncio.sleep(0)  # few profiles are rendered at once, but not those of a whole fleet
                await self._exposition.compose()
        self._announce()

    async def render(self, checker: TargetChecker, report: TargetReport) -> Fragment:
        """The sample lines of a report, which are exported if it is the latest one."""
        return await self._exposition.put(
            report, checker.counters, lambda: self._monitor.is_current(checker) and checker.report is report
        )
