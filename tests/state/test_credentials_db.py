"""The ledger: records survive, a damaged file is set aside, and earlier schemas are migrated."""

from __future__ import annotations

import errno
import hmac
import os
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from histories import HISTORY, NOW, OBSERVATION
from old_files import write_old_file

from exporter.model import Dialect, Observation, ObservedProfile, Unusable
from exporter.state import credentials_db
from exporter.state.credentials_db import FILE, SCHEMA, CredentialDatabase
from exporter.state.history import (
    CredentialChange,
    CredentialHistory,
    CredentialRecord,
    SuppliedDate,
    record_observation,
)

DAY = 86400.0
#: When the files of earlier releases were made.
OLD = 1_795_341_600.0
#: Every schema that any commit wrote. None wrote schema 2 or 4: they came together with 3 and 5.
FILES = ["ledger-1-first", "ledger-1", "ledger-3", "ledger-5"]


def test_records_survive_a_restart(tmp_path: Path) -> None:
    ledger = CredentialDatabase(tmp_path)
    ledger.record("home", "main", HISTORY, OBSERVATION)
    key = ledger.keyed_hash("secret")
    ledger.close()
    again = CredentialDatabase(tmp_path)
    assert again.recorded("home", "main") == (HISTORY, OBSERVATION)
    assert again.recorded("home", "other") == (CredentialHistory(), None)
    assert again.agents("home") == ["main"]
    assert again.keyed_hash("secret") == key
    assert again.problem is None


def test_each_ledger_has_its_own_hash_key(tmp_path: Path) -> None:
    assert CredentialDatabase(tmp_path / "a").keyed_hash("secret") != CredentialDatabase(tmp_path / "b").keyed_hash(
        "secret"
    )


def test_ledger_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    ledger = CredentialDatabase(tmp_path / "state")
    ledger.record("home", "main", HISTORY, OBSERVATION)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    for file in (tmp_path / "state").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_narrower_supplied_date_wins_and_can_be_cleared(tmp_path: Path) -> None:
    ledger = CredentialDatabase(tmp_path)

    def supplied(target: str) -> SuppliedDate:
        return ledger.recorded(target, "main")[0].supplied["anthropic:default"]

    ledger.set_date("anthropic:default", SuppliedDate(expires_at=1.0, supplied_at=NOW))
    ledger.set_date("home/main/anthropic:default", SuppliedDate(issued_at=2.0, supplied_at=NOW))
    assert supplied("home") == SuppliedDate(issued_at=2.0, supplied_at=NOW)
    assert supplied("vps") == SuppliedDate(expires_at=1.0, supplied_at=NOW)
    assert ledger.clear_date("home/main/anthropic:default")
    assert not ledger.clear_date("home/main/anthropic:default")
    ledger.set_date("home/anthropic:default", SuppliedDate(issued_at=3.0, supplied_at=NOW))
    assert supplied("home") == SuppliedDate(issued_at=3.0, supplied_at=NOW)
    assert supplied("vps") == SuppliedDate(expires_at=1.0, supplied_at=NOW)


def test_removed_profiles_are_not_listed(tmp_path: Path) -> None:
    ledger = CredentialDatabase(tmp_path)
    gone = CredentialRecord("anthropic:old", "anthropic", "token", NOW, NOW, gone_at=NOW)
    ledger.record("home", "main", replace(HISTORY, profiles={**HISTORY.profiles, "anthropic:old": gone}), None)
    ledger.record("home", "work", HISTORY, None)
    ledger.save()
    assert ledger.profiles() == ["home/main/anthropic:default", "home/work/anthropic:default"]


def test_write_of_another_process_is_noticed(tmp_path: Path) -> None:
    ledger, other = CredentialDatabase(tmp_path), CredentialDatabase(tmp_path)
    before = ledger.changes()
    ledger.set_date("mine", SuppliedDate(supplied_at=NOW))
    assert ledger.changes() == before
    other.set_date("theirs", SuppliedDate(supplied_at=NOW))
    assert ledger.changes() != before


def test_cached_texts_expire(tmp_path: Path) -> None:
    clock = [NOW]
    ledger = CredentialDatabase(tmp_path, lambda: clock[0])
    ledger.put_cached("agents", "main")
    clock[0] += 60
    assert ledger.get_cached("agents", 60) == "main"
    assert ledger.get_cached("agents", 59) is None
    assert ledger.get_cached("other", 60) is None
    clock[0] = NOW - 10  # a text from the future does not count
    assert ledger.get_cached("agents", 60) is None


@pytest.mark.parametrize(
    "content", [b"this is no database at all, but long enough to be one" * 50, b"SQLite format 3\0junk" * 99]
)
def test_damaged_ledger_is_set_aside(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).write_bytes(content)
    ledger = CredentialDatabase(tmp_path, lambda: NOW)
    ledger.record("home", "main", HISTORY, OBSERVATION)
    assert ledger.problem is None
    assert (tmp_path / f"{FILE}.corrupt-{int(NOW)}").read_bytes() == content
    assert "set aside" in caplog.text


