"""``forecast``: what is repeated is there once, with its interval, and nothing that is news is left out."""

from __future__ import annotations

import json

import pytest
from reports import compare_golden

from alerts.worlds import DAY, HOUR, NOW, P, World, policy, world
from exporter.alerts.delivery import expected
from exporter.alerts.lifecycle.forecast import Expected, forecast
from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy
from exporter.alerts.message.text import render
from exporter.model import Report

EXPIRED = world(P(ends=NOW - HOUR))
EXPIRING = world(P(ends=NOW + 20 * DAY))


def expect(of: World, rules: AlertPolicy, days: float) -> list[Expected]:
    def evaluate_at(at: float) -> Report:
        return Report(at, (of.report(at),))

    return forecast({}, evaluate_at(NOW), rules, NOW, NOW + days * DAY, evaluate_at)


def test_repeat_is_there_once_and_does_not_drift() -> None:
    found = expect(EXPIRED, policy(repeat_every=6 * HOUR, group_wait=10.0), 365)
    assert [(at - NOW, [a.reason for a in m.alerts], list(every.values())) for at, m, every in found] == [
        (10.0, ["first"], []),
        (10.0 + 6 * HOUR, ["repeat"], [6 * HOUR]),
    ]


def test_each_channel_has_its_own_repeat() -> None:
    rules = policy(channels=(ChannelPolicy("hook"), ChannelPolicy("phone")), group_wait=0.0)
    found = expect(EXPIRED, rules, 3)
    assert [(m.channel, a.reason) for _, m, _ in found for a in m.alerts] == [
        ("hook", "first"),
        ("phone", "first"),
        ("hook", "repeat"),
        ("phone", "repeat"),
    ]


def test_titles_name_the_agent_where_the_target_has_others() -> None:
    both = World({"main": (P(ends=NOW - HOUR),), "work": ()})
    (message,) = (one.message for one in expect(both, policy(), 0.1))
    assert "home/main" in render(message, NOW).title


@pytest.mark.golden
def test_year_of_one_token() -> None:
    found = expect(EXPIRING, policy(group_wait=10.0), 365)
    compare_golden("forecast.txt", "\n".join(expected.lines(found)) + "\n")
    compare_golden("forecast.json", json.dumps(expected.to_json(found, NOW, NOW + 365 * DAY), indent=2) + "\n")
