"""When to look again: the pure decision."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from exporter.checks.schedule import APART, HOURLY, Timing, Why, next_look

T = 1_000_000.0
WITH_STORE = Timing(interval=300, comparable=True, looked_at=T)
WITHOUT = Timing(interval=300, comparable=False, looked_at=T)


def test_the_first_look_is_at_once() -> None:
    assert next_look(replace(WITH_STORE, looked_at=None)) == (0.0, Why.FIRST)


def test_an_unchanged_store_is_looked_at_hourly() -> None:
    assert next_look(WITH_STORE) == (T + HOURLY, Why.SCHEDULE)
    assert next_look(replace(WITH_STORE, interval=7200)) == (T + 7200, Why.SCHEDULE)


def test_without_a_store_every_interval() -> None:
    assert next_look(WITHOUT) == (T + 300, Why.SCHEDULE)


def test_a_changed_store_is_looked_at_soon_but_not_too_often() -> None:
    assert next_look(replace(WITH_STORE, changed_at=T + 100)) == (T + 100, Why.STORE_CHANGED)
    assert next_look(replace(WITH_STORE, changed_at=T + 3)) == (T + APART, Why.STORE_CHANGED)


def test_the_end_of_a_deadline_or_cooldown_is_looked_at() -> None:
    assert next_look(replace(WITH_STORE, look_at=T + 30)) == (T + 32, Why.DEADLINE)
    assert next_look(replace(WITHOUT, look_at=T + 900)) == (T + 300, Why.SCHEDULE)


def test_an_end_that_passed_unseen_is_looked_at_once_however_that_look_went() -> None:
    assert next_look(replace(WITH_STORE, look_at=T - 1.5)) == (T + 2, Why.DEADLINE)
    assert next_look(replace(WITH_STORE, look_at=T - 2)) == (T + HOURLY, Why.SCHEDULE)
    assert next_look(replace(WITH_STORE, look_at=T - 2, failed=True)) == (T + 300, Why.RETRY)


def test_a_failed_look_is_repeated_after_the_interval_or_as_asked() -> None:
    failed = replace(WITH_STORE, failed=True)
    assert next_look(failed) == (T + 300, Why.RETRY)
    assert next_look(replace(failed, retry_after=5.0)) == (T + 5, Why.RETRY)
    assert next_look(replace(failed, retry_after=0.0)) == (T + 1, Why.RETRY)
    assert next_look(replace(failed, retry_after=1e9)) == (T + 300, Why.RETRY)


@given(
    st.builds(
        Timing,
        interval=st.floats(1, 1e5),
        comparable=st.booleans(),
        looked_at=st.just(T),
        failed=st.booleans(),
        retry_after=st.none() | st.floats(0, 1e9),
        look_at=st.none() | st.floats(0, 2 * T),
        changed_at=st.none() | st.floats(0, 2 * T),
    )
)
def test_never_at_once_again_and_never_later_than_the_schedule(timing: Timing) -> None:
    due, _ = next_look(timing)
    assert T + 1 <= due <= T + max(timing.interval, HOURLY)
