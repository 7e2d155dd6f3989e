"""The history of days: the worst of each day, gaps, bounds, and clocks that are set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reports import DAY, NOW, agent, profile

from exporter.lib.sqlite import StateError
from exporter.model import AgentReport, Failure, FailureReason, Status, TargetReport, Unusable
from exporter.state import day_history
from exporter.state.credentials_db import CredentialDatabase
from exporter.state.day_history import DAYS, DayHistory

KEY = ("home", "anthropic", "anthropic:default")
WORKS: dict[str, Any] = {}
COOLING: dict[str, Any] = {"usable": False, "unusable": Unusable("cooldown", "rate_limit", NOW)}
DISABLED: dict[str, Any] = {"usable": False, "unusable": Unusable("disabled", "billing", NOW)}
EXPIRED: dict[str, Any] = {"usable": False, "status": Status.EXPIRED}


def target(*agents: AgentReport) -> TargetReport:
    return TargetReport("home", "openclaw", agents)


class Kept:
    """A history whose days are counted from NOW."""

    def __init__(self, directory: Path | None = None) -> None:
        self.ledger = CredentialDatabase(directory)
        self.history = DayHistory(self.ledger)

    def see(self, day: float, *states: dict[str, Any]) -> None:
        """Agents see the credential in these states on a day."""
        agents = (agent(profile(**state), id=f"agent{n}") for n, state in enumerate(states))
        self.history.note(target(*agents), NOW + day * DAY)
        self.history.save()

    def letters(self, day: float) -> str:
        """What is known on a day, without the days before the first."""
        letters = self.history.read([KEY], NOW + day * DAY)[KEY]
        assert len(letters) == DAYS
        return letters.lstrip("-")


def test_each_day_has_its_worst_state() -> None:
    kept = Kept()
    for day, state in enumerate((WORKS, COOLING, DISABLED, EXPIRED)):
        kept.see(day, WORKS)
        kept.see(day + 0.1, state)
        kept.see(day + 0.2, WORKS)
    assert kept.letters(3) == "wcuu"


def test_agents_that_share_a_credential_have_its_worst_state() -> None:
    kept = Kept()
    kept.see(0, WORKS, COOLING, WORKS)
    assert kept.letters(0) == "c"


def test_days_without_a_check_are_not_seen() -> None:
    kept = Kept()
    kept.see(0, WORKS)
    kept.see(3, WORKS)
    assert kept.letters(5) == "w--w--"
    assert kept.letters(3 + DAYS) == ""


def test_failed_check_is_not_seen() -> None:
    kept = Kept()
    failing = agent(profile(), failure=Failure(FailureReason.TIMEOUT, "no answer", NOW))
    kept.history.note(target(failing), NOW)
    kept.history.save()
    assert kept.history.read([KEY], NOW) == {}


def test_no_more_than_ninety_days_are_kept(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    for day in range(DAYS + 20):
        kept.see(day, EXPIRED if day < 25 else WORKS)
    assert kept.letters(DAYS + 19) == "u" * 5 + "w" * 85
    kept.ledger.close()
    again = Kept(tmp_path)
    again.see(DAYS + 19, COOLING)  # after a restart the worst of the day is still known
    again.see(DAYS + 19, WORKS)
    assert again.letters(DAYS + 19) == "u" * 5 + "w" * 84 + "c"
    again.ledger.close()


def test_clock_that_was_ahead_keeps_nothing_from_being_written() -> None:
    kept = Kept()
    kept.see(0, WORKS)
    kept.see(4, WORKS)
    kept.see(1, COOLING)
    assert kept.letters(1).endswith("c")
    kept.history.note(target(agent(profile(**EXPIRED))), 0.0)  # a clock before 2026 is wrong
    kept.history.save()
    assert kept.letters(1).endswith("c")


def test_number_of_credentials_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day_history, "MAX_CREDENTIALS", 3)
    kept = Kept()
    for day in range(6):
        kept.history.note(target(agent(profile(f"anthropic:{day}"))), NOW + day * DAY)
        kept.history.save()
    rows = kept.ledger.read("SELECT profile FROM day_history ORDER BY profile")
    assert [row[0] for row in rows] == ["anthropic:3", "anthropic:4", "anthropic:5"]


def test_what_says_nothing_new_is_not_written() -> None:
    kept = Kept()
    kept.see(0, COOLING)
    before = kept.ledger.connection.total_changes
    kept.see(0.2, WORKS)
    kept.see(0.3, COOLING)
    assert kept.ledger.connection.total_changes == before


def test_what_cannot_be_written_is_written_later() -> None:
    kept = Kept()
    kept.ledger.connection.execute("PRAGMA query_only = 1")
    assert not kept.history.has_noted
    with pytest.raises(StateError):
        kept.see(0, EXPIRED)
    kept.ledger.connection.execute("PRAGMA query_only = 0")
    assert kept.history.has_noted
    kept.history.save()
    assert not kept.history.has_noted
    assert kept.letters(0) == "u"


def test_lone_surrogates_in_an_id_are_kept() -> None:
    kept = Kept()
    kept.history.note(target(agent(profile("anthropic:\ud800"))), NOW)
    kept.history.save()
    key = ("home", "anthropic", "anthropic:\ud800")
    assert [letters.lstrip("-") for letters in kept.history.read([key], NOW).values()] == ["w"]
