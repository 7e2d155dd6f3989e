"""The daemon: checks targets on a schedule, keeps the exposition and alerts up to date, and serves the web side.

``Daemon`` is the ``DaemonApi`` of the web side. ``exporter.daemon.serve`` runs it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from exporter import __version__
from exporter.alerts.delivery.notifier import Notifier, ReportSource
from exporter.alerts.delivery.outbox import open_outbox
from exporter.checks.monitor import Monitor
from exporter.checks.schedule import ScheduleInputs
from exporter.checks.target_checker import CheckerClosedError, TargetChecker
from exporter.config import Config, Target
from exporter.daemon import renewals, systemd
from exporter.daemon.alerting import Alerting
from exporter.daemon.configuration import ConfigurationReader, Loaded
from exporter.daemon.exposition_cache import ExpositionCache
from exporter.daemon.faults import Faults, failing_check
from exporter.daemon.jobs import Jobs
from exporter.daemon.ledger_watch import LedgerWatch
from exporter.daemon.otlp import OtlpSender
from exporter.daemon.overdue import OverdueCheck, OverdueWatch
from exporter.daemon.probe import discovery_labels, probe
from exporter.daemon.publishing import Publisher
from exporter.daemon.pulse import Pulse
from exporter.daemon.reloading import Reloader
from exporter.daemon.store_watch import StoreWatch
from exporter.daemon.turns import Turns
from exporter.lib import tasks
from exporter.lib.supervisor import Supervisor
from exporter.metrics.definitions import ExporterState
from exporter.model import Report
from exporter.present.calendar import calendar
from exporter.sources import Source, SourceContext, build
from exporter.state.credentials_db import CredentialDatabase
from exporter.state.day_history import DayHistory
from exporter.state.history import SuppliedDate
from exporter.web.actions import AlertActions
from exporter.web.daemon_api import OutdatedError
from exporter.web.events import Announcer
from exporter.web.renewal import RunsRenewals

log = logging.getLogger(__name__)

#: How often the stores on this host are compared, in seconds.
COMPARE_EVERY = 2.0
#: How often the state files are synchronized, in seconds.
SAVE_EVERY = 1.0
#: A step of the wall clock against the monotonic clock that makes all checks be scheduled again, in seconds.
CLOCK_STEP = 5.0
#: How long one round of what the daemon repeats may take, in seconds.
REPEAT_LIMIT = 60.0
#: How often the lists of targets are compared, in seconds.
LISTS_EVERY = 5.0
#: How many targets are scheduled, or their checks begun, in one turn of the loop: a whole fleet would hold up a scrape.
AT_ONCE = 100
#: How long each step of stopping may take, in seconds. systemd kills the process after 15.
STOP_LIMIT = 6.0


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
        turns: Turns | None = None,
    ) -> None:
        """``reread`` loads the configuration again, ``make`` creates sources.

        The alert state is kept in ``directory``, or in memory if that is None. ``turns`` measures the loop, if anything
        does. Opens files, so call it outside of the event loop. Raises ConfigError for a channel that cannot be used.
        """
        self._ledger = ledger
        self.days = DayHistory(ledger)
        self._ledger_watch = LedgerWatch(ledger, self.days, self._use_dates)
        self._directory = directory
        self._turns = turns
        self._configuration = ConfigurationReader(config, reread, directory)
        config = self._configuration.first
        self._now = now
        self._monitor = Monitor(config, ledger, now, make)
        self._exposition = ExpositionCache(self._exporter_state, self._monitor.metric_labels)
        self._stores = StoreWatch(now)
        self._overdue = OverdueWatch(now, self._schedule_inputs)
        self._faults = Faults()
        self._jobs = Jobs(
            self._check, self._evaluate, lambda: self._monitor.checkers, self._schedule_inputs, now, self._faults
        )
        self._pulse = Pulse(now, self._beat)
        self._reloader = Reloader(self._load_and_apply, self.status, now)
        #: Every task that outlives its caller.
        self.supervisor = Supervisor()
        self._ready = False
        self.announcer = Announcer()
        self._starting: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self.renewal_steps = self._monitor.renewal_steps
        self.alert_actions = AlertActions(
            ledger,
            lambda: self._alerting.notifier,
            lambda: self._monitor.config.web.external_url,
            now,
            self._acknowledge_gone,
            self.announcer.announce,
            lambda: self.renewals is not None,
        )
        self.renewals: RunsRenewals | None = None
        self._alerting = Alerting(config, self._make_notifier, self._own_problem, now, self.supervisor)
        self._publisher = Publisher(
            self._monitor,
            self._jobs,
            self.days,
            self._alerting,
            self._exposition,
            self._faults,
            self.announcer.announce,
            now,
        )

    # --- start and stop --------------------------------------------------------------------

    async def start(self) -> None:
        """Schedule all checks, the first ones at once, and begin. Returns early once ``stop`` is called.

        A daemon starts once: another call waits for the first one.
        """
        if self._stopping is not None:
            return
        if self._starting is None:
            self._starting = tasks.begin(self._start(), name="start")
        await asyncio.wait({self._starting})  # not the task itself: ``stop`` ends it
        if not self._starting.cancelled():
            self._starting.result()

    async def _start(self) -> None:
        await self._ledger_watch.sync()
        self._jobs.start()
        await self._schedule(self._monitor.checkers.values())
        await self._exposition.compose()
        start = self.supervisor.start
        start("pulse", self._pulse.run)
        start("ledger", partial(self._repeat, "saving what was checked", SAVE_EVERY, self._ledger_watch.round))
        # As a job of APScheduler it would cost twice as much.
        start("stores", partial(self._repeat, "comparing stores", COMPARE_EVERY, self._compare_stores))
        start("lists", partial(self._repeat, "comparing lists of targets", LISTS_EVERY, self._compare_lists))
        config = self._monitor.config
        if config.otlp is not None:
            start("otlp", OtlpSender(config.otlp, config.name, lambda: self.exposition("", "")[0], self._now).run)
        if systemd.watchdog_interval() is not None:
            start("watchdog", partial(systemd.feed, self.alive))
        self._alerting.start()
        self._reloader.open()
        self._ready = True

    async def stop(self) -> None:
        """Stop everything, for good, and end the processes of checks that are under way. May be called again."""
        self._ready = False
        if self._stopping is None:
            self._stopping = tasks.begin(self._stop(), name="stop")
        await asyncio.wait({self._stopping})

    async def _stop(self) -> None:
        """A step that fails skips no other."""
        await tasks.end(self._starting)  # first: these two would start things again
        await self._reloader.close()
        for step in (self._jobs.stop, self._monitor.aclose, self._alerting.stop, self.supervisor.stop):
            with self._faults.surviving("stopping"):
                async with asyncio.timeout(STOP_LIMIT):
                    await step()

    def _spawn(self, doing: str, work: Coroutine[Any, Any, None]) -> None:
        self.supervisor.begin(doing, work)

    async def _repeat(self, doing: str, interval: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(interval)
            with self._faults.surviving(doing):  # the next attempt may succeed
                async with asyncio.timeout(REPEAT_LIMIT):
                    await work()

    # --- scheduling ------------------------------------------------------------------------

    async def _schedule(self, checkers: Iterable[TargetChecker]) -> None:
        """Add the repeating jobs of targets. ``Jobs.plan`` moves the next run after each check."""
        checkers = list(checkers)
        with self._faults.surviving("preparing metrics"):
            recorded = await self._ledger.run(self._ledger.agents_by_target)
            new = [checker for checker in checkers if checker.report is None]
            await self._exposition.expect(
                [(c.name, c.source.kind, c.expected_counters(recorded.get(c.name, ()))) for c in new]
            )
        for number, checker in enumerate(checkers):
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
            if checker.target.schedule and self._monitor.is_current(checker):
                self._jobs.add(checker)

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

    # --- checks ----------------------------------------------------------------------------

    async def _check(self, name: str, *, force: bool = False) -> None:
        checker = self._monitor.checkers.get(name)
        if checker is None:
            return
        before = await self._stores.before_check(checker)
        try:
            await checker.check(self._monitor.config.policy, force=force)
        except CheckerClosedError:
            return
        if self._monitor.is_current(checker):
            await self._stores.after_check(checker, before)
            await self._publisher.publish(checker)

    async def _evaluate(self, *names: str) -> None:
        """Evaluate targets again, without a check."""
        checkers = [checker for checker in map(self._monitor.checkers.get, names) if checker and checker.report]
        for checker in checkers:
            await checker.evaluate(self._monitor.config.policy)
            await asyncio.sleep(0)  # a whole fleet must not hold up a scrape
        await self._publisher.publish(*checkers)

    async def _acknowledge_gone(self, target: str, profile: str) -> None:
        if (checker := self._monitor.checkers.get(target)) is not None:
            checker.acknowledge_gone(profile)
            await self._evaluate(target)

    async def _compare_stores(self) -> None:
        """Plan a check where a store on this host is no longer what the last check read."""
        await self._stores.compare(list(self._monitor.checkers.values()), self._jobs.plan)

    # --- clock and state -------------------------------------------------------------------

    def _beat(self, now: float, wall_elapsed: float, elapsed: float) -> None:
        """React to steps of the wall clock, and find checks that do not come. A duty that fails delays no other."""
        checkers = self._monitor.checkers.values()
        with self._faults.surviving("looking at the outbox"):
            self._alerting.poll_outbox()
        with self._faults.surviving("keeping the time"):
            if abs(step := wall_elapsed - elapsed) > CLOCK_STEP:
                log.warning("the clock stepped by %.0f s: all checks are scheduled again", step)
                self._after_step(now)
        with self._faults.surviving("finding overdue checks"):
            for late in self._overdue.beat((c for c in checkers if c.target.schedule), elapsed):
                self._hurry(late)
        with self._faults.surviving("rendering again"):
            if self._exposition.problem is not None:
                unrendered = self._exposition.unrendered
                self._spawn("rendering again", self._publisher.publish(*(c for c in checkers if c.name in unrendered)))

    def _hurry(self, late: OverdueCheck) -> None:
        """Schedule an overdue check again, and report its target as stale once that has not helped."""
        checker = late.checker
        if not self._jobs.has(checker.name):
            log.error("%s: its job was lost and is added again", checker.name)
            self._jobs.add(checker)
        self._jobs.hurry()
        if late.is_stale:
            checker.mark_stale(late.seconds)
            self._spawn("reporting a stale target", self._evaluate(checker.name))

    def _after_step(self, now: float) -> None:
        """APScheduler runs on wall-clock time: after a step nothing may wait for the old time."""
        for checker in self._monitor.checkers.values():
            checker.after_step(now)
        self._stores.after_step(now)
        self._spawn("evaluating after a step of the clock", self._evaluate(*self._monitor.checkers))

    async def _use_dates(self, dates: Mapping[str, SuppliedDate]) -> None:
        """Use the dates that users supplied through other processes."""
        for checker in self._monitor.checkers.values():
            checker.take_supplied_dates(dates)
        await self._evaluate(*self._monitor.checkers)

    def _own_problem(self) -> str | None:
        """Why the daemon cannot do its work, apart from alerting; None if it can."""
        of_parts = self.health_problem() or self._ledger.problem or self._exposition.problem
        return of_parts or self._faults.first or failing_check(self._monitor.scheduled())

    def _make_notifier(self, config: Config) -> Notifier:
        monitor, outbox = self._monitor, open_outbox(self._directory, self._now, or_memory=True)
        reports = ReportSource(monitor.scheduled, monitor.target_as_of, monitor.renewal_steps)
        return Notifier(config, outbox, reports, self._now, self.alert_actions.link, self.supervisor)

    def _exporter_state(self) -> ExporterState:
        return ExporterState(
            __version__,
            self._reloader.succeeded,
            self._reloader.succeeded_at,
            self._pulse.lag,
            self._ledger.problem is None and self._alerting.state_problem is None,
            channels=self._alerting.statistics(),
            heartbeat_success_at=self._alerting.heartbeat_success_at,
            silences=self._alerting.silences,
            task_restarts=self.supervisor.restarts,
            event_loop_lag_max=self._turns.take_longest() if self._turns is not None else None,
            target_lists_ok=self._configuration.lists_ok,
        )

    # --- DaemonApi -------------------------------------------------------------------------

    def exposition(self, accept: str, accept_encoding: str) -> tuple[bytes, str, str | None]:
        if self._exposition.outdated is not None:
            raise OutdatedError(self._exposition.outdated)
        return self._exposition.body(accept, accept_encoding)

    def report(self) -> Report:
        return self._monitor.full_report()

    def calendar(self) -> str:
        return calendar(self.report(), self._monitor.remind_before, self._now(), self._monitor.renewal_steps)

    def alive(self) -> bool:
        """Whether checks are started and the time is kept. If not, systemd's watchdog restarts the exporter."""
        return self._jobs.running and not self._pulse.is_lost

    def zone(self) -> ZoneInfo:
        return self._monitor.config.zone()

    def health_problem(self) -> str | None:
        if not self._jobs.running:
            return "the scheduler does not run"
        if self._pulse.is_lost:
            return "the pulse has stopped"
        return self.supervisor.problem

    def ready(self) -> bool:
        return self._ready

    def problem(self) -> str | None:
        """Why the daemon cannot do its work, as a sentence; None if it can."""
        return self._alerting.problem()

    def status(self) -> str:
        """The line that ``systemctl status`` shows."""
        note = "" if self._reloader.succeeded else "; the last reload failed, so the previous configuration is in use"
        return f"Watching {len(self._monitor.checkers)} target{'s' * (len(self._monitor.checkers) != 1)}{note}"

    def scrape_targets(self) -> list[tuple[str, dict[str, str]]]:
        return [(checker.name, discovery_labels(checker)) for checker in self._monitor.checkers.values()]

    async def check_now(self, target: str | None) -> None:
        """Check a target, or all. Raises KeyError for an unknown one."""
        names = [self._monitor.checkers[target].name] if target is not None else list(self._monitor.checkers)
        await tasks.run_all((self._check(name, force=True) for name in names), AT_ONCE)

    def checking(self) -> int:
        return sum(checker.is_checking for checker in self._monitor.checkers.values())

    def enable_renewals(self) -> None:
        """Let the page renew credentials. To be called from the event loop, before the page is made."""
        self.renewals = renewals.make(self._monitor, self.check_now)

    async def probe(self, target: str, agent: str | None, timeout: float) -> tuple[bytes, str]:
        """Check a target on request. Raises KeyError for an unknown target or agent."""
        return await probe(self._monitor, target, agent, timeout, self._now, self._publish_soon, self._publisher.render)

    def _publish_soon(self, checker: TargetChecker) -> None:
        """``Publisher.publish`` for callers that do not wait for the alerting."""
        self._spawn("passing on a report", self._publisher.publish(checker))

    def reload_soon(self) -> None:
        """Handle SIGHUP."""
        self._reloader.request()

    async def reload(self) -> str | None:
        """Load the configuration again. A bad one changes nothing, and its problem is returned."""
        return await self._reloader.reload()

    async def _load_and_apply(self) -> None:
        loaded = await self._configuration.reread()
        for name in ("web", "otlp", "state_dir"):
            if getattr(self._monitor.config, name) != getattr(loaded.config, name):
                log.warning("%s changed: this takes a restart", name)
        await self._use(loaded)
        await self._exposition.compose(at_once=True)
        await self._evaluate(*self._monitor.checkers)

    async def _compare_lists(self) -> None:
        """Use the targets of lists that have changed."""
        loaded = await self._configuration.poll_lists()
        if loaded is None:
            return
        async with self._reloader.turn:
            if self._configuration.is_outdated(loaded):
                return
            await self._use(loaded)
        log.info("a list of targets has changed: %s", self.status())
        await self._alerting.notify()  # alerts of targets that are gone end
        await self._exposition.compose()

    async def _use(self, loaded: Loaded) -> None:
        """Use another configuration. Raises, and has changed nothing, if it cannot be used."""
        config = loaded.config
        before, checkers = self._monitor.checkers, self._monitor.prepare(config)  # first: a source may fail to be made
        await self._alerting.reconfigure(config)
        for removed in self._monitor.configure(config, checkers):
            self._jobs.remove(removed.name)
            self._exposition.remove(removed.name)
            self._stores.remove(removed.name)
        self._configuration.use(loaded)
        await self._monitor.close_unused()
        await self._schedule(
            checker
            for name, checker in checkers.items()
            if before.get(name) is not checker or (checker.target.schedule and not self._jobs.has(name))
        )
