"""What is stored, in our words: both layouts, layers, orders and models as OpenClaw reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from captured import capture, scenarios, seen
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import DAY, MS, NOW, SECRET, Home, by_id, connect, keyed_hash, oauth, one, store_of, token, usage_of

from exporter.model import ObservedProfile, Unusable
from exporter.sources.store.facts import StoreFacts
from exporter.sources.store.reader import StoreReader


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


# --- what is stored, in our words ---


def test_token_in_a_json_store_is_read(home: Home) -> None:
    home.write_json(
        {"anthropic:default": token(expires=MS + DAY)},
        order={"Anthropic": ["anthropic:default"]},
        usageStats={"anthropic:default": {"lastUsed": MS - 1000, "errorCount": 3, "cooldownUntil": MS + 60_000}},
    )

    facts = home.read()

    assert one(facts) == ObservedProfile(
        id="anthropic:default",
        provider="anthropic",
        kind="token",
        expires_at=NOW + 86400,
        has_refresh_token=False,
        secret_hash=keyed_hash(SECRET),
        unusable=Unusable("cooldown", None, NOW + 60),
        last_used_at=NOW - 1,
        error_count=3,
        owner="main",
    )
    assert facts.order == {"anthropic": ("anthropic:default",)}
    assert SECRET not in repr(facts)


def test_state_file_overrides_order_and_usage_in_a_json_store(home: Home) -> None:
    path = home.write_json({"a:1": token(), "a:2": token()}, order={"anthropic": ["a:1"]})
    state = {**usage_of("a:2", disabledUntil=MS + 5000, disabledReason="billing"), "order": {"anthropic": ["a:2"]}}
    path.with_name("auth-state.json").write_text(json.dumps(state))

    facts = home.read()

    assert facts.order == {"anthropic": ("a:2",)}
    assert by_id(facts)["a:2"].unusable == Unusable("disabled", "billing", NOW + 5)
    assert by_id(facts)["a:1"].unusable is None


def test_sqlite_layouts_give_the_same_facts_as_json(tmp_path: Path) -> None:
    store = store_of(anthropic_default=token(expires=MS + DAY), openai_me=oauth(expires=MS - DAY))
    state = usage_of("anthropic:default", cooldownUntil=MS + 1000, cooldownReason="rate_limit", cooldownModel="opus")
    homes = [Home(tmp_path / name) for name in ("json", "local", "shared")]
    homes[0].write_json(store["profiles"], **state)
    homes[1].write_local(store, state)
    homes[2].write_shared(store, state)

    first, second, third = (home.read() for home in homes)

    assert first == second == third
    assert by_id(first)["openai:me"].has_refresh_token is True
    assert by_id(first)["openai:me"].secret_hash is None  # it rotates
    assert by_id(first)["anthropic:default"].unusable == Unusable("cooldown", "rate_limit", NOW + 1, "opus")


INVALID: list[object] = [0, -5, 8.65e15, "soon", None, True, [], {}]


@pytest.mark.parametrize(
    ("raw", "reason_code", "expires_at"),
    [
        (token(), None, None),
        (token(expires=MS - 5), None, NOW - 0.005),
        (token(expires=8.64e15), None, 8.64e12),
        *((token(expires=bad), "invalid_expires", None) for bad in INVALID),
        (token(expires=float("nan")), "invalid_expires", None),
        (token(expires=float("inf")), "invalid_expires", None),
        (token(expires=10**400), "invalid_expires", None),
        (token(token="", expires=-1), "missing_credential", None),
        (token(token="  "), "missing_credential", None),
        (token(token=7), "missing_credential", None),
        ({**token(), "setup": {"replacement": True}}, "setup_inactive", None),
        ({"type": "api_key", "provider": "x"}, "missing_credential", None),
        ({"type": "apiKey", "provider": "x", "apiKey": SECRET}, None, None),
        ({"mode": "api_key", "provider": "x", "key": SECRET, "expires": -1}, None, None),
        (oauth(expires=-1), None, None),
        (oauth(expires=MS, access="", refresh=""), "missing_credential", NOW),
        ({"type": "oauth", "provider": "x", "oauthRef": {"source": "s"}}, "unresolved_ref", None),
    ],
)
def test_dates_and_secrets_decide_eligibility(
    home: Home, raw: dict[str, Any], reason_code: str | None, expires_at: float | None
) -> None:
    home.write_local({"profiles": {"p": raw}})

    profile = one(home.read())

    assert (profile.reason_code, profile.expires_at, profile.status) == (reason_code, expires_at, None)


def test_hash_of_a_reference_is_independent_of_key_order(home: Home) -> None:
    reference = {"source": "env", "provider": "default", "id": "KEY"}
    turned = dict(reversed(reference.items()))
    home.write_local({"profiles": {"a": token(token=None, tokenRef=reference), "b": token(token=turned)}})

    facts = by_id(home.read())

    assert facts["a"].reason_code is None
    assert facts["a"].secret_hash == facts["b"].secret_hash == keyed_hash(json.dumps(reference, sort_keys=True))


@pytest.mark.parametrize(("state", "refreshes", "code"), [("", True, None), ("failed:", False, "expired")])
def test_login_during_a_refresh_has_no_date(home: Home, state: str, refreshes: bool, code: str | None) -> None:
    marks = {
        what: f"openclaw-oauth-refresh-fence:v1:{'a' * 32}:{state}{what}:{'b' * 64}" for what in ("access", "refresh")
    }
    home.write_local(store_of(openai_me=oauth(**marks, expires=1)))

    profile = one(home.read())

    assert (profile.has_refresh_token, profile.reason_code, profile.expires_at) == (refreshes, code, None)


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        ({}, None),
        ({"cooldownUntil": MS, "disabledUntil": MS - 1}, None),
        ({"cooldownUntil": MS + 1000, "disabledUntil": MS - 1}, ("cooldown", None, 1, None)),
        ({"cooldownUntil": "x", "disabledUntil": -1, "errorCount": "many", "lastUsed": None}, None),
        (
            {"cooldownUntil": MS + 2000, "disabledUntil": MS + 1000, "cooldownReason": "auth"},
            ("disabled", None, 2, None),
        ),
        ({"cooldownUntil": MS + 1000, "cooldownReason": "auth", "cooldownModel": "m"}, ("cooldown", "auth", 1, None)),
        (
            {"cooldownUntil": MS + 1000, "cooldownReason": "timeout", "cooldownModel": "m"},
            ("cooldown", "timeout", 1, "m"),
        ),
        ({"cooldownUntil": MS + 1000, "failureCounts": {"rate_limit": 1, "auth": 1}}, ("cooldown", "auth", 1, None)),
        (
            {"cooldownUntil": MS + 1000, "failureCounts": {"rate_limit": 2, "auth": 1}},
            ("cooldown", "rate_limit", 1, None),
        ),
        ({"cooldownUntil": MS + 1000, "cooldownReason": SECRET}, ("cooldown", None, 1, None)),
        ({"blockedUntil": MS + 1000, "blockedScope": "model", "blockedModel": "m"}, ("cooldown", "rate_limit", 1, "m")),
        ({"blockedUntil": MS + 1000, "cooldownModel": "m"}, ("cooldown", "rate_limit", 1, None)),
    ],
)
def test_cooldown_or_disable_is_read(home: Home, stats: dict[str, Any], expected: tuple[Any, ...] | None) -> None:
    home.write_local(store_of(a_b=token()), usage_of("a:b", **stats))

    unusable = one(home.read()).unusable

    wanted = expected and Unusable(expected[0], expected[1], NOW + expected[2], expected[3])
    assert unusable == wanted
    assert SECRET not in repr(unusable)


def test_openrouter_never_cools_down_from_2026_6_on(tmp_path: Path) -> None:
    raw, stats = {"type": "api_key", "provider": "openrouter", "key": "k"}, {"a": {"cooldownUntil": MS + 1000}}
    old, new = Home(tmp_path / "old"), Home(tmp_path / "new")
    old.write_json({"a": raw}, usageStats=stats)
    new.write_local({"profiles": {"a": raw}, "usageStats": stats})

    assert one(old.read()).unusable == Unusable("cooldown", None, NOW + 1)
    assert one(new.read()).unusable is None


def test_entries_that_are_no_credentials_are_skipped_and_counted(home: Home) -> None:
    bad = {
        "a": 7,
        "b": {"type": "aws-sdk", "provider": "x"},
        "c": {"type": "token"},
        "d": {"type": [], "provider": "x"},
    }
    home.write_local({"profiles": {**bad, "e\ud800": token()}})

    facts = home.read()

    assert [profile.id for profile in facts.profiles] == ["e\\ud800"]
    assert facts.notes == ("skipped 4 entries of the store that are no credentials",)


# --- which store is read ---


def test_agent_inherits_the_json_store_of_main(home: Home) -> None:
    home.write_json({"a:shared": token(), "a:both": token(expires=MS + 1)}, order={"anthropic": ["a:shared"]})
    home.write_json({"a:both": token(expires=MS + 2), "a:own": token()}, "work")

    facts = home.read("work")

    assert set(by_id(facts)) == {"a:shared", "a:both", "a:own"}
    assert by_id(facts)["a:both"].expires_at == NOW + 0.002
    assert facts.order == {"anthropic": ("a:both", "a:own", "a:shared")}
    assert set(by_id(home.read("main"))) == {"a:shared", "a:both"}


def test_agent_inherits_the_shared_database_instead_of_main(home: Home) -> None:
    home.write_shared(store_of(a_shared=token()), usage_of("a:shared", cooldownUntil=MS + 9))
    home.write_local(store_of(a_main=token()), usage_of("a:shared", lastUsed=MS))
    home.write_local(store_of(a_own=token()), None, "work")

    work, main = home.read("work"), home.read("main")

    assert set(by_id(work)) == {"a:shared", "a:own"}
    assert set(by_id(main)) == {"a:shared", "a:main"}
    assert by_id(work)["a:shared"].unusable is not None
    assert by_id(main)["a:shared"].unusable is None  # main's own entry wins, as in OpenClaw itself


def test_agent_inherits_main_until_the_shared_database_owns_the_store(home: Home) -> None:
    home.write_local(store_of(a_main=token()))
    home.write_shared(store_of(a_left=token()), owner="legacy-main")
    home.write_local(store_of(a_own=token()), None, "work")

    assert set(by_id(home.read("work"))) == {"a:main", "a:own"}


def test_database_without_a_store_row_has_no_usage(home: Home) -> None:
    home.write_shared(store_of(a_b=token()))
    home.write_local(None, usage_of("a:b", disabledUntil=MS + 9))

    assert one(home.read()).unusable is None


@pytest.mark.parametrize("release", ["2026.6", "2026.9"])
def test_json_left_behind_by_an_upgrade_is_noted_and_ignored(home: Home, release: str) -> None:
    home.write_json({"anthropic:default": token()})
    if release == "2026.6":
        connect(home.shared).close()
    else:
        home.write_local(None)

    facts = home.read()

    assert facts.profiles == ()
    assert len(facts.notes) == 1
    assert "openclaw doctor --fix" in facts.notes[0]


def test_missing_store_has_no_profiles(home: Home) -> None:
    assert home.read() == StoreFacts()


# --- openclaw.json ---


MODELS = {
    "agents": {
        "defaults": {
            "model": {"primary": "opus", "fallbacks": ["OpenAI/gpt-5@openai:me", "opus", 7]},
            "models": {"anthropic/claude-opus-5": {"alias": "Opus"}, "broken": 3},
            "imageModel": {"primary": "google/pro", "fallbacks": ["xai/grok"]},
            "utilityModel": "groq/fast",
        },
        "list": [{"id": "Main"}, 3, {"id": "work", "default": True, "model": "mistral/large", "utilityModel": ""}],
    }
}


def test_providers_in_use_are_those_of_every_model_of_the_agent(home: Home) -> None:
    home.write_config(MODELS)

    assert home.read().providers_in_use == ("anthropic", "openai", "google", "xai", "groq")
    assert [use.model for use in home.read().uses[:2]] == ["anthropic/claude-opus-5", "OpenAI/gpt-5"]
    assert home.read("work").providers_in_use == ("mistral", "openai", "anthropic", "google", "xai")


def test_agent_with_its_own_model_inherits_no_fallbacks_since_databases(home: Home) -> None:
    own: list[dict[str, Any]] = [
        {"id": "text", "model": "xai/grok"},
        {"id": "object", "model": {"primary": "xai/grok"}},
        {"id": "both", "model": {"primary": "xai/grok", "fallbacks": ["groq/fast"]}},
        {"id": "only", "model": {"fallbacks": ["groq/fast"]}},
        {"id": "nothing"},
    ]
    defaults = {"model": {"primary": "anthropic/opus", "fallbacks": ["openai/gpt"]}}
    home.write_config({"agents": {"defaults": defaults, "list": own}})

    def in_use() -> list[tuple[str, ...] | None]:
        return [home.read(agent["id"]).providers_in_use for agent in own]

    home.write_json({"a:1": token()})
    rest: list[tuple[str, ...] | None] = [("xai", "groq"), ("anthropic", "groq"), ("anthropic", "openai")]
    assert in_use() == [("xai", "openai"), ("xai", "openai"), *rest]
    home.write_local(store_of(a_b=token()))
    assert in_use() == [("xai",), ("xai",), *rest]


def test_providers_in_use_are_unknown_without_a_configured_model(home: Home) -> None:
    home.write_config("// by hand\n{agents: {defaults: {},},}")

    assert home.read().providers_in_use is None


@pytest.mark.parametrize("config", ["{", "[]", "{'a': " * 3000, "{a: 1,\n" * 30_000])
def test_unreadable_configuration_is_noted_and_the_store_is_read(home: Home, config: str) -> None:
    home.write_local(store_of(a_b=token()))
    home.write_config(config)

    facts = home.read()

    assert len(facts.profiles) == 1
    assert facts.providers_in_use is None
    assert facts.notes[0].startswith("the providers in use cannot be seen:")


def configured(**profiles: str) -> dict[str, Any]:
    return {name.replace("_", ":", 1): {"provider": "anthropic", "mode": mode} for name, mode in profiles.items()}


@pytest.mark.parametrize(
    ("auth", "stored_order", "expected"),
    [
        ({}, None, {}),
        ({"order": {"anthropic": ["a:2", "a:1", "a:2"]}}, None, {"anthropic": ("a:2", "a:1")}),
        ({"order": {"anthropic": ["a:2"]}}, ["a:1"], {"anthropic": ("a:1",)}),
        ({"order": {"anthropic": []}}, None, {"anthropic": ()}),
        ({"order": {"anthropic": ["gone"]}}, None, {"anthropic": ("gone",)}),
        ({"order": {"anthropic": ["gone"]}, "profiles": configured(a_1="token")}, None, {}),
        ({}, ["gone"], {}),
        ({"profiles": configured(a_1="token", a_3="oauth", a_4="token")}, None, {"anthropic": ("a:3", "a:1")}),
        ({"order": [], "profiles": 7}, None, {}),
    ],
)
def test_order_restricts_the_profiles(
    home: Home, auth: object, stored_order: list[str] | None, expected: dict[str, tuple[str, ...]]
) -> None:
    home.write_config({"auth": auth})
    store = store_of(a_1=token(), a_2=token(), a_3=oauth(provider="anthropic"))
    home.write_local(store, {"order": {"anthropic": stored_order}} if stored_order else None)

    assert home.read().order == expected


def test_profile_configured_as_another_kind_is_not_eligible(home: Home) -> None:
    home.write_config({"auth": {"profiles": configured(a_1="api_key", a_2="oauth", a_3="token")}})
    home.write_local(store_of(a_1=token(), a_2=token(), a_3=token(provider="openai")))

    codes = {name: profile.reason_code for name, profile in by_id(home.read()).items()}

    assert codes == {"a:1": "mode_mismatch", "a:2": None, "a:3": "provider_mismatch"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = ["type", "mode", "provider", "token", "tokenRef", "key", "access", "refresh", "expires", "setup", "oauthRef"]
RAW = st.dictionaries(st.sampled_from(NAMES), JSON | st.sampled_from(["token", "oauth", "api_key"]), max_size=8)
STORES = st.fixed_dictionaries(
    {"profiles": st.dictionaries(st.text(max_size=4), RAW | JSON, max_size=3)},
    optional={"order": JSON, "usageStats": st.dictionaries(st.text(max_size=4), JSON, max_size=3)},
)


@settings(deadline=None)
@given(STORES, JSON, JSON)
def test_arbitrary_json_gives_facts(store: Any, state: Any, config: Any) -> None:
    from exporter.sources.store.facts import facts, layer, what_matters

    found = facts(layer(store, state), config, agent="main", is_json=False, keyed_hash=keyed_hash, now=NOW)

    assert len(found.profiles) <= len(store["profiles"])
    for profile in found.profiles:
        profile.id.encode()
        assert profile.kind in ("token", "oauth", "api_key")
    json.dumps(what_matters(store))


# --- the captures: the same store, as OpenClaw printed it ---

#: What a release's output cannot tell apart, or old releases accept.
EXEMPT = {"token_invalid_expires", "expires_beyond_date", "mode_mismatch"}


@pytest.mark.parametrize(
    ("release", "scenario"),
    [
        (release, scenario)
        for release in ("2026.2.9", "2026.9.6")
        for scenario in scenarios(f"openclaw-{release}")
        if scenario not in EXEMPT
    ],
)
def test_store_of_a_capture_agrees_with_the_output(home: Home, release: str, scenario: str) -> None:
    data, printed = capture(f"openclaw-{release}", scenario), seen(release, scenario)
    stored = data["store"]
    state = {"usageStats": stored.get("usage", {}), "order": stored.get("order", {})}
    home.write_config(data["config"])
    if release == "2026.2.9":
        home.write_json(stored.get("profiles", {}), **state)
    else:
        home.write_shared({"profiles": stored.get("profiles", {})}, state)
    reader = StoreReader(keyed_hash, lambda: printed.observed_at)

    facts = reader.read(home.paths(), "main")

    known = by_id(facts)
    assert known.keys() == {profile.id for profile in printed.profiles}
    assert facts.providers_in_use == printed.providers_in_use
    for profile in printed.profiles:
        mine = known[profile.id]
        assert (mine.provider, mine.kind) == (profile.provider, profile.kind)
        assert profile.expires_at in (None, mine.expires_at)
        mine_until, printed_until = ((one.unusable and one.unusable.until) for one in (mine, profile))
        assert mine_until == printed_until
    # The command lists first what it would take first, and leaves out what cannot serve now.
    for provider, ids in facts.order.items():
        usable = [name for name in ids if name in printed.order.get(provider, ids) and not known[name].unusable]
        assert usable == [name for name in printed.order.get(provider, ids) if not known[name].unusable]
