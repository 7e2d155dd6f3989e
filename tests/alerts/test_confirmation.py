"""What must last, or be seen again, before anybody is notified of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts.test_believable import failing
from alerts.test_suppression import NIGHT
from alerts.worlds import DAY, MINUTE, NOW, SPARE, Life, P, expiring, policy, world
from exporter.alerts.lifecycle import next_event
from exporter.alerts.values import NotificationReason
from exporter.model import ConditionName, Failure, FailureReason, Report, Severity, TargetReport

WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL
FIRST, RESOLVED = NotificationReason.FIRST, NotificationReason.RESOLVED


def test_a_failing_check_alerts_after_two_checks_and_resolves_after_a_good_one() -> None:
    life, healthy = Life(policy(check_failed_after=0.0)), SPARE
    once = world(healthy, failing={"main": NOW})
    assert life.at(NOW, once) == []
    assert life.at(NOW + 60, once) == [], "evaluating the same check again is no second check"
    assert life.at(NOW + 120, world(healthy, failing={"main": NOW + 100})) == [
        ("hook", FIRST, ConditionName.CHECK_FAILED, CRITICAL)
    ]
    assert life.at(NOW + 200, world(healthy)) == [("hook", RESOLVED, ConditionName.CHECK_FAILED, CRITICAL)]


def test_a_failing_check_must_last() -> None:
    life = Life(policy())
    twice = world(SPARE, failing={"main": NOW + 5 * MINUTE})
    assert life.at(NOW, world(SPARE, failing={"main": NOW})) == []
    assert life.at(NOW + 5 * MINUTE, twice) == []
    report = Report(NOW + 5 * MINUTE, (twice.report(NOW + 5 * MINUTE),))
    assert next_event(life.states, report, life.policy, NOW + 5 * MINUTE) == NOW + 15 * MINUTE
    assert life.at(NOW + 15 * MINUTE, twice) == [("hook", FIRST, ConditionName.CHECK_FAILED, CRITICAL)]


def test_a_good_check_restarts_the_count() -> None:
    life = Life(policy())
    for minute in range(10):
        failing = {"main": NOW + minute * MINUTE} if minute % 2 else {}
        assert life.at(NOW + minute * MINUTE, world(SPARE, failing=failing)) == []


def test_agents_that_cannot_be_listed_are_one_failing_target() -> None:
    life = Life(policy())

    def failing(at: float) -> Report:
        failure = Failure(FailureReason.TIMEOUT, "no answer", at)
        return Report(at, (TargetReport("home", "openclaw", world(SPARE).report(at).agents, failure),))

    assert life.sees(failing(NOW), NOW) == []
    later = NOW + 15 * MINUTE
    assert life.sees(failing(later), later) == [("hook", FIRST, ConditionName.CHECK_FAILED, CRITICAL)]
    assert life.messages[-1].alerts[0].agents == ("*",)
    assert life.at(NOW + 16 * MINUTE, world(SPARE)) == [("hook", RESOLVED, ConditionName.CHECK_FAILED, CRITICAL)]


@pytest.mark.parametrize("reason", ["rate_limit", "overloaded", "timeout", "unknown", None])
def test_a_self_healing_condition_must_last(reason: str | None) -> None:
    life = Life(policy())
    down = world(replace(SPARE, down=reason or "format", down_since=NOW))
    assert life.at(NOW, down) == []
    assert life.at(NOW + 15 * MINUTE - 1, down) == []
    assert life.at(NOW + 15 * MINUTE, down) == [("hook", FIRST, ConditionName.NO_USABLE_PROFILE, CRITICAL)]
    assert life.at(NOW + 20 * MINUTE, world(SPARE)) == [("hook", RESOLVED, ConditionName.NO_USABLE_PROFILE, CRITICAL)]


def test_short_cooldowns_are_never_notified() -> None:
    life = Life(policy())
    for minute in range(0, 60, 10):
        at = NOW + minute * MINUTE
        assert life.at(at, world(replace(SPARE, down="rate_limit", down_since=at))) == []
        assert life.at(at + 5 * MINUTE, world(SPARE)) == []


def test_a_condition_that_needs_a_person_is_notified_at_once() -> None:
    life = Life(policy())
    broken = world(P("anthropic:default", down="auth_permanent"), SPARE)
    assert life.at(NOW, broken) == [("hook", FIRST, ConditionName.UNUSABLE, WARNING)]


def test_an_expiry_behind_a_short_cooldown_waits_for_the_end_of_the_cooldown() -> None:
    life = Life(policy())
    both = world(P(ends=NOW), replace(SPARE, down="rate_limit", down_since=NOW))
    assert life.at(NOW, both) == []
    assert life.at(NOW + 60, expiring(NOW)) == [("hook", FIRST, ConditionName.EXPIRED, WARNING)]
    assert life.at(NOW + 120, both) == []
    assert life.at(NOW + 180, expiring(NOW)) == []


def test_a_reboot_wakes_nobody() -> None:
    life = Life(policy())
    for night in range(5):
        at = NIGHT + night * DAY
        for minute in range(0, 14, 2):
            assert life.at(at + minute * MINUTE, failing(at + minute * MINUTE, "main")) == []
        assert life.at(at + 14 * MINUTE, failing(at)) == []


@pytest.mark.parametrize(("confirm_checks", "after"), [(2, 15 * MINUTE), (2, 0.0), (4, 0.0)])
def test_a_failing_check_is_confirmed_by_checks_and_by_time(confirm_checks: int, after: float) -> None:
    life = Life(policy(confirm_checks=confirm_checks, check_failed_after=after))
    at = [NOW + minute * 5 * MINUTE for minute in range(6)]
    sent = [bool(life.at(moment, failing(moment, "main"))) for moment in at]
    first = max(confirm_checks - 1, round(after / (5 * MINUTE)))
    assert sent == [place == first for place in range(6)]
