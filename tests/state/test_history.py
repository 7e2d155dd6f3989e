"""What is remembered between looks: deadlines outlive the report, replaced credentials start anew."""

from __future__ import annotations

from dataclasses import replace

from captured import verdict

from exporter.model import AgentReport, Dialect, Observation, ObservedProfile, Status
from exporter.state.history import CredentialHistory, SuppliedDate, about_present, record_observation, record_report

NOW = 1_795_346_770.0
DAY = 86400.0
TOKEN = ObservedProfile("anthropic:default", "anthropic", "token", status="ok", expires_at=NOW + DAY, secret_hash="h1")


def seen(*profiles: ObservedProfile, at: float = NOW) -> Observation:
    return Observation(
        "home", "main", "openclaw", Dialect.ROUTES, at, tuple(profiles), ("anthropic",), openclaw_version="2026.9.6"
    )


def after(history: CredentialHistory, observation: Observation) -> tuple[CredentialHistory, AgentReport]:
    """One look: remembered, judged, settled."""
    report = verdict(observation, history)
    return record_report(record_observation(history, observation, observation.observed_at), report), report


def test_a_deadline_outlives_the_report_that_printed_it() -> None:
    memory, _ = after(CredentialHistory(), seen(TOKEN))
    dropped = replace(TOKEN, status="expired", reason_code="expired", expires_at=None)
    _, report = after(memory, seen(dropped, at=NOW + 2 * DAY))
    (profile,) = report.profiles
    assert (profile.status, profile.expires_at, profile.basis) == (Status.EXPIRED, NOW + DAY, "ledger")
    (expired,) = [c for c in report.conditions if c.name == "expired"]
    assert expired.since == NOW + DAY


def test_a_replaced_token_does_not_inherit_the_old_deadline() -> None:
    memory, _ = after(CredentialHistory(), seen(TOKEN))
    undated = replace(TOKEN, status="static", expires_at=None, secret_hash="h2")
    _, report = after(memory, seen(undated, at=NOW + 60))
    (profile,) = report.profiles
    assert profile.expires_at == NOW + 60 + 365 * DAY  # counted from when this one was first seen
    assert [c.name for c in report.conditions] == ["undated"]


def test_without_a_hash_a_new_date_is_a_new_token() -> None:
    bare = replace(TOKEN, secret_hash=None)
    memory, _ = after(CredentialHistory(), seen(bare))
    memory, _ = after(memory, seen(replace(bare, expires_at=NOW + 90 * DAY), at=NOW + 60))
    assert memory.profiles[TOKEN.id].first_seen_at == NOW + 60
    memory, _ = after(memory, seen(replace(bare, expires_at=NOW + 90 * DAY), at=NOW + 120))
    assert memory.profiles[TOKEN.id].first_seen_at == NOW + 60


def test_a_store_that_cannot_be_read_for_a_moment_replaces_nothing() -> None:
    memory, _ = after(CredentialHistory(), seen(TOKEN))
    memory, _ = after(memory, seen(replace(TOKEN, secret_hash=None), at=NOW + 60))
    assert memory.profiles[TOKEN.id].first_seen_at == NOW
    assert memory.profiles[TOKEN.id].secret_hash == "h1"


def test_an_undated_token_expires_a_year_after_it_was_first_seen() -> None:
    undated = replace(TOKEN, status="static", expires_at=None)
    memory, report = after(CredentialHistory(), seen(undated))
    assert (report.exit_code, report.profiles[0].status) == (0, Status.STATIC)
    _, report = after(memory, seen(undated, at=NOW + 364.5 * DAY))
    assert (report.exit_code, report.profiles[0].status) == (2, Status.EXPIRING)
    _, report = after(memory, seen(undated, at=NOW + 366 * DAY))
    assert (report.exit_code, report.profiles[0].status) == (1, Status.EXPIRED)


def test_a_told_date_is_about_one_credential() -> None:
    undated = replace(TOKEN, status="static", expires_at=None)
    memory, _ = after(CredentialHistory(), seen(undated))
    memory = replace(memory, supplied={TOKEN.id: SuppliedDate(expires_at=NOW + 12 * 3600, supplied_at=NOW + 10)})
    memory, report = after(memory, seen(undated, at=NOW + 60))
    assert (report.exit_code, report.profiles[0].basis) == (2, "configured")
    _, report = after(memory, seen(replace(undated, secret_hash="h2"), at=NOW + 120))
    assert (report.exit_code, report.profiles[0].basis) == (0, "ledger")


