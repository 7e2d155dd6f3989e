"""The status of an alert: where it was notified and when, why it waits, acknowledged, silenced, what comes next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from alerts.worlds import DAY, HOUR, MINUTE, NOW, Life, P, policy, world
from exporter.alerts.delivery.overview import (
    alert_status,
    alert_statuses,
    lines_by_profile,
    silence_matchers,
    status_lines,
)
from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy, QuietPeriod, Silence
from exporter.alerts.values import Loss, changed
from exporter.model import ConditionName, Severity

HOOK = ChannelPolicy("hook")
NIGHT = QuietPeriod(22 * 60, 7 * 60, ZoneInfo("UTC"), Severity.CRITICAL)
SPARE = P("anthropic:spare", ends=NOW + 300 * DAY, secret="spare")


def lines_of(life: Life, rules: AlertPolicy, now: float) -> list[str]:
    return [status_lines(one, now)[0] for one in alert_statuses(life.states, rules, now)]


def test_status_has_the_last_reminder_and_the_next() -> None:
    rules = policy(HOOK)
    life = Life(rules)
    home = world(P(ends=NOW + 10 * DAY))
    life.at(NOW, home)
    (one,) = alert_statuses(life.states, rules, NOW + HOUR)
    assert one.title == "anthropic:default expires in 9 days 23 h on home"
    assert status_lines(one, NOW + HOUR) == [
        "alert expiring (info): notified on hook 1 h ago (first, 2026-11-22T10:00:00Z); next at 2026-11-25T10:00:00Z",
        f"  {one.state.fingerprint}",
    ]
    assert lines_by_profile(life.states, rules, NOW + HOUR) == {
        ("home", "main", "anthropic", "anthropic:default"): status_lines(one, NOW + HOUR)
    }


def test_critical_alert_is_repeated_until_it_is_acknowledged_or_silenced() -> None:
    rules = policy(HOOK)
    life = Life(rules)
    life.at(NOW, world(P(ends=NOW - HOUR)))
    down, expired = lines_of(life, rules, NOW)
    assert down.endswith("next at 2026-11-22T16:00:00Z")
    assert expired == "alert expired (critical): not notified; notified as part of no_usable_profile"
    key = next(key for key, state in life.states.items() if state.condition is ConditionName.NO_USABLE_PROFILE)
    seen = replace(rules, acknowledged={life.states[key].fingerprint: NOW + MINUTE})
    assert lines_of(life, seen, NOW + HOUR)[0].endswith(
        "notified on hook 1 h ago (first, 2026-11-22T10:00:00Z); acknowledged 59 min ago (2026-11-22T10:01:00Z)"
    )
    hushed = replace(rules, silences=(Silence("1", {"target": "home"}, NOW + 8 * HOUR),))
    assert lines_of(life, hushed, NOW)[0].endswith("silenced until 2026-11-22T18:00:00Z; next at 2026-11-22T18:00:00Z")


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ({"channels": (replace(HOOK, quiet=NIGHT),)}, "suppressed by the quiet hours of hook"),
        ({"silences": (Silence("1", {"target": "home"}, NOW + DAY),)}, "suppressed by a silence"),
        ({"group_wait": 10.0}, "about to be sent"),
        ({"channels": (replace(HOOK, min_severity=Severity.CRITICAL),)}, "no channel accepts it"),
    ],
)
def test_reason_why_an_alert_is_not_notified(changes: dict[str, Any], waits: str) -> None:
    rules = replace(policy(HOOK), **changes)
    life, midnight = Life(rules), NOW + 14 * HOUR
    life.at(midnight, world(P(ends=midnight - HOUR), SPARE))
    assert [(one.waits, dict(one.notified)) for one in alert_statuses(life.states, rules, midnight)] == [(waits, {})]


def test_alert_that_must_last_or_be_confirmed_says_so() -> None:
    rules = policy(HOOK)
    life = Life(rules)
    life.at(NOW, world(P(down="rate_limit", down_since=NOW), SPARE, failing={"main": NOW}))
    assert {one.state.condition: one.waits for one in alert_statuses(life.states, rules, NOW)} == {
        ConditionName.CHECK_FAILED: (
            "notified when 2 checks in a row find it, not before 2026-11-22T10:15:00Z (check_failed_after)"
        ),
        ConditionName.UNUSABLE: "notified if it lasts until 2026-11-22T10:15:00Z (cooldown_after)",
    }


def test_reminder_in_quiet_hours_is_next_at_their_end() -> None:
    rules = policy(replace(HOOK, quiet=NIGHT))
    life = Life(rules)
    life.at(NOW, world(P(ends=NOW + 14 * HOUR + 6 * HOUR), SPARE))
    (state,) = life.states.values()
    assert alert_status(state, rules, NOW).next_at == NOW + 21 * HOUR  # the step at 00:00 is notified at 07:00


def test_silence_of_an_alert_matches_that_alert() -> None:
    life = Life(policy(HOOK))
    life.at(NOW, world(P(ends=NOW - HOUR), failing={"main": NOW}))
    matchers = {state.condition: silence_matchers(state) for state in life.states.values()}
    assert matchers == {
        ConditionName.NO_USABLE_PROFILE: {"target": "home", "provider": "anthropic"},
        ConditionName.EXPIRED: {"target": "home", "provider": "anthropic", "profile": "anthropic:default"},
        ConditionName.CHECK_FAILED: {"target": "home", "condition": "check_failed"},
    }
    for state in life.states.values():
        assert Silence("1", matchers[state.condition], NOW + 1).matches(state)


def test_what_was_not_delivered_is_sent_again() -> None:
    rules = policy(HOOK)
    life = Life(rules)
    life.at(NOW, world(P(ends=NOW + 10 * DAY)))
    (state,) = life.states.values()
    lost = changed(state, notified={}, lost={"hook": Loss(NOW + MINUTE)})
    (one,) = alert_statuses({lost.key: lost}, rules, NOW + HOUR)
    assert status_lines(one, NOW + HOUR)[0] == (
        "alert expiring (info): not notified; not delivered on hook 59 min ago (2026-11-22T10:01:00Z), "
        "sent again at the latest at 2026-11-22T16:01:00Z"
    )


def test_agents_that_differ_have_lines_of_their_own() -> None:
    rules = policy(HOOK)
    life = Life(rules)
    life.at(NOW, world(P(ends=NOW + 10 * DAY)))
    (state,) = life.states.values()
    fact = next(iter(state.facts.values()))
    other = replace(fact, condition=ConditionName.EXPIRED, severity=Severity.CRITICAL, deadline=NOW)
    waits = replace(fact, condition=ConditionName.UNUSABLE, confirmed=False, self_healing=True, began_at=NOW, since=NOW)
    state = changed(state, facts={**state.facts, "other": other, "waits": waits}, begun_at=(NOW, NOW + 1, NOW + 2))
    (one,) = alert_statuses({state.key: state}, rules, NOW + HOUR)
    first, *others, _ = status_lines(one, NOW + HOUR)
    assert "began 3 times within a day" in first
    assert others == [
        "  agent other: expired (critical), deadline 2026-11-22T10:00:00Z",
        "  agent waits: unusable (info): notified if it lasts until 2026-11-22T10:15:00Z (cooldown_after)",
    ]
    assert {key[1] for key in lines_by_profile({state.key: state}, rules, NOW)} == {"main", "other", "waits"}
