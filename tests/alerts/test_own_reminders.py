"""A profile, a target and a provider may have reminders of their own."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.worlds import DAY, HOUR, NOW, Life, P, World, policy
from exporter.alerts.lifecycle import next_event
from exporter.alerts.values import NotificationReason
from exporter.config import Policy
from exporter.model import Report

FIRST, REMINDER = NotificationReason.FIRST, NotificationReason.REMINDER
ENDS = NOW + 40 * DAY
OTHER = "openai:me"
BOTH = World({"main": (P(ends=ENDS), P(OTHER, ends=ENDS, secret="secret-2"))})


def sent(**own: Any) -> list[tuple[str | None, NotificationReason, float]]:
    """Profile, reason and days before the deadline of what is sent until two days before it."""
    life = Life(policy(remind_before=(3 * DAY,), verdict=Policy.model_validate(own)))
    found: list[tuple[str | None, NotificationReason, float]] = []
    now = NOW
    while now < ENDS - 2 * DAY:
        count = len(life.messages)
        life.at(now, BOTH)
        for message in life.messages[count:]:
            found += [(alert.profile, alert.reason, round((ENDS - now) / DAY, 3)) for alert in message.alerts]
        event = next_event(life.states, Report(now, (BOTH.report(now),)), life.policy, now)
        now = event if event is not None else ENDS
    return found


ANTHROPIC, OPENAI = "anthropic:default", OTHER
BY_DEFAULT = {(ANTHROPIC, FIRST, 3.0), (OPENAI, FIRST, 3.0)}
OWN = {(ANTHROPIC, FIRST, 30.0), (ANTHROPIC, REMINDER, 20.0), (OPENAI, FIRST, 3.0)}


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, BY_DEFAULT),
        ({"profiles": {"home/anthropic:default": {"remind_before": ["20d", "30d"]}}}, OWN),
        ({"providers": {"anthropic": {"remind_before": ["30d", "20d"]}}}, OWN),
        ({"targets": {"home": {"remind_before": ["5d"]}}}, {(ANTHROPIC, FIRST, 5.0), (OPENAI, FIRST, 5.0)}),
        ({"targets": {"vps": {"remind_before": ["5d"]}}}, BY_DEFAULT),
        # The target's win over the provider's, and the profile's over both.
        (
            {
                "targets": {"home": {"remind_before": ["5d"]}},
                "providers": {"anthropic": {"remind_before": ["9d"]}, "openai": {"remind_before": ["9d"]}},
                "profiles": {OTHER: {"remind_before": ["7d"]}},
            },
            {(ANTHROPIC, FIRST, 5.0), (OPENAI, FIRST, 7.0)},
        ),
        # No reminder at all: the verdict's warning, which comes later, is the first message.
        ({"providers": {"openai": {"remind_before": []}}}, {(ANTHROPIC, FIRST, 3.0)}),
    ],
)
def test_the_narrowest_reminders_are_sent(own: dict[str, Any], expected: set[Any]) -> None:
    assert sorted(sent(**own)) == sorted(expected)


def test_edited_reminders_of_a_profile_are_no_new_alert() -> None:
    life = Life(policy(remind_before=(14 * DAY,)))
    it = World({"main": (P(ends=NOW + 10 * DAY),)})
    assert [reason for _, reason, _, _ in life.at(NOW, it)] == [FIRST]
    for steps in (["2d"], [], ["30d", "14d", "9d"]):
        own = Policy.model_validate({"targets": {"home": {"remind_before": steps}}})
        assert life.at(NOW + HOUR, it, verdict=own) == []
