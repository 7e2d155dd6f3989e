"""Secrets that are kept outside the store: which references resolve, and what they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from captured import verdict
from hypothesis import given
from hypothesis import strategies as st
from stores import DAY, MS, NOW, SECRET, Home, keyed_hash, one, token

from exporter.config import StoreTarget
from exporter.sources import SourceContext
from exporter.sources.store.credentials import Surroundings, configured_key
from exporter.sources.store.environment import Environment, environment
from exporter.sources.store.facts import facts, layer
from exporter.sources.store.references import Reference, reference_in, resolves
from exporter.sources.store.source import StoreSource

HOME = Path("/home/someone")
EXEC = {"secrets": {"providers": {"vault": {"source": "exec", "command": "/usr/bin/false"}}}}
FILE = {"secrets": {"providers": {"keys": {"source": "file", "path": "~/keys.json", "mode": "json"}}}}
SINGLE = {"secrets": {"providers": {"one": {"source": "file", "path": "/k", "mode": "singleValue"}}}}
ALLOWED = {"secrets": {"providers": {"default": {"source": "env", "allowlist": ["OTHER_KEY"]}}}}
WHOLE, PARTIAL = Environment({"SET_KEY": "x"}, is_whole=True), Environment({"SET_KEY": "x"})


def answer(value: object, config: object = None, env: Environment = PARTIAL, exists: bool | None = None) -> bool | None:
    found = reference_in(value, config)
    assert found is not None
    return resolves(found, config, env, lambda path: exists, HOME)


def ref(source: str, provider: str | None, id: str) -> dict[str, str]:
    return {"source": source, **({"provider": provider} if provider else {}), "id": id}


@pytest.mark.parametrize(
    ("value", "config", "env", "exists", "expected"),
    [
        (ref("exec", "vault", "openai/key"), EXEC, PARTIAL, None, None),  # only the program knows
        (ref("exec", "vault-old", "openai/key"), EXEC, PARTIAL, None, False),
        (ref("exec", "vault", "../key"), EXEC, PARTIAL, None, False),
        (ref("file", "vault", "/openai"), EXEC, PARTIAL, None, False),  # it runs a program
        (ref("file", "keys", "/openai"), FILE, PARTIAL, True, True),
        (ref("file", "keys", "/openai"), FILE, PARTIAL, False, False),
        (ref("file", "keys", "/openai"), FILE, PARTIAL, None, None),
        (ref("file", "keys", "value"), FILE, PARTIAL, True, False),
        (ref("file", "one", "value"), SINGLE, PARTIAL, True, True),
        (ref("env", "default", "SET_KEY"), {}, PARTIAL, None, True),
        (ref("env", None, "SET_KEY"), {}, PARTIAL, None, True),
        (ref("env", "default", "NO_KEY"), {}, PARTIAL, None, None),  # the service may have it
        (ref("env", "default", "NO_KEY"), {}, WHOLE, None, False),
        (ref("env", "default", "SET_KEY"), ALLOWED, WHOLE, None, False),
        (ref("env", "mine", "SET_KEY"), {}, WHOLE, None, False),
        (ref("env", "mine", "SET_KEY"), {"secrets": {"defaults": {"env": "mine"}}}, WHOLE, None, True),
        (ref("env", "default", "not a name"), {}, PARTIAL, None, False),
        (ref("store", "default", "OPENAI_KEY"), {}, PARTIAL, None, None),
        (ref("store", "other", "OPENAI_KEY"), {}, PARTIAL, None, False),
        (ref("cloud", "default", "x"), {}, PARTIAL, None, False),
        (ref("env", None, "SET_KEY"), {"secrets": {"defaults": {"env": " mine "}}}, WHOLE, None, True),
        (ref("env", "Mine!", "SET_KEY"), {"secrets": {"providers": {"Mine!": {"source": "env"}}}}, WHOLE, None, False),
        (ref("exec", None, "openai/key"), {}, PARTIAL, None, False),
        (ref("file", None, "/openai"), {}, PARTIAL, True, False),
        (ref("file", "keys", "/openai"), {"secrets": {"providers": {"keys": {"source": "file"}}}}, PARTIAL, True, None),
        ("${SET_KEY}", {}, PARTIAL, None, True),
        ("$NO_KEY", {}, WHOLE, None, False),
        ("secretref-env:SET_KEY", {}, WHOLE, None, True),
        ("secretref-env:SET_KEY", {"secrets": {"defaults": {"env": "mine"}}}, WHOLE, None, True),
        ("__env__:SET_KEY", {}, WHOLE, None, True),
        ("__env__:NO_KEY", {}, WHOLE, None, False),
    ],
)
def test_reference_is_unresolvable_only_where_nothing_could_resolve_it(
    value: object, config: object, env: Environment, exists: bool | None, expected: bool | None
) -> None:
    assert answer(value, config, env, exists) is expected


def test_reference_is_called_as_openclaw_calls_it() -> None:
    assert str(Reference("exec", "vault-old", "openai/key")) == "exec:vault-old:openai/key"


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (Reference("env", "default", "my pass phrase"), "env:(not valid)"),
        (Reference("exec", "my pass phrase", "openai/key"), "exec:(not valid)"),
        (Reference("my pass phrase", "default", "KEY"), "unknown:(not valid)"),
        (Reference("file", "keys", "/" + "a" * 400), "file:keys:/" + "a" * 149),
    ],
)
def test_what_is_not_valid_in_a_reference_is_not_shown_and_the_rest_is_cut(found: Reference, name: str) -> None:
    assert str(found) == name


@given(st.text(max_size=400), st.text(max_size=100), st.sampled_from(["env", "file", "exec", "store", "other"]))
def test_name_of_a_reference_is_short_and_holds_no_key(id: str, provider: str, source: str) -> None:
    assert len(str(Reference(source, provider, id))) <= 160
    assert SECRET not in str(Reference(source, provider, SECRET + " " + id))
    key = "sk-ant-oat01-" + "A1b2C3d4" * 12
    assert key not in str(Reference(source, "default", key))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["source", "provider", "id", "secrets", "providers", "env"]), inner)
        ),
        max_leaves=6,
    ),
    st.booleans(),
)
def test_anything_in_place_of_a_reference_or_a_configuration_is_read(value: Any, is_whole: bool) -> None:
    env = environment(value, {}, {} if is_whole else None)
    found = reference_in(value, value)
    if found is not None:
        assert resolves(found, value, env, lambda path: None, HOME) in (True, False, None)


@given(st.sampled_from(["env", "file", "exec", "store"]), st.sampled_from(["default", "vault", "keys"]), st.booleans())
def test_more_of_the_environment_seen_never_makes_a_reference_resolve_less(
    source: str, provider: str, exists: bool
) -> None:
    found = Reference(source, provider, "/SET_KEY" if source == "file" else "SET_KEY")
    config = {"secrets": {"providers": {**EXEC["secrets"]["providers"], **FILE["secrets"]["providers"]}}}
    unseen, seen = (
        resolves(found, config, env, lambda path: exists, HOME)
        for env in (Environment(), Environment({"SET_KEY": "x"}))
    )
    assert unseen is not False or seen is False
    assert not (unseen is True and seen is not True)


# --- in the store -----------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def key(**more: Any) -> dict[str, Any]:
    return {"type": "api_key", "provider": "openai", **more}


def login(**more: Any) -> dict[str, Any]:
    return {"type": "oauth", "provider": "openai-codex", "expires": MS - DAY, **more}


def test_unresolvable_reference_is_named_and_a_resolvable_one_too(home: Home) -> None:
    home.write_config(EXEC)
    home.write_json({"openai:default": key(keyRef=ref("exec", "vault-old", "openai/key"))})
    found = one(home.read())
    assert (found.reason_code, found.reference) == ("unresolved_ref", "exec:vault-old:openai/key")
    home.write_json({"openai:default": key(keyRef=ref("exec", "vault", "openai/key"))})
    found = one(home.read())
    assert (found.reason_code, found.reference) == (None, "exec:vault:openai/key")


def test_file_that_a_reference_names_must_exist(home: Home) -> None:
    path = home.state_dir.parent / "keys.json"
    home.write_config(FILE)
    home.write_json({"anthropic:default": token(token=None, tokenRef=ref("file", "keys", "/anthropic"))})
    assert one(home.read()).reason_code == "unresolved_ref"
    path.write_text("{}")
    assert one(home.read()).reason_code is None


def test_variable_that_a_reference_names_may_be_in_the_service_unless_its_file_was_read(home: Home) -> None:
    home.write_json({"openai:default": key(keyRef=ref("env", "default", "OPENAI_KEY"))})
    unknown = home.read()
    assert one(unknown).reason_code is None
    assert any("OPENAI_KEY" in note for note in unknown.notes)
    seen = home.read(service={})
    assert one(seen).reason_code == "unresolved_ref"
    assert one(home.read(service={"OPENAI_KEY": "x"})).reason_code is None


ID = "98be60767004009f833caf457d611154"
OAUTH_REF = {"source": "openclaw-credentials", "provider": "openai-codex", "id": ID}


def write_sidecar(home: Home) -> None:
    path = home.state_dir / "credentials" / "auth-profiles" / f"{ID}.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")


def test_login_in_a_sidecar_has_its_secret_and_refreshes(home: Home) -> None:
    write_sidecar(home)
    home.write_json({"openai-codex:me": login(oauthRef=OAUTH_REF)})
    found = one(home.read())
    assert (found.reason_code, found.has_refresh_token) == (None, True)
    assert found.reference == f"openclaw-credentials:openai-codex:{ID}"


def test_login_without_its_sidecar_is_missing_and_named(home: Home) -> None:
    home.write_json({"openai-codex:me": login(oauthRef=OAUTH_REF)})
    found = one(home.read())
    assert (found.reason_code, found.has_refresh_token) == ("unresolved_ref", False)
    assert found.reference is not None
    assert ID in found.reference


@pytest.mark.parametrize("other", [{"source": "elsewhere"}, {"id": "../../x"}, {"id": ID.upper()}, {"id": 3}])
def test_reference_to_no_sidecar_is_missing_and_nothing_of_it_is_shown(home: Home, other: dict[str, Any]) -> None:
    write_sidecar(home)
    home.write_json({"openai-codex:me": login(oauthRef={**OAUTH_REF, **other})})
    found = one(home.read())
    assert (found.reason_code, found.reference) == ("unresolved_ref", "oauthRef:(not valid)")


def test_sidecar_that_cannot_be_looked_for_may_be_there() -> None:
    stored = layer({"profiles": {"openai-codex:me": login(oauthRef=OAUTH_REF)}}, None)
    found = one(facts(stored, {}, agent="main", is_json=True, keyed_hash=keyed_hash, now=NOW))
    assert (found.reason_code, found.has_refresh_token) == (None, None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (ref("exec", "vault-old", "zai/key"), ("models.providers.zai.apiKey", "exec:vault-old:zai/key")),
        (ref("env", "default", "not a name"), ("models.providers.zai.apiKey", "env:(not valid)")),
        ("${NO_KEY}", ("env:NO_KEY", "env:default:NO_KEY")),
        ("${SET_KEY}", None),
        (ref("exec", "vault", "zai/key"), None),  # only the program knows
        ("a key", None),
    ],
)
def test_key_of_the_configuration_is_reported_where_nothing_can_resolve_it(
    value: object, expected: tuple[str, str] | None
) -> None:
    found = configured_key(EXEC | {"models": {"providers": {"ZAI": {"apiKey": value}}}}, "zai", Surroundings(WHOLE))
    assert (found and (found.id, found.reference)) == expected
    assert found is None or found.reason_code == "unresolved_ref"


@pytest.mark.parametrize("more", [{}, {"token": " "}, {"tokenRef": ref("exec", "vault-old", "key")}])
def test_profile_that_waits_for_its_setup_is_inactive_whatever_its_secret(home: Home, more: dict[str, Any]) -> None:
    home.write_json(
        {"anthropic:new": {"type": "token", "provider": "anthropic", "setup": {"replacement": True}, **more}}
    )
    assert one(home.read()).reason_code == "setup_inactive"


@pytest.mark.parametrize("version", ["2026.2.9", "2026.4.15"])
def test_release_before_sidecars_cannot_use_one(home: Home, version: str) -> None:
    write_sidecar(home)
    home.write_json({"openai-codex:me": login(oauthRef=OAUTH_REF)})
    home.write_config({"meta": {"lastTouchedVersion": version}})
    assert one(home.read()).reason_code == "unresolved_ref"


def test_release_after_sidecars_cannot_use_one_that_it_did_not_import(home: Home) -> None:
    write_sidecar(home)
    home.write_local({"version": 1, "profiles": {"openai-codex:me": login(oauthRef=OAUTH_REF)}})
    assert one(home.read()).reason_code == "unresolved_ref"


def test_inline_tokens_precede_a_sidecar(home: Home) -> None:
    home.write_json({"openai-codex:me": login(oauthRef=OAUTH_REF, access=SECRET, refresh=SECRET)})
    assert one(home.read()).reason_code is None


# --- a store that a newer OpenClaw no longer reads ---------------------------------------------------------


ANTHROPIC = {"agents": {"defaults": {"model": {"primary": "anthropic/claude-opus-4-6"}}}}


def test_profiles_left_behind_in_an_old_store_strand_their_provider(home: Home) -> None:
    home.write_config(ANTHROPIC)
    home.write_json({"anthropic:default": token(expires=MS + 100 * DAY)})
    assert home.read().stranded_providers == frozenset()
    home.write_local(None)  # as a refused command of 2026.9 leaves it
    assert home.read().stranded_providers == {"anthropic"}
    home.write_local({"version": 1, "profiles": {"anthropic:new": token()}})
    assert home.read().stranded_providers == frozenset()


async def test_stranded_provider_is_missing_and_needs_the_doctor(home: Home) -> None:
    home.write_config({"meta": {"lastTouchedVersion": "2026.9.6"}, **ANTHROPIC})
    home.write_json({"anthropic:default": token(expires=MS + 100 * DAY)})
    home.write_local(None)
    target = StoreTarget(source="store", name="home", state_dir=str(home.state_dir))
    observation = await StoreSource(target, SourceContext(keyed_hash, now=lambda: NOW)).check("main")
    assert observation.needs_doctor
    assert observation.openclaw_version == "2026.9.6"
    missing = [condition for condition in verdict(observation).conditions if condition.name == "missing"]
    assert [(condition.provider, condition.severity) for condition in missing] == [("anthropic", "critical")]


def test_every_provider_left_behind_is_stranded_if_no_configuration_says_what_is_in_use(home: Home) -> None:
    home.write_json({"anthropic:default": token(), "openai:default": key(key=SECRET)})
    home.write_local({"version": 1, "profiles": {"openai:default": key(key=SECRET)}})
    assert home.read().stranded_providers == {"anthropic"}


def test_login_left_behind_under_its_former_name_strands_the_provider_that_it_serves(home: Home) -> None:
    home.write_config({"agents": {"defaults": {"model": {"primary": "openai/gpt-5.5"}}}})
    home.write_json({"openai-codex:me": login(refresh=SECRET)})
    home.write_local(None)
    assert home.read().stranded_providers == {"openai"}


def test_renamed_provider_is_not_stranded(home: Home) -> None:
    home.write_config({"agents": {"defaults": {"model": {"primary": "openai/gpt-5.5"}}}})
    home.write_json({"openai-codex:me": login(refresh=SECRET)})
    home.write_local({"version": 1, "profiles": {"openai:me": {**login(refresh=SECRET), "provider": "openai"}}})
    assert home.read().stranded_providers == frozenset()
