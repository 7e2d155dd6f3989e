"""The daemon: APScheduler decides when, the monitor looks, the exposition and the pages show.

One asyncio loop. Signals are ours: SIGHUP reloads and keeps the old configuration when the new one
is bad, SIGTERM and SIGINT end it with exit 0 and no child left.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import signal
import time
import zlib
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from exporter import __version__
from exporter.alerts.delivery.notifier import Notifier
from exporter.checks.monitor import Monitor, TargetChecker
from exporter.checks.schedule import CheckTrigger, ScheduleInputs, baseline, next_check
from exporter.config import Config, ConfigError, Target
from exporter.daemon import runtime_tuning, systemd
from exporter.daemon.alerting import Alerting
from exporter.daemon.exposition_cache import ExpositionCache
from exporter.lib.durations import END_OF_DATES
from exporter.metrics.definitions import TEXT, ExporterState
from exporter.metrics.render import one_shot
from exporter.model import Failure, FailureReason, Report, TargetReport
from exporter.present.calendar import calendar
from exporter.sources import Source, SourceContext, build
from exporter.state.credentials_db import CredentialDatabase
from exporter.web.actions import AlertActions

log = logging.getLogger(__name__)

#: How often stores on this host are compared, seconds.
COMPARE_EVERY = 2.0
#: How long a changed store must stay as it is before we look: OpenClaw writes in several steps. Seconds.
SETTLE = 0.7
#: How often the loop's lag, the clock and the ledger's other writers are looked after, seconds.
PULSE = 1.0
#: A step of the wall clock beside the monotonic one that makes us plan anew, seconds.
CLOCK_STEP = 5.0
#: Without a pulse for this long the daemon is not healthy, seconds.
PULSE_LOST = 30.0
#: A report younger than this answers a probe, seconds.
PROBE_FRESH = 30.0


class Daemon:
    """What ``serve`` runs; the web side sees it as its Board."""

    def __init__(
        self,
        config: Config,
        ledger: CredentialDatabase,
        reread: Callable[[], Config],
        now: Callable[[], float] = time.time,
        make: Callable[[Target, SourceContext], Source] = build,
        directory: Path | None = None,
    ) -> None:
        """``directory`` is where the alert state lives; None keeps it in memory.

        Raises ConfigError for a channel that cannot be used.
        """
        self._ledger = ledger
        self._directory = directory
        self._reread = reread
        self._now = now
        self._monitor = Monitor(config, ledger, now, make)
        self._scheduler = AsyncIOScheduler(
            timezone="UTC",
            # None: a run that is late is still wanted; one is enough however many were missed.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._scheduler.add_listener(self._job_ended, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
        self._shown = ExpositionCache(self._state)
        self._fingerprints: dict[str, str | None] = {}
        self._changed_at: dict[str, float] = {}
        self._reloaded_well = True
        self._reloaded_at = now()
        self._lag = 0.0
        self._pulse_at = time.monotonic()
        self._told_version = ledger.changes()
        self._ready = False
        self._background: set[asyncio.Task[Any]] = set()
        self.alert_actions = AlertActions(
            ledger, lambda: self._alarm.notifier, lambda: self._monitor.config.web.external_url, now
        )
        self._alarm = Alerting(config, self._notifier_of, self._unwell, now)

    # --- life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Plan all looks, the first at once, and begin."""
        self._scheduler.start()
        for checker in self._monitor.checkers.values():
            self._schedule(checker)
        await self._shown.compose()
        self._spawn(self._compare())
        self._spawn(self._pulse())
        self._spawn(systemd.feed(self.healthy))
        self._alarm.start()
        self._ready = True

    async def stop(self) -> None:
        """End all looks, their processes with them."""
        self._ready = False
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._monitor.aclose()
        await self._alarm.stop()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _job_ended(self, event: JobExecutionEvent) -> None:
        if event.exception is not None and not isinstance(event.exception, asyncio.CancelledError):  # how we end
            log.error("job %s failed: %s", event.job_id, type(event.exception).__name__)
        kind, _, name = event.job_id.partition(":")
        checker = self._monitor.checkers.get(name)
        if kind == "check" and checker is not None and checker.check_started_at is not None:
            self._plan(checker)  # what became due while it ran was passed over

    # --- looking ---------------------------------------------------------------------------

    def _schedule(self, checker: TargetChecker) -> None:
        """The repeating job of a target; ``_plan`` moves its next run after each look."""
        if checker.report is None:
            self._shown.expect(checker.name, checker.source.kind, checker.counters)
        if not checker.target.schedule:
            return
        seconds = baseline(self._timing(checker))
        self._scheduler.add_job(
            self._look,
            IntervalTrigger(seconds=seconds, jitter=min(seconds / 10, 30.0)),
            args=[checker.name],
            id=f"check:{checker.name}",
            replace_existing=True,
            next_run_time=_moment(self._now()),
        )

    def _timing(self, checker: TargetChecker) -> ScheduleInputs:
        return ScheduleInputs(
            interval=self._monitor.config.interval_of(checker.target),
            comparable=self._fingerprints.get(checker.name) is not None,
            check_started_at=checker.check_started_at,
            failed=checker.failed,
            retry_after=checker.retry_after,
            check_at=checker.check_at,
            changed_at=self._changed_at.get(checker.name),
        )

    def _plan(self, checker: TargetChecker) -> None:
        """Move a target's next run to when it is due, and judge again when time alone changes it."""
        job = self._scheduler.get_job(f"check:{checker.name}")
        if job is not None:
            due, why = next_check(self._timing(checker))
            # An ordinary look is spread a little, so that many targets do not fall together.
            spread = _spread(checker.name) * min(due - self._now(), 300.0) / 10 if why is CheckTrigger.SCHEDULE else 0.0
            job.modify(next_run_time=_moment(max(due - max(spread, 0.0), self._now())))
        if checker.changes_at is not None:
            self._scheduler.add_job(
                self._evaluate,
                "date",
                run_date=_moment(checker.changes_at),
                args=[checker.name],
                id=f"evaluate:{checker.name}",
                replace_existing=True,
            )

    async def _look(self, name: str, *, force: bool = False) -> None:
        checker = self._monitor.checkers.get(name)
        if checker is None:
            return
        before = await asyncio.to_thread(checker.source.fingerprint)
        self._changed_at.pop(name, None)
        try:
            await checker.check(self._monitor.config.policy, force=force)
        except asyncio.CancelledError:
            if self._has(checker) and self._ready:
                raise
            return  # its target was removed, or the daemon ends
        # The first look tells where the store is. What changed while it was under way is looked at again.
        after = self._fingerprints[name] = await asyncio.to_thread(checker.source.fingerprint)
        if before is not None and after != before:
            self._changed_at[name] = self._now()
        await self._show(checker)

    async def _evaluate(self, *names: str) -> None:
        evaluated = [w for w in map(self._monitor.checkers.get, names) if w is not None and w.report is not None]
        for checker in evaluated:
            checker.evaluate(self._monitor.config.policy)
            await asyncio.sleep(0)  # a fleet's worth holds up no scrape
        await self._show(*evaluated)

    async def _show(self, *judged: TargetChecker) -> None:
        """Hand new reports on: plan, tell, render, compose. All at once: the alarm may take its time, but only once."""
        shown = [checker for checker in judged if self._has(checker) and checker.report is not None]
        for checker in shown:
            self._plan(checker)
            assert checker.report is not None
            self._shown.tell_journal(checker.report)
        if any(checker.target.schedule for checker in shown):
            await self._alarm.raised()  # first: a large report rendered beside it would slow it down
        for checker in shown:
            await self._render(checker)
        await self._shown.compose()

    async def _render(self, checker: TargetChecker) -> None:
        report = checker.report
        assert report is not None
        await self._shown.put(report, checker.counters, lambda: self._has(checker) and checker.report is report)

    def _has(self, checker: TargetChecker) -> bool:
        """Whether it is still configured."""
        return self._monitor.checkers.get(checker.name) is checker

    async def _compare(self) -> None:
        """Look where a store on this host no longer is what the last look saw."""
        while True:  # as a job it would cost as much again
            await asyncio.sleep(COMPARE_EVERY)
            for checker in list(self._monitor.checkers.values()):
                try:
                    await self._compare_one(checker)
                except Exception as error:  # one store's trouble is its own; its text may quote anything
                    log.error("%s: its store cannot be compared: %s", checker.name, type(error).__name__)

    async def _compare_one(self, checker: TargetChecker) -> None:
        name = checker.name
        before = self._fingerprints.get(name)
        if before is None or name in self._changed_at or checker.is_checking:
            return
        if await asyncio.to_thread(checker.source.fingerprint) != before:
            await asyncio.sleep(SETTLE)
            self._changed_at[name] = self._now()
            log.debug("%s: %s", name, CheckTrigger.STORE_CHANGED)
            self._plan(checker)

    async def _pulse(self) -> None:
        """The loop's own lag; steps of the wall clock; dates told by another process."""
        wall, steady = self._now(), time.monotonic()
        while True:
            await asyncio.sleep(PULSE)
            new_wall, new_steady = self._now(), time.monotonic()
            self._lag = max(0.0, new_steady - steady - PULSE)
            if abs((new_wall - wall) - (new_steady - steady)) > CLOCK_STEP:
                log.warning("the clock stepped by %.0f s: planning anew", (new_wall - wall) - (new_steady - steady))
                await self._after_step(new_wall)
            wall, steady = new_wall, new_steady
            self._pulse_at = steady
            self._alarm.look_for_others()
            await self._ledger.run(self._ledger.save)
            version = self._ledger.changes()
            if version != self._told_version:
                self._told_version = version
                evaluated = [w for w in self._monitor.checkers.values() if w.report is not None]
                for checker in evaluated:
                    checker.told(self._monitor.config.policy)
                    await asyncio.sleep(0)
                await self._show(*evaluated)

    async def _after_step(self, now: float) -> None:
        """APScheduler runs on wall-clock time: after a step nothing may wait for the old one."""
        for checker in self._monitor.checkers.values():
            if checker.check_started_at is not None and checker.check_started_at > now:
                checker.check_started_at = now
            if self._changed_at.get(checker.name, now) > now:
                self._changed_at[checker.name] = now
        await self._evaluate(*self._monitor.checkers)

    # --- the board -------------------------------------------------------------------------

    def exposition(self, accept: str, accept_encoding: str) -> tuple[bytes, str, str | None]:
        return self._shown.body(accept, accept_encoding)

    def report(self) -> Report:
        return self._monitor.board()

    def healthy(self) -> bool:
        return self._scheduler.running and time.monotonic() - self._pulse_at < PULSE_LOST

    def ready(self) -> bool:
        return self._ready

    def scrape_targets(self) -> list[tuple[str, dict[str, str]]]:
        checker = self._monitor.checkers.values()
        return [(w.name, {"__meta_openclaw_auth_source": w.source.kind}) for w in checker]

    async def probe(self, target: str, agent: str | None, timeout: float) -> tuple[bytes, str]:
        """A look at one configured target on request; raises KeyError for one that is not there."""
        checker = self._monitor.checkers[target]
        if (
            checker.check_started_at is None
            or self._now() - checker.check_started_at > PROBE_FRESH
            or checker.report is None
        ):
            try:
                await asyncio.wait_for(checker.check(self._monitor.config.policy), timeout)
                self._spawn(self._show(checker))  # who asked does not wait for the alarm
            except TimeoutError:
                # The look goes on; what it finds is there for the next probe.
                late = Failure(
                    FailureReason.TIMEOUT, f"no answer within the scrape timeout, {timeout:g} s", self._now()
                )
                before = checker.report.agents if checker.report else ()
                known = tuple(replace(a, failure=late, exit_code=1) for a in before if agent in (None, a.agent))
                shown = TargetReport(target, checker.source.kind, known, None if known else late)
                return one_shot(Report(self._now(), (shown,))), TEXT
        report = checker.report
        assert report is not None
        if agent is not None:
            chosen = tuple(one for one in report.agents if one.agent == agent)
            if not chosen and report.failure is None:
                raise KeyError(agent)
            report = replace(report, agents=chosen)
        return one_shot(Report(self._now(), (report,))), TEXT

    async def check_now(self, target: str | None) -> None:
        """Look at what there is now; raises KeyError for a target that is not configured."""
        names = [target] if target is not None else list(self._monitor.checkers)
        await asyncio.gather(*(self._look(self._monitor.checkers[name].name, force=True) for name in names))

    async def reload(self) -> str | None:
        """Take over the configuration anew; a bad one changes nothing and its problem is returned."""
        systemd.reloading()
        try:
            return await self._reload()
        finally:
            systemd.ready(self.status())

    async def _reload(self) -> str | None:
        try:
            config = await asyncio.to_thread(self._reread)
        except ConfigError as error:
            self._reloaded_well = False
            log.error("the configuration is not taken over: %s", error)
            return str(error)
        before = self._monitor.config
        for name in ("web", "state_dir"):
            if getattr(before, name) != getattr(config, name):
                log.warning("%s changed: this takes a restart", name)
        try:
            await self._alarm.reconfigure(config)
        except ConfigError as error:
            self._reloaded_well = False
            log.error("the configuration is not taken over: %s", error)
            return str(error)
        for gone in self._monitor.configure(config):
            for prefix in ("check:", "evaluate:"):
                if self._scheduler.get_job(prefix + gone.name):
                    self._scheduler.remove_job(prefix + gone.name)
            self._shown.remove(gone.name)
            self._fingerprints.pop(gone.name, None)
            await gone.aclose()
        for checker in self._monitor.checkers.values():
            if self._scheduler.get_job(f"check:{checker.name}") is None:
                self._schedule(checker)
        await self._evaluate(*self._monitor.checkers)
        await self._shown.compose()
        self._reloaded_well, self._reloaded_at = True, self._now()
        log.info("the configuration is taken over: %d targets", len(config.targets))
        return None

    def _notifier_of(self, config: Config) -> Notifier:
        monitor, link = self._monitor, self.alert_actions.link
        reports, as_of, renew = monitor.scheduled, monitor.target_as_of, monitor.renewal_commands
        return Notifier(config, self._directory, reports, self._now, link, as_of, goes_on=True, renew=renew)

    def _unwell(self) -> str | None:
        return self._ledger.problem if self.healthy() else "the scheduler does not run"

    def problem(self) -> str | None:
        """Why we cannot do our work at present, as a sentence; None while we can."""
        return self._alarm.problem()

    def calendar(self) -> str:
        config = self._monitor.config
        return calendar(self.report(), config.alerts.remind_before, self._now(), self._monitor.renewal_commands)

    def reload_soon(self) -> None:
        """What SIGHUP does."""
        self._spawn(self.reload())

    def status(self) -> str:
        """What ``systemctl status`` shows."""
        count = len(self._monitor.checkers)
        note = "" if self._reloaded_well else "; the last reload found a bad configuration and kept the one before"
        return f"Watching {count} target{'' if count == 1 else 's'}{note}"

    def _state(self) -> ExporterState:
        return ExporterState(
            __version__,
            self._reloaded_well,
            self._reloaded_at,
            self._lag,
            self._ledger.problem is None and self._alarm.state_problem is None,
            channels=self._alarm.statistics(),
            heartbeat_success_at=self._alarm.heartbeat_success_at,
            silences=self._alarm.silences,
        )