def test_read_only_ledger_is_copied_to_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = CredentialDatabase(tmp_path)
    ledger.record("home", "main", HISTORY, OBSERVATION)
    key = ledger.keyed_hash("secret")
    ledger.close()
    before = (tmp_path / FILE).read_bytes()

    def refuse(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    ledger = CredentialDatabase(tmp_path)
    assert "read-only file system" in (ledger.problem or "")
    assert ledger.recorded("home", "main") == (HISTORY, OBSERVATION)
    assert ledger.keyed_hash("secret") == key
    ledger.set_date("anthropic:default", SuppliedDate(supplied_at=NOW))
    assert list(ledger.supplied_dates()) == ["anthropic:default"]
    ledger.close()
    assert (tmp_path / FILE).read_bytes() == before


def test_directory_that_cannot_be_created_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ledger = CredentialDatabase(tmp_path / "file" / "state")
    assert "cannot be used" in (ledger.problem or "")
    ledger.record("home", "main", HISTORY, OBSERVATION)


def test_damaged_history_starts_again(tmp_path: Path) -> None:
    ledger = CredentialDatabase(tmp_path)
    ledger.record("home", "main", HISTORY, OBSERVATION)
    ledger.save()
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("UPDATE agent SET history = '{', observation = 'null'")
    db.close()
    assert ledger.recorded("home", "main") == (CredentialHistory(), None)


@pytest.mark.parametrize("name", FILES)
def test_ledger_of_an_earlier_schema_is_migrated(tmp_path: Path, name: str) -> None:
    write_old_file(name, tmp_path / FILE)
    ledger = CredentialDatabase(tmp_path, lambda: OLD)
    assert ledger.problem is None
    assert_nothing_is_lost(ledger, name)
    ledger.close()
    database = sqlite3.connect(tmp_path / FILE)
    assert database.execute("PRAGMA user_version").fetchone() == (len(SCHEMA.migrations),)
    assert database.execute("PRAGMA application_id").fetchone() == (SCHEMA.application_id,)
    database.close()


@pytest.mark.parametrize("name", FILES)
def test_read_only_ledger_of_an_earlier_schema_is_migrated_in_memory(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_old_file(name, tmp_path / FILE)

    def refuse(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    ledger = CredentialDatabase(tmp_path, lambda: OLD)
    assert "read-only file system" in (ledger.problem or "")
    assert_nothing_is_lost(ledger, name)


def assert_nothing_is_lost(ledger: CredentialDatabase, name: str) -> None:
    """The first release did not know from when on a supplied date is about a credential."""
    knows_start = name != "ledger-1-first"
    history, observation = ledger.recorded("home", "main")
    assert replace(history, supplied={}) == CredentialHistory(
        profiles={
            "anthropic:default": CredentialRecord(
                profile="anthropic:default",
                provider="anthropic",
                kind="token",
                first_seen_at=OLD - 9 * DAY,
                last_seen_at=OLD,
                secret_hash="h" * 32,
                deadline=OLD + 5,
                supplied_dates_from=0.0 if knows_start else None,
            ),
            "anthropic:old": CredentialRecord(
                profile="anthropic:old",
                provider="anthropic",
                kind="token",
                first_seen_at=OLD - 90 * DAY,
                last_seen_at=OLD - DAY,
                secret_hash="g" * 32,
                deadline=OLD - DAY,
                gone_at=OLD - 3600,
                supplied_dates_from=OLD - DAY if knows_start else None,
            ),
        },
        since={"expiring|anthropic|anthropic:default": OLD - 60},
        serving={"anthropic": "token"},
        changed={"anthropic": CredentialChange("api_key", "token", OLD - 120)},
        latest=OLD,
    )
    assert history.supplied["anthropic:default"] == SuppliedDate(expires_at=OLD + 90 * DAY, supplied_at=OLD - 60)
    assert history.supplied["anthropic:old"] == SuppliedDate(issued_at=OLD - 30 * DAY, supplied_at=OLD - 30)
    assert observation is not None
    (profile,) = observation.profiles
    assert replace(profile, unusable=None) == ObservedProfile(
        "anthropic:default",
        "anthropic",
        "token",
        "ok",
        expires_at=OLD + 5,
        has_refresh_token=False,
        secret_hash="h" * 32,
    )
    assert profile.unusable == Unusable("cooldown", "auth", OLD)
    assert (observation.observed_at, observation.order) == (OLD, {"anthropic": ("anthropic:default",)})
    assert ledger.agents("home") == ["main", "work"]
    assert ledger.recorded("home", "work")[0].latest == OLD
    assert ledger.recorded("vps", "main")[1] is None  # its history is damaged
    assert sorted(ledger.supplied_dates()) == ["anthropic:default", "home/main/anthropic:old"]
    assert ledger.get_cached("agents:home", DAY) == '["main"]'
    assert ledger.keyed_hash("secret") == hmac.new(bytes(range(32)), b"secret", "sha256").hexdigest()[:32]


# --- how old a secret is -----------------------------------------------------------------------

NEW_YEAR = 1798761600.0  # 2027-01-01


def sight(ledger: CredentialDatabase, agent: str, at: float, target: str = "home", **profile: Any) -> CredentialRecord:
    """What a check of an agent with one undated token records about it."""
    token = ObservedProfile("anthropic:default", "anthropic", "token", secret_hash="h1")
    seen = Observation(target, agent, "openclaw", Dialect.ROUTES, at, (replace(token, **profile),))
    history, _ = ledger.recorded(target, agent)
    history = record_observation(history, seen, at, ledger.sightings(history, seen, at))
    ledger.record(target, agent, history, seen)
    return history.profiles[seen.profiles[0].id]


@pytest.mark.parametrize(
    "later", [{"agent": "work"}, {"agent": "main", "target": "vps"}, {"agent": "main", "id": "anthropic:renamed"}]
)
def test_secret_has_one_age_in_every_agent_target_and_profile(tmp_path: Path, later: dict[str, Any]) -> None:
    ledger = CredentialDatabase(tmp_path)
    sight(ledger, "main", NEW_YEAR)
    assert sight(ledger, at=NEW_YEAR + 100 * DAY, **later).known_since == NEW_YEAR
    ledger.close()
    ledger = CredentialDatabase(tmp_path)
    ledger.forget("home", "main")
    assert sight(ledger, "third", NEW_YEAR + 200 * DAY).known_since == NEW_YEAR


def test_agent_that_saw_a_secret_later_learns_that_it_is_older(tmp_path: Path) -> None:
    ledger, other = CredentialDatabase(tmp_path), CredentialDatabase(tmp_path)
    sight(other, "work", NEW_YEAR)  # another process, which has not saved yet
    assert sight(ledger, "main", NEW_YEAR + DAY).known_since == NEW_YEAR + DAY
    ledger.save()
    other.close()
    ledger.sync()
    assert sight(ledger, "main", NEW_YEAR + 2 * DAY).known_since == NEW_YEAR
    ledger.close()
    assert CredentialDatabase(tmp_path)._sightings == {"h1": NEW_YEAR}


def test_new_secret_is_new(tmp_path: Path) -> None:
    ledger = CredentialDatabase(tmp_path)
    sight(ledger, "main", NEW_YEAR)
    assert sight(ledger, "main", NEW_YEAR + DAY, secret_hash="h2").known_since == NEW_YEAR + DAY
    assert sight(ledger, "main", NEW_YEAR + 2 * DAY, secret_hash="h1").known_since == NEW_YEAR  # the old one again


@pytest.mark.parametrize("what", [{"reference": "env:default:TOKEN"}, {"secret_hash": None}, {"kind": "oauth"}])
def test_what_is_not_the_secret_itself_has_no_common_age(tmp_path: Path, what: dict[str, Any]) -> None:
    ledger = CredentialDatabase(tmp_path)
    sight(ledger, "main", NEW_YEAR, **what)
    assert sight(ledger, "work", NEW_YEAR + DAY, **what).known_since == NEW_YEAR + DAY


def test_sighting_under_a_wrong_clock_does_not_count(tmp_path: Path) -> None:
    ledger = CredentialDatabase(tmp_path)
    sight(ledger, "main", 1000.0)
    assert sight(ledger, "main", NEW_YEAR).known_since == NEW_YEAR
    assert sight(ledger, "work", NEW_YEAR + DAY).known_since == NEW_YEAR


def test_ledger_of_an_earlier_schema_knows_its_secrets(tmp_path: Path) -> None:
    write_old_file("ledger-1", tmp_path / FILE)
    ledger = CredentialDatabase(tmp_path, lambda: OLD)
    records = ledger.recorded("home", "main")[0].profiles.values()
    assert ledger._sightings == {r.secret_hash: r.first_seen_at for r in records if r.secret_hash}
    assert ledger._sightings


def test_a_link_that_an_earlier_release_marked_in_its_cache_stays_used(tmp_path: Path) -> None:
    write_old_file("ledger-1", tmp_path / FILE)
    with closing(sqlite3.connect(tmp_path / FILE)) as database, database:
        database.execute("INSERT INTO note VALUES ('link:abc', ?, 'used')", (OLD,))
    ledger = CredentialDatabase(tmp_path, lambda: OLD - 300 * DAY)
    assert ledger.is_used("abc")
    assert not ledger.use("abc")
    assert ledger.use("def")
    ledger.close()


def test_used_links_are_bounded_by_their_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials_db, "MAX_USED_LINKS", 3)
    ledger = CredentialDatabase(tmp_path)
    assert [ledger.use(nonce) for nonce in "abcde"] == [True] * 5
    ledger.close()
    again = CredentialDatabase(tmp_path)
    assert [again.is_used(nonce) for nonce in "abcde"] == [False, False, True, True, True]
    assert [again.use(nonce) for nonce in "cde"] == [False] * 3
    again.close()
