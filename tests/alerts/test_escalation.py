"""Acknowledgements, and the order in which channels are notified until there is one."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.worlds import HOUR, MINUTE, NOW, SPARE, Life, P, notice, policy, world
from exporter.alerts.lifecycle import next_event
from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy
from exporter.alerts.values import NotificationReason
from exporter.config import Config
from exporter.model import ConditionName, Report, Severity

WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL
FIRST, ESCALATED, EASED, REPEAT, RESOLVED = (
    NotificationReason.FIRST,
    NotificationReason.ESCALATED,
    NotificationReason.EASED,
    NotificationReason.REPEAT,
    NotificationReason.RESOLVED,
)


def test_acknowledging_stops_repeats_until_it_gets_worse() -> None:
    life = Life(policy())
    life.at(NOW, notice(CRITICAL))
    (state,) = life.states.values()
    acknowledged = {state.fingerprint: NOW + 60}
    assert life.at(NOW + 7 * HOUR, notice(CRITICAL), acknowledged=acknowledged) == []
    assert life.at(NOW + 8 * HOUR, notice(WARNING), acknowledged=acknowledged) == [
        ("hook", EASED, ConditionName.CLOCK, WARNING)
    ]
    assert life.at(NOW + 9 * HOUR, notice(CRITICAL), acknowledged=acknowledged) == [
        ("hook", ESCALATED, ConditionName.CLOCK, CRITICAL)
    ]
    assert life.at(NOW + 15 * HOUR, notice(CRITICAL), acknowledged=acknowledged) == [
        ("hook", REPEAT, ConditionName.CLOCK, CRITICAL)
    ]


def test_a_critical_alert_escalates_until_it_is_acknowledged() -> None:
    escalating = policy(
        ChannelPolicy("phone"), ChannelPolicy("team", step=1), ChannelPolicy("boss", step=2), escalate_after=15 * MINUTE
    )
    life, it = Life(escalating), notice(CRITICAL)
    assert life.at(NOW, it) == [("phone", FIRST, ConditionName.CLOCK, CRITICAL)]
    assert next_event(life.states, Report(NOW), escalating, NOW) == NOW + 15 * MINUTE
    assert life.at(NOW + 15 * MINUTE, it) == [("team", FIRST, ConditionName.CLOCK, CRITICAL)]
    acknowledged = {next(iter(life.states.values())).fingerprint: NOW + 16 * MINUTE}
    assert life.at(NOW + HOUR, it, acknowledged=acknowledged) == []
    assert life.at(NOW + 2 * HOUR, world(SPARE), acknowledged=acknowledged) == [
        ("phone", RESOLVED, ConditionName.CLOCK, CRITICAL),
        ("team", RESOLVED, ConditionName.CLOCK, CRITICAL),
    ]


@pytest.mark.parametrize(
    ("order", "steps"),
    [([], {"phone": 0, "team": 1, "boss": 2}), (["boss", "phone"], {"phone": 1, "team": 0, "boss": 0})],
)
def test_without_an_order_an_alert_escalates_in_the_order_of_configuration(
    order: list[str], steps: dict[str, int]
) -> None:
    channels: list[dict[str, Any]] = [{"name": name, "type": "termux"} for name in ("phone", "team", "boss")]
    channels.insert(1, {"name": "am", "type": "alertmanager", "urls": ["http://am.test"]})
    made = Config.model_validate({"channels": channels, "alerts": {"escalate_after": "15m", "order": order}})
    assert {channel.name: channel.step for channel in AlertPolicy.of(made).channels} == steps


def test_later_channels_of_the_order_get_only_what_escalated_to_them_and_its_end() -> None:
    order = (ChannelPolicy("phone"), ChannelPolicy("team", step=1))
    life = Life(policy(*order, escalate_after=15 * MINUTE))
    warning, down = world(P(down="auth"), SPARE), world(P(down="auth"))
    life.at(NOW, warning)
    life.at(NOW + HOUR, warning)
    life.at(NOW + 2 * HOUR, world(P(), SPARE))
    assert {message.channel for message in life.messages} == {"phone"}
    life.at(NOW + 3 * HOUR, down)
    life.at(NOW + 3 * HOUR + 15 * MINUTE, down)
    life.at(NOW + 4 * HOUR, warning)
    life.at(NOW + 5 * HOUR, world(P(), SPARE))
    team = [alert.reason for m in life.messages if m.channel == "team" for alert in m.alerts]
    assert team[0] is FIRST
    assert team[-1].ends
    assert FIRST not in team[1:]
