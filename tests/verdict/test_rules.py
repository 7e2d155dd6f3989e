"""Single rules of the table, where the captures do not reach."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from captured import verdict

from exporter.config import Policy, ProfilePolicy
from exporter.lib.durations import iso
from exporter.model import (
    AgentReport,
    Dialect,
    Failure,
    FailureReason,
    Observation,
    ObservedProfile,
    Status,
    Unusable,
    UsageWindow,
)
from exporter.state.history import CredentialHistory, condition_key, record_observation
from exporter.verdict import Subject, evaluate

NOW = 1_795_346_770.0
HOUR, DAY = 3600.0, 86400.0
TOKEN = ObservedProfile("anthropic:default", "anthropic", "token", status="ok", expires_at=NOW + 90 * DAY)
SPARE = replace(TOKEN, id="anthropic:spare")
EXPIRED = replace(TOKEN, status="expired", expires_at=NOW - DAY)
LOGIN = ObservedProfile("openai:me", "openai", "oauth", status="ok", expires_at=NOW + 6 * HOUR)


def seen(*profiles: ObservedProfile, **rest: Any) -> Observation:
    made = Observation("home", "main", "openclaw", Dialect.ROUTES, NOW, profiles, ("anthropic",))
    return replace(made, **rest)


def told(report: AgentReport) -> set[tuple[str, str, str | None]]:
    return {(c.name.value, c.severity.value, c.profile) for c in report.conditions}


def test_a_spare_relieves_and_a_week_later_it_is_only_a_note() -> None:
    def expired(days: float, **rest: object) -> set[tuple[str, str, str | None]]:
        return told(verdict(seen(replace(EXPIRED, expires_at=NOW - days * DAY), SPARE, **rest)))

    assert expired(1) == {("expired", "warning", TOKEN.id)}
    assert expired(8) == {("expired", "info", TOKEN.id)}


def test_a_spare_that_the_order_excludes_does_not_count() -> None:
    report = verdict(seen(EXPIRED, SPARE, order={"anthropic": (TOKEN.id,)}))
    assert told(report) == {("expired", "critical", TOKEN.id), ("no_usable_profile", "critical", None)}


def test_a_key_in_the_environment_is_a_spare() -> None:
    env = ObservedProfile("env:ANTHROPIC_API_KEY", "anthropic", "api_key", status="static")
    report = verdict(seen(EXPIRED, env, order={"anthropic": (TOKEN.id,)}))
    assert told(report) == {("expired", "warning", TOKEN.id)}
    assert {p.id: p.selected for p in report.profiles} == {TOKEN.id: False, env.id: True}


def test_a_key_in_the_environment_is_no_spare_for_what_stays_in_the_order() -> None:
    env = ObservedProfile("env:ANTHROPIC_API_KEY", "anthropic", "api_key", status="static")
    cooling = replace(TOKEN, unusable=Unusable("cooldown", "rate_limit", NOW + 60))
    listing = {"dialect": Dialect.LISTING}
    assert ("no_usable_profile", "critical", None) in told(verdict(seen(cooling, env, **listing)))
    login = replace(LOGIN, provider="anthropic", status="expired", expires_at=NOW - HOUR, has_refresh_token=False)
    assert ("expired", "critical", LOGIN.id) in told(verdict(seen(login, env, **listing)))


def test_what_no_route_uses_is_a_note() -> None:
    for at in (NOW - DAY, NOW + HOUR):
        report = verdict(seen(replace(TOKEN, provider="openai", expires_at=at)))
        assert {c.severity for c in report.conditions} == {"info"}
        assert report.exit_code == 0


def test_an_unknown_use_is_taken_for_a_use() -> None:
    report = verdict(seen(EXPIRED, providers_in_use=None))
    assert told(report) == {("expired", "critical", TOKEN.id)}


def test_what_cools_down_for_another_model_still_serves() -> None:
    cooling = replace(TOKEN, unusable=Unusable("cooldown", "rate_limit", NOW + 60))
    report = verdict(seen(cooling))  # OpenClaw lists the provider as missing where nothing works
    assert [p.selected for p in report.profiles] == [True]
    assert (report.serving, report.providers_usable) == ({"anthropic": "token"}, {"anthropic": True})
    two = verdict(seen(cooling, replace(cooling, id="anthropic:b"), order={"anthropic": (TOKEN.id, "anthropic:b")}))
    assert [p.selected for p in two.profiles] == [None, None]
    for fault in ("missing_providers", "faulty_providers", "indeterminate_providers"):
        down = verdict(seen(cooling, **{fault: frozenset({"anthropic"})}))
        assert ([p.selected for p in down.profiles], down.exit_code) == ([False], 1)


def test_a_gateways_own_word_of_a_missing_login_counts() -> None:
    gateway = {"dialect": Dialect.GATEWAY, "providers_in_use": ("qwen-portal", "ollama")}
    report = verdict(seen(missing_providers=frozenset({"qwen-portal", "minimax-portal"}), **gateway))
    assert [(c.name.value, c.severity.value, c.provider) for c in report.conditions] == [
        ("missing", "critical", "qwen-portal")
    ]
    assert report.providers_usable == {"qwen-portal": False}


@pytest.mark.parametrize(
    "trouble", [{"status": "missing"}, {"status": "static", "reason_code": "invalid_expires"}, {"listed": True}]
)
def test_what_is_not_eligible_has_no_assumed_date(trouble: dict[str, Any]) -> None:
    listed = frozenset({"anthropic"} if trouble.pop("listed", False) else ())
    undated = replace(TOKEN, expires_at=None, **trouble)
    (profile,) = verdict(seen(undated, missing_providers=listed)).profiles
    assert (profile.status, profile.expires_at, profile.basis) == (Status.MISSING, None, None)


@pytest.mark.parametrize("reason", ["auth", "auth_permanent", "session_expired", "billing"])
def test_reasons_that_need_a_person(reason: str) -> None:
    broken = replace(TOKEN, unusable=Unusable("disabled", reason, NOW + HOUR))
    assert ("unusable", "critical", TOKEN.id) in told(verdict(seen(broken)))
    assert told(verdict(seen(broken, SPARE))) == {("unusable", "warning", TOKEN.id)}


@pytest.mark.parametrize("reason", [None, "rate_limit", "overloaded", "timeout", "unknown", "brand_new"])
def test_reasons_that_heal_by_themselves(reason: str | None) -> None:
    cooling = replace(TOKEN, unusable=Unusable("cooldown", reason, NOW + 60))
    assert told(verdict(seen(cooling, SPARE))) == {("unusable", "info", TOKEN.id)}


def test_a_cooldown_for_a_model_that_is_not_in_use_blocks_nothing() -> None:
    cooling = replace(TOKEN, unusable=Unusable("cooldown", "rate_limit", NOW + 60, model="other"))
    listing = {"dialect": Dialect.LISTING, "models_in_use": ("anthropic/claude-opus-5",)}
    assert told(verdict(seen(cooling, **listing))) == {("unusable", "info", TOKEN.id)}
    mine = replace(cooling, unusable=Unusable("cooldown", "rate_limit", NOW + 60, model="claude-opus-5"))
    assert ("no_usable_profile", "critical", None) in told(verdict(seen(mine, **listing)))


def test_a_cooldown_that_had_ended_is_none() -> None:
    report = verdict(seen(replace(TOKEN, unusable=Unusable("cooldown", "auth", NOW - 1))))
    assert report.conditions == ()
    assert report.profiles[0].unusable is None


def test_time_alone_ends_no_cooldown_but_it_asks_for_a_look() -> None:
    cooling = seen(replace(TOKEN, unusable=Unusable("cooldown", "auth", NOW + 60)))
    assert verdict(cooling).check_at == NOW + 60
    assert verdict(cooling, now=NOW + 120).exit_code == 1


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
        (Dialect.GATEWAY, "expired", NOW - HOUR, False),
    ],
)
def test_what_a_release_tells_of_refreshing(
    dialect: Dialect, status: str, date: float, refreshable: bool | None
) -> None:
    report = verdict(
        seen(replace(LOGIN, status=status, expires_at=date), dialect=dialect, providers_in_use=("openai",))
    )
    assert report.profiles[0].refreshable is refreshable
    assert (report.exit_code == 1) == (refreshable is False)


def test_the_store_knows_the_refresh_token() -> None:
    past = replace(LOGIN, status="expired", expires_at=NOW - 30 * DAY)
    use: dict[str, object] = {"dialect": Dialect.LISTING, "providers_in_use": ("openai",)}
    report = verdict(seen(replace(past, has_refresh_token=True), **use))
    assert (report.exit_code, report.profiles[0].status, report.profiles[0].expires_at) == (0, "ok", None)
    report = verdict(seen(replace(past, has_refresh_token=False), **use))
    assert (report.exit_code, report.profiles[0].expires_at) == (1, NOW - 30 * DAY)


def test_use_after_the_date_without_a_new_date_is_a_refresh_that_failed() -> None:
    past = replace(LOGIN, status="expired", expires_at=NOW - HOUR, has_refresh_token=True)
    report = verdict(seen(replace(past, last_used_at=NOW - 60), dialect=Dialect.STORE, providers_in_use=("openai",)))
    assert ("expired", "critical", LOGIN.id) in told(report)
    report = verdict(seen(replace(past, last_used_at=NOW - HOUR + 30), dialect=Dialect.STORE, providers_in_use=None))
    assert report.conditions == ()


def test_an_idle_login_of_unknown_refreshability_is_mentioned_after_a_day() -> None:
    use: dict[str, object] = {"dialect": Dialect.LISTING, "providers_in_use": ("openai",)}
    past = replace(LOGIN, status="expired")
    assert told(verdict(seen(replace(past, expires_at=NOW - 23 * HOUR), **use))) == set()
    assert told(verdict(seen(replace(past, expires_at=NOW - 25 * HOUR), **use))) == {("idle", "info", LOGIN.id)}


def test_a_word_and_a_date_that_disagree() -> None:
    stale = verdict(seen(replace(TOKEN, expires_at=NOW - HOUR)))
    assert ("status_disagrees", "info", TOKEN.id) in told(stale)
    assert ("expired", "critical", TOKEN.id) in told(stale)
    early = verdict(seen(replace(TOKEN, status="expired")))
    assert {"status_disagrees", "expired", "no_usable_profile"} == {c.name for c in early.conditions}


def test_what_openclaw_calls_expired_did_not_expire_in_the_future() -> None:
    policy = Policy(profiles={TOKEN.id: ProfilePolicy(issued_at=NOW - DAY)})
    undated, contradicted = replace(EXPIRED, expires_at=None), replace(TOKEN, status="expired")
    for profile, rest in ((undated, policy), (contradicted, None)):
        report = verdict(seen(profile, SPARE), policy=rest)
        (expired,) = [c for c in report.conditions if c.name == "expired"]
        assert expired.summary == f"{TOKEN.id} expired on home/main"
        memory = record_observation(
            CredentialHistory(since={condition_key(expired.name, "anthropic", TOKEN.id): NOW - 8 * DAY}), seen(), NOW
        )
        assert [c.severity for c in verdict(seen(profile, SPARE), memory, rest).conditions if c.name == "expired"] == [
            "info"
        ]
    (told_of,) = verdict(seen(undated), policy=policy).profiles
    assert (told_of.expires_at, told_of.basis) == (None, None)


def test_a_word_that_nobody_knows_is_unknown() -> None:
    report = verdict(seen(replace(TOKEN, status="bewildered", expires_at=None, kind="api_key")))
    assert report.profiles[0].status is Status.UNKNOWN


def test_a_code_that_nothing_explains_stands_for_itself() -> None:
    assert told(verdict(seen(TOKEN, openclaw_exit_code=1))) == {("reported", "critical", None)}
    assert told(verdict(seen(TOKEN, openclaw_exit_code=2))) == {("reported", "warning", None)}
    assert told(verdict(seen(TOKEN, openclaw_exit_code=0))) == set()
    spare = replace(SPARE, status="expired", expires_at=NOW - HOUR)
    assert told(verdict(seen(TOKEN, spare, openclaw_exit_code=1))) == {("expired", "warning", SPARE.id)}
    login = replace(LOGIN, provider="anthropic", status="expiring")
    assert told(verdict(seen(login, openclaw_exit_code=2))) == set()


@pytest.mark.parametrize("dialect", [Dialect.LISTING, Dialect.ROUTES])
def test_what_no_route_uses_explains_no_code_of_a_release_that_judges_routes(dialect: Dialect) -> None:
    unused = replace(EXPIRED, id="openai:old", provider="openai")
    for code, severity in ((1, "critical"), (2, "warning")):
        report = verdict(seen(TOKEN, unused, dialect=dialect, openclaw_exit_code=code))
        assert ("reported", severity, None) in told(report)
    report = verdict(seen(TOKEN, unused, dialect=Dialect.STATUS, openclaw_exit_code=1))
    assert told(report) == {("expired", "info", unused.id)}  # to 2026.4 every token counts


def test_a_cooldown_beside_a_spare_explains_no_code() -> None:
    cooling = replace(SPARE, unusable=Unusable("cooldown", "rate_limit", NOW + 60))
    for dialect in (Dialect.STATUS, Dialect.LISTING, Dialect.ROUTES):
        report = verdict(seen(TOKEN, cooling, dialect=dialect, openclaw_exit_code=1))
        assert ("reported", "critical", None) in told(report)


def test_a_login_that_refreshes_explains_no_other_route() -> None:
    login = replace(LOGIN, status="expired", expires_at=NOW - HOUR, has_refresh_token=True)
    ready: dict[str, object] = {"providers_in_use": ("anthropic", "openai"), "openclaw_exit_code": 1}
    routes = {"indeterminate_providers": frozenset({"openai"}), "refreshing_providers": frozenset({"openai"})}
    assert told(verdict(seen(TOKEN, login, **ready, **routes))) == set()
    other = {"indeterminate_providers": frozenset({"openai", "anthropic"})}
    for fault in (other, {"faulty_providers": frozenset({"anthropic"})}):
        assert told(verdict(seen(TOKEN, login, **ready, **(routes | fault)))) == {("reported", "critical", None)}


def test_the_word_explains_a_code_where_two_clocks_differ() -> None:
    late = replace(LOGIN, status="expired", expires_at=NOW + 90)
    report = verdict(seen(late, dialect=Dialect.LISTING, providers_in_use=("openai",), openclaw_exit_code=1))
    assert told(report) == set()


def test_an_ignored_profile_says_nothing() -> None:
    policy = Policy(profiles={TOKEN.id: ProfilePolicy(ignore=True)})
    report = verdict(seen(replace(TOKEN, expires_at=NOW + HOUR)), policy=policy)
    assert (report.conditions, report.exit_code) == ((), 0)
    assert [profile.ignored for profile in report.profiles] == [True]


def test_configured_dates_and_aliases() -> None:
    undated = replace(TOKEN, status="static", expires_at=None)
    policy = Policy(profiles={TOKEN.id: ProfilePolicy(issued_at=NOW - 364.5 * DAY, alias="work")})
    report = verdict(seen(undated), policy=policy)
    assert (report.exit_code, report.profiles[0].basis, report.profiles[0].label) == (2, "configured", "work")


def test_a_quota_above_nine_tenths_is_told() -> None:
    windows = (UsageWindow("anthropic", "5h", 0.91, NOW + HOUR), UsageWindow("anthropic", "week", 0.9))
    report = verdict(seen(TOKEN, usage=windows))
    assert [(c.name, c.severity, c.reason) for c in report.conditions] == [("quota", "info", "5h")]


def test_a_store_does_not_alarm_for_a_provider_that_may_need_nothing() -> None:
    report = verdict(seen(dialect=Dialect.STORE, providers_in_use=("ollama", "anthropic")))
    assert [(c.name, c.provider) for c in report.conditions] == [("missing", "anthropic")]


def test_a_look_that_failed_changes_nothing_else() -> None:
    observation = seen(replace(TOKEN, expires_at=NOW + HOUR))
    memory = record_observation(CredentialHistory(), observation, NOW)
    failure = Failure(FailureReason.TIMEOUT, "no answer within 60 s", NOW + 30 * 60)
    subject = Subject("home", "main", "openclaw")
    report = evaluate(subject, observation, failure, memory, Policy(), NOW + 30 * 60)
    assert told(report) == {("check_failed", "critical", None), ("expiring", "warning", TOKEN.id)}
    report = evaluate(subject, observation, failure, memory, Policy(), NOW + 2 * HOUR)
    assert ("expired", "critical", TOKEN.id) in told(report)
    assert report.checked_at == NOW
    # What is said meanwhile is as old as what it rests on: somebody may have mended it.
    aged = {condition.name.value: condition for condition in report.conditions}
    for name in ("expired", "no_usable_profile"):
        assert aged[name].summary.endswith(f", as last seen at {iso(NOW)}")
        assert aged[name].seen_at == NOW
    assert aged["check_failed"].seen_at is None


def test_never_seen_and_failing_is_one_condition() -> None:
    failure = Failure(FailureReason.COMMAND_NOT_FOUND, "openclaw is not there", NOW)
    report = evaluate(Subject("home", "main", "openclaw"), None, failure, CredentialHistory(), Policy(), NOW)
    assert told(report) == {("check_failed", "critical", None)}
    assert (report.exit_code, report.checked_at, report.unusable_counts) == (1, None, None)


def test_the_remedy_names_profile_agent_and_host() -> None:
    observation = replace(seen(replace(TOKEN, id="anthropic:o'brien", expires_at=NOW - 1)), agent="work", target="vps")
    memory = record_observation(CredentialHistory(), observation, NOW)
    subject = Subject("vps", "work", "openclaw", "ssh -t me@vps openclaw")
    report = evaluate(subject, observation, None, memory, Policy(), NOW)
    (expired,) = [c for c in report.conditions if c.name == "expired"]
    assert expired.remedy == (
        "claude setup-token",
        "ssh -t me@vps openclaw models auth paste-token --provider anthropic "
        # Quoted twice: the shell behind ssh reads it once more.
        """--profile-id ''"'"'anthropic:o'"'"'"'"'"'"'"'"'brien'"'"'' --expires-in 365d --agent work""",
    )


def test_ten_thousand_profiles_are_judged_without_a_square() -> None:
    many = tuple(replace(EXPIRED, id=f"anthropic:{n}") for n in range(10_000))
    order = {"anthropic": tuple(p.id for p in many)}
    report = verdict(seen(*many, TOKEN, order=order | {"anthropic": (*order["anthropic"], TOKEN.id)}))
    assert report.exit_code == 2
    assert len(report.conditions) == 10_000
