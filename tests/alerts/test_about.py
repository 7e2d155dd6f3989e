"""The messages about one credential or target: sent, and to come."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.worlds import DAY, NOW, P, policy, world
from exporter.alerts.delivery import about
from exporter.alerts.delivery.about import MessageFilter, expected_about, sent_about
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.values import Alert, Message, NotificationReason
from exporter.model import ConditionName, Family, Report, Severity

MINE = MessageFilter("home", "anthropic", "anthropic:default")


def alert(**changes: Any) -> Alert:
    facts: dict[str, Any] = {
        "fingerprint": "f" * 32,
        "reason": NotificationReason.FIRST,
        "family": Family.DEADLINE,
        "condition": ConditionName.EXPIRED,
        "severity": Severity.CRITICAL,
        "target": "home",
        "provider": "anthropic",
        "profile": "anthropic:default",
    }
    return Alert(**(facts | changes))


@pytest.mark.parametrize(
    ("changes", "is_about_it"),
    [
        ({}, True),
        ({"profile": None}, True),
        ({"profile": None, "provider": None}, True),
        ({"profile": "anthropic:spare"}, False),
        ({"profile": None, "provider": "openai"}, False),
        ({"target": "office"}, False),
    ],
)
def test_message_about_provider_or_target_is_about_the_credential(changes: dict[str, Any], is_about_it: bool) -> None:
    assert MINE.has(alert(**changes)) == is_about_it
    assert MessageFilter("home").has(alert(**changes)) == (changes.get("target") is None)


def test_sent_messages_are_found_with_their_state_the_latest_first() -> None:
    outbox = Outbox(None)
    name = 'ho"me\\ü'
    mine, other = alert(target=name), alert(target="office", fingerprint="e" * 32)
    first, second = [outbox.commit({}, [Message("phone", NOW + n, (mine, other))], NOW + n)[0] for n in (0.0, 60.0)]
    outbox.sent(first, NOW + 1)
    outbox.failed(second, NOW + 61, "http_error", NOW + 70, permanent=True)
    outbox.commit({}, [Message("hook", NOW + 120, (mine,))], NOW + 120)
    outbox.commit({}, [Message("hook", NOW + 180, (other,))], NOW + 180)
    found = sent_about(outbox, MessageFilter(name, "anthropic", "anthropic:default"))
    assert [(one.at - NOW, one.channel, one.state, one.reason) for one in found] == [
        (120, "hook", "pending", "first"),
        (60, "phone", "dead", "first"),
        (0, "phone", "delivered", "first"),
    ]
    assert name.replace("\\", "\\\\") in found[0].title or name in found[0].title
    assert len(sent_about(outbox, MessageFilter("office"))) == 3
    outbox.close()


def test_damaged_and_too_many_messages_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(about, "MAX_SHOWN", 2)
    outbox = Outbox(None)
    for n in range(4):
        outbox.commit({}, [Message("phone", NOW + n, (alert(),))], NOW + n)
    outbox.connection.execute("UPDATE message SET body = '{\"home\"' WHERE sequence = 4")
    assert [one.at - NOW for one in sent_about(outbox, MINE)] == [2, 1]
    outbox.close()


def test_messages_to_come_are_those_of_the_forecast() -> None:
    expiring = world(P(ends=NOW + 20 * DAY), P("anthropic:other", ends=NOW + 10 * DAY))

    def as_of(at: float) -> Report:
        return Report(at, (expiring.report(at),))

    rules = policy(group_wait=0.0)
    lines = expected_about(MINE, {}, rules, as_of, NOW, {})
    assert [line.split("  ")[2] for line in lines][:3] == ["first", "reminder", "reminder"]
    assert all("anthropic:other" not in line for line in lines)
    assert "anthropic:other" in " ".join(expected_about(MessageFilter("home"), {}, rules, as_of, NOW, {}))
    assert expected_about(MessageFilter("office", "anthropic", "anthropic:default"), {}, rules, as_of, NOW, {}) == []
