"""Every capture of the openclaw command gives its expected verdict, on every release."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from captured import MORE_CAPTURES, seen, verdict
from captured import scenarios as names_of

from exporter.model import AgentReport
from exporter.sources.openclaw.status import observe

OLDEST, OLD, MIDDLE, NEW = "2026.1.29", "2026.2.9", "2026.6.11", "2026.9.6"
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
#: Differences between releases: profiles that older ones accept, and facts that an output lacks.
DIFFERS: dict[tuple[str, str], tuple[int, Found]] = {
    (OLD, "token_invalid_expires"): (0, {("undated", "info", A)}),
    (NEW, "token_invalid_expires"): (1, {("missing", "critical", A), ("no_usable_profile", "critical", None)}),
    (OLD, "expires_beyond_date"): (0, set()),
    (NEW, "expires_beyond_date"): (1, {("missing", "critical", A), ("no_usable_profile", "critical", None)}),
    (OLD, "mode_mismatch"): (0, set()),
    (NEW, "mode_mismatch"): (1, {("missing", "critical", A), ("no_usable_profile", "critical", None)}),
    # The old output has neither a cooldown's reason nor its model; where the store can be read it has.
    (OLD, "model_cooldown"): (1, {("no_usable_profile", "critical", None), ("unusable", "info", A)}),
    # It reports logins by their dates alone: nothing tells whether this one refreshes.
    (OLDEST, "oauth_expired_no_refresh"): (0, set()),
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


@pytest.mark.parametrize("release", [OLDEST, OLD, NEW])
@pytest.mark.parametrize("scenario", names_of(f"openclaw-{NEW}"))
def test_capture_gives_the_expected_verdict(release: str, scenario: str) -> None:
    report = verdict(seen(release, scenario))
    if scenario == "sixty_profiles":
        assert report.exit_code == 2
        expired = [c for c in report.conditions if c.name == "expired"]
        assert [c.severity for c in expired] == ["warning"] * 6
        assert sum(c.name == "expiring" for c in report.conditions) == 1
        assert len(report.conditions) == 7
        return
    as_old = DIFFERS.get((OLD, scenario)) if release == OLDEST else None
    exit_code, conditions = DIFFERS.get((release, scenario)) or as_old or EXPECTED[scenario]
    assert found(report) == conditions
    assert report.exit_code == exit_code


def test_all_releases_have_the_same_scenarios() -> None:
    assert names_of(f"openclaw-{OLDEST}") == names_of(f"openclaw-{OLD}") == names_of(f"openclaw-{NEW}")


@pytest.mark.parametrize("release", [OLDEST, OLD, NEW])
def test_deadline_is_exact_to_the_millisecond(release: str) -> None:
    report = verdict(seen(release, "token_ok_30d"))
    (profile,) = report.profiles
    at = seen(release, "token_ok_30d").profiles[0].expires_at
    assert profile.expires_at == at
    assert profile.basis == "reported"
    assert at is not None
    assert abs(at - report.evaluated_at - 30 * 86400) < 1


@pytest.mark.parametrize("release", [OLDEST, OLD, NEW])
@pytest.mark.parametrize("scenario", ["oauth_ok", "oauth_expired_refreshable"])
def test_access_token_has_no_deadline(release: str, scenario: str) -> None:
    (profile,) = verdict(seen(release, scenario)).profiles
    assert (profile.expires_at, profile.basis) == (None, None)
    # Nothing tells whether the oldest release's login refreshes once its date has passed.
    is_unknown = (release, scenario) == (OLDEST, "oauth_expired_refreshable")
    assert profile.status == ("unknown" if is_unknown else "ok")


#: More stores on three releases: one exit code, or one for each release if their outputs differ in facts.
CODES: dict[str, int | tuple[int, int, int]] = {
    "all_expired": 1,
    "cooldown_and_env": 1,
    "cooldown_and_spare": (0, 0, 2),  # only the new output prints that the reason needs a person
    "disabled_and_cooldown": 1,
    "env_and_expired": 2,
    "env_only": 0,
    "fallback_missing": 1,
    "key_and_expiring": 2,
    "key_empty": (0, 1, 1),  # the old release takes a key that is empty
    "model_cooldown_in_use": 1,
    "oauth_dead_and_env": (1, 0, 1),  # the middle one does not report that it cannot refresh
    "oauth_expired_and_env": 0,
    "oauth_expired_and_token": 0,
    "oauth_no_expires": 1,
    "openrouter_cooldown": 0,
    "ordered_expired_and_env": (2, 2, 1),  # only the store knows whether an order is explicit
    "spare": 2,
    "spare_excluded": (2, 1, 1),  # the old release does not print the order
    "spare_ordered": 2,
    "two_oauth_one_expired": 0,
    # The middle era's own captures of the scenarios above.
    "model_cooldown": (1, 1, 0),
    "oauth_expired_no_refresh": (1, 0, 1),
    "token_invalid_expires": (0, 1, 1),
    "expires_beyond_date": (0, 1, 1),
    "mode_mismatch": (0, 1, 1),
}


@pytest.mark.parametrize("position", range(3), ids=[OLD, MIDDLE, NEW])
@pytest.mark.parametrize("scenario", sorted(EXPECTED.keys() | CODES.keys()))
def test_one_store_gives_one_verdict_on_every_release(position: int, scenario: str) -> None:
    release = (OLD, MIDDLE, NEW)[position]
    code = CODES.get(scenario, EXPECTED[scenario][0] if scenario in EXPECTED else None)
    expected = code[position] if isinstance(code, tuple) else code
    assert verdict(seen(release, scenario)).exit_code == expected


IN_BETWEEN = Path(__file__).parent.parent / "in_between"
#: Releases in between, and the index of the release whose dialect each uses.
LIKE = {"2026.4.15": 0, "2026.7.1": 1, "2026.8.2": 2}
#: Exit codes that differ from those of the neighbour.
OWN = {("2026.4.15", "token_invalid_expires"): 1}


@pytest.mark.parametrize("release", LIKE)
def test_intermediate_release_gives_the_verdict_of_its_neighbour(release: str) -> None:
    captures = json.loads((IN_BETWEEN / f"openclaw-{release}.json").read_text(encoding="utf-8"))
    assert captures.keys() == EXPECTED.keys() | CODES.keys()
    found = {}
    for scenario, capture in captures.items():
        observation = observe(
            json.loads(capture["stdout"]),
            target="home",
            agent="main",
            observed_at=capture["now_ms"] / 1000,
            exit_code=capture["exit_code"],
            version=release,
        )
        found[scenario] = verdict(observation).exit_code
    expected = {}
    for scenario in captures:
        code = CODES.get(scenario, EXPECTED[scenario][0] if scenario in EXPECTED else 0)
        expected[scenario] = code[LIKE[release]] if isinstance(code, tuple) else code
    assert found == expected | {scenario: code for (own, scenario), code in OWN.items() if own == release}


def test_every_capture_has_an_expected_verdict() -> None:
    for release in (OLD, MIDDLE, NEW):
        assert set(names_of(f"openclaw-{release}", MORE_CAPTURES)) <= EXPECTED.keys() | CODES.keys()
