"""Credential histories: deadlines outlive a check, and a replaced credential starts again."""

from __future__ import annotations

from dataclasses import replace

from captured import verdict

from exporter.model import AgentReport, Dialect, Observation, ObservedProfile, Status
from exporter.state.history import (
    CredentialHistory,
    SuppliedDate,
    about_present,
    acknowledge_gone,
    earliest,
    record_observation,
    record_report,
)

NOW = 1_795_346_770.0
DAY = 86400.0
TOKEN = ObservedProfile("anthropic:default", "anthropic", "token", status="ok", expires_at=NOW + DAY, secret_hash="h1")


def seen(*profiles: ObservedProfile, at: float = NOW) -> Observation:
    return Observation(
        "home", "main", "openclaw", Dialect.ROUTES, at, tuple(profiles), ("anthropic",), openclaw_version="2026.9.6"
    )


def after(history: CredentialHistory, observation: Observation) -> tuple[CredentialHistory, AgentReport]:
    """One check: observed, evaluated and recorded."""
    report = verdict(observation, history)
    return record_report(record_observation(history, observation, observation.observed_at), report), report


def test_deadline_outlives_the_check_that_reported_it() -> None:
    history, _ = after(CredentialHistory(), seen(TOKEN))
    dropped = replace(TOKEN, status="expired", reason_code="expired", expires_at=None)
    _, report = after(history, seen(dropped, at=NOW + 2 * DAY))
    (profile,) = report.profiles
    assert (profile.status, profile.expires_at, profile.basis) == (Status.EXPIRED, NOW + DAY, "ledger")
    (expired,) = [c for c in report.conditions if c.name == "expired"]
    assert expired.since == NOW + DAY


def test_replaced_token_does_not_inherit_the_old_deadline() -> None:
    history, _ = after(CredentialHistory(), seen(TOKEN))
    undated = replace(TOKEN, status="static", expires_at=None, secret_hash="h2")
    _, report = after(history, seen(undated, at=NOW + 60))
    (profile,) = report.profiles
    assert profile.expires_at == NOW + 60 + 365 * DAY  # from when this token was first seen
    assert [c.name for c in report.conditions] == ["undated"]


def test_without_a_hash_a_new_date_is_a_new_token() -> None:
    bare = replace(TOKEN, secret_hash=None)
    history, _ = after(CredentialHistory(), seen(bare))
    history, _ = after(history, seen(replace(bare, expires_at=NOW + 90 * DAY), at=NOW + 60))
    assert history.profiles[TOKEN.id].first_seen_at == NOW + 60
    history, _ = after(history, seen(replace(bare, expires_at=NOW + 90 * DAY), at=NOW + 120))
    assert history.profiles[TOKEN.id].first_seen_at == NOW + 60


def test_briefly_unreadable_store_replaces_no_credential() -> None:
    history, _ = after(CredentialHistory(), seen(TOKEN))
    history, _ = after(history, seen(replace(TOKEN, secret_hash=None), at=NOW + 60))
    assert history.profiles[TOKEN.id].first_seen_at == NOW
    assert history.profiles[TOKEN.id].secret_hash == "h1"


def test_undated_token_expires_a_year_after_it_was_first_seen() -> None:
    undated = replace(TOKEN, status="static", expires_at=None)
    history, report = after(CredentialHistory(), seen(undated))
    assert (report.exit_code, report.profiles[0].status) == (0, Status.STATIC)
    _, report = after(history, seen(undated, at=NOW + 364.5 * DAY))
    assert (report.exit_code, report.profiles[0].status) == (2, Status.EXPIRING)
    _, report = after(history, seen(undated, at=NOW + 366 * DAY))
    assert (report.exit_code, report.profiles[0].status) == (1, Status.EXPIRED)


def test_supplied_date_is_about_one_credential() -> None:
    undated = replace(TOKEN, status="static", expires_at=None)
    history, _ = after(CredentialHistory(), seen(undated))
    history = replace(history, supplied={TOKEN.id: SuppliedDate(expires_at=NOW + 12 * 3600, supplied_at=NOW + 10)})
    history, report = after(history, seen(undated, at=NOW + 60))
    assert (report.exit_code, report.profiles[0].basis) == (2, "configured")
    _, report = after(history, seen(replace(undated, secret_hash="h2"), at=NOW + 120))
    assert (report.exit_code, report.profiles[0].basis) == (0, "ledger")


def test_date_supplied_before_the_first_check_is_about_the_first_credential() -> None:
    undated = replace(TOKEN, status="static", expires_at=None)
    dates = {TOKEN.id: SuppliedDate(expires_at=NOW + 90 * DAY, supplied_at=NOW - 60)}
    history, report = after(replace(CredentialHistory(), supplied=dates), seen(undated))
    assert (report.profiles[0].expires_at, report.profiles[0].basis) == (NOW + 90 * DAY, "configured")
    history, report = after(replace(history, supplied=dates), seen(undated, at=NOW + 60))
    assert report.profiles[0].basis == "configured"
    _, report = after(replace(history, supplied=dates), seen(replace(undated, secret_hash="h2"), at=NOW + 120))
    assert report.profiles[0].basis == "ledger"


