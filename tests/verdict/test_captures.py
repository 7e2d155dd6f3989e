"""Every capture of the openclaw command is judged as the contract's table says, on both releases."""

from __future__ import annotations

import pytest
from captured import scenarios as names_of
from captured import seen, verdict

from exporter.model import AgentReport

OLD, NEW = "2026.2.9", "2026.9.6"
Found = set[tuple[str, str, str | None]]
A, W = "anthropic:default", "anthropic:work"

#: scenario -> exit code and every condition as (name, severity, profile).
EXPECTED: dict[str, tuple[int, Found]] = {
    "all_unusable": (
        1,
        {
            ("no_usable_profile", "critical", None),
            ("unusable", "critical", A),
            ("unusable", "info", W),
            ("unusable", "critical", "anthropic:api"),
            ("expiring", "warning", W),
        },
    ),
    "api_key": (0, set()),
    "cooldown_rate_limit": (1, {("no_usable_profile", "critical", None), ("unusable", "info", A)}),
    "disabled_auth_permanent": (1, {("no_usable_profile", "critical", None), ("unusable", "critical", A)}),
    "disabled_billing": (1, {("no_usable_profile", "critical", None), ("unusable", "critical", A)}),
    "empty": (1, {("missing", "critical", None)}),
    "expires_one_second": (2, {("expiring", "warning", A)}),
    "mixed_providers": (0, set()),
    "model_cooldown": (0, {("unusable", "info", A)}),
    "oauth_expired_no_refresh": (1, {("expired", "critical", A), ("no_usable_profile", "critical", None)}),
    "oauth_expired_refreshable": (0, set()),
    "oauth_ok": (0, set()),
    "odd_profile_ids": (
        2,
        {("expired", "warning", "anthropic:line\nbreak"), ("expiring", "warning", "anthropic:åäö ünï")},
    ),
    "token_expired": (1, {("expired", "critical", A), ("no_usable_profile", "critical", None)}),
    "token_expiring_12h": (2, {("expiring", "warning", A)}),
    "token_no_expiry": (0, {("undated", "info", A)}),
    "token_ok_30d": (0, set()),
    "two_profiles_one_expiring": (2, {("expiring", "warning", A), ("undated", "info", W)}),
}
#: What older releases really accept, and what a release's output cannot tell apart.
DIFFERS: dict[tuple[str, str], tuple[int, Found]] = {
    (OLD, "token_invalid_expires"): (0, {("undated", "info", A)}),
    (NEW, "token_invalid_expires"): (1, {("missing", "critical", A), ("no_usable_profile", "critical", None)}),
    (OLD, "expires_beyond_date"): (0, set()),
    (NEW, "expires_beyond_date"): (1, {("missing", "critical", A), ("no_usable_profile", "critical", None)}),
    (OLD, "mode_mismatch"): (0, set()),
    (NEW, "mode_mismatch"): (1, {("missing", "critical", A), ("no_usable_profile", "critical", None)}),
    # The old output has neither a cooldown's reason nor its model; where the store can be read it has.
    (OLD, "model_cooldown"): (1, {("no_usable_profile", "critical", None), ("unusable", "info", A)}),
    (OLD, "all_unusable"): (
        1,
        {
            ("no_usable_profile", "critical", None),
            ("unusable", "info", A),
            ("unusable", "info", W),
            ("unusable", "critical", "anthropic:api"),
            ("expiring", "warning", W),
        },
    ),
}


def found(report: AgentReport) -> Found:
    return {(c.name.value, c.severity.value, c.profile) for c in report.conditions}


@pytest.mark.parametrize("release", [OLD, NEW])
@pytest.mark.parametrize("scenario", names_of(f"openclaw-{NEW}"))
def test_a_capture_is_judged_as_the_table_says(release: str, scenario: str) -> None:
    report = verdict(seen(release, scenario))
    if scenario == "sixty_profiles":
        assert report.exit_code == 2
        expired = [c for c in report.conditions if c.name == "expired"]
        assert [c.severity for c in expired] == ["warning"] * 6
        assert sum(c.name == "expiring" for c in report.conditions) == 1
        assert len(report.conditions) == 7
        return
    exit_code, conditions = DIFFERS.get((release, scenario)) or EXPECTED[scenario]
    assert found(report) == conditions
    assert report.exit_code == exit_code


def test_the_releases_print_the_same_scenarios() -> None:
    assert names_of(f"openclaw-{OLD}") == names_of(f"openclaw-{NEW}")


@pytest.mark.parametrize("release", [OLD, NEW])
def test_deadlines_are_right_to_the_millisecond(release: str) -> None:
    report = verdict(seen(release, "token_ok_30d"))
    (profile,) = report.profiles
    at = seen(release, "token_ok_30d").profiles[0].expires_at
    assert profile.expires_at == at
    assert profile.basis == "reported"
    assert at is not None
    assert abs(at - report.judged_at - 30 * 86400) < 1


@pytest.mark.parametrize("release", [OLD, NEW])
@pytest.mark.parametrize("scenario", ["oauth_ok", "oauth_expired_refreshable"])
def test_an_access_token_has_no_deadline(release: str, scenario: str) -> None:
    (profile,) = verdict(seen(release, scenario)).profiles
    assert (profile.expires_at, profile.basis, profile.status) == (None, None, "ok")
