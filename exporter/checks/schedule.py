"""When to look again: a pure decision from what is known of a target. Dates are absolute, so an
unchanged credential needs no new process to stay known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: Between looks at a target whose store can be compared, seconds.
HOURLY = 3600.0
#: At the least between two looks because the store changed, start to start, seconds.
MIN_SPACING = 15.0
#: How long after a deadline or a cooldown ends we look, seconds: its end must be past for OpenClaw too, and what
#: the date alone tells is told first.
AFTER_END = 2.0


class CheckTrigger(StrEnum):
    """Why a look is due, for the log."""

    FIRST = "first look"
    SCHEDULE = "schedule"
    STORE_CHANGED = "the store changed"
    DEADLINE = "a deadline or cooldown ended"
    RETRY = "the last look failed"
    ASKED = "somebody asked"


@dataclass(frozen=True, slots=True)
class ScheduleInputs:
    """What the decision rests on. Times are Unix seconds."""

    interval: float  # configured, seconds
    comparable: bool  # the source has a store to compare
    check_started_at: float | None = None  # when the last look began
    failed: bool = False
    retry_after: float | None = None  # seconds the other side asked for
    check_at: float | None = None  # when a deadline or cooldown ends that was not over at the last good look
    changed_at: float | None = None  # when the store was seen to differ


def baseline(timing: ScheduleInputs) -> float:
    """Seconds between looks when nothing happens."""
    if timing.failed or not timing.comparable:
        return timing.interval
    return max(timing.interval, HOURLY)


def next_check(timing: ScheduleInputs) -> tuple[float, CheckTrigger]:
    """When the next look is due and why. Without a look so far it is due at once (0)."""
    if timing.check_started_at is None:
        return 0.0, CheckTrigger.FIRST
    due = [(timing.check_started_at + baseline(timing), CheckTrigger.RETRY if timing.failed else CheckTrigger.SCHEDULE)]
    if timing.failed and timing.retry_after is not None:
        due.append((timing.check_started_at + min(max(timing.retry_after, 1.0), timing.interval), CheckTrigger.RETRY))
    if timing.check_at is not None and timing.check_started_at < timing.check_at + AFTER_END:  # else it was tried
        due.append((max(timing.check_at, timing.check_started_at) + AFTER_END, CheckTrigger.DEADLINE))
    if timing.changed_at is not None:
        due.append((max(timing.changed_at, timing.check_started_at + MIN_SPACING), CheckTrigger.STORE_CHANGED))
    return min(due)
