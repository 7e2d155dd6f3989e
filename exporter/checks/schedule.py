"""When to check a target again: a pure decision from what is known about it.

Dates are absolute, so an unchanged credential needs no new check to stay known.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

#: Between checks of a target whose store can be compared, in seconds.
HOURLY = 3600.0
#: At least this long between the starts of two checks caused by changes of the store, in seconds.
MIN_SPACING = 15.0
#: How long after the end of a deadline or cooldown to check, in seconds. By then it has ended for OpenClaw too, and
#: the verdict that follows from the date alone has been reported.
AFTER_END = 2.0
#: How long a check may wait for those of other targets before that is a fault, in seconds.
MAX_WAIT = 60.0


class CheckTrigger(StrEnum):
    """Why a check is due, for the log."""

    FIRST = "first check"
    SCHEDULE = "schedule"
    STORE_CHANGED = "the store changed"
    DEADLINE = "a deadline or cooldown ended"
    RETRY = "the last check failed"


class ScheduleInputs(NamedTuple):
    """The facts that the decision is based on. Times are Unix seconds."""

    interval: float  # as configured, in seconds
    comparable: bool  # the source has a store to compare
    check_started_at: float | None = None  # start of the last check
    failed: bool = False  # the last check failed
    retry_after: float | None = None  # seconds that the target asked us to wait
    check_at: float | None = None  # end of the next deadline or cooldown, as of the last successful check
    changed_at: float | None = None  # when the store was found changed


def baseline(inputs: ScheduleInputs) -> float:
    """Seconds between checks if nothing happens."""
    if inputs.failed or not inputs.comparable:
        return inputs.interval
    return max(inputs.interval, HOURLY)


def next_check(inputs: ScheduleInputs) -> tuple[float, CheckTrigger]:
    """When the next check is due and why. The first check is due at once (0)."""
    started_at = inputs.check_started_at
    if started_at is None:
        return 0.0, CheckTrigger.FIRST
    due = [(started_at + baseline(inputs), CheckTrigger.RETRY if inputs.failed else CheckTrigger.SCHEDULE)]
    if inputs.failed and inputs.retry_after is not None:
        due.append((started_at + min(max(inputs.retry_after, 1.0), inputs.interval), CheckTrigger.RETRY))
    if inputs.check_at is not None and started_at < inputs.check_at + AFTER_END:  # else that was checked already
        due.append((max(inputs.check_at, started_at) + AFTER_END, CheckTrigger.DEADLINE))
    if inputs.changed_at is not None:
        due.append((max(inputs.changed_at, started_at + MIN_SPACING), CheckTrigger.STORE_CHANGED))
    return min(due)


def answer_limit(timeout: float) -> float:
    """Seconds within which a source has answered, or is given up. Each of its own steps ends within ``timeout``."""
    return 2 * timeout + 30.0


def check_limit(timeout: float) -> float:
    """Seconds within which a check has ended, or is given up: far more than a target and its queue need."""
    return 2 * answer_limit(timeout) + 10 * MAX_WAIT


def stale_after(timeout: float) -> float:
    """Seconds for which a check may be overdue before its target is stale: the agents are listed, then checked."""
    return 2 * answer_limit(timeout) + MAX_WAIT


def overdue(before: float, due: float, now: float, elapsed: float) -> float:
    """Seconds for which a check has been due, after ``elapsed`` more in which the process ran.

    ``before`` is the result of the last call. Time in which the host was suspended, or that a step of the clock
    skipped, does not count: the check that it made due gets its chance first.
    """
    return before + elapsed if now >= due else 0.0
