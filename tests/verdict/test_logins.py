"""Whether a login refreshes itself, is idle or has expired, and dates that contradict a status."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from captured import verdict
from profiles import DAY, EXPIRED, HOUR, LOGIN, NOW, SPARE, TOKEN, found, observation

from exporter.config import Policy, ProfilePolicy
from exporter.model import Dialect
from exporter.state.history import CredentialHistory, condition_key, record_observation, record_report


@pytest.mark.parametrize(
    ("dialect", "status", "date", "refreshable"),
    [
        (Dialect.STATUS, "ok", NOW - HOUR, True),
        (Dialect.STATUS, "ok", NOW + HOUR, True),
        (Dialect.STATUS, "ok", NOW + 9 * DAY, None),
        (Dialect.STATUS, "expired", NOW - HOUR, False),
        (Dialect.LISTING, "expired", NOW - HOUR, None),
        (Dialect.LISTING, "expiring", NOW + HOUR, None),
        (Dialect.ROUTES, "expiring", NOW + HOUR, None),
        (Dialect.GATEWAY, "ok", NOW - HOUR, True),
        (Dialect.GATEWAY, "expired", NOW - HOUR, None),
        (Dialect.GATEWAY, "expiring", NOW + HOUR, False),
        (Dialect.GATEWAY, "expiring", NOW + 240, None),
        (Dialect.DATES, "ok", NOW + HOUR, None),
        (Dialect.DATES, "expiring", NOW + HOUR, None),
        (Dialect.DATES, "expired", NOW - HOUR, None),
    ],
)
def test_refreshable_follows_from_the_release(
    dialect: Dialect, status: str, date: float, refreshable: bool | None
) -> None:
    report = verdict(
        observation(replace(LOGIN, status=status, expires_at=date), dialect=dialect, providers_in_use=("openai",))
    )
    assert report.profiles[0].refreshable is refreshable
    assert (report.exit_code != 0) == (refreshable is False)


def test_refresh_token_in_the_store_decides() -> None:
    past = replace(LOGIN, status="expired", expires_at=NOW - 30 * DAY)
    use: dict[str, object] = {"dialect": Dialect.LISTING, "providers_in_use": ("openai",)}
    report = verdict(observation(replace(past, has_refresh_token=True), **use))
    assert (report.exit_code, report.profiles[0].status, report.profiles[0].expires_at) == (0, "ok", None)
    report = verdict(observation(replace(past, has_refresh_token=False), **use))
    assert (report.exit_code, report.profiles[0].expires_at) == (1, NOW - 30 * DAY)


#: A login whose access token ended three days ago and was not refreshed, as each source reports it.
IDLE = {
    "store": (replace(LOGIN, status=None, has_refresh_token=True), Dialect.STORE),
    "command, refreshes": (replace(LOGIN, status="ok"), Dialect.STATUS),
    "command, unknown": (replace(LOGIN, status="expired"), Dialect.DATES),
    "command and store": (replace(LOGIN, status="expired", has_refresh_token=True), Dialect.LISTING),
    "gateway": (replace(LOGIN, status="expired"), Dialect.GATEWAY),
}


@pytest.mark.parametrize("name", IDLE)
@pytest.mark.parametrize(
    ("more", "severity"),
    [
        ({}, "info"),
        ({"last_used_at": NOW - 73 * HOUR, "error_count": 0}, "info"),
        ({"last_used_at": NOW - 72 * HOUR + 60}, "info"),  # within the slack of a clock
        ({"last_used_at": NOW - HOUR}, "warning"),
        ({"error_count": 2}, "warning"),
        ({"error_count": 2, "last_error_at": NOW - HOUR}, "warning"),
        ({"error_count": 2, "last_error_at": NOW - 80 * HOUR}, "info"),
    ],
)
def test_login_in_use_that_was_not_refreshed_is_idle_and_a_warning_where_it_was_tried(
    name: str, more: dict[str, Any], severity: str
) -> None:
    login, dialect = IDLE[name]
    login = replace(login, expires_at=NOW - 72 * HOUR, **more)
    in_use = observation(login, dialect=dialect, providers_in_use=("openai",), openclaw_exit_code=1)
    assert found(verdict(in_use)) == {("idle", severity, LOGIN.id)}
    (profile,) = verdict(in_use).profiles
    assert (profile.usable, profile.expires_at) == (True, None)
    recent = replace(in_use, profiles=(replace(login, expires_at=NOW - 23 * HOUR),))
    assert found(verdict(recent)) == set()


def test_login_that_refreshes_and_that_nothing_uses_is_not_idle() -> None:
    login = replace(LOGIN, expires_at=NOW - 72 * HOUR, last_used_at=NOW - HOUR, error_count=3)
    refreshes = observation(TOKEN, replace(login, has_refresh_token=True), dialect=Dialect.STORE)
    assert verdict(refreshes).conditions == ()
    may = observation(TOKEN, replace(login, status="expired"), dialect=Dialect.LISTING)
    assert found(verdict(may)) == {("idle", "info", LOGIN.id)}


def test_gateway_login_that_cannot_refresh_stays_expired_after_its_date() -> None:
    """A gateway reports whether a login refreshes only before its access token's date."""
    use: dict[str, Any] = {"dialect": Dialect.GATEWAY, "providers_in_use": ("openai",)}
    before = observation(replace(LOGIN, status="expiring", expires_at=NOW + HOUR), **use)
    history = record_observation(CredentialHistory(), before, NOW)
    report = verdict(before, history)
    assert found(report) == {("expiring", "warning", LOGIN.id)}
    history = record_report(history, report)
    after = replace(before, profiles=(replace(LOGIN, status="expired", expires_at=NOW + HOUR),), observed_at=NOW + DAY)
    report = verdict(after, history, now=NOW + DAY)
    assert ("expired", "critical", LOGIN.id) in found(report)
    # Another access token was made since: nothing is known about that one.
    renewed = replace(after, profiles=(replace(LOGIN, status="expired", expires_at=NOW + 2 * HOUR),))
    assert found(verdict(renewed, record_report(history, report), now=NOW + DAY)) == set()


def test_status_that_contradicts_the_date_is_reported() -> None:
    stale = verdict(observation(replace(TOKEN, expires_at=NOW - HOUR)))
    assert ("status_disagrees", "info", TOKEN.id) in found(stale)
    assert ("expired", "critical", TOKEN.id) in found(stale)
    early = verdict(observation(replace(TOKEN, status="expired")))
    assert {"status_disagrees", "expired", "no_usable_profile"} == {c.name for c in early.conditions}


def test_profile_reported_expired_has_no_end_in_the_future() -> None:
    policy = Policy(profiles={TOKEN.id: ProfilePolicy(issued_at=NOW - DAY)})
    undated, contradicted = replace(EXPIRED, expires_at=None), replace(TOKEN, status="expired")
    for profile, rest in ((undated, policy), (contradicted, None)):
        report = verdict(observation(profile, SPARE), policy=rest)
        (expired,) = [c for c in report.conditions if c.name == "expired"]
        assert expired.summary == f"{TOKEN.id} expired on home/main"
        memory = record_observation(
            CredentialHistory(since={condition_key(expired.name, "anthropic", TOKEN.id): NOW - 8 * DAY}),
            observation(),
            NOW,
        )
        assert [
            c.severity for c in verdict(observation(profile, SPARE), memory, rest).conditions if c.name == "expired"
        ] == ["info"]
    (told_of,) = verdict(observation(undated), policy=policy).profiles
    assert (told_of.expires_at, told_of.basis) == (None, None)
