"""Advice is about credentials that work, says what to do, and is never a condition."""

from __future__ import annotations

from dataclasses import replace

import pytest
from captured import verdict
from worlds import DAY, NOW

from exporter.model import (
    CacheSetting,
    Dialect,
    Observation,
    ObservedProfile,
    Purpose,
    Report,
    TargetReport,
    Unusable,
    Use,
)
from exporter.present.explanation import explain

TOKEN = ObservedProfile("anthropic:default", "anthropic", "token", expires_at=NOW + 90 * DAY)
SPARE = replace(TOKEN, id="anthropic:spare", expires_at=NOW + 95 * DAY)
KEY = ObservedProfile("anthropic:key", "anthropic", "api_key")
LONG = CacheSetting("cacheRetention", "long", "agents.defaults")


def observed(
    *profiles: ObservedProfile, settings: tuple[CacheSetting, ...] = (), order: tuple[str, ...] = ()
) -> Observation:
    uses = (Use("anthropic/claude-opus-5", Purpose.CHAT),)
    orders = {"anthropic": order} if order else {}
    return Observation(
        *("home", "main", "store", Dialect.STORE, NOW, profiles, ("anthropic",), uses),
        order=orders,
        cache_settings=settings,
    )


def advice(seen: Observation) -> tuple[str, ...]:
    report = verdict(seen, now=NOW)
    assert verdict(replace(seen, cache_settings=()), now=NOW).conditions == report.conditions
    return report.advice


def test_a_healthy_credential_needs_no_advice() -> None:
    assert advice(observed(TOKEN)) == ()


@pytest.mark.parametrize(("kind", "words"), [("token", "a setup-token"), ("oauth", "a login")])
def test_cache_retention_has_no_effect_on_a_subscription(kind: str, words: str) -> None:
    assert advice(observed(replace(TOKEN, kind=kind, has_refresh_token=True), settings=(LONG,))) == (
        f"cacheRetention (agents.defaults) has no effect: {words} serves anthropic, and Anthropic caches prompts for "
        "API keys only; remove it, or use an API key for that model",
    )


@pytest.mark.parametrize(
    "setting",
    [
        replace(LONG, value="none"),  # nothing is cached, which is so anyway
        replace(LONG, model="anthropic/claude-haiku"),  # not in use
        replace(LONG, model="openai/*"),
    ],
)
def test_cache_retention_that_changes_nothing_is_not_mentioned(setting: CacheSetting) -> None:
    assert advice(observed(TOKEN, settings=(setting,))) == ()


@pytest.mark.parametrize("model", ["anthropic/claude-opus-5", "Anthropic/Claude-Opus-5", "anthropic/*"])
def test_cache_retention_of_the_model_in_use_is_mentioned(model: str) -> None:
    assert len(advice(observed(TOKEN, settings=(replace(LONG, model=model),)))) == 1


def test_cache_retention_works_with_an_api_key() -> None:
    assert advice(observed(KEY, settings=(LONG,))) == ()


def test_which_credential_serves_must_be_certain() -> None:
    assert advice(observed(KEY, TOKEN, settings=(LONG,))) == ()
    assert advice(observed(KEY, TOKEN, settings=(LONG,), order=(KEY.id, TOKEN.id))) == ()
    assert len(advice(observed(KEY, TOKEN, settings=(LONG,), order=(TOKEN.id, KEY.id)))) == 1


@pytest.mark.parametrize(
    ("value", "new"), [("5m", 'cacheRetention: "short"'), ("1h", 'cacheRetention: "long"'), ("2h", "cacheRetention")]
)
def test_the_old_name_of_cache_retention(value: str, new: str) -> None:
    setting = CacheSetting("cacheControlTtl", value, "agent main, model opus", "anthropic/claude-opus-5")
    assert advice(observed(KEY, settings=(setting,))) == (
        f"cacheControlTtl (agent main, model opus) is the old name of a setting: write {new} in its place",
    )


def test_order_that_names_profiles_which_are_gone() -> None:
    order = ("anthropic:old", TOKEN.id, "anthropic:older")
    assert advice(observed(TOKEN, order=order)) == (
        "the order of anthropic names profiles that do not exist: anthropic:old, anthropic:older; remove them from it",
    )
    assert advice(observed(TOKEN, order=(TOKEN.id,))) == ()


def test_credentials_that_all_end_within_a_week() -> None:
    (sentence,) = advice(observed(TOKEN, SPARE))
    assert sentence.startswith("all credentials of anthropic end within one week, from 20")
    assert sentence.endswith(
        ": anthropic:default, anthropic:spare; renew one of them earlier, so that one works when the others end"
    )


@pytest.mark.parametrize(
    "profiles",
    [
        (TOKEN, replace(SPARE, expires_at=NOW + 98 * DAY)),  # eight days apart
        (TOKEN, SPARE, KEY),  # one has no end
        (TOKEN, replace(SPARE, unusable=Unusable("disabled", "billing", None))),  # only one works
        (TOKEN, replace(SPARE, expires_at=NOW - DAY)),
    ],
)
def test_other_dates_need_no_advice(
    profiles: tuple[ObservedProfile, ...],
) -> None:
    assert advice(observed(*profiles)) == ()


def test_explain_shows_advice_before_how_it_was_checked() -> None:
    agent = verdict(observed(TOKEN, settings=(LONG,)), now=NOW)._replace(notes=("a note",))
    lines = explain(Report(NOW, (TargetReport("home", "store", (agent,)),)), now=NOW).splitlines()
    assert [line for line in lines if line.startswith("  ") and not line.startswith("    ")][1:] == [
        "  advice",
        "  how it was checked",
    ]
    assert lines[lines.index("  advice") + 1].startswith("    - cacheRetention (agents.defaults) has no effect")


def test_a_key_of_the_shell_may_not_reach_the_gateway() -> None:
    seen = observed(replace(KEY, id="env:ANTHROPIC_API_KEY"))
    assert advice(seen) == ()
    assert advice(replace(seen, only_here=("ANTHROPIC_API_KEY",))) == (
        "ANTHROPIC_API_KEY is set in the environment of this check, but in no file of OpenClaw's service, so its "
        "gateway may work without it; write it into .env in OpenClaw's folder",
    )
    (sentence,) = advice(replace(seen, only_here=("A_KEY", "B_KEY")))
    assert sentence.startswith("A_KEY, B_KEY are set in the environment")
    assert verdict(replace(seen, only_here=("A_KEY",)), now=NOW).conditions == verdict(seen, now=NOW).conditions