def test_a_date_told_before_the_first_look_is_about_what_is_found() -> None:
    undated = replace(TOKEN, status="static", expires_at=None)
    told = {TOKEN.id: SuppliedDate(expires_at=NOW + 90 * DAY, supplied_at=NOW - 60)}
    memory, report = after(replace(CredentialHistory(), supplied=told), seen(undated))
    assert (report.profiles[0].expires_at, report.profiles[0].basis) == (NOW + 90 * DAY, "configured")
    memory, report = after(replace(memory, supplied=told), seen(undated, at=NOW + 60))
    assert report.profiles[0].basis == "configured"
    _, report = after(replace(memory, supplied=told), seen(replace(undated, secret_hash="h2"), at=NOW + 120))
    assert report.profiles[0].basis == "ledger"


def test_what_was_told_of_a_credential_long_gone_is_not_about_the_next_one() -> None:
    undated = replace(TOKEN, status="static", expires_at=None)
    told = {TOKEN.id: SuppliedDate(expires_at=NOW + 90 * DAY, supplied_at=NOW - 60)}
    memory, _ = after(replace(CredentialHistory(), supplied=told), seen(undated))
    for days in (1, 9, 20):
        memory, _ = after(replace(memory, supplied=about_present(told, memory.profiles)), seen(at=NOW + days * DAY))
    (next_one,) = after(memory, seen(replace(undated, secret_hash="h2"), at=NOW + 30 * DAY))[1].profiles
    assert (next_one.expires_at, next_one.basis) == (NOW + 395 * DAY, "ledger")


def test_a_date_told_as_made_counts_from_there() -> None:
    undated = replace(TOKEN, status="static", expires_at=None)
    supplied = {TOKEN.id: SuppliedDate(issued_at=NOW - 300 * DAY, supplied_at=NOW - 1)}
    memory = replace(CredentialHistory(), supplied=supplied)
    _, report = after(memory, seen(undated))
    assert report.profiles[0].expires_at == NOW + 65 * DAY
    assert report.conditions == ()


def test_what_openclaw_prints_stands_over_what_was_told() -> None:
    supplied = {TOKEN.id: SuppliedDate(expires_at=NOW + 90 * DAY, supplied_at=NOW - 1)}
    memory = replace(CredentialHistory(), supplied=supplied)
    _, report = after(memory, seen(TOKEN))
    assert (report.profiles[0].expires_at, report.profiles[0].basis) == (NOW + DAY, "reported")


def test_a_vanished_profile_is_told_for_a_week() -> None:
    spare = replace(TOKEN, id="anthropic:spare", secret_hash="h9")
    memory, _ = after(CredentialHistory(), seen(TOKEN, spare))
    memory, report = after(memory, seen(TOKEN, at=NOW + 60))
    assert [(c.name, c.profile) for c in report.conditions if c.name == "vanished"] == [("vanished", spare.id)]
    assert report.exit_code == 2  # for TOKEN, which expires within a day
    _, report = after(memory, seen(replace(TOKEN, expires_at=NOW + 99 * DAY), at=NOW + 8 * DAY))
    assert report.conditions == ()


def test_a_renamed_profile_has_not_vanished() -> None:
    memory, _ = after(CredentialHistory(), seen(TOKEN))
    _, report = after(memory, seen(replace(TOKEN, id="anthropic:renamed"), at=NOW + 60))
    assert "vanished" not in {c.name for c in report.conditions}


def test_another_kind_of_credential_that_takes_over_is_told() -> None:
    key = ObservedProfile("anthropic:api", "anthropic", "api_key", status="static")
    memory, _ = after(CredentialHistory(), seen(replace(TOKEN, expires_at=NOW + 99 * DAY)))
    memory, _ = after(memory, seen(key, at=NOW + 60))
    _, report = after(memory, seen(key, at=NOW + 120))
    (changed,) = [c for c in report.conditions if c.name == "credential_changed"]
    assert (changed.severity, changed.provider, changed.since) == ("info", "anthropic", NOW + 60)


def test_a_clock_that_went_back_judges_no_deadline() -> None:
    memory, _ = after(CredentialHistory(), seen(TOKEN))
    _, report = after(memory, seen(replace(TOKEN, expires_at=NOW - 30 * DAY), at=NOW - 40 * DAY))
    assert [c.name for c in report.conditions] == ["clock"]
    assert report.exit_code == 2


def test_the_age_of_a_condition_is_kept() -> None:
    missing = replace(TOKEN, status="missing", expires_at=None)
    memory, _ = after(CredentialHistory(), seen(missing))
    _, report = after(memory, seen(missing, at=NOW + 3600))
    assert {c.since for c in report.conditions} == {NOW}
