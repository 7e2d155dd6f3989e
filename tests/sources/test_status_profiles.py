"""What OpenClaw prints of a profile is read as what it is: odd dates, missing lists, one id twice."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from status_captures import payload_of, seen, status_of

from exporter.model import CheckError, FailureReason, ObservedProfile, Unusable
from exporter.sources.openclaw.status import extract_json, merged


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1795346823969", 1795346823.969),
        ("1795346823969.5", 1795346823.9695),
        ("9e17", 9e14),
        ('"1795346823969"', None),
        ("0", None),
        ("-1", None),
        ("NaN", None),
        ("Infinity", None),
        ("1e999", None),
        ("true", None),
        ("null", None),
        ("[]", None),
        ("9" * 310, None),
        ("9" * 5000, None),
    ],
)
def test_date_is_a_positive_finite_number(written: str, read: float | None) -> None:
    text = '{"auth": {"oauth": {"profiles": [{"profileId": "a:b", "expiresAt": WRITTEN}]}}}'.replace("WRITTEN", written)
    assert seen(extract_json(text.encode())).profiles == (ObservedProfile("a:b", "a", "unknown", expires_at=read),)


def test_profile_that_is_only_listed_as_unusable_appears() -> None:
    observation = seen(
        status_of(
            unusableProfiles=[
                {"profileId": "x:1", "kind": "disabled", "reason": "billing", "until": 5000},
                {"profileId": "y:1", "provider": "z"},
                {"kind": "cooldown"},
            ]
        )
    )
    assert observation.profiles == (
        ObservedProfile("x:1", "x", "unknown", unusable=Unusable("disabled", "billing", 5.0)),
        ObservedProfile("y:1", "z", "unknown", unusable=Unusable("unknown", None, None)),
    )
    assert observation.notes == ("skipped 1 entries of OpenClaw's lists that name no profile",)


def test_missing_list_of_cooldowns_makes_the_observation_blind_to_them() -> None:
    payload = status_of()
    del payload["auth"]["unusableProfiles"]
    assert seen(payload).blind_to == {"unusable", "uses"}
    assert seen(status_of()).blind_to == {"uses"}


def test_lists_per_provider_replace_a_missing_list_of_profiles() -> None:
    payload = payload_of("all_unusable")
    whole = seen(payload)
    del payload["auth"]["oauth"]["profiles"]
    assert sorted(seen(payload).profiles, key=lambda p: p.id) == sorted(whole.profiles, key=lambda p: p.id)


#: Every container that is read, with the words for one of another type.
CONTAINERS = {
    "auth": "auth is not an object",
    "auth.oauth": "auth.oauth is not an object",
    "auth.oauth.profiles": "auth.oauth.profiles is not a list",
    "auth.oauth.profiles.0": "auth.oauth.profiles[0] is not an object",
    "auth.oauth.providers": "auth.oauth.providers is not a list",
    "auth.oauth.providers.0": "auth.oauth.providers[0] is not an object",
    "auth.oauth.providers.0.profiles": "auth.oauth.providers[0].profiles is not a list",
    "auth.oauth.providers.0.effectiveProfiles": "auth.oauth.providers[0].effectiveProfiles is not a list",
    "auth.unusableProfiles": "auth.unusableProfiles is not a list",
    "auth.unusableProfiles.0": "auth.unusableProfiles[0] is not an object",
    "auth.missingProvidersInUse": "auth.missingProvidersInUse is not a list",
    "auth.missingProvidersInUse.0": "auth.missingProvidersInUse[0] is not a text",
    "auth.modelRouteIssues": "auth.modelRouteIssues is not a list",
    "auth.modelRouteIssues.0": "auth.modelRouteIssues[0] is not an object",
    "auth.runtimeAuthRoutes": "auth.runtimeAuthRoutes is not a list",
    "auth.runtimeAuthRoutes.0": "auth.runtimeAuthRoutes[0] is not an object",
    "auth.providers": "auth.providers is not a list",
    "auth.providers.0": "auth.providers[0] is not an object",
    "fallbacks": "fallbacks is not a list",
    "imageFallbacks": "imageFallbacks is not a list",
    "aliases": "aliases is not an object",
}


@pytest.mark.parametrize("place", CONTAINERS)
@pytest.mark.parametrize("value", [None, 5, True, "anthropic", [5], {"a": 1}], ids=str)
def test_container_of_another_type_is_invalid_output_and_named(place: str, value: Any) -> None:
    payload = payload_of("all_unusable")
    payload["auth"]["missingProvidersInUse"] = ["anthropic"]
    payload["auth"]["runtimeAuthRoutes"] = [{"provider": "x"}]
    payload["auth"]["modelRouteIssues"] = [{"provider": "x"}]
    *above, last = (int(part) if part.isdigit() else part for part in place.split("."))
    container: Any = payload
    for part in above:
        container = container[part]
    before = container[last]
    container[last] = value
    if type(value) is type(before):
        return  # of the right type: only its contents are junk
    with pytest.raises(CheckError) as caught:
        seen(payload)
    assert caught.value.reason is FailureReason.INVALID_OUTPUT
    assert caught.value.message == f"OpenClaw's answer cannot be read: {CONTAINERS[place]}"


@pytest.mark.parametrize("auth", [None, [], "x", {}, {"oauth": None}, {"oauth": {}}, {"oauth": {"profiles": {}}}, 7])
def test_output_without_any_list_of_profiles_is_invalid(auth: Any) -> None:
    with pytest.raises(CheckError) as caught:
        seen({"auth": auth})
    assert caught.value.reason is FailureReason.INVALID_OUTPUT


def test_strange_ids_are_kept_and_can_be_encoded() -> None:
    ids = ["x" * 4096, "a\x00\x1b[31m\n:b", "ü:\u202e", "half:\ud800", "half:\ud801", " ", ":"]
    profiles = seen(status_of(*({"profileId": one} for one in ids))).profiles
    assert len({profile.id for profile in profiles}) == len(ids)
    assert [profile.id for profile in profiles[:3]] == ids[:3]
    assert [profile.provider for profile in profiles[-2:]] == ["unknown", "unknown"]
    for profile in profiles:
        profile.id.encode()


# --- the same id twice -----------------------------------------------------------------------------


def test_worse_of_two_entries_with_one_id_wins() -> None:
    entries = [
        {"profileId": "a:b", "provider": "a", "type": "token", "status": "ok", "expiresAt": 9000},
        {"profileId": "a:b", "provider": "a", "type": "token", "status": "expiring", "expiresAt": 5000},
        {"profileId": "a:b", "provider": "a", "status": "missing", "reasonCode": "unresolved_ref", "expiresAt": 7000},
    ]
    down = [
        {"profileId": "a:b", "kind": "cooldown", "reason": "rate_limit", "until": 9000},
        {"profileId": "a:b", "kind": "cooldown", "reason": "auth", "until": 1000},
        {"profileId": "a:b", "kind": "disabled", "until": 8000},
    ]
    expected = ObservedProfile(
        "a:b", "a", "token", "missing", "unresolved_ref", 5.0, unusable=Unusable("cooldown", "auth", 1.0)
    )
    for some in permutations(entries):
        for others in permutations(down):
            assert seen(status_of(*some, unusableProfiles=list(others))).profiles == (expected,)


def test_date_of_another_entry_does_not_soften_an_undated_expiry() -> None:
    entries = [{"profileId": "a", "status": "ok", "expiresAt": 9e15}, {"profileId": "a", "status": "expired"}]
    [profile] = seen(status_of(*entries)).profiles
    assert (profile.status, profile.expires_at) == ("expired", None)


PROFILES = st.builds(
    ObservedProfile,
    id=st.just("a"),
    provider=st.sampled_from("pq"),
    kind=st.sampled_from(["token", "oauth", "unknown"]),
    status=st.sampled_from([None, "ok", "static", "expiring", "expired", "missing", "strange"]),
    reason_code=st.sampled_from([None, "expired", "invalid_expires"]),
    expires_at=st.sampled_from([None, 1.0, 2.0]),
    unusable=st.none()
    | st.builds(
        Unusable,
        st.sampled_from(["cooldown", "disabled"]),
        st.sampled_from([None, "auth", "rate_limit"]),
        st.sampled_from([None, 1.0, 2.0]),
    ),
)


@given(st.lists(PROFILES, min_size=1, max_size=4), st.randoms())
def test_merging_is_independent_of_order_and_repetition(twins: list[ObservedProfile], random: Any) -> None:
    shuffled = [*twins, random.choice(twins)]
    random.shuffle(shuffled)
    assert merged(shuffled) == merged(twins)
    assert (merged(twins).unusable is not None) == any(twin.unusable for twin in twins)


# --- environment -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("env: ANTHROPIC_API_KEY", ("env:ANTHROPIC_API_KEY", "api_key")),
        ("shell env: ANTHROPIC_OAUTH_TOKEN", ("env:ANTHROPIC_OAUTH_TOKEN", "token")),
        ("env: A or B_TOKEN", ("env:B_TOKEN", "token")),
        ("env: lower_case", None),
        ("env: sk-ant-PLANTED", None),
        ("", None),
        (7, None),
        (None, None),
    ],
)
def test_environment_credential_is_a_profile_if_its_provider_is_in_use(
    source: Any, expected: tuple[str, str] | None
) -> None:
    env = {"value": "PLANTED-SECRET-VALUE", "source": source}
    entries = [{"provider": "anthropic", "env": env}, {"provider": "not-in-use", "env": env}, {"env": env}]
    found = seen(status_of(providers=entries)).profiles
    wanted = (ObservedProfile(expected[0], "anthropic", expected[1], status="static"),) if expected else ()
    assert found == wanted if source != "env: sk-ant-PLANTED" else "sk-ant" not in repr(found)