def test_date_of_a_removed_credential_is_not_about_the_next() -> None:
    undated = replace(TOKEN, status="static", expires_at=None)
    dates = {TOKEN.id: SuppliedDate(expires_at=NOW + 90 * DAY, supplied_at=NOW - 60)}
    history, _ = after(replace(CredentialHistory(), supplied=dates), seen(undated))
    for days in (1, 9, 20):
        history, _ = after(replace(history, supplied=about_present(dates, history.profiles)), seen(at=NOW + days * DAY))
    (successor,) = after(history, seen(replace(undated, secret_hash="h2"), at=NOW + 30 * DAY))[1].profiles
    assert (successor.expires_at, successor.basis) == (NOW + 395 * DAY, "ledger")


def test_lifetime_counts_from_a_supplied_creation_date() -> None:
    undated = replace(TOKEN, status="static", expires_at=None)
    supplied = {TOKEN.id: SuppliedDate(issued_at=NOW - 300 * DAY, supplied_at=NOW - 1)}
    history = replace(CredentialHistory(), supplied=supplied)
    _, report = after(history, seen(undated))
    assert report.profiles[0].expires_at == NOW + 65 * DAY
    assert report.conditions == ()


def test_reported_date_wins_over_a_supplied_one() -> None:
    supplied = {TOKEN.id: SuppliedDate(expires_at=NOW + 90 * DAY, supplied_at=NOW - 1)}
    history = replace(CredentialHistory(), supplied=supplied)
    _, report = after(history, seen(TOKEN))
    assert (report.profiles[0].expires_at, report.profiles[0].basis) == (NOW + DAY, "reported")


def test_vanished_profile_is_reported_for_a_week() -> None:
    spare = replace(TOKEN, id="anthropic:spare", secret_hash="h9")
    history, _ = after(CredentialHistory(), seen(TOKEN, spare))
    history, report = after(history, seen(TOKEN, at=NOW + 60))
    assert [(c.name, c.profile) for c in report.conditions if c.name == "vanished"] == [("vanished", spare.id)]
    assert report.exit_code == 2  # for TOKEN, which expires within a day
    _, report = after(history, seen(replace(TOKEN, expires_at=NOW + 99 * DAY), at=NOW + 8 * DAY))
    assert report.conditions == ()


def test_vanished_profile_is_not_reported_after_it_was_acknowledged() -> None:
    spare = replace(TOKEN, id="anthropic:spare", secret_hash="h9")
    history, _ = after(CredentialHistory(), seen(TOKEN, spare))
    history, _ = after(history, seen(TOKEN, at=NOW + 60))
    assert acknowledge_gone(history, TOKEN.id) == history  # it is there
    history = acknowledge_gone(history, spare.id)
    history, report = after(history, seen(TOKEN, at=NOW + 120))
    assert "vanished" not in {c.name for c in report.conditions}
    history, _ = after(history, seen(TOKEN, spare, at=NOW + 180))
    _, report = after(history, seen(TOKEN, at=NOW + 240))
    assert "vanished" in {c.name for c in report.conditions}  # it came back and is gone again


def test_credential_is_as_old_as_the_earliest_sighting_of_its_secret() -> None:
    undated = replace(TOKEN, status="static", expires_at=None)
    history = record_observation(CredentialHistory(), seen(undated), NOW, {"h1": NOW - 100 * DAY})
    report = verdict(seen(undated), history)
    assert report.profiles[0].expires_at == NOW + 265 * DAY
    assert history.profiles[TOKEN.id].first_seen_at == NOW  # in this agent
    replaced = replace(undated, secret_hash="h2")
    history = record_observation(history, seen(replaced, at=NOW + 60), NOW + 60, {"h2": NOW + 60})
    assert history.profiles[TOKEN.id].known_since == NOW + 60


def test_time_of_a_wrong_clock_is_no_age() -> None:
    undated = replace(TOKEN, status="static", expires_at=None, secret_hash=None)
    history = record_observation(CredentialHistory(), seen(undated, at=1000.0), 1000.0)
    history = record_observation(history, seen(undated), NOW)
    assert history.profiles[TOKEN.id].known_since == NOW
    assert earliest(NOW, 1000.0, None, NOW - DAY) == NOW - DAY


def test_renamed_profile_has_not_vanished() -> None:
    history, _ = after(CredentialHistory(), seen(TOKEN))
    _, report = after(history, seen(replace(TOKEN, id="anthropic:renamed"), at=NOW + 60))
    assert "vanished" not in {c.name for c in report.conditions}


def test_change_of_kind_is_reported() -> None:
    key = ObservedProfile("anthropic:api", "anthropic", "api_key", status="static")
    history, _ = after(CredentialHistory(), seen(replace(TOKEN, expires_at=NOW + 99 * DAY)))
    history, _ = after(history, seen(key, at=NOW + 60))
    _, report = after(history, seen(key, at=NOW + 120))
    (changed,) = [c for c in report.conditions if c.name == "credential_changed"]
    assert (changed.severity, changed.provider, changed.since) == ("info", "anthropic", NOW + 60)


def test_no_deadline_is_evaluated_after_the_clock_was_set_back() -> None:
    history, _ = after(CredentialHistory(), seen(TOKEN))
    _, report = after(history, seen(replace(TOKEN, expires_at=NOW - 30 * DAY), at=NOW - 40 * DAY))
    assert [c.name for c in report.conditions] == ["clock"]
    assert report.exit_code == 2


def test_start_of_a_condition_is_kept() -> None:
    missing = replace(TOKEN, status="missing", expires_at=None)
    history, _ = after(CredentialHistory(), seen(missing))
    _, report = after(history, seen(missing, at=NOW + 3600))
    assert {c.since for c in report.conditions} == {NOW}
