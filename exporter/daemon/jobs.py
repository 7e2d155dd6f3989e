"""When each target is checked, and evaluated again: the daemon's jobs, which APScheduler runs."""

from __future__ import annotations

import asyncio
import datetime as dt
import zlib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from exporter.checks.schedule import CheckTrigger, ScheduleInputs, baseline, next_check
from exporter.checks.target_checker import TargetChecker
from exporter.daemon.faults import Faults
from exporter.lib import tasks
from exporter.lib.durations import END_OF_DATES

#: What a job does, for a target by name.
JobWork = Callable[[str], Coroutine[Any, Any, None]]


class Jobs:
    """For each scheduled target a repeating check, and an evaluation when time alone changes its verdict."""

    def __init__(
        self,
        check: JobWork,
        evaluate: JobWork,
        checkers: Callable[[], Mapping[str, TargetChecker]],
        inputs_of: Callable[[TargetChecker], ScheduleInputs],
        now: Callable[[], float],
        faults: Faults,
    ) -> None:
        """``checkers`` returns the present ones by target."""
        self._check = check
        self._evaluate = evaluate
        self._checkers = checkers
        self._inputs_of = inputs_of
        self._now = now
        self._faults = faults
        self._runs: set[asyncio.Task[Any]] = set()
        self._evaluates_at: dict[str, float] = {}  # when the evaluation that is planned for a target is due
        self._stops = False
        self._scheduler = AsyncIOScheduler(
            timezone="UTC",
            # None: a late run is still wanted. One is enough, however many were missed.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._scheduler.add_listener(self._ended, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)

    @property
    def running(self) -> bool:
        """Whether due jobs are started."""
        return bool(self._scheduler.running) and not self._stops

    def start(self) -> None:
        self._scheduler.start()

    async def stop(self) -> None:
        """Start no job any more, and end those that run."""
        self._stops = True
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        await asyncio.sleep(0)  # the scheduler ends in the loop's next turn
        await tasks.end(*self._runs)

    # --- jobs ------------------------------------------------------------------------------

    def has(self, target: str) -> bool:
        """Whether the target has its repeating check."""
        return self._scheduler.get_job(f"check:{target}") is not None

    def _has_evaluation(self, target: str) -> bool:
        return self._scheduler.get_job(f"evaluate:{target}") is not None

    def add(self, checker: TargetChecker) -> None:
        """Add the repeating check of a target, the first one now. ``plan`` moves the next one after each."""
        seconds = baseline(self._inputs_of(checker))
        trigger = IntervalTrigger(seconds=seconds, jitter=min(seconds / 10, 30.0), timezone="UTC")
        self._set("check", checker.name, self._check, trigger, self._now())

    def remove(self, target: str) -> None:
        self._evaluates_at.pop(target, None)
        for job in (f"check:{target}", f"evaluate:{target}"):
            if self._scheduler.get_job(job):
                self._scheduler.remove_job(job)

    def plan(self, checker: TargetChecker) -> None:
        """Move a target's next check to when it is due, and evaluate again when time alone changes the verdict."""
        job = self._scheduler.get_job(f"check:{checker.name}")
        if job is not None:
            due, why = next_check(self._inputs_of(checker))
            if why is CheckTrigger.SCHEDULE:  # spread, so that many targets are not checked at once
                due -= max(_spread(checker.name) * min(due - self._now(), 300.0) / 10, 0.0)
            job.modify(next_run_time=_moment(max(due, self._now())))
        at = checker.changes_at
        if at is not None and not (self._evaluates_at.get(checker.name) == at and self._has_evaluation(checker.name)):
            self._set("evaluate", checker.name, self._evaluate, DateTrigger(_moment(at), timezone="UTC"), at)
            self._evaluates_at[checker.name] = at

    def hurry(self) -> None:
        """Look for due jobs now, in case APScheduler's timer was lost."""
        if self.running:
            self._scheduler.wakeup()

    def _set(self, kind: str, name: str, work: JobWork, trigger: object, at: float) -> None:
        if self._stops:
            return
        self._scheduler.add_job(
            self._run, trigger, args=[work, name], id=f"{kind}:{name}", replace_existing=True, next_run_time=_moment(at)
        )

    async def _run(self, work: JobWork, name: str) -> None:
        """One run of a job. No error reaches APScheduler, which would log its text: that may quote a secret."""
        run = asyncio.current_task()
        assert run is not None
        self._runs.add(run)
        try:
            with self._faults.surviving(f"running a job of {name}"):
                await work(name)
        except asyncio.CancelledError:
            if not self._stops:
                raise
        finally:
            self._runs.discard(run)

    def _ended(self, event: JobExecutionEvent) -> None:
        checker = self._checkers().get(event.job_id.partition(":")[2])
        if checker is not None and checker.check_started_at is not None:
            with self._faults.surviving("scheduling"):
                self.plan(checker)  # runs that became due meanwhile were skipped


def _moment(seconds: float) -> dt.datetime:
    """The aware datetime that APScheduler wants, at most the end of the year 9999."""
    return dt.datetime.fromtimestamp(min(seconds, END_OF_DATES), dt.UTC)


def _spread(name: str) -> float:
    """A share of 0 to 1 that stays the same for a name."""
    return (zlib.crc32(name.encode("utf-8", "surrogatepass")) % 1000) / 1000
