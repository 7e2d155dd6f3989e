"""What people read: one golden file per condition, every reason in it, and laws for whatever ids there are."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.worlds import DAY, HOUR, MINUTE, NOW
from exporter.alerts import text
from exporter.alerts.lifecycle import test_message as make_test_message
from exporter.alerts.values import Alert, Message, Missed, Reason, Why
from exporter.model import Family, Name, Severity

GOLDEN = Path(__file__).parent / "golden"
STOCKHOLM = ZoneInfo("Europe/Stockholm")
RENEW = (
    "claude setup-token",
    "openclaw models auth paste-token --provider anthropic --profile-id anthropic:default --expires-in 365d",
)
#: What the verdict says of each condition: summary, cause, and whether it is about a profile, a provider or a target.
SAID = {
    Name.UNDATED: (
        "anthropic:default on home/main has no expiry date, so nothing warns before it ends",
        None,
        "profile",
    ),
    Name.EXPIRING: ("anthropic:default expires on home/main in 5 h (2026-11-22T15:00:00Z)", None, "profile"),
    Name.EXPIRED: ("anthropic:default expired on home/main 3 h ago (2026-11-22T07:00:00Z)", None, "profile"),
    Name.UNUSABLE: ("anthropic:default is disabled on home/main (billing)", "billing", "profile"),
    Name.MISSING: ("anthropic has no credential on home/main, and a model in use needs one", None, "provider"),
    Name.NO_USABLE_PROFILE: (
        "No credential of anthropic works on home/main: anthropic:default expired, anthropic:spare cooldown (auth)",
        None,
        "provider",
    ),
    Name.CHECK_FAILED: ("The check of home/main failed: `openclaw` did not answer within 60 s", "timeout", "target"),
    Name.REPORTED: (
        "OpenClaw's own check of home/main exits 1, and nothing that it printed explains it",
        None,
        "target",
    ),
    Name.STATUS_DISAGREES: ("anthropic:default on home/main: OpenClaw says ok, the date has passed", None, "profile"),
    Name.IDLE: ("The access token of openai:default on home/main expired 2 days ago", None, "profile"),
    Name.VANISHED: (
        "anthropic:default is gone from home/main; it was last seen at 2026-11-22T07:00:00Z",
        None,
        "profile",
    ),
    Name.CREDENTIAL_CHANGED: ("anthropic on home/main is now served by api_key; before, by token", None, "provider"),
    Name.PARTIAL_VIEW: ("home/main: cooldowns and disables cannot be seen through a gateway", None, "target"),
    Name.QUOTA: ("anthropic on home/main has used 93% of 5h; it resets at 2026-11-22T12:00:00Z", "5h", "provider"),
    Name.CLOCK: ("The clock says 2020-01-01T00:00:00Z, earlier than what is stored", None, "target"),
}
DEADLINES = {Name.UNDATED: NOW + 300 * DAY, Name.EXPIRING: NOW + 5 * HOUR, Name.EXPIRED: NOW - 3 * HOUR}


def alert(condition: Name, reason: Reason) -> Alert:
    summary, cause, about = SAID[condition]
    base = Alert(
        fingerprint="f" * 32,
        reason=reason,
        family=condition.family,
        condition=condition,
        severity=Severity.CRITICAL if condition in (Name.NO_USABLE_PROFILE, Name.CHECK_FAILED) else Severity.WARNING,
        target="home",
        agents=("main", "work"),
        provider="anthropic" if about != "target" else None,
        profile="anthropic:default" if about == "profile" else None,
        since=NOW - 3 * HOUR,
        deadline=DEADLINES.get(condition),
        cause=cause,
        summary=summary,
        remedy=RENEW,
    )
    if reason.ends:
        until = NOW + 365 * DAY if reason is Reason.RENEWED else base.deadline
        base = replace(base, ended_at=NOW - MINUTE, deadline=until, remedy=())
        base = replace(base, summary=text.sentence(base, NOW))
    return base


def reasons_of(condition: Name) -> list[Reason]:
    """What can be told of a condition."""
    reasons = [Reason.FIRST, Reason.ESCALATED, Reason.EASED]
    if condition is Name.EXPIRING:
        reasons.append(Reason.REMINDER)
    reasons += [Reason.REPEAT, Reason.RESOLVED]
    if condition.family in (Family.DEADLINE, Family.AVAILABILITY):
        reasons.append(Reason.RENEWED)
    return reasons


def rendered(condition: Name) -> str:
    parts = []
    for reason in reasons_of(condition):
        said = text.render(Message("phone", NOW, (alert(condition, reason),)), NOW, STOCKHOLM, "https://status.example")
        parts.append(f"=== {reason}\n{said.title}\n---\n{said.body}\n")
    return "\n".join(parts)


def check(name: str, content: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(content)
    assert content == path.read_text()


@pytest.mark.parametrize("condition", list(Name))
def test_every_condition_and_reason(condition: Name) -> None:
    check(condition, rendered(condition))


def test_the_other_endings_a_test_and_groups() -> None:
    parts = []
    for why in (Why.UNWATCHED, Why.GONE, Why.IGNORED):
        over = replace(alert(Name.EXPIRING, Reason.RESOLVED), why=why)
        over = replace(over, summary=text.sentence(over, NOW))
        parts.append(text.render(Message("phone", NOW, (over,)), NOW))
    undated = replace(alert(Name.EXPIRED, Reason.RENEWED), deadline=None)
    parts.append(text.render(Message("phone", NOW, (replace(undated, summary=text.sentence(undated, NOW)),)), NOW))
    parts.append(text.render(make_test_message("phone", NOW), NOW))
    line = Missed(
        "f", Name.UNUSABLE, Severity.WARNING, "home", ("main",), "anthropic", "anthropic:a", NOW - HOUR, NOW, 2
    )
    parts.append(text.render(Message("phone", NOW, (), (line,)), NOW, STOCKHOLM))
    both = (alert(Name.NO_USABLE_PROFILE, Reason.FIRST), alert(Name.EXPIRING, Reason.RENEWED))
    parts.append(text.render(Message("phone", NOW, both, (line,)), NOW, STOCKHOLM))
    over_all = (alert(Name.NO_USABLE_PROFILE, Reason.RENEWED), alert(Name.EXPIRED, Reason.RENEWED))
    parts.append(text.render(Message("phone", NOW, over_all), NOW, STOCKHOLM))
    many = tuple(replace(alert(Name.EXPIRED, Reason.FIRST), profile=f"anthropic:{number}") for number in range(10_000))
    parts.append(text.render(Message("phone", NOW, many), NOW, STOCKHOLM))
    check("others", "\n".join(f"=== {part.title}\n---\n{part.body}\n" for part in parts))


IDS = st.text(min_size=1, max_size=300)


@given(
    st.sampled_from(list(Name)),
    st.sampled_from([reason for reason in Reason if reason is not Reason.TEST]),
    IDS,
    IDS,
    st.none() | st.floats(min_value=-1e18, max_value=1e18),
    st.sampled_from(list(Why)),
)
def test_a_title_says_where_in_60_printable_characters_whatever_the_ids(
    condition: Name, reason: Reason, profile: str, target: str, moment: float | None, why: Why
) -> None:
    one = replace(alert(condition, reason), profile=profile, target=target, deadline=moment, since=moment, why=why)
    said = text.render(Message("phone", NOW, (one,)), NOW, STOCKHOLM)
    assert len(said.title) <= text.TITLE
    assert said.title.isprintable()
    assert all(line.isprintable() for line in said.body.splitlines())
    assert len(said.body) <= 8000


def test_long_names_keep_both_ends() -> None:
    one = replace(
        alert(Name.EXPIRED, Reason.FIRST),
        profile="anthropic:" + "x" * 60 + "-work",
        target="a-very-long-host-name-in-rack-7",
    )
    title = text.title(one, NOW)
    assert len(title) <= 60
    assert title.startswith("anthropic:")
    assert "-work has expired on" in title
    assert title.endswith("rack-7")
