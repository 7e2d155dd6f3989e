"""Single rules, in situations that the captures do not cover."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest
from captured import verdict
from profiles import DAY, EXPIRED, HOUR, LOGIN, NOW, SPARE, TOKEN, found, observation

from exporter.config import Policy, ProfilePolicy
from exporter.lib.durations import iso
from exporter.model import (
    Dialect,
    Failure,
    FailureReason,
    ObservedProfile,
    Place,
    Purpose,
    Status,
    Unusable,
    UsageWindow,
    Use,
)
from exporter.state.history import CredentialHistory, record_observation
from exporter.verdict import Subject, evaluate
from exporter.verdict.invocation import Invocation, Programs


def test_expired_profile_beside_a_spare_is_a_warning_and_info_after_a_week() -> None:
    def expired(days: float, **rest: object) -> set[tuple[str, str, str | None]]:
        return found(verdict(observation(replace(EXPIRED, expires_at=NOW - days * DAY), SPARE, **rest)))

    assert expired(1) == {("expired", "warning", TOKEN.id)}
    assert expired(8) == {("expired", "info", TOKEN.id)}


def test_spare_excluded_by_the_order_does_not_count() -> None:
    report = verdict(observation(EXPIRED, SPARE, order={"anthropic": (TOKEN.id,)}))
    assert found(report) == {("expired", "critical", TOKEN.id), ("no_usable_profile", "critical", None)}


def test_environment_key_is_a_spare() -> None:
    env = ObservedProfile("env:ANTHROPIC_API_KEY", "anthropic", "api_key", status="static")
    report = verdict(observation(EXPIRED, env, order={"anthropic": (TOKEN.id,)}))
    assert found(report) == {("expired", "warning", TOKEN.id)}
    assert {p.id: p.selected for p in report.profiles} == {TOKEN.id: False, env.id: True}


def test_environment_key_is_no_spare_for_a_profile_that_stays_in_the_order() -> None:
    env = ObservedProfile("env:ANTHROPIC_API_KEY", "anthropic", "api_key", status="static")
    cooling = replace(TOKEN, unusable=Unusable("cooldown", "rate_limit", NOW + 60))
    listing = {"dialect": Dialect.LISTING}
    assert ("no_usable_profile", "critical", None) in found(verdict(observation(cooling, env, **listing)))
    login = replace(LOGIN, provider="anthropic", status="expired", expires_at=NOW - HOUR, has_refresh_token=False)
    assert ("expired", "critical", LOGIN.id) in found(verdict(observation(login, env, **listing)))


def test_unused_provider_gives_info_only() -> None:
    for at in (NOW - DAY, NOW + HOUR):
        report = verdict(observation(replace(TOKEN, provider="openai", expires_at=at)))
        assert {c.severity for c in report.conditions} == {"info"}
        assert report.exit_code == 0


def test_unknown_use_counts_as_use() -> None:
    report = verdict(observation(EXPIRED, providers_in_use=None))
    assert found(report) == {("expired", "critical", TOKEN.id)}


def test_profile_in_cooldown_for_another_model_still_serves() -> None:
    cooling = replace(TOKEN, unusable=Unusable("cooldown", "rate_limit", NOW + 60))
    report = verdict(observation(cooling))  # OpenClaw lists the provider as missing where nothing works
    assert [p.selected for p in report.profiles] == [True]
    assert (report.serving, report.providers_usable) == ({"anthropic": "token"}, {"anthropic": True})
    two = verdict(
        observation(cooling, replace(cooling, id="anthropic:b"), order={"anthropic": (TOKEN.id, "anthropic:b")})
    )
    assert [p.selected for p in two.profiles] == [None, None]
    for fault in ("missing_providers", "faulty_providers", "indeterminate_providers"):
        down = verdict(observation(cooling, **{fault: frozenset({"anthropic"})}))
        assert ([p.selected for p in down.profiles], down.exit_code) == ([False], 1)


def test_gateway_reports_a_missing_login() -> None:
    gateway = {"dialect": Dialect.GATEWAY, "providers_in_use": ("qwen-portal", "ollama")}
    report = verdict(observation(missing_providers=frozenset({"qwen-portal", "minimax-portal"}), **gateway))
    assert [(c.name.value, c.severity.value, c.provider) for c in report.conditions] == [
        ("missing", "critical", "qwen-portal")
    ]
    assert report.providers_usable == {"qwen-portal": False}


@pytest.mark.parametrize(
    "trouble", [{"status": "missing"}, {"status": "static", "reason_code": "invalid_expires"}, {"listed": True}]
)
def test_profile_that_is_not_eligible_has_no_assumed_date(trouble: dict[str, Any]) -> None:
    listed = frozenset({"anthropic"} if trouble.pop("listed", False) else ())
    undated = replace(TOKEN, expires_at=None, **trouble)
    (profile,) = verdict(observation(undated, missing_providers=listed)).profiles
    assert (profile.status, profile.expires_at, profile.basis) == (Status.MISSING, None, None)


@pytest.mark.parametrize("reason", ["auth", "auth_permanent", "session_expired", "billing"])
def test_unusable_for_a_reason_that_needs_a_person_is_critical(reason: str) -> None:
    broken = replace(TOKEN, unusable=Unusable("disabled", reason, NOW + HOUR))
    assert ("unusable", "critical", TOKEN.id) in found(verdict(observation(broken)))
    assert found(verdict(observation(broken, SPARE))) == {("unusable", "warning", TOKEN.id)}


@pytest.mark.parametrize("reason", [None, "rate_limit", "overloaded", "timeout", "unknown", "brand_new"])
def test_unusable_for_a_reason_that_passes_is_info(reason: str | None) -> None:
    cooling = replace(TOKEN, unusable=Unusable("cooldown", reason, NOW + 60))
    assert found(verdict(observation(cooling, SPARE))) == {("unusable", "info", TOKEN.id)}


def test_cooldown_for_an_unused_model_blocks_nothing() -> None:
    cooling = replace(TOKEN, unusable=Unusable("cooldown", "rate_limit", NOW + 60, model="other"))
    listing = {"dialect": Dialect.LISTING, "uses": (Use("anthropic/claude-opus-5", Purpose.CHAT),)}
    assert found(verdict(observation(cooling, **listing))) == {("unusable", "info", TOKEN.id)}
    mine = replace(cooling, unusable=Unusable("cooldown", "rate_limit", NOW + 60, model="claude-opus-5"))
    assert ("no_usable_profile", "critical", None) in found(verdict(observation(mine, **listing)))


def test_cooldown_that_had_ended_is_ignored() -> None:
    report = verdict(observation(replace(TOKEN, unusable=Unusable("cooldown", "auth", NOW - 1))))
    assert report.conditions == ()
    assert report.profiles[0].unusable is None


def test_end_of_a_cooldown_asks_for_a_check_and_changes_nothing_else() -> None:
    cooling = observation(replace(TOKEN, unusable=Unusable("cooldown", "auth", NOW + 60)))
    assert verdict(cooling).check_at == NOW + 60
    assert verdict(cooling, now=NOW + 120).exit_code == 1


def test_unknown_status_is_unknown() -> None:
    report = verdict(observation(replace(TOKEN, status="bewildered", expires_at=None, kind="api_key")))
    assert report.profiles[0].status is Status.UNKNOWN


def test_unexplained_exit_code_is_reported() -> None:
    assert found(verdict(observation(TOKEN, openclaw_exit_code=1))) == {("reported", "critical", None)}
    assert found(verdict(observation(TOKEN, openclaw_exit_code=2))) == {("reported", "warning", None)}
    assert found(verdict(observation(TOKEN, openclaw_exit_code=0))) == set()
    spare = replace(SPARE, status="expired", expires_at=NOW - HOUR)
    assert found(verdict(observation(TOKEN, spare, openclaw_exit_code=1))) == {("expired", "warning", SPARE.id)}
    login = replace(LOGIN, provider="anthropic", status="expiring")
    assert found(verdict(observation(login, openclaw_exit_code=2))) == set()


@pytest.mark.parametrize("dialect", [Dialect.LISTING, Dialect.ROUTES])
def test_unused_profile_explains_no_exit_code_from_2026_6_on(dialect: Dialect) -> None:
    unused = replace(EXPIRED, id="openai:old", provider="openai")
    for code, severity in ((1, "critical"), (2, "warning")):
        report = verdict(observation(TOKEN, unused, dialect=dialect, openclaw_exit_code=code))
        assert ("reported", severity, None) in found(report)
    report = verdict(observation(TOKEN, unused, dialect=Dialect.STATUS, openclaw_exit_code=1))
    assert found(report) == {("expired", "info", unused.id)}  # to 2026.4 every token counts


def test_cooldown_beside_a_spare_explains_no_exit_code() -> None:
    cooling = replace(SPARE, unusable=Unusable("cooldown", "rate_limit", NOW + 60))
    for dialect in (Dialect.STATUS, Dialect.LISTING, Dialect.ROUTES):
        report = verdict(observation(TOKEN, cooling, dialect=dialect, openclaw_exit_code=1))
        assert ("reported", "critical", None) in found(report)


def test_models_that_openclaw_cannot_run_are_reported_with_its_reason() -> None:
    why = 'openai: No enabled plugin owns agent harness "codex"'
    seen = observation(TOKEN, openclaw_exit_code=1, unavailable_runtimes=(why,))
    (condition,) = verdict(replace(seen, faulty_providers=frozenset({"openai"}))).conditions
    assert (condition.name, condition.severity) == ("reported", "critical")
    assert condition.summary.endswith(f"exits 1: it cannot run the models of {why}")
    assert condition.remedy[-1].endswith("openclaw doctor --fix --non-interactive")


def test_refreshing_login_explains_no_other_route() -> None:
    login = replace(LOGIN, status="expired", expires_at=NOW - HOUR, has_refresh_token=True)
    ready: dict[str, object] = {"providers_in_use": ("anthropic", "openai"), "openclaw_exit_code": 1}
    routes = {"indeterminate_providers": frozenset({"openai"}), "refreshing_providers": frozenset({"openai"})}
    assert found(verdict(observation(TOKEN, login, **ready, **routes))) == set()
    other = {"indeterminate_providers": frozenset({"openai", "anthropic"})}
    for fault in (other, {"faulty_providers": frozenset({"anthropic"})}):
        assert found(verdict(observation(TOKEN, login, **ready, **(routes | fault)))) == {
            ("reported", "critical", None)
        }


def test_status_explains_the_exit_code_if_two_clocks_differ() -> None:
    late = replace(LOGIN, status="expired", expires_at=NOW + 90)
    report = verdict(observation(late, dialect=Dialect.LISTING, providers_in_use=("openai",), openclaw_exit_code=1))
    assert found(report) == set()


def test_ignored_profile_has_no_conditions() -> None:
    policy = Policy(profiles={TOKEN.id: ProfilePolicy(ignore=True)})
    report = verdict(observation(replace(TOKEN, expires_at=NOW + HOUR)), policy=policy)
    assert (report.conditions, report.exit_code) == ((), 0)
    assert [profile.ignored for profile in report.profiles] == [True]


def test_configured_date_and_alias_are_used() -> None:
    undated = replace(TOKEN, status="static", expires_at=None)
    policy = Policy(profiles={TOKEN.id: ProfilePolicy(issued_at=NOW - 364.5 * DAY, alias="work")})
    report = verdict(observation(undated), policy=policy)
    assert (report.exit_code, report.profiles[0].basis, report.profiles[0].label) == (2, "configured", "work")


def test_usage_above_90_percent_is_a_quota_condition() -> None:
    windows = (UsageWindow("anthropic", "5h", 0.91, NOW + HOUR), UsageWindow("anthropic", "week", 0.9))
    report = verdict(observation(TOKEN, usage=windows))
    assert [(c.name, c.severity, c.reason) for c in report.conditions] == [("quota", "info", "5h")]


def test_store_reports_missing_only_for_providers_that_need_a_credential() -> None:
    report = verdict(observation(dialect=Dialect.STORE, providers_in_use=("ollama", "anthropic")))
    assert [(c.name, c.provider) for c in report.conditions] == [("missing", "anthropic")]


def test_failed_check_changes_no_other_condition() -> None:
    observed = observation(replace(TOKEN, expires_at=NOW + HOUR))
    memory = record_observation(CredentialHistory(), observed, NOW)
    failure = Failure(FailureReason.TIMEOUT, "no answer within 60 s", NOW + 30 * 60)
    subject = Subject("home", "main", "openclaw")
    report = evaluate(subject, observed, failure, memory, Policy(), NOW + 30 * 60)
    assert found(report) == {("check_failed", "critical", None), ("expiring", "warning", TOKEN.id)}
    report = evaluate(subject, observed, failure, memory, Policy(), NOW + 2 * HOUR)
    assert ("expired", "critical", TOKEN.id) in found(report)
    assert report.checked_at == NOW
    # Meanwhile the conditions show the age of their facts: somebody may have fixed the problem.
    aged = {condition.name.value: condition for condition in report.conditions}
    for name in ("expired", "no_usable_profile"):
        assert aged[name].summary.endswith(f", as last seen at {iso(NOW)}")
        assert aged[name].seen_at == NOW
    assert aged["check_failed"].seen_at is None


def test_failed_first_check_is_the_only_condition() -> None:
    failure = Failure(FailureReason.COMMAND_NOT_FOUND, "openclaw is not there", NOW)
    report = evaluate(Subject("home", "main", "openclaw"), None, failure, CredentialHistory(), Policy(), NOW)
    assert found(report) == {("check_failed", "critical", None)}
    assert (report.exit_code, report.checked_at, report.unusable_counts) == (1, None, None)


def test_remedy_names_profile_agent_and_host() -> None:
    observed = replace(
        observation(replace(TOKEN, id="anthropic:o'brien", expires_at=NOW - 1)), agent="work", target="vps"
    )
    memory = record_observation(CredentialHistory(), observed, NOW)
    subject = Subject("vps", "work", "openclaw", Programs(Invocation(ssh="me@vps")))
    report = evaluate(subject, observed, None, memory, Policy(), NOW)
    (expired,) = [c for c in report.conditions if c.name == "expired"]
    made, pasted = expired.steps
    assert made.text == "claude setup-token"
    received = " ".join(shlex.split(pasted.text)[3:])  # what the shell behind ssh is given
    assert shlex.split(received)[6:8] == ["--profile-id", "anthropic:o'brien"]
    assert pasted.text.endswith("--expires-in 365d --agent work")
    assert pasted.where == Place("vps", "me", "~/.openclaw")


def test_credential_that_the_main_agent_has_too_is_renewed_there() -> None:
    def pasted_for(mine: ObservedProfile, mains: ObservedProfile, version: str = "2026.9.6") -> str:
        seen = replace(observation(mine), agent="work", openclaw_version=version)
        subject = Subject("home", "work", "openclaw", shared=(mains,))
        memory = record_observation(CredentialHistory(), seen, NOW)
        (expired,) = [c for c in evaluate(subject, seen, None, memory, Policy(), NOW).conditions if c.name == "expired"]
        return expired.remedy[-1].rpartition(" --agent ")[2]

    theirs = replace(TOKEN, expires_at=NOW - 1)
    assert pasted_for(theirs, theirs) == "main"
    assert pasted_for(theirs, replace(theirs, expires_at=NOW + 9)) == "work"
    assert pasted_for(replace(theirs, secret_hash="a"), replace(theirs, secret_hash="b")) == "work"
    assert pasted_for(theirs, replace(theirs, id="anthropic:other")) == "work"
    assert pasted_for(replace(theirs, owner="work"), theirs) == "work"
    assert pasted_for(replace(theirs, owner="main"), replace(theirs, id="anthropic:other")) == "main"


def test_ten_thousand_profiles_take_linear_time() -> None:
    many = tuple(replace(EXPIRED, id=f"anthropic:{n}") for n in range(10_000))
    order = {"anthropic": tuple(p.id for p in many)}
    report = verdict(observation(*many, TOKEN, order=order | {"anthropic": (*order["anthropic"], TOKEN.id)}))
    assert report.exit_code == 2
    assert len(report.conditions) == 10_000
