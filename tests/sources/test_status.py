"""What OpenClaw prints is read as what it is, whatever is around it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from status_captures import CAPTURES, answer_or_reason, payload_of, seen, status_of

from exporter.model import CheckError, Dialect, FailureReason, Observation, ObservedProfile, Unusable
from exporter.sources.openclaw.status import extract_json

# --- JSON out of bytes -----------------------------------------------------------------------------

STATUS = b'{"defaultModel": "a/b", "auth": {"oauth": {"profiles": []}}}'


@pytest.mark.parametrize(
    "stdout",
    [
        STATUS,
        b"\n\n  " + STATUS + b"\r\n",
        b"\xef\xbb\xbf" + STATUS,
        b"[plugins] loading {x} and {\n" + STATUS + b"\ndone {\n",
        b'{"level":"info","auth":"none"}\n{"level":"info","auth":{"mode":"token"}}\n' + STATUS,
        b'{"ok": false, "error": "a notice"}\n' + STATUS,
        b"{}\n[]\n[1]\n" + STATUS,
        b'log: {"x": \n' + STATUS,
        b"the answer is " + STATUS + b" they said",
        b"\x1b[2m\x1b[36mlog\x1b[0m \x1b]0;title\x07\n\x1b[32m" + STATUS.replace(b'"auth"', b'\x1b[1m"auth"\x1b[0m'),
        b"\xff\xfe\x80 broken log\n" + STATUS,
        b'{"level":30}\n' * 10_000 + STATUS,
    ],
)
def test_status_object_is_found_among_other_lines(stdout: bytes) -> None:
    assert extract_json(stdout) == json.loads(STATUS)


def test_refusal_is_found() -> None:
    refusal = b'{\n "ok": false,\n "error": {"type": "cli_error", "message": "no"}\n}\n'
    assert extract_json(b"log {\n" + refusal) == json.loads(refusal)


def test_invalid_utf8_inside_a_text_is_replaced() -> None:
    assert extract_json(b'{"auth": {"oauth": {"x": "\xff"}}}') == {"auth": {"oauth": {"x": "\ufffd"}}}


def test_number_of_thousands_of_digits_does_not_cost_the_answer() -> None:
    payload = extract_json(b'{"auth": {"oauth": {"profiles": [{"profileId": "a", "expiresAt": %s}]}}}' % (b"9" * 9000))
    assert seen(payload).profiles[0].expires_at is None


@pytest.mark.parametrize(
    "stdout",
    [
        b"",
        b" \n\t\n",
        b"no json here",
        STATUS[:-2],
        b"null",
        b"[]",
        b'"auth"',
        b'{"ok": true}',
        bytes(range(256)) * 100,
        STATUS.decode().encode("utf-16"),
        b'{"auth":' * 200_000,
        b'{"auth": {"oauth": ' + b"[" * 200_000 + b"]" * 200_000 + b"}}",
        b"[" * 200_000,
        # Eight megabytes that a careless search reads once for every brace.
        b"{" * 8_000_000,
        b'{"' * 4_000_000,
        b'{"a":[' + b"{}," * 2_600_000,
        b'{"a":"' * 1_300_000,
        b'{"a":"b' + b"c" * 9_000 + b'",' * 900,
        b'{"a":1,"b":' * 700 + b"1," * 4_000_000,
    ],
    ids=range(19),
)
def test_output_without_a_status_is_invalid(stdout: bytes) -> None:
    with pytest.raises(CheckError) as caught:
        extract_json(stdout)
    assert caught.value.reason is FailureReason.INVALID_OUTPUT


@given(st.binary(max_size=2000))
def test_arbitrary_bytes_give_an_object_or_the_right_reason(stdout: bytes) -> None:
    outcome = answer_or_reason(extract_json, stdout)
    assert isinstance(outcome, dict) or outcome is FailureReason.INVALID_OUTPUT


# --- captures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: f"{path.parent.name[9:]}-{path.stem}")
def test_capture_is_read_completely_and_without_a_secret(path: Path) -> None:
    recorded = json.loads(path.read_text())
    payload = extract_json(recorded["stdout"].encode())
    observation = seen(payload, recorded["exit_code"], recorded["openclaw"])
    listed = {entry["profileId"]: entry for entry in payload["auth"]["oauth"]["profiles"]}
    down = {entry["profileId"]: entry for entry in payload["auth"]["unusableProfiles"]}
    assert {profile.id for profile in observation.profiles} == listed.keys() | down.keys()
    for profile in observation.profiles:
        entry = listed[profile.id]
        assert (profile.provider, profile.kind, profile.status) == (entry["provider"], entry["type"], entry["status"])
        assert profile.reason_code == entry.get("reasonCode")
        date = entry.get("expiresAt")
        assert profile.expires_at == (date / 1000 if date and date > 0 else None)
        assert (profile.unusable is not None) == (profile.id in down)
    dialects = {"2026.1.29": Dialect.DATES, "2026.2.9": Dialect.STATUS, "2026.9.6": Dialect.ROUTES}
    assert observation.dialect is dialects[recorded["openclaw"]]
    assert observation.providers_in_use == ("anthropic",)
    assert (observation.openclaw_exit_code, observation.openclaw_version) == (
        recorded["exit_code"],
        recorded["openclaw"],
    )
    assert observation.missing_providers == frozenset(payload["auth"]["missingProvidersInUse"])
    assert observation.blind_to == {"uses"}
    assert observation.notes == ()
    masked = [word for entry in payload["auth"]["providers"] for word in entry["profiles"]["labels"] if "..." in word]
    for text in masked:
        assert text not in repr(observation)
    assert "..." not in repr(observation)


def test_order_and_unusable_profiles_are_read() -> None:
    observation = seen(payload_of("all_unusable"))
    assert observation.order == {"anthropic": ("anthropic:default", "anthropic:work", "anthropic:api")}
    by_id = {profile.id: profile.unusable for profile in observation.profiles}
    assert by_id == {
        "anthropic:default": Unusable("cooldown", "auth", 1795346823.969),
        "anthropic:work": Unusable("cooldown", None, 1795347363.969),
        "anthropic:api": Unusable("disabled", "billing", 1795379163.969),
    }
    assert seen(payload_of("all_unusable", "2026.2.9")).order == {}


def test_route_of_unknown_readiness_is_indeterminate() -> None:
    observation = seen(payload_of("oauth_expired_refreshable"))
    assert observation.indeterminate_providers == {"anthropic"}
    assert observation.refreshing_providers == {"anthropic"}
    payload = payload_of("oauth_expired_refreshable")
    for issue in payload["auth"]["modelRouteIssues"]:
        del issue["evidence"]
    assert seen(payload).indeterminate_providers == {"anthropic"}
    assert seen(payload).refreshing_providers == frozenset()


# --- fields ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2026.1.29", "2026.2.9", "2026.9.6", "2026.10.1", "dev", None])
def test_dialect_is_recognised_by_its_fields(version: str | None) -> None:
    ordered = status_of(oauth={"profiles": [], "providers": [{"provider": "openai", "effectiveProfiles": []}]})
    assert seen(ordered, version=version).dialect is Dialect.LISTING
    assert seen(status_of(runtimeAuthRoutes=[]), version=version).dialect is Dialect.LISTING
    assert seen(status_of(runtimeAuthRoutes=[], modelRouteIssues=[]), version=version).dialect is Dialect.ROUTES


@pytest.mark.parametrize(
    ("version", "dialect"),
    [
        *((version, Dialect.DATES) for version in ("2026.1.24-3", "2026.1.29", "2026.1.30-beta.1")),
        *((version, Dialect.STATUS) for version in ("2026.1.30", "v2026.2.9", "2026.4.15-beta.2", "2026.4.15-1")),
        *((version, Dialect.DATES) for version in ("2026.4.16-beta.1", "2026.4.29", "2026.9.6", "2026.10.1")),
        *((version, Dialect.DATES) for version in ("2026.4", "dev", "", None)),
    ],
)
def test_releases_with_the_same_fields_are_told_apart_by_the_version(version: str | None, dialect: Dialect) -> None:
    assert seen(status_of(), version=version).dialect is dialect


def test_models_and_providers_in_use_are_read() -> None:
    payload = status_of() | {
        "resolvedDefault": "anthropic/claude",
        "defaultModel": "ignored/where-resolved",
        "fallbacks": ["openrouter/meta/llama", 7, "no-provider", "anthropic/claude-2"],
        "imageModel": "google/g",
        "imageFallbacks": ["openrouter/meta/llama"],
        "utilityModel": {"ref": "mistral/small"},
    }
    observation = seen(payload)
    assert observation.providers_in_use == ("anthropic", "openrouter", "google", "mistral")
    assert observation.models_in_use == (
        "anthropic/claude",
        "openrouter/meta/llama",
        "anthropic/claude-2",
        "google/g",
        "mistral/small",
    )
    assert seen(status_of() | {"resolvedDefault": None, "defaultModel": "openai/x"}).providers_in_use == ("openai",)
    nothing_said = status_of()
    del nothing_said["resolvedDefault"]
    assert seen(nothing_said).providers_in_use is None


def test_alias_of_a_model_is_resolved_in_any_case() -> None:
    payload = status_of() | {"fallbacks": ["GPT", "Google/g-3"], "imageModel": "gpt", "aliases": {"gpt": "openai/g-5"}}
    observation = seen(payload)
    assert observation.providers_in_use == ("anthropic", "openai", "google")
    assert observation.models_in_use == ("anthropic/x", "openai/g-5", "google/g-3")
    assert seen(payload | {"aliases": {"gpt": None, "": "x/y"}}).providers_in_use == ("anthropic", "google")


def test_provider_that_openclaw_reports_is_in_use() -> None:
    fields: dict[str, Any] = {
        "missingProvidersInUse": ["claude-cli"],
        "modelRouteIssues": [
            {"kind": "incompatible", "provider": "xai", "model": "x"},
            {"kind": "indeterminate", "provider": "groq", "model": "x"},
        ],
        "runtimeAuthRoutes": [
            {"provider": "codex", "authProvider": "openai", "status": "unavailable", "runtimeDetail": "No plugin."},
            {"provider": "xai", "status": "unavailable", "runtimeDetail": 5},
            {"provider": "openai", "status": "usable", "runtimeDetail": "Fine."},
        ],
    }
    observation = seen(status_of(**fields))
    assert observation.providers_in_use == ("anthropic", "claude-cli", "xai", "groq", "openai")
    assert observation.faulty_providers == {"xai", "codex"}
    assert observation.unavailable_runtimes == ("codex: No plugin",)


# --- anything at all -------------------------------------------------------------------------------

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def with_junk(payload: dict[str, Any], place: tuple[Any, ...], junk: Any) -> Any:
    if not place:
        return junk
    payload = copy.deepcopy(payload)
    where: Any = payload
    for key in place[:-1]:
        where = where[key]
    where[place[-1]] = junk
    return payload


@given(st.sampled_from(["all_unusable", "mixed_providers", "oauth_expired_refreshable"]), st.data(), JUNK)
def test_junk_anywhere_never_breaks_the_reading(name: str, data: st.DataObject, junk: Any) -> None:
    payload = payload_of(name)
    spoiled = with_junk(payload, data.draw(st.sampled_from(places(payload))), junk)
    outcome = answer_or_reason(seen, spoiled if isinstance(spoiled, dict) else {})
    assert isinstance(outcome, Observation) or outcome is FailureReason.INVALID_OUTPUT
    repr(outcome).encode()


def test_secret_in_any_field_never_gets_into_an_observation() -> None:
    """Ids, providers and models are names and copied as they are; nothing else may carry a secret."""
    names = {"profileId", "provider", "ref", "resolvedDefault", "defaultModel", "missingProvidersInUse"}
    for name in ("all_unusable", "oauth_expired_refreshable", "empty"):
        payload = payload_of(name)
        for place in places(payload):
            if place and not names.intersection(place):
                outcome = answer_or_reason(seen, with_junk(payload, place, "PLANTED-SECRET-0a1b2c3d4e5f6789"))
                assert "PLANTED" not in repr(outcome), place


def test_unknown_words_are_kept_and_strange_words_are_made_safe() -> None:
    entry = {"profileId": "a", "type": "passkey", "status": "half-alive", "reasonCode": "x" * 49 + "\x1b[0m"}
    assert seen(status_of(entry)).profiles == (ObservedProfile("a", "a", "passkey", "half-alive", "<redacted>"),)
