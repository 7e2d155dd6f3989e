"""Report → what needs someone, and when."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from reports import DAY, HOUR, NOW, agent, profile, report, reports

from exporter.lib.zones import UTC
from exporter.model import (
    AgentReport,
    Condition,
    ConditionName,
    Report,
    Severity,
    Status,
    Step,
    StepAction,
    StepKind,
    Unusable,
)
from exporter.present import to_table
from exporter.present.attention import Urgency, attention

WAIT = Step(StepKind.WAIT, "Wait.", action=StepAction.READ)


def outage(id: str, until: float | None) -> AgentReport:
    """An agent that nothing serves until its only credential has cooled down."""
    down = profile(f"{id}:default", unusable=Unusable("cooldown", "rate_limit", until), usable=False)
    nothing = Condition(ConditionName.NO_USABLE_PROFILE, Severity.CRITICAL, id, None, "None works.", (WAIT,))
    cooling = Condition(ConditionName.UNUSABLE, Severity.CRITICAL, id, down.id, "Cooling down.", (WAIT,))
    return agent(down, id=id, exit_code=1, conditions=(nothing, cooling))


def line(shown: Report, zone: str = "UTC") -> str:
    return attention(shown, NOW).line(NOW, ZoneInfo(zone))


def test_check_says_that_replies_fail_and_when_they_recover() -> None:
    subject = report(outage("a", NOW + HOUR), agent(profile()))
    assert to_table(subject).splitlines()[-1] == (
        "Replies fail now: 1 recovers at 11:00 · 1 fine in 1 target, 2 agents, 2 profiles (exit code 1)."
    )


def test_recovery_is_that_of_the_last_and_unknown_if_one_is() -> None:
    assert line(report(outage("a", NOW + HOUR), outage("b", NOW + 2 * HOUR))) == "2 recover at 12:00 · 0 fine"
    assert line(report(outage("a", NOW + HOUR)), "Asia/Tokyo") == "1 recovers at 20:00 · 0 fine"
    assert line(report(outage("a", NOW + DAY))) == "1 recovers at 2026-11-23 10:00 · 0 fine"
    assert line(report(outage("a", None), outage("b", NOW + HOUR))) == "2 recover without you · 0 fine"
    assert line(report(outage("a", float("inf")))) == "1 recovers without you · 0 fine"


def test_what_needs_someone_now_comes_before_what_recovers() -> None:
    broken = Condition(ConditionName.MISSING, Severity.CRITICAL, "c", None, "No credential.")
    subject = report(outage("a", NOW + HOUR), agent(id="c", exit_code=1, conditions=(broken,)))
    found = attention(subject, NOW)
    assert [case.urgency for case in found.cases] == [Urgency.NOW, Urgency.RECOVERS]
    assert not found.only_recovers
    assert to_table(subject).splitlines()[-1].startswith("Act now: 1 now · 1 recovers at 11:00 · 0 fine in ")


def test_outage_is_one_case_with_the_credentials_it_lists() -> None:
    found = attention(report(outage("a", NOW + HOUR)), NOW)
    assert [(case.subject, case.profile) for case in found.cases] == [("a", None)]
    assert found.fine == ()


def test_credential_that_agents_share_is_one_case() -> None:
    expired = Condition(ConditionName.EXPIRED, Severity.WARNING, "anthropic", "anthropic:default", deadline=NOW - 1)
    one = profile(status=Status.EXPIRED, expires_at=NOW - 1, usable=False)
    shown = report(*(agent(one, id=id, exit_code=2, conditions=(expired,)) for id in ("main", "work")))
    (case,) = attention(shown, NOW).cases
    assert case.agents == ("main", "work")
    assert case.credential is not None


@pytest.mark.parametrize(
    ("changes", "needs_someone"),
    [
        ({"expires_at": NOW + 6 * DAY}, True),
        ({"expires_at": NOW + 8 * DAY}, False),
        ({"expires_at": NOW + DAY, "refreshable": True}, False),
        ({"expires_at": NOW + DAY, "in_use": False}, False),
        ({"expires_at": NOW + DAY, "in_use": None}, True),
        ({"expires_at": NOW + DAY, "ignored": True}, False),
        ({"expires_at": None}, False),
        ({"expires_at": float("inf")}, False),
    ],
)
def test_date_within_a_week_needs_someone(changes: dict[str, Any], needs_someone: bool) -> None:
    assert bool(attention(report(agent(profile(**changes))), NOW).cases) == needs_someone


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(reports)
def test_every_credential_is_counted_once_and_trouble_always(shown: Report) -> None:
    found = attention(shown, NOW)
    about = [case.credential for case in found.cases if case.credential is not None]
    assert len(about) + len(found.fine) + len(found.unseen) <= len(found.credentials)
    assert set(map(id, found.fine)) <= set(map(id, found.credentials))
    if shown.exit_code != 0 and any(target.entries for target in shown.targets):
        assert any(case.urgency is not Urgency.WEEK or case.severity is Severity.WARNING for case in found.cases)
    assert found.line(NOW, UTC).endswith("fine")
