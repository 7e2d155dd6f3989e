"""Finds scheduled checks that are overdue, whatever keeps them: a lost job, a hanging check, a slot never given back.

It depends on none of that: the daemon's pulse asks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from exporter.checks.schedule import ScheduleInputs, next_check, overdue, stale_after
from exporter.checks.target_checker import TargetChecker

#: How often to look for overdue checks, in seconds.
WATCH_EVERY = 15.0
#: How often a stale target is reported again, in seconds: alerting wants to see a failure more than once.
REPORT_AGAIN = 60.0


@dataclass(frozen=True, slots=True)
class OverdueCheck:
    """A check that is due and has not ended."""

    checker: TargetChecker
    seconds: float  # for which it has been due while this process ran
    is_stale: bool  # its target is to be reported as stale now


class OverdueWatch:
    """Counts for how long the checks of each target have been due."""

    def __init__(self, now: Callable[[], float], inputs_of: Callable[[TargetChecker], ScheduleInputs]) -> None:
        self._now = now
        self._inputs_of = inputs_of
        self._elapsed = 0.0
        self._overdue: dict[str, float] = {}  # by target
        self._reported: dict[str, float] = {}  # stale targets -> how overdue they were when they were reported

    def beat(self, checkers: Iterable[TargetChecker], elapsed: float) -> Iterator[OverdueCheck]:
        """The checks that are overdue after another ``elapsed`` seconds. Looks every ``WATCH_EVERY`` seconds."""
        self._elapsed += elapsed
        if self._elapsed < WATCH_EVERY:
            return
        # A stopped process goes on with one long beat. The checks that it made due get their chance first.
        step, self._elapsed, before = min(self._elapsed, 2 * WATCH_EVERY), 0.0, self._overdue
        self._overdue = {}
        now = self._now()
        for checker in checkers:
            inputs = self._inputs_of(checker)._replace(check_started_at=checker.completed_check_started_at)
            seconds = overdue(before.get(checker.name, 0.0), next_check(inputs)[0], now, step)
            if seconds > 0:
                self._overdue[checker.name] = seconds
                yield OverdueCheck(checker, seconds, self._is_stale(checker, seconds))
            else:
                self._reported.pop(checker.name, None)

    def _is_stale(self, checker: TargetChecker, seconds: float) -> bool:
        if seconds <= stale_after(checker.target.timeout):
            return False
        reported = self._reported.get(checker.name)
        if reported is not None and seconds - reported < REPORT_AGAIN:
            return False
        self._reported[checker.name] = seconds
        return True
