"""The pure decision when a target is checked again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exporter.checks import schedule
from exporter.checks.schedule import HOURLY, MIN_SPACING, CheckTrigger, ScheduleInputs, next_check

T = 1_000_000.0
WITH_STORE = ScheduleInputs(interval=300, comparable=True, check_started_at=T)
WITHOUT = ScheduleInputs(interval=300, comparable=False, check_started_at=T)


def test_first_check_is_due_at_once() -> None:
    assert next_check(WITH_STORE._replace(check_started_at=None)) == (0.0, CheckTrigger.FIRST)


def test_unchanged_store_is_checked_hourly() -> None:
    assert next_check(WITH_STORE) == (T + HOURLY, CheckTrigger.SCHEDULE)
    assert next_check(WITH_STORE._replace(interval=7200)) == (T + 7200, CheckTrigger.SCHEDULE)


def test_target_without_store_is_checked_at_every_interval() -> None:
    assert next_check(WITHOUT) == (T + 300, CheckTrigger.SCHEDULE)


def test_changed_store_is_checked_soon_but_not_too_often() -> None:
    assert next_check(WITH_STORE._replace(changed_at=T + 100)) == (T + 100, CheckTrigger.STORE_CHANGED)
    assert next_check(WITH_STORE._replace(changed_at=T + 3)) == (T + MIN_SPACING, CheckTrigger.STORE_CHANGED)


def test_end_of_deadline_or_cooldown_is_checked() -> None:
    assert next_check(WITH_STORE._replace(check_at=T + 30)) == (T + 32, CheckTrigger.DEADLINE)
    assert next_check(WITHOUT._replace(check_at=T + 900)) == (T + 300, CheckTrigger.SCHEDULE)


def test_end_that_passed_between_checks_is_checked_once_even_if_that_fails() -> None:
    assert next_check(WITH_STORE._replace(check_at=T - 1.5)) == (T + 2, CheckTrigger.DEADLINE)
    assert next_check(WITH_STORE._replace(check_at=T - 2)) == (T + HOURLY, CheckTrigger.SCHEDULE)
    assert next_check(WITH_STORE._replace(check_at=T - 2, failed=True)) == (T + 300, CheckTrigger.RETRY)


def test_failed_check_is_repeated_after_the_interval_or_as_the_target_asked() -> None:
    failed = WITH_STORE._replace(failed=True)
    assert next_check(failed) == (T + 300, CheckTrigger.RETRY)
    assert next_check(failed._replace(retry_after=5.0)) == (T + 5, CheckTrigger.RETRY)
    assert next_check(failed._replace(retry_after=0.0)) == (T + 1, CheckTrigger.RETRY)
    assert next_check(failed._replace(retry_after=1e9)) == (T + 300, CheckTrigger.RETRY)


@given(
    st.builds(
        ScheduleInputs,
        interval=st.floats(1, 1e5),
        comparable=st.booleans(),
        check_started_at=st.just(T),
        failed=st.booleans(),
        retry_after=st.none() | st.floats(0, 1e9),
        check_at=st.none() | st.floats(0, 2 * T),
        changed_at=st.none() | st.floats(0, 2 * T),
    )
)
def test_next_check_is_never_immediate_and_never_later_than_the_schedule(inputs: ScheduleInputs) -> None:
    due, _ = next_check(inputs)
    assert T + 1 <= due <= T + max(inputs.interval, HOURLY)


def test_check_is_overdue_only_while_it_is_due_and_by_the_time_that_the_process_ran() -> None:
    assert schedule.overdue(0.0, due=100.0, now=99.0, elapsed=15.0) == 0.0
    assert schedule.overdue(0.0, due=100.0, now=100.0, elapsed=15.0) == 15.0
    assert schedule.overdue(15.0, due=100.0, now=9e9, elapsed=15.0) == 30.0  # whatever the clock says
    assert schedule.overdue(30.0, due=4000.0, now=3000.0, elapsed=15.0) == 0.0  # it has ended


@given(st.floats(0.01, 3600.0))
def test_target_is_stale_after_its_source_was_given_up_and_before_its_check_is(timeout: float) -> None:
    assert timeout < schedule.answer_limit(timeout) < schedule.stale_after(timeout) < schedule.check_limit(timeout)
