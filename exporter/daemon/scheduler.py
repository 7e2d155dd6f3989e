"""The daemon: checks targets on a schedule, keeps the exposition and alerts up to date, and serves the web side.

``Daemon`` is the ``DaemonApi`` of the web side. ``exporter.daemon.serve`` runs it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
import zlib
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from exporter import __version__
from exporter.alerts.delivery.notifier import Notifier, ReportSource
from exporter.alerts.delivery.outbox import open_outbox
from exporter.checks.monitor import Monitor
from exporter.checks.schedule import CheckTrigger, ScheduleInputs, baseline, next_check
from exporter.checks.target_checker import TargetChecker
from exporter.config import Config, ConfigError, Target
from exporter.daemon import preflight, systemd
from exporter.daemon.alerting import Alerting
from exporter.daemon.exposition_cache import ExpositionCache
from exporter.daemon.faults import Faults
from exporter.daemon.overdue import OverdueCheck, OverdueWatch
from exporter.daemon.probe import probe
from exporter.daemon.store_watch import StoreWatch
from exporter.lib.durations import END_OF_DATES
from exporter.lib.redact import internal_error
from exporter.metrics.definitions import ExporterState
from exporter.model import Report, TargetReport
from exporter.present.calendar import calendar
from exporter.sources import Source, SourceContext, build
from exporter.state.credentials_db import CredentialDatabase
from exporter.web.actions import AlertActions
from exporter.web.daemon_api import OutdatedError

log = logging.getLogger(__name__)

#: How often the stores on this host are compared, in seconds.
COMPARE_EVERY = 2.0
#: How often the loop's lag and the clock are measured, and the state files synchronized, in seconds.
PULSE = 1.0
#: How long a ledger that cannot be written is left alone, in seconds.
SAVE_RETRY = 10.0
#: A step of the wall clock against the monotonic clock that makes all checks be scheduled again, in seconds.
CLOCK_STEP = 5.0
#: Without a pulse for this long the daemon is unhealthy, in seconds.
PULSE_LOST = 30.0
#: How long one round of what the daemon repeats may take, in seconds.
REPEAT_LIMIT = 60.0
#: How long passing on a report may take, in seconds: notifying, then rendering.
PUBLISH_LIMIT, NOTIFY_LIMIT = 120.0, 30.0


class Daemon:
    """All parts of the running daemon. Its public methods are the web side's ``DaemonApi``."""

    def __init__(
        self,
        config: Config,
        ledger: CredentialDatabase,
        reread: Callable[[], Config],
        now: Callable[[], float] = time.time,
        make: Callable[[Target, SourceContext], Source] = build,
        directory: Path | None = None,
    ) -> None:
        """``reread`` loads the configuration again, ``make`` creates sources.

        The alert state is kept in ``directory``, or in memory if that is None. Opens files, so call it outside of the
        event loop. Raises ConfigError for a channel that cannot be used.
        """
        self._ledger = ledger
        self._directory = directory
        self._reread = reread
        self._now = now
        self._monitor = Monitor(config, ledger, now, make)
        self._scheduler = AsyncIOScheduler(
            timezone="UTC",
            # None: a late run is still wanted. One is enough, however many were missed.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._scheduler.add_listener(self._job_ended, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
        self._exposition = ExpositionCache(self._exporter_state)
        self._stores = StoreWatch(now)
        self._overdue = OverdueWatch(now, self._schedule_inputs)
        self._faults = Faults()
        self._reload_succeeded = True
        self._reloaded_at = now()
        self._lag = 0.0  # of the event loop, in seconds
        self._pulse_at = time.monotonic()
        self._ledger_version: int | None = None
        self._ready = False
        self._background: set[asyncio.Task[Any]] = set()
        self.alert_actions = AlertActions(
            ledger,
            lambda: self._alerting.notifier,
            lambda: self._monitor.config.web.external_url,
            now,
            self._acknowledge_gone,
        )
        self._alerting = Alerting(config, self._make_notifier, self._own_problem, now)

    # --- start and stop --------------------------------------------------------------------

    async def start(self) -> None:
        """Schedule all checks, the first ones at once, and begin."""
        await self._sync_ledger()
        self._scheduler.start()
        for checker in self._monitor.checkers.values():
            await self._schedule(checker)
        await self._exposition.compose()
        self._spawn(self._pulse())
        self._spawn(self._repeat("saving what was checked", PULSE, self._watch_ledger))
        # As a job of the scheduler it would cost twice as much.
        self._spawn(self._repeat("comparing stores", COMPARE_EVERY, self._compare_stores))
        self._spawn(systemd.feed(self.healthy))
        self._alerting.start()
        self._ready = True

    async def stop(self) -> None:
        """Stop everything, and end the processes of checks that are under way."""
        self._ready = False
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._monitor.aclose()
        await self._alerting.stop()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _repeat(self, doing: str, interval: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(interval)
            with self._faults.surviving(doing):  # the next attempt may succeed
                async with asyncio.timeout(REPEAT_LIMIT):
                    await work()

    # --- scheduling ------------------------------------------------------------------------

    async def _schedule(self, checker: TargetChecker) -> None:
        """Add the repeating job of a target. ``_plan`` moves its next run after each check."""
        if checker.report is None:
            with self._faults.surviving(f"preparing the metrics of {checker.name}"):
                self._exposition.expect(checker.name, checker.source.kind, await checker.expected_counters())
        if checker.target.schedule:
            self._add_check_job(checker)

    def _add_check_job(self, checker: TargetChecker) -> None:
        seconds = baseline(self._schedule_inputs(checker))
        trigger = IntervalTrigger(seconds=seconds, jitter=min(seconds / 10, 30.0))
        self._set_job("check", checker.name, self._check, trigger, self._now())

    def _set_job(self, kind: str, name: str, work: Callable[[str], Any], trigger: object, at: float) -> None:
        self._scheduler.add_job(
            work, trigger, args=[name], id=f"{kind}:{name}", replace_existing=True, next_run_time=_moment(at)
        )

    def _unschedule(self, name: str) -> None:
        for job in (f"check:{name}", f"evaluate:{name}"):
            if self._scheduler.get_job(job):
                self._scheduler.remove_job(job)

    def _schedule_inputs(self, checker: TargetChecker) -> ScheduleInputs:
        return ScheduleInputs(
            interval=self._monitor.config.interval_of(checker.target),
            comparable=self._stores.is_comparable(checker.name),
            check_started_at=checker.check_started_at,
            failed=checker.failed,
            retry_after=checker.retry_after,
            check_at=checker.check_at,
            changed_at=self._stores.changed_at(checker.name),
        )

    def _plan(self, checker: TargetChecker) -> None:
        """Move a target's next check to when it is due, and evaluate again when time alone changes the verdict."""
        job = self._scheduler.get_job(f"check:{checker.name}")
        if job is not None:
            due, why = next_check(self._schedule_inputs(checker))
            if why is CheckTrigger.SCHEDULE:  # spread, so that many targets are not checked at once
                due -= max(_spread(checker.name) * min(due - self._now(), 300.0) / 10, 0.0)
            job.modify(next_run_time=_moment(max(due, self._now())))
        if checker.changes_at is not None:
            trigger = DateTrigger(_moment(checker.changes_at))
            self._set_job("evaluate", checker.name, self._evaluate, trigger, checker.changes_at)

    def _job_ended(self, event: JobExecutionEvent) -> None:
        if event.exception is not None and not isinstance(event.exception, asyncio.CancelledError):
            log.error("job %s failed (%s)", event.job_id, type(event.exception).__name__)
        checker = self._monitor.checkers.get(event.job_id.partition(":")[2])
        if checker is not None and checker.check_started_at is not None:
            with self._faults.surviving("scheduling"):
                self._plan(checker)  # runs that became due meanwhile were skipped

    # --- checks ----------------------------------------------------------------------------

    async def _check(self, name: str, *, force: bool = False) -> None:
        checker = self._monitor.checkers.get(name)
        if checker is None:
            return
        before = await self._stores.before_check(checker)
        try:
            await checker.check(self._monitor.config.policy, force=force)
        except asyncio.CancelledError:
            if self._is_current(checker) and self._ready:
                raise
            return  # the target was removed, or the daemon stops
        await self._stores.after_check(checker, before)
        await self._publish(checker)

    async def _evaluate(self, *names: str) -> None:
        """Evaluate targets again, without a check."""
        checkers = [checker for checker in map(self._monitor.checkers.get, names) if checker and checker.report]
        for checker in checkers:
            checker.evaluate(self._monitor.config.policy)
            await asyncio.sleep(0)  # a whole fleet must not hold up a scrape
        await self._publish(*checkers)

    async def _acknowledge_gone(self, target: str, profile: str) -> None:
        if (checker := self._monitor.checkers.get(target)) is not None:
            checker.acknowledge_gone(profile)
            await self._evaluate(target)

    async def _publish(self, *checkers: TargetChecker) -> None:
        """Pass on new reports: plan, log, notify, export. Waits for the alerting once, however many reports it is."""
        current = [checker for checker in checkers if self._is_current(checker)]
        reports = [(checker, checker.report) for checker in current if checker.report is not None]
        with self._faults.surviving("passing on reports"):
            async with asyncio.timeout(PUBLISH_LIMIT):
                with self._faults.surviving("scheduling"):
                    for checker, report in reports:
                        self._plan(checker)
                        self._exposition.log_changes(report)
                if any(checker.target.schedule for checker, _ in reports):
                    with self._faults.surviving("notifying"):  # before rendering, which would slow it down
                        async with asyncio.timeout(NOTIFY_LIMIT):
                            await self._alerting.notify()
                for checker, report in reports:
                    await self._exposition.put(report, checker.counters, partial(self._is_latest, checker, report))
                await self._exposition.compose()

    def _is_current(self, checker: TargetChecker) -> bool:
        """Whether this checker is still in use."""
        return self._monitor.checkers.get(checker.name) is checker

    def _is_latest(self, checker: TargetChecker, report: TargetReport) -> bool:
        return self._is_current(checker) and checker.report is report

    async def _compare_stores(self) -> None:
        """Plan a check where a store on this host is no longer what the last check read."""
        await self._stores.compare(list(self._monitor.checkers.values()), self._plan)

    # --- clock and state -------------------------------------------------------------------

    async def _pulse(self) -> None:
        """Beat every ``PULSE`` seconds. It waits for nothing else, so nothing that hangs stops it."""
        wall, steady = self._now(), time.monotonic()
        while True:
            await asyncio.sleep(PULSE)
            with self._faults.surviving("keeping the time"):
                before, (wall, steady) = (wall, steady), (self._now(), time.monotonic())
                self._beat(wall, wall - before[0], steady - before[1])
                self._pulse_at = steady

    def _beat(self, now: float, wall_elapsed: float, elapsed: float) -> None:
        """Measure the loop's lag, react to steps of the wall clock, and find checks that do not come."""
        self._lag = max(0.0, elapsed - PULSE)
        self._alerting.poll_outbox()
        if abs(step := wall_elapsed - elapsed) > CLOCK_STEP:
            log.warning("the clock stepped by %.0f s: all checks are scheduled again", step)
            self._after_step(now)
        checkers = self._monitor.checkers.values()
        for late in self._overdue.beat((c for c in checkers if c.target.schedule), elapsed):
            self._hurry(late)
        if self._exposition.problem is not None:
            self._spawn(self._publish(*(c for c in checkers if c.name in self._exposition.unrendered)))

    def _hurry(self, late: OverdueCheck) -> None:
        """Schedule an overdue check again, and report its target as stale once that has not helped."""
        checker = late.checker
        if self._scheduler.get_job(f"check:{checker.name}") is None:
            log.error("%s: its job was lost and is added again", checker.name)
            self._add_check_job(checker)
        if late.is_stale:
            checker.mark_stale(self._monitor.config.policy, late.seconds)
            self._publish_soon(checker)

    def _after_step(self, now: float) -> None:
        """APScheduler runs on wall-clock time: after a step nothing may wait for the old time."""
        for checker in self._monitor.checkers.values():
            checker.after_step(now)
        self._stores.after_step(now)
        self._spawn(self._evaluate(*self._monitor.checkers))

    async def _sync_ledger(self) -> None:
        """Save what checks recorded, and use the dates that users supplied through other processes."""
        version = await self._ledger.run(self._ledger.sync)
        if version != self._ledger_version:
            self._ledger_version = version
            dates = await self._ledger.run(self._ledger.supplied_dates)
            for checker in self._monitor.checkers.values():
                checker.take_supplied_dates(dates)
            await self._evaluate(*self._monitor.checkers)

    async def _watch_ledger(self) -> None:
        await self._sync_ledger()
        if self._ledger.problem is not None:
            await asyncio.sleep(SAVE_RETRY)

    def _own_problem(self) -> str | None:
        """Why the daemon cannot do its work, apart from alerting; None if it can."""
        if not self.healthy():
            return "the scheduler does not run"
        return self._ledger.problem or self._exposition.problem or self._faults.first or self._failing_check()

    def _failing_check(self) -> str | None:
        """The first check that fails because of us, as a sentence."""
        agents = (agent for target in self._monitor.scheduled().targets for agent in target.entries)
        failing = (agent for agent in agents if agent.failure and agent.failure.reason.is_our_fault)
        return next(
            (f"{agent.target}/{agent.agent}: {agent.failure.message}" for agent in failing if agent.failure), None
        )

    def _make_notifier(self, config: Config) -> Notifier:
        monitor, outbox = self._monitor, open_outbox(self._directory, self._now, or_memory=True)
        reports = ReportSource(monitor.scheduled, monitor.target_as_of, monitor.renewal_steps)
        return Notifier(config, outbox, reports, self._now, self.alert_actions.link)

    def _exporter_state(self) -> ExporterState:
        return ExporterState(
            __version__,
            self._reload_succeeded,
            self._reloaded_at,
            self._lag,
            self._ledger.problem is None and self._alerting.state_problem is None,
            channels=self._alerting.statistics(),
            heartbeat_success_at=self._alerting.heartbeat_success_at,
            silences=self._alerting.silences,
        )

    # --- DaemonApi -------------------------------------------------------------------------

    def exposition(self, accept: str, accept_encoding: str) -> tuple[bytes, str, str | None]:
        if self._exposition.outdated is not None:
            raise OutdatedError(self._exposition.outdated)
        return self._exposition.body(accept, accept_encoding)

    def report(self) -> Report:
        return self._monitor.full_report()

    def calendar(self) -> str:
        remind_before = self._monitor.config.alerts.remind_before
        return calendar(self.report(), remind_before, self._now(), self._monitor.renewal_steps)

    def healthy(self) -> bool:
        return self._scheduler.running and time.monotonic() - self._pulse_at < PULSE_LOST

    def ready(self) -> bool:
        return self._ready

    def problem(self) -> str | None:
        """Why the daemon cannot do its work, as a sentence; None if it can."""
        return self._alerting.problem()

    def status(self) -> str:
        """The line that ``systemctl status`` shows."""
        count = len(self._monitor.checkers)
        note = "" if self._reload_succeeded else "; the last reload failed, so the previous configuration is in use"
        return f"Watching {count} target{'' if count == 1 else 's'}{note}"

    def scrape_targets(self) -> list[tuple[str, dict[str, str]]]:
        checkers = self._monitor.checkers.values()
        return [(checker.name, {"__meta_openclaw_auth_source": checker.source.kind}) for checker in checkers]

    async def check_now(self, target: str | None) -> None:
        """Check a target, or all. Raises KeyError for an unknown one."""
        names = [self._monitor.checkers[target].name] if target is not None else self._monitor.checkers
        await asyncio.gather(*(self._check(name, force=True) for name in names))

    async def probe(self, target: str, agent: str | None, timeout: float) -> tuple[bytes, str]:
        """Check a target on request. Raises KeyError for an unknown target or agent."""
        return await probe(self._monitor, target, agent, timeout, self._now, self._publish_soon)

    def _publish_soon(self, checker: TargetChecker) -> None:
        """``_publish`` for callers that do not wait for the alerting."""
        self._spawn(self._publish(checker))

    def reload_soon(self) -> None:
        """Handle SIGHUP."""
        self._spawn(self.reload())

    async def reload(self) -> str | None:
        """Load the configuration again. A bad one changes nothing, and its problem is returned."""
        systemd.reloading()
        try:
            await self._reload()
        except Exception as error:
            self._reload_succeeded = False
            why = str(error) if isinstance(error, ConfigError) else internal_error(error, "reloading")
            log.error("the configuration is not used: %s", why)
            return why
        else:
            self._reload_succeeded, self._reloaded_at = True, self._now()
            log.info("the configuration is reloaded: %d targets", len(self._monitor.config.targets))
            return None
        finally:
            systemd.ready(self.status())

    async def _reload(self) -> None:
        config = await asyncio.to_thread(self._reread)
        await asyncio.to_thread(preflight.require_usable, config)
        for name in ("web", "state_dir"):
            if getattr(self._monitor.config, name) != getattr(config, name):
                log.warning("%s changed: this takes a restart", name)
        await self._alerting.reconfigure(config)
        for removed in self._monitor.configure(config):
            self._unschedule(removed.name)
            self._exposition.remove(removed.name)
            self._stores.remove(removed.name)
            await removed.aclose()
        for checker in list(self._monitor.checkers.values()):
            if self._scheduler.get_job(f"check:{checker.name}") is None:
                await self._schedule(checker)
        await self._evaluate(*self._monitor.checkers)
        await self._exposition.compose()


def _moment(seconds: float) -> dt.datetime:
    """The aware datetime that APScheduler wants, at most the end of the year 9999."""
    return dt.datetime.fromtimestamp(min(seconds, END_OF_DATES), dt.UTC)


def _spread(name: str) -> float:
    """A share of 0 to 1 that stays the same for a name."""
    return (zlib.crc32(name.encode("utf-8", "surrogatepass")) % 1000) / 1000
