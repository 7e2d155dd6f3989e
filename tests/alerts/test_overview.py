"""Where an alert stands: told where and when, why it waits, acknowledged, silenced, what comes next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from alerts.worlds import DAY, HOUR, MINUTE, NOW, Life, P, policy, world
from exporter.alerts.delivery.overview import explained, lines, silencing, standing, standings
from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy, QuietPeriod, Silence
from exporter.model import ConditionName, Severity

HOOK = ChannelPolicy("hook")
NIGHT = QuietPeriod(22 * 60, 7 * 60, ZoneInfo("UTC"), Severity.CRITICAL)
SPARE = P("anthropic:spare", ends=NOW + 300 * DAY, secret="spare")


def told_of(life: Life, rules: AlertPolicy, now: float) -> list[str]:
    return [lines(one, now)[0] for one in standings(life.states, rules, now)]


def test_a_reminder_and_the_next() -> None:
    rules = policy(HOOK)
    life = Life(rules)
    home = world(P(ends=NOW + 10 * DAY))
    life.at(NOW, home)
    (one,) = standings(life.states, rules, NOW + HOUR)
    assert one.title == "anthropic:default expires in 9 days 23 h on home"
    assert lines(one, NOW + HOUR) == [
        "alert expiring (info): told on hook 1 h ago (first, 2026-11-22T10:00:00Z); again at 2026-11-25T10:00:00Z",
        f"  {one.state.fingerprint}",
    ]
    assert explained(life.states, rules, NOW + HOUR) == {
        ("home", "main", "anthropic", "anthropic:default"): lines(one, NOW + HOUR)
    }


def test_a_critical_is_repeated_until_it_is_acknowledged_or_silenced() -> None:
    rules = policy(HOOK)
    life = Life(rules)
    life.at(NOW, world(P(ends=NOW - HOUR)))
    down, expired = told_of(life, rules, NOW)
    assert down.endswith("again at 2026-11-22T16:00:00Z")
    assert expired == "alert expired (critical): not told; told within no_usable_profile"
    key = next(key for key, state in life.states.items() if state.condition is ConditionName.NO_USABLE_PROFILE)
    seen = replace(rules, acknowledged={life.states[key].fingerprint: NOW + MINUTE})
    assert told_of(life, seen, NOW + HOUR)[0].endswith(
        "told on hook 1 h ago (first, 2026-11-22T10:00:00Z); acknowledged 59 min ago (2026-11-22T10:01:00Z)"
    )
    hushed = replace(rules, silences=(Silence("1", {"target": "home"}, NOW + 8 * HOUR),))
    assert told_of(life, hushed, NOW)[0].endswith("silenced until 2026-11-22T18:00:00Z; again at 2026-11-22T18:00:00Z")


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ({"channels": (replace(HOOK, quiet=NIGHT),)}, "held back by the quiet hours of hook"),
        ({"silences": (Silence("1", {"target": "home"}, NOW + DAY),)}, "held back by a silence"),
        ({"group_wait": 10.0}, "about to be told"),
        ({"channels": (replace(HOOK, min_severity=Severity.CRITICAL),)}, "no channel is to hear of it"),
    ],
)
def test_why_it_is_not_told(changes: dict[str, Any], waits: str) -> None:
    rules = replace(policy(HOOK), **changes)
    life, midnight = Life(rules), NOW + 14 * HOUR
    life.at(midnight, world(P(ends=midnight - HOUR), SPARE))
    assert [(one.waits, dict(one.notified)) for one in standings(life.states, rules, midnight)] == [(waits, {})]


def test_what_must_last_or_be_seen_again() -> None:
    rules = policy(HOOK)
    life = Life(rules)
    life.at(NOW, world(P(down="rate_limit", down_since=NOW), SPARE, failing={"main": NOW}))
    assert {one.state.condition: one.waits for one in standings(life.states, rules, NOW)} == {
        ConditionName.CHECK_FAILED: "told when 2 looks in a row find it",
        ConditionName.UNUSABLE: "told if it lasts until 2026-11-22T10:15:00Z",
    }


def test_at_night_the_next_is_in_the_morning() -> None:
    rules = policy(replace(HOOK, quiet=NIGHT))
    life = Life(rules)
    life.at(NOW, world(P(ends=NOW + 14 * HOUR + 6 * HOUR), SPARE))
    (state,) = life.states.values()
    assert standing(state, rules, NOW).next_at == NOW + 21 * HOUR  # the step at 00:00 is told at 07:00


def test_a_silence_is_about_as_much_as_the_alert() -> None:
    life = Life(policy(HOOK))
    life.at(NOW, world(P(ends=NOW - HOUR), failing={"main": NOW}))
    matchers = {state.condition: silencing(state) for state in life.states.values()}
    assert matchers == {
        ConditionName.NO_USABLE_PROFILE: {"target": "home", "provider": "anthropic"},
        ConditionName.EXPIRED: {"target": "home", "provider": "anthropic", "profile": "anthropic:default"},
        ConditionName.CHECK_FAILED: {"target": "home", "condition": "check_failed"},
    }
    for state in life.states.values():
        assert Silence("1", matchers[state.condition], NOW + 1).matches(state)