def _moment(seconds: float) -> dt.datetime:
    """The aware datetime that APScheduler wants; it knows none beyond the year 9999."""
    return dt.datetime.fromtimestamp(min(seconds, END_OF_DATES), dt.UTC)


def _spread(name: str) -> float:
    """A share of 0 to 1 that stays the same for a name."""
    return (zlib.crc32(name.encode("utf-8", "surrogatepass")) % 1000) / 1000


async def run(config: Config, directory: Path | None, reread: Callable[[], Config]) -> None:
    """Serve until SIGTERM or SIGINT. Raises ListenError where the address cannot be had."""
    from exporter.web.app import create_app
    from exporter.web.server import WebServer

    runtime_tuning.prepare()
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    ledger = CredentialDatabase(directory)
    daemon = Daemon(config, ledger, reread, directory=directory)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    loop.add_signal_handler(signal.SIGHUP, daemon.reload_soon)
    web = WebServer(create_app(daemon, config.web), config.web.host, config.web.port, config.web.tls)
    try:
        await web.start()
        await daemon.start()
        log.info("watching %d targets, listening on %s", len(config.targets), web.url)
        systemd.ready(daemon.status())
        await end.wait()
    finally:
        systemd.stopping()
        await web.stop()
        await daemon.stop()
        ledger.close()
