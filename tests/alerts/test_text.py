"""The text of messages: one golden file per condition with every reason, and properties for arbitrary names."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.worlds import DAY, HOUR, MINUTE, NOW
from exporter.alerts.lifecycle import test_message as make_test_message
from exporter.alerts.message import text
from exporter.alerts.values import AgentNote, Alert, Message, NotificationReason, ResolutionCause, SuppressedAlert
from exporter.model import ConditionName, Family, Severity

GOLDEN = Path(__file__).parent / "golden"
STOCKHOLM = ZoneInfo("Europe/Stockholm")
RENEW = (
    "claude setup-token",
    "openclaw models auth paste-token --provider anthropic --profile-id anthropic:default --expires-in 365d",
)
STATUS = ("openclaw models status",)
INFO, WARNING, CRITICAL = Severity
PROFILE, PROVIDER, TARGET = (
    {"provider": "anthropic", "profile": "anthropic:default"},
    {"provider": "anthropic", "profile": None},
    {"provider": None, "profile": None},
)
DEADLINES = {
    ConditionName.UNDATED: NOW + 300 * DAY,
    ConditionName.EXPIRING: NOW + 5 * HOUR,
    ConditionName.EXPIRED: NOW - 3 * HOUR,
}


def condition_alert(
    condition: ConditionName,
    severity: Severity,
    about: dict[str, Any],
    summary: str,
    remedy: tuple[str, ...] = RENEW,
    cause: str | None = None,
) -> Alert:
    """A condition as the verdict reports it, notified for the first time."""
    return Alert(
        fingerprint="f" * 32,
        reason=NotificationReason.FIRST,
        family=condition.family,
        condition=condition,
        severity=severity,
        target="home",
        agents=("main", "work"),
        since=NOW - 3 * HOUR,
        deadline=DEADLINES.get(condition),
        cause=cause,
        summary=summary,
        remedy=remedy,
        **about,
    )


#: Each condition as the verdict reports it.
ALERTS = {
    one.condition: one
    for one in (
        condition_alert(
            ConditionName.UNDATED,
            INFO,
            PROFILE,
            "anthropic:default on home/main has no expiry date, so nothing warns before it ends; it ends by "
            "2027-09-18T10:00:00Z at the latest",
            (
                *RENEW,
                "Or, if you know when it ends: openclaw-auth-exporter deadline set home/main/anthropic:default DATE",
            ),
        ),
        condition_alert(
            ConditionName.EXPIRING,
            WARNING,
            PROFILE,
            "anthropic:default expires on home/main in 5 h (2026-11-22T15:00:00Z)",
        ),
        condition_alert(
            ConditionName.EXPIRED,
            CRITICAL,
            PROFILE,
            "anthropic:default expired on home/main 3 h ago (2026-11-22T07:00:00Z)",
        ),
        condition_alert(
            ConditionName.UNUSABLE,
            CRITICAL,
            PROFILE,
            "anthropic:default is disabled on home/main (billing) until 2026-11-22T20:00:00Z",
            ("Top up or fix the billing of anthropic", *STATUS),
            "billing",
        ),
        condition_alert(
            ConditionName.MISSING,
            CRITICAL,
            PROVIDER,
            "anthropic has no credential on home/main, and a model in use needs one",
        ),
        condition_alert(
            ConditionName.NO_USABLE_PROFILE,
            CRITICAL,
            PROVIDER,
            "No credential of anthropic works on home/main: anthropic:default expired, anthropic:spare cooldown (auth)",
        ),
        condition_alert(
            ConditionName.CHECK_FAILED,
            CRITICAL,
            TARGET,
            "The check of home/main failed: `openclaw` did not answer within 60 s; the last good check was at "
            "2026-11-22T07:00:00Z",
            ("openclaw models status --check --agent main",),
            "timeout",
        ),
        condition_alert(
            ConditionName.REPORTED,
            CRITICAL,
            TARGET,
            "OpenClaw's own check of home/main exits 1, and nothing in its output explains why",
            ("openclaw models status --check",),
        ),
        condition_alert(
            ConditionName.STATUS_DISAGREES,
            INFO,
            PROFILE,
            "anthropic:default on home/main: OpenClaw reports ok, but its date has passed",
            (),
        ),
        condition_alert(
            ConditionName.IDLE,
            INFO,
            PROFILE,
            "The access token of anthropic:default on home/main expired 2 days ago; it may refresh at the next use",
            STATUS,
        ),
        condition_alert(
            ConditionName.VANISHED,
            INFO,
            PROFILE,
            "anthropic:default is gone from home/main; it was last seen at 2026-11-22T07:00:00Z",
        ),
        condition_alert(
            ConditionName.CREDENTIAL_CHANGED,
            INFO,
            PROVIDER,
            "anthropic on home/main is now served by api_key, before by token",
            STATUS,
        ),
        condition_alert(
            ConditionName.PARTIAL_VIEW,
            INFO,
            TARGET,
            "home/main: a gateway does not report cooldowns and disables",
            (),
        ),
        condition_alert(
            ConditionName.QUOTA,
            INFO,
            PROVIDER,
            "anthropic on home/main has used 93% of its 5h window; it resets at 2026-11-22T12:00:00Z",
            (),
            "5h",
        ),
        condition_alert(
            ConditionName.CLOCK,
            WARNING,
            TARGET,
            "The clock shows 2020-01-01T00:00:00Z, but the time is at least 2026-11-22T09:00:00Z: "
            "deadlines are ignored",
            ("timedatectl status",),
        ),
    )
}


def alert(condition: ConditionName, reason: NotificationReason) -> Alert:
    assert condition in ALERTS, f"condition {condition} has no example here: add one to ALERTS in {__file__}"
    base = replace(ALERTS[condition], reason=reason)
    if reason is NotificationReason.EASED:
        base = replace(base, severity=INFO if condition is ConditionName.EXPIRING else WARNING)
    if reason.ends:
        until = NOW + 365 * DAY if reason is NotificationReason.RENEWED else base.deadline
        base = replace(base, ended_at=NOW - MINUTE, deadline=until, remedy=())
        base = replace(base, summary=text.sentence(base, NOW))
    return base


def reasons_of(condition: ConditionName) -> list[NotificationReason]:
    """The reasons to notify of a condition."""
    reasons = [NotificationReason.FIRST]
    if condition.family in (Family.DEADLINE, Family.AVAILABILITY) and condition is not ConditionName.UNDATED:
        reasons += [NotificationReason.ESCALATED, NotificationReason.EASED]
    if condition is ConditionName.EXPIRING:
        reasons.append(NotificationReason.REMINDER)
    if ALERTS[condition].severity is CRITICAL:
        reasons.append(NotificationReason.REPEAT)
    reasons.append(NotificationReason.RESOLVED)
    if condition.family in (Family.DEADLINE, Family.AVAILABILITY):
        reasons.append(NotificationReason.RENEWED)
    return reasons


def rendered(condition: ConditionName) -> str:
    parts = []
    for reason in reasons_of(condition):
        shown = text.render(
            Message("phone", NOW, (alert(condition, reason),)), NOW, STOCKHOLM, "https://status.example"
        )
        parts.append(f"=== {reason}\n{shown.title}\n---\n{shown.body}\n")
    return "\n".join(parts)


def check(name: str, content: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(content)
    assert path.exists(), f"{path.name} is missing: run scripts/regenerate"
    assert content == path.read_text()


@pytest.mark.golden
@pytest.mark.parametrize("condition", list(ConditionName))
def test_every_condition_and_reason(condition: ConditionName) -> None:
    check(condition, rendered(condition))


def check_all(name: str, messages: list[Message], links: list[tuple[str, str]] | None = None) -> None:
    shown = [text.render(message, NOW, STOCKHOLM, links=links or ()) for message in messages]
    check(name, "\n".join(f"=== {one.title}\n---\n{one.body}\n" for one in shown))


def message(*alerts: Alert, suppressed: tuple[SuppressedAlert, ...] = ()) -> Message:
    return Message("phone", NOW, alerts, suppressed)


def over(condition: ConditionName, reason: NotificationReason = NotificationReason.RESOLVED, **changes: Any) -> Alert:
    """An alert that ended, with the summary that it then has."""
    one = replace(alert(condition, reason), **changes)
    return replace(one, summary=text.sentence(one, NOW))


FIRST, ESCALATED, EASED, REMINDER, REPEAT, RESOLVED, RENEWED, _ = NotificationReason
EXPIRING, EXPIRED, UNUSABLE = ConditionName.EXPIRING, ConditionName.EXPIRED, ConditionName.UNUSABLE
MISSING, NOTHING_WORKS, CHECK_FAILED = (
    ConditionName.MISSING,
    ConditionName.NO_USABLE_PROFILE,
    ConditionName.CHECK_FAILED,
)
LINE = SuppressedAlert("f", UNUSABLE, WARNING, "home", ("main",), "anthropic", "anthropic:a", NOW - HOUR, NOW, 2)


@pytest.mark.golden
def test_ends() -> None:
    """Every cause of an end, and every kind of date until which a renewed credential works."""
    causes = [why for why in ResolutionCause if why is not ResolutionCause.OVER]
    ends = [over(EXPIRING, resolution_cause=why) for why in causes]
    ends += [
        over(CHECK_FAILED, resolution_cause=ResolutionCause.TARGET_REMOVED),
        over(EXPIRED, RENEWED, deadline=None),
        over(EXPIRED, RENEWED, is_assumed=True),
        over(EXPIRED, RENEWED, deadline=NOW + 20 * HOUR),
        over(UNUSABLE, RENEWED, deadline=NOW + 20 * HOUR, is_assumed=True),
        over(UNUSABLE, deadline=NOW + 90 * DAY),
    ]
    check_all("ends", list(map(message, ends)))


@pytest.mark.golden
def test_facts_of_single_agents() -> None:
    """What holds at other agents, which agent the trouble reached, and for which agents it is over."""
    until = NOW + 7 * DAY
    works, notes = AgentNote("a1", None, until), (AgentNote("a1", EXPIRING, until), AgentNote("a2", MISSING))
    heirs = tuple(AgentNote(f"heir-{number}", EXPIRED, NOW - DAY) for number in range(50))
    check_all(
        "agents",
        [
            message(replace(alert(EXPIRED, FIRST), agents=("a0",), notes=(works,))),
            message(replace(alert(EXPIRED, FIRST), agents=("a0",), notes=(*notes, AgentNote("a3")))),
            message(replace(alert(EXPIRED, FIRST), agents=("a0",), notes=heirs)),
            message(replace(alert(EXPIRED, FIRST), agents=tuple(f"a{number}" for number in range(50)))),
            message(replace(alert(EXPIRED, ESCALATED), new_agents=("work",))),
            message(replace(alert(CHECK_FAILED, ESCALATED), new_agents=("work",))),
            message(
                replace(alert(UNUSABLE, ESCALATED), profile="anthropic:the-token-of-the-team", new_agents=("work",))
            ),
            message(replace(alert(EXPIRED, ESCALATED), new_agents=("b", "c"), agents=("a", "b", "c"))),
            message(over(EXPIRED, RENEWED, agents=("a0",), notes=(AgentNote("a1", EXPIRED, NOW - DAY),))),
        ],
    )


@pytest.mark.golden
def test_exporter_and_assumed_dates() -> None:
    seen_at = NOW - 2 * HOUR
    local: dict[str, Any] = {"target": "local", "exporter": "rack7"}
    aged = [alert(EXPIRING, REMINDER), alert(UNUSABLE, REPEAT), replace(alert(EXPIRED, FIRST), is_assumed=True)]
    missing = replace(alert(MISSING, FIRST), profile="anthropic:default", cause="missing_credential")
    check_all(
        "others",
        [
            message(replace(alert(EXPIRED, FIRST), **local)),
            message(replace(alert(CHECK_FAILED, FIRST), **local)),
            message(over(EXPIRED, RENEWED, **local)),
            message(replace(alert(EXPIRED, FIRST), exporter="rack7")),
            message(replace(alert(EXPIRING, FIRST), is_assumed=True)),
            message(replace(alert(EXPIRED, FIRST), is_assumed=True)),
            message(replace(alert(EXPIRED, FIRST), deadline=None)),
            message(missing),
            make_test_message("phone", NOW, ""),
            *(
                message(replace(one, seen_at=seen_at, summary=f"{one.summary}, as last seen at 2026-11-22T08:00:00Z"))
                for one in aged
            ),
        ],
        [("Acknowledge", "https://status.example/act/a.b")],
    )


@pytest.mark.golden
def test_flapping() -> None:
    check_all(
        "flapping",
        [
            message(replace(alert(condition, FIRST), times=3))
            for condition in (UNUSABLE, NOTHING_WORKS, CHECK_FAILED, ConditionName.QUOTA)
        ]
        + [
            message(replace(alert(CHECK_FAILED, REPEAT), times=7)),
            message(over(CHECK_FAILED, times=7)),
            message(over(CHECK_FAILED, times=7, ended_at=NOW - HOUR)),
            message(over(UNUSABLE, times=3, resolution_cause=ResolutionCause.OTHER_PROBLEM)),
        ],
    )


@pytest.mark.golden
def test_groups_and_summaries() -> None:
    many = [
        replace(alert(EXPIRED, FIRST), profile=f"anthropic:{number}", target=f"gateway-{number // 20}")
        for number in range(10_000)
    ]
    rack = replace(alert(CHECK_FAILED, REPEAT), target="rack7", agents=("*",), cause="connection")
    rack = replace(rack, summary="The agents of rack7 could not be listed: http://127.0.0.1:18: cannot connect")
    check_all(
        "groups",
        [
            message(suppressed=(LINE,)),
            message(suppressed=(LINE, replace(LINE, target="rack7", agents=("a", "b")))),
            message(rack, replace(alert(NOTHING_WORKS, FIRST), target="solo", agents=("main",))),
            message(over(EXPIRING, RENEWED), alert(NOTHING_WORKS, FIRST), suppressed=(LINE,)),
            message(alert(EXPIRING, FIRST), over(UNUSABLE), rack, alert(MISSING, EASED), over(CHECK_FAILED)),
            message(over(NOTHING_WORKS, RENEWED), over(EXPIRED, RENEWED)),
            message(*(over(UNUSABLE, profile=f"anthropic:{number}") for number in range(3))),
            message(*many[:14]),
            message(*many),
        ],
    )


def test_news_and_the_worst_lead_a_group() -> None:
    repeat, new = alert(CHECK_FAILED, REPEAT), alert(NOTHING_WORKS, FIRST)
    soon, done = alert(EXPIRING, FIRST), over(EXPIRED, RENEWED)
    assert text.in_order([done, soon, repeat, new]) == [new, repeat, soon, done]


@given(st.permutations(range(30)), st.integers(1000, 9000))
def test_every_critical_alert_of_a_group_is_named_whole(order: list[int], limit: int) -> None:
    """However little room there is for their commands, and whatever else is in the message."""
    alerts = [
        replace(alert(EXPIRED, FIRST), profile=f"anthropic:{n}-end", target="rack")
        if n < 12
        else replace(alert(EXPIRING, FIRST), profile=f"anthropic:{n}-end")
        for n in order
    ]
    shown = text.render(message(*alerts), NOW, STOCKHOLM, limit=limit)
    assert len(shown.body.encode()) <= limit
    for number in range(12):
        assert f"- anthropic:{number}-end has expired on rack (critical, new)" in shown.body.splitlines()
    for line in shown.body.splitlines():
        assert not line.startswith("  openclaw") or line.endswith("--expires-in 365d")


@pytest.mark.parametrize("limit", [10, 100, 500, 5000])
def test_no_line_is_cut(limit: int) -> None:
    lines = [f"{number} {'x' * (number % 50)}" for number in range(200)]
    shown = text.whole_lines("\n".join(lines), limit).split("\n")
    assert set(shown[:-1]) <= set(lines)
    assert limit < 100 or len("\n".join(shown).encode()) <= limit


@pytest.mark.parametrize("condition", list(ConditionName))
def test_sentence_names_target_and_agents(condition: ConditionName) -> None:
    for reason in (FIRST, RESOLVED):
        one = replace(alert(condition, reason), agents=("main",))
        assert "home/main" in text.sentence(one, NOW)
        assert "home (agents a, b)" in text.sentence(replace(one, agents=("a", "b")), NOW)
