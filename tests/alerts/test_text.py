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
from exporter.alerts.values import Alert, Message, NotificationReason, ResolutionCause, SuppressedAlert
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


@pytest.mark.golden
def test_other_resolutions_tests_groups_and_summaries() -> None:
    parts = []
    for why in (
        ResolutionCause.TARGET_REMOVED,
        ResolutionCause.PROFILE_REMOVED,
        ResolutionCause.IGNORED,
        ResolutionCause.OTHER_PROBLEM,
        ResolutionCause.NOT_NEEDED,
    ):
        over = replace(alert(ConditionName.EXPIRING, NotificationReason.RESOLVED), resolution_cause=why)
        over = replace(over, summary=text.sentence(over, NOW))
        parts.append(text.render(Message("phone", NOW, (over,)), NOW))
    gone = replace(
        alert(ConditionName.CHECK_FAILED, NotificationReason.RESOLVED), resolution_cause=ResolutionCause.TARGET_REMOVED
    )
    parts.append(text.render(Message("phone", NOW, (gone,)), NOW))
    for one in (
        alert(ConditionName.EXPIRING, NotificationReason.FIRST),
        alert(ConditionName.EXPIRED, NotificationReason.FIRST),
    ):
        assumed = replace(one, summary=f"{one.summary} at the latest")
        parts.append(text.render(Message("phone", NOW, (assumed,)), NOW, STOCKHOLM))
    missing = replace(
        alert(ConditionName.MISSING, NotificationReason.FIRST), profile="anthropic:default", cause="missing_credential"
    )
    parts.append(text.render(Message("phone", NOW, (missing,)), NOW, STOCKHOLM))
    undated = replace(alert(ConditionName.EXPIRED, NotificationReason.RENEWED), deadline=None)
    parts.append(text.render(Message("phone", NOW, (replace(undated, summary=text.sentence(undated, NOW)),)), NOW))
    parts.append(text.render(make_test_message("phone", NOW, ""), NOW))
    line = SuppressedAlert(
        "f", ConditionName.UNUSABLE, Severity.WARNING, "home", ("main",), "anthropic", "anthropic:a", NOW - HOUR, NOW, 2
    )
    parts.append(text.render(Message("phone", NOW, (), (line,)), NOW, STOCKHOLM))
    both = (
        alert(ConditionName.NO_USABLE_PROFILE, NotificationReason.FIRST),
        alert(ConditionName.EXPIRING, NotificationReason.RENEWED),
    )
    parts.append(text.render(Message("phone", NOW, both, (line,)), NOW, STOCKHOLM))
    over_all = (
        alert(ConditionName.NO_USABLE_PROFILE, NotificationReason.RENEWED),
        alert(ConditionName.EXPIRED, NotificationReason.RENEWED),
    )
    parts.append(text.render(Message("phone", NOW, over_all), NOW, STOCKHOLM))
    many = tuple(
        replace(
            alert(ConditionName.EXPIRED, NotificationReason.FIRST),
            profile=f"anthropic:{number}",
            target=f"gateway-{number // 20}",
        )
        for number in range(10_000)
    )
    parts.append(text.render(Message("phone", NOW, many), NOW, STOCKHOLM))
    same = tuple(
        replace(alert(ConditionName.EXPIRED, NotificationReason.FIRST), profile=f"anthropic:{number}")
        for number in range(3)
    )
    parts.append(text.render(Message("phone", NOW, same), NOW, STOCKHOLM))
    links = [("Acknowledge", "https://status.example/act/a.b")]
    linked = Message("phone", NOW, (alert(ConditionName.EXPIRED, NotificationReason.FIRST),))
    parts.append(text.render(linked, NOW, STOCKHOLM, "https://status.example", links))
    seen_at = NOW - 2 * HOUR
    for one in (
        alert(ConditionName.EXPIRING, NotificationReason.REMINDER),
        alert(ConditionName.UNUSABLE, NotificationReason.REPEAT),
        replace(
            alert(ConditionName.EXPIRED, NotificationReason.FIRST),
            summary="anthropic:default expired on home/main at the latest",
        ),
    ):
        aged = replace(one, seen_at=seen_at, summary=f"{one.summary}, as last seen at 2026-11-22T08:00:00Z")
        parts.append(text.render(Message("phone", NOW, (aged,)), NOW, STOCKHOLM))
    check("others", "\n".join(f"=== {part.title}\n---\n{part.body}\n" for part in parts))


IDS = st.text(min_size=1, max_size=300)


@given(
    st.sampled_from(list(ConditionName)),
    st.sampled_from([reason for reason in NotificationReason if reason is not NotificationReason.TEST]),
    IDS,
    IDS,
    st.none() | st.floats(min_value=-1e18, max_value=1e18),
    st.sampled_from(list(ResolutionCause)),
)
def test_a_title_has_at_most_60_printable_characters_for_any_names(
    condition: ConditionName,
    reason: NotificationReason,
    profile: str,
    target: str,
    moment: float | None,
    resolution_cause: ResolutionCause,
) -> None:
    one = replace(
        alert(condition, reason),
        profile=profile,
        target=target,
        deadline=moment,
        since=moment,
        resolution_cause=resolution_cause,
    )
    shown = text.render(Message("phone", NOW, (one,)), NOW, STOCKHOLM)
    assert len(shown.title) <= text.TITLE
    assert shown.title.isprintable()
    assert all(line.isprintable() for line in shown.body.splitlines())
    assert len(shown.body) <= 8000


def test_long_names_keep_both_ends() -> None:
    one = replace(
        alert(ConditionName.EXPIRED, NotificationReason.FIRST),
        profile="anthropic:" + "x" * 60 + "-work",
        target="a-very-long-host-name-in-rack-7",
    )
    title = text.title(one, NOW)
    assert len(title) <= 60
    assert title.startswith("anthropic:")
    assert "-work has expired on" in title
    assert title.endswith("rack-7")
