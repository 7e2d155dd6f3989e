"""The end of a quota alert says that the quota is back only where a report shows it."""

from __future__ import annotations

import pytest

from alerts.worlds import HOUR, NOW, Life, P, World, policy
from exporter.alerts.message import text
from exporter.alerts.values import NotificationReason, ResolutionCause
from exporter.lib.zones import UTC
from exporter.model import Condition, ConditionName, Report, Severity, TargetReport, UsageWindow

ABOVE = Condition(
    ConditionName.QUOTA, Severity.INFO, "anthropic", summary="anthropic has used 93% of its 5h window", reason="5h"
)


def seen(now: float, used: float | None, *others: UsageWindow) -> Report:
    """A target whose 5h window is so full; None: that is not reported."""
    conditions = (ABOVE,) if used is not None and used > 0.9 else ()
    report = World({"main": (P(ends=NOW + 90 * 86400),)}, extra={"main": conditions}).report(now)
    windows = () if used is None else (UsageWindow("anthropic", "5h", used),)
    agents = tuple(agent._replace(usage=(*others, *windows)) for agent in report.agents)
    return Report(now, (TargetReport(report.target, report.source, agents),))


OTHERS = (UsageWindow("anthropic", "week", 0.2), UsageWindow("openai", "5h", 0.1))


@pytest.mark.parametrize(
    ("then", "cause", "title"),
    [
        (0.03, ResolutionCause.OVER, "anthropic has its 5h quota back on home"),
        (None, ResolutionCause.NOT_NEEDED, "anthropic no longer reports its 5h quota on home"),
    ],
)
def test_the_end_says_what_the_report_shows(then: float | None, cause: ResolutionCause, title: str) -> None:
    life = Life(policy())
    assert [reason for _, reason, _, _ in life.sees(seen(NOW, 0.93), NOW)] == [NotificationReason.FIRST]
    now = NOW + HOUR
    assert [reason for _, reason, _, _ in life.sees(seen(now, then, *OTHERS), now)] == [NotificationReason.RESOLVED]
    (alert,) = life.messages[-1].alerts
    assert alert.resolution_cause is cause
    shown = text.render(life.messages[-1], now, UTC)
    assert shown.title == title
    assert ("How much of it is used is not known now." in shown.body) is (then is None)
