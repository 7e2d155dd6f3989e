"""An alert that comes and goes is one message that says how often."""

from __future__ import annotations

from typing import Any

from alerts.worlds import HOUR, MINUTE, NOW, SPARE, Life, P, last, policy, world
from exporter.alerts.values import NotificationReason
from exporter.model import Severity

CRITICAL = Severity.CRITICAL
FIRST, ESCALATED, REPEAT, RESOLVED = (
    NotificationReason.FIRST,
    NotificationReason.ESCALATED,
    NotificationReason.REPEAT,
    NotificationReason.RESOLVED,
)


def flap(life: Life, at: float, *, broken: bool, **changes: Any) -> list[NotificationReason]:
    profile = P(down="auth") if broken else P()
    return [reason for _, reason, _, _ in life.at(at, world(profile, SPARE), **changes)]


def test_an_alert_that_keeps_coming_back_is_one_message_that_says_how_often() -> None:
    life = Life(policy())
    sent = [flap(life, NOW + n * 20 * MINUTE, broken=n % 2 == 0) for n in range(9)]
    assert sent[:5] == [[FIRST], [RESOLVED], [FIRST], [RESOLVED], [FIRST]]
    assert last(life).times == 3
    assert sent[5:] == [[], [], [], []]
    end = NOW + 9 * 20 * MINUTE
    assert flap(life, end, broken=False) == []
    assert flap(life, end + 59 * MINUTE, broken=False) == []
    assert flap(life, end + HOUR, broken=False) == [RESOLVED]
    assert last(life).times == 5
    assert flap(life, end + 3 * HOUR, broken=False) == []


def test_an_alert_that_flapped_and_stays_says_that_it_stays() -> None:
    life = Life(policy())
    for n in range(7):
        flap(life, NOW + n * 20 * MINUTE, broken=n % 2 == 0)
    begun = NOW + 6 * 20 * MINUTE
    assert flap(life, begun + 59 * MINUTE, broken=True) == []
    assert flap(life, begun + HOUR, broken=True) == [REPEAT]
    assert last(life).times == 4
    assert flap(life, begun + 2 * HOUR, broken=True) == []
    flap(life, begun + 3 * HOUR, broken=False)
    flap(life, begun + 5 * HOUR, broken=False)
    assert life.messages[-1].alerts[0].reason is RESOLVED


def test_an_escalation_of_a_flapping_alert_is_always_sent() -> None:
    life = Life(policy())
    for n in range(7):
        flap(life, NOW + n * 20 * MINUTE, broken=n % 2 == 0)
    life.at(NOW + 7 * 20 * MINUTE, world(P(down="auth")))
    assert (last(life).reason, last(life).severity) == (ESCALATED, CRITICAL)
