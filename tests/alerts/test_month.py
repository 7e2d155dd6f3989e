"""A month of noise costs a phone few messages, and none of the troubles that last is missing."""

from __future__ import annotations

import pytest

from alerts import month
from exporter.model import ConditionName, Severity


@pytest.mark.parametrize(
    "durations",
    [
        month.SHORT,
        month.LONG,
    ],
    ids=["short", "long"],
)
def test_a_noisy_month_costs_a_phone_at_most_thirty_messages(durations: tuple[int, ...]) -> None:
    messages = month.run(durations)
    phone = month.shown(messages, "phone")
    assert {message.severity for message in month.at_night(phone)} <= {Severity.CRITICAL}
    said = {(alert.target, alert.condition) for message in phone for alert in message.alerts}
    assert {
        ("home", ConditionName.UNUSABLE),
        ("gateway-1", ConditionName.UNUSABLE),
        ("home", ConditionName.EXPIRING),
        ("home", ConditionName.EXPIRED),
    } <= said
    assert "gateway-2" not in {target for target, _ in said}, "it only reboots"
    assert len(phone) <= 30
