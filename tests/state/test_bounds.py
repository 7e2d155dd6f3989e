"""A ledger in use for years keeps what somebody may ask for, and no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from exporter.model import Dialect, Observation, ObservedProfile
from exporter.sources import auto
from exporter.sources.openclaw import source as openclaw
from exporter.state import credentials_db
from exporter.state.credentials_db import KEEP_CACHED, KEEP_SIGHTING, CredentialDatabase
from exporter.state.history import record_observation

DAY = 86400.0
NEW_YEAR = 1_798_761_600.0  # 2027
TOKEN = ObservedProfile("anthropic:default", "anthropic", "token", secret_hash="first")


class Years:
    """A ledger, and its clock."""

    def __init__(self, directory: Path | None) -> None:
        self.now = NEW_YEAR
        self.ledger = CredentialDatabase(directory, lambda: self.now)

    def check(self, agent: str, secret: str) -> None:
        seen = Observation("home", agent, "store", Dialect.ROUTES, self.now, (replace(TOKEN, secret_hash=secret),))
        history, _ = self.ledger.recorded("home", agent)
        sightings = self.ledger.sightings(history, seen, self.now)
        self.ledger.record("home", agent, record_observation(history, seen, self.now, sightings), seen)

    def count(self, table: str) -> int:
        return int(self.ledger.read(f"SELECT count(*) FROM {table}")[0][0])


@pytest.fixture
def years() -> Years:
    return Years(None)


def test_texts_that_nobody_asks_for_any_more_are_removed(years: Years) -> None:
    for day in range(200):
        years.ledger.put_cached(f"version {day}", "2026.9.6")
        years.ledger.save()
        years.now += DAY
    assert years.count("cache") <= KEEP_CACHED / DAY + 2
    assert len(years.ledger._cache) <= KEEP_CACHED / DAY + 2
    assert years.ledger.get_cached("version 199", KEEP_CACHED) == "2026.9.6"


@pytest.mark.parametrize("seconds", [auto.KEEP_CHOICE_FOR, auto.NOTE_CHANGE_FOR, openclaw._VERSION_FOR])
def test_no_source_asks_for_a_text_that_was_removed(seconds: float) -> None:
    assert seconds <= KEEP_CACHED


def test_a_secret_that_nobody_has_is_forgotten_after_years_and_one_in_use_is_not(years: Years) -> None:
    years.check("kept", "old")
    for _ in range(3 * 52):
        years.check("rotated", f"{years.now}")
        years.ledger.save()
        years.now += 7 * DAY
    assert years.count("sighting") <= KEEP_SIGHTING / (7 * DAY) + 3
    assert len(years.ledger._sightings) == years.count("sighting")
    years.check("new", "old")
    assert years.ledger.recorded("home", "new")[0].profiles[TOKEN.id].known_since == NEW_YEAR


def test_secrets_that_change_at_every_check_are_bounded(years: Years, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials_db, "MAX_SIGHTINGS", 50)
    years.check("kept", "old")
    for _ in range(500):
        years.check("rotated", f"{years.now}")
        years.ledger.save()
        years.now += DAY / 10
    assert years.count("sighting") <= 50 + 10 + 2
    assert "old" in years.ledger._sightings


def test_what_is_not_saved_yet_is_not_removed(years: Years) -> None:
    """The transaction that removes the old also writes the new."""
    years.ledger.put_cached("old", "1")
    years.ledger.save()
    years.now += KEEP_CACHED + DAY
    years.ledger.put_cached("new", "2")
    years.check("main", "first")
    years.ledger.save()
    assert years.ledger.get_cached("new", DAY) == "2"
    assert years.count("cache") == 1
    assert years.ledger._sightings == {"first": years.now}
