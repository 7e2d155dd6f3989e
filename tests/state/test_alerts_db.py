"""Alert states of every earlier schema open in the newest with nothing lost."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from old_files import damage_index, write_old_file

from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.delivery.statistics import ChannelStatistics
from exporter.alerts.lifecycle.policy import Silence
from exporter.alerts.values import (
    AgentFact,
    Alert,
    AlertState,
    AlertSubject,
    Credential,
    LastNotification,
    Message,
    NotificationReason,
    Resolution,
    ResolutionCause,
    SuppressedAlert,
    fingerprint,
)
from exporter.model import ConditionName, Family, Severity
from exporter.state.alerts_db import SCHEMA

NOW = 1_795_341_600.0
DAY = 86400.0
NEWEST = len(SCHEMA.migrations)

SUPPRESSED = SuppressedAlert(
    fingerprint="f" * 32,
    condition=ConditionName.UNUSABLE,
    severity=Severity.WARNING,
    target="home",
    agents=("main", "work"),
    provider="anthropic",
    profile="anthropic:a",
    began_at=NOW - 500,
    ended_at=NOW - 400,
    times=3,
)
FACT = AgentFact(
    condition=ConditionName.EXPIRING,
    severity=Severity.WARNING,
    began_at=NOW - 9 * DAY,
    since=NOW - 10 * DAY,
    deadline=NOW + 72000,
    cause="auth",
    seen_at=NOW - 60,
    self_healing=True,
    inhibited=True,
    confirmed=True,
    credentials=(Credential("anthropic:a", "cd" * 16, NOW + 72000),),
)
FIRING = AlertState(
    key="home|anthropic|anthropic:a|deadline|s1",
    fingerprint=fingerprint("home|anthropic|anthropic:a|deadline|s1"),
    subject=AlertSubject("home", "anthropic", "anthropic:a", "deadline"),
    condition=ConditionName.EXPIRING,
    severity=Severity.WARNING,
    agents=("main", "work"),
    started_at=NOW - 9 * DAY,
    since=NOW - 10 * DAY,
    worsened_at=NOW - DAY,
    confirmed=True,
    inhibited=True,
    self_healing=True,
    summary="anthropic:a expires in 20 h — “soon”",
    remedy=("openclaw models auth login",),
    cause="auth",
    deadline=NOW + 72000,
    seen_at=NOW - 60,
    secret="ab" * 16,
    credentials=(Credential("anthropic:a", "cd" * 16, NOW + 72000),),
    facts={
        "main": replace(FACT, checks=2, checked_at=NOW - 60),
        "work": replace(FACT, checks=1, checked_at=NOW - 30),
    },
    acknowledged_step=3 * DAY,
    notified={
        "hook": LastNotification(
            Severity.WARNING,
            ConditionName.EXPIRING,
            NotificationReason.REMINDER,
            NOW - 3600,
            DAY,
            ("main", "work"),
            has_arrived=True,
        ),
        "phone": LastNotification(
            Severity.INFO,
            ConditionName.EXPIRING,
            NotificationReason.FIRST,
            NOW - 9 * DAY,
            agents=("main", "work"),
            has_arrived=True,
        ),
    },
    pending={"phone": NOW - 10},
    suppressed={"phone": SUPPRESSED},
)
ENDED = AlertState(
    key="home|openai|openai:b|availability|s2",
    fingerprint=fingerprint("home|openai|openai:b|availability|s2"),
    subject=AlertSubject("home", "openai", "openai:b", "availability"),
    condition=ConditionName.UNUSABLE,
    severity=Severity.CRITICAL,
    agents=("main",),
    started_at=NOW - DAY,
    since=NOW - DAY,
    worsened_at=NOW - DAY,
    firing=False,
    confirmed=True,
    resolution=Resolution(
        NOW - 100, NotificationReason.RENEWED, ResolutionCause.PROFILE_REMOVED, NOW + 30 * DAY, agents=("main",)
    ),
    notified={
        "hook": LastNotification(
            Severity.CRITICAL,
            ConditionName.UNUSABLE,
            NotificationReason.ESCALATED,
            NOW - DAY / 2,
            agents=("main",),
            has_arrived=True,
        )
    },
)
UNREACHABLE = AlertState(
    key="vps|||watch",
    fingerprint=fingerprint("vps|||watch"),
    subject=AlertSubject("vps", "", "", "watch"),
    condition=ConditionName.CHECK_FAILED,
    severity=Severity.CRITICAL,
    agents=("main",),
    started_at=NOW,
    since=NOW,
    worsened_at=NOW,
    facts={"main": AgentFact(ConditionName.CHECK_FAILED, Severity.CRITICAL, NOW, NOW)},
)
FIRST = Alert(
    fingerprint=FIRING.fingerprint,
    reason=NotificationReason.FIRST,
    family=Family.DEADLINE,
    condition=ConditionName.EXPIRING,
    severity=Severity.WARNING,
    target="home",
    agents=("main", "work"),
    provider="anthropic",
    profile="anthropic:a",
    since=NOW - DAY,
    deadline=NOW + 72000,
    seen_at=NOW - 60,
    summary="soon",
    remedy=("do it",),
)
RESOLVED = Alert(
    fingerprint=ENDED.fingerprint,
    reason=NotificationReason.RESOLVED,
    family=Family.AVAILABILITY,
    condition=ConditionName.UNUSABLE,
    severity=Severity.CRITICAL,
    target="home",
    agents=("main",),
    provider="openai",
    profile="openai:b",
    since=NOW - DAY,
    ended_at=NOW - 100,
    resolution_cause=ResolutionCause.OTHER_PROBLEM,
    cause="auth",
    summary="over",
)
ID = "01M81AN4R00000000000000{:03}".format


def assert_nothing_is_lost(outbox: Outbox, version: str) -> None:
    """The first release knew neither ``seen_at`` nor the cause "other", nor the tables of the second schema."""
    if version == "1":
        facts = {agent: replace(fact, seen_at=None) for agent, fact in FIRING.facts.items()}
        firing, first = replace(FIRING, seen_at=None, facts=facts), replace(FIRST, seen_at=None)
        resolved = replace(RESOLVED, resolution_cause=ResolutionCause.PROFILE_REMOVED)
    else:
        firing, first, resolved = FIRING, FIRST, RESOLVED
    assert outbox.states() == {state.key: state for state in (firing, ENDED, UNREACHABLE)}  # not the damaged one
    assert [(queued.id, queued.attempts, queued.message) for queued in outbox.due("hook", NOW)] == [
        (ID(2), 0, Message("hook", NOW + 2, (resolved,)))
    ]
    assert outbox.due("phone", NOW + 59) == []
    assert [(queued.id, queued.attempts, queued.message) for queued in outbox.due("phone", NOW + 60)] == [
        (ID(1), 1, Message("phone", NOW + 1, (resolved,), (SUPPRESSED,)))
    ]
    assert outbox.message(ID(0)) == Message("hook", NOW, (first, resolved))
    (undeliverable,) = outbox.undeliverable()
    assert (undeliverable.id, undeliverable.channel, undeliverable.reason) == (ID(3), "mail", "unauthorized")
    assert outbox.statistics() == {
        "hook": ChannelStatistics(attempts=1, pending=1, oldest_pending=NOW, last_success=NOW + 3),
        "mail": ChannelStatistics(attempts=1, failures={"unauthorized": 1}, undeliverable=1),
        "phone": ChannelStatistics(
            attempts=1, failures={"timeout": 1}, pending=1, oldest_pending=NOW, last_acknowledged=NOW + 9
        ),
    }
    assert outbox.silences(NOW) == (
        Silence(ID(4), {"profile": "anthropic:a", "target": "home"}, NOW + 9 * DAY, "moving house", NOW),
    )
    assert outbox.acknowledged() == {FIRING.fingerprint: NOW + 9}
    if version == "1":
        assert (outbox.tests_sent(), outbox.scheduled("phone")) == ({}, {})
    else:
        assert outbox.tests_sent() == {"hook": NOW - 5, "phone": NOW - 7 * DAY}
        assert outbox.scheduled("phone") == {"d-1": NOW + 72900, "d-2": 0.0}
    # A message with a summary of suppressed alerts is never superseded.
    outbox.commit(outbox.states(), [Message("phone", NOW, (replace(resolved, reason=NotificationReason.REPEAT),))], NOW)
    assert ID(1) in [queued.id for queued in outbox.due("phone", NOW + 60)]


#: Every schema that any commit wrote, by the name of its dump. None wrote schema 3: it came together with 4.
FILES = ["1", "2", "2-renamed", "4", "5", "6", "7-first", "7"]


@pytest.mark.parametrize("version", FILES)
def test_file_of_an_earlier_schema_is_migrated(tmp_path: Path, version: str) -> None:
    path = write_old_file(f"alerts-{version}", tmp_path / "alerts.sqlite")
    outbox = Outbox(path, lambda: NOW)
    assert outbox.problem is None
    assert_nothing_is_lost(outbox, version)
    outbox.close()
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA user_version").fetchone() == (NEWEST,)
    database.close()


#: A damaged file is copied column by column, so not if a development version left another order of them.
REGULAR = ["1", "2", "2-renamed", "4", "7"]


@pytest.mark.parametrize("version", REGULAR)
def test_damaged_file_of_an_earlier_schema_is_taken_over(tmp_path: Path, version: str) -> None:
    path = write_old_file(f"alerts-{version}", tmp_path / "alerts.sqlite")
    damage_index(path, "about_fingerprint")
    outbox = Outbox(path, lambda: NOW)
    assert "everything in it was taken over" in (outbox.problem or "")
    assert_nothing_is_lost(outbox, version)


@pytest.mark.parametrize("version", FILES)
def test_read_only_file_of_an_earlier_schema_is_migrated_in_memory(
    tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_old_file(f"alerts-{version}", tmp_path / "alerts.sqlite")
    content = path.read_bytes()

    def refuse(*_: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("os.open", refuse)
    outbox = Outbox(path, lambda: NOW, or_memory=True)
    assert "read-only file system; it is kept in memory" in (outbox.problem or "")
    assert_nothing_is_lost(outbox, version)
    outbox.close()
    assert path.read_bytes() == content


@pytest.mark.parametrize(("state", "has_arrived"), [("delivered", True), ("pending", False), ("dead", False)])
def test_what_did_not_arrive_before_the_migration_has_not_arrived(
    tmp_path: Path, state: str, has_arrived: bool
) -> None:
    path = write_old_file("alerts-4", tmp_path / "alerts.sqlite")
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("UPDATE message SET state = ? WHERE channel = 'hook'", (state,))
    database.close()
    outbox = Outbox(path, lambda: NOW)
    assert {s.notified["hook"].has_arrived for s in outbox.states().values() if s.notified} == {has_arrived}
    assert outbox.states()[FIRING.key].notified["phone"].has_arrived, "its messages were deleted long ago"


def test_undecodable_body_of_an_earlier_schema_costs_that_alert_alone(tmp_path: Path) -> None:
    path = write_old_file("alerts-2", tmp_path / "alerts.sqlite")
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("UPDATE state SET body = CAST(x'7bff7d' AS TEXT) WHERE key = ?", (ENDED.key,))
    database.execute("UPDATE state SET body = '[1]' WHERE key = ?", (UNREACHABLE.key,))
    database.close()
    outbox = Outbox(path, lambda: NOW)
    assert outbox.problem is None
    assert outbox.states() == {FIRING.key: FIRING}
