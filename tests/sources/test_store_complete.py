"""What the store adds to what another source saw, and what it never changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import NOW

from exporter.model import Dialect, Observation, ObservedProfile, Purpose, Unusable, Use
from exporter.sources.store.complete import complete
from exporter.sources.store.facts import StoreFacts


def observation(*profiles: ObservedProfile, **more: Any) -> Observation:
    return Observation("home", "main", "openclaw", Dialect.ROUTES, NOW, profiles, **more)


STORED = ObservedProfile(
    "a:b",
    "anthropic",
    "token",
    reason_code="mode_mismatch",
    expires_at=NOW - 60,
    has_refresh_token=False,
    secret_hash="hash",
    unusable=Unusable("cooldown", "rate_limit", NOW + 60, "opus"),
    last_used_at=NOW - 90,
    error_count=4,
)


def test_store_adds_what_was_not_printed() -> None:
    seen = ObservedProfile("a:b", "anthropic", "token", "expired", unusable=Unusable("cooldown", None, NOW + 60))
    facts = StoreFacts(
        (STORED,),
        {"anthropic": ("a:b",)},
        ("anthropic",),
        (Use("anthropic/opus", Purpose.CHAT),),
        notes=("a note",),
    )

    done = complete(observation(seen), facts)

    assert done.profiles == (replace(STORED, status="expired", reason_code=None),)
    assert (done.order, done.providers_in_use) == ({"anthropic": ("a:b",)}, ("anthropic",))
    assert (done.uses, done.notes) == ((Use("anthropic/opus", Purpose.CHAT),), ("a note",))


def test_printed_facts_are_kept() -> None:
    seen = replace(
        STORED,
        status="ok",
        secret_hash="other",
        has_refresh_token=True,
        last_used_at=1.0,
        error_count=0,
        unusable=Unusable("disabled", "auth", NOW + 5),
    )
    before = observation(seen, providers_in_use=(), order={"anthropic": ("z",)})
    facts = StoreFacts((STORED,), {"anthropic": ("a:b",), "openai": ("o",)}, ("anthropic",))

    done = complete(before, facts)

    assert done == replace(before, order={"anthropic": ("z",), "openai": ("o",)})


@pytest.mark.parametrize(
    "seen",
    [
        ObservedProfile("a:c", "anthropic", "token"),
        ObservedProfile("a:b", "openai", "token"),
        ObservedProfile("a:b", "anthropic", "api_key"),
        ObservedProfile("a:b", "anthropic", "token", expires_at=NOW + 60),
    ],
)
def test_different_credential_adds_nothing(seen: ObservedProfile) -> None:
    before = observation(seen, blind_to=frozenset({"unusable"}))

    done = complete(before, StoreFacts((STORED,)))

    assert done.profiles == (seen,)
    assert done.blind_to == {"unusable"}
    assert bool(done.notes) == (seen.expires_at is not None)


def test_refreshed_login_is_the_same_login() -> None:
    seen = ObservedProfile("o", "openai", "oauth", "ok", expires_at=NOW - 60)
    stored = replace(seen, status=None, expires_at=NOW + 3600, has_refresh_token=True)

    later = complete(observation(seen), StoreFacts((stored,))).profiles[0]
    earlier = complete(observation(seen), StoreFacts((replace(stored, expires_at=NOW - 3600),))).profiles[0]

    assert later == replace(seen, has_refresh_token=True)
    assert earlier == seen


def test_store_with_all_profiles_ends_the_blindness_of_a_gateway() -> None:
    seen = (ObservedProfile("a:b", "anthropic", "token", "ok"), ObservedProfile("env:KEY", "openai", "api_key"))
    done = complete(observation(*seen, blind_to=frozenset({"unusable"})), StoreFacts((STORED,)))

    assert done.blind_to == frozenset()
    assert done.profiles[0].unusable == STORED.unusable
    assert done.profiles[0].expires_at is None  # it does not call it expired


def test_source_that_sees_cooldowns_gets_none_from_the_store() -> None:
    done = complete(observation(ObservedProfile("a:b", "anthropic", "token", "ok")), StoreFacts((STORED,)))

    assert done.profiles[0].unusable is None


def test_reference_that_does_not_resolve_is_known_from_the_store() -> None:
    seen = ObservedProfile("a:b", "anthropic", "token", "ok")
    stored = replace(seen, reason_code="unresolved_ref", reference="exec:vault:key")

    done = complete(observation(seen), StoreFacts((stored,))).profiles[0]
    explained = complete(observation(replace(seen, reason_code="expired")), StoreFacts((stored,))).profiles[0]

    assert (done.reason_code, done.reference) == ("unresolved_ref", "exec:vault:key")
    assert (explained.reason_code, explained.reference) == ("expired", "exec:vault:key")


def test_store_with_stranded_providers_needs_the_doctor() -> None:
    assert not complete(observation(), StoreFacts()).needs_doctor
    assert complete(observation(), StoreFacts(stranded_providers=frozenset({"anthropic"}))).needs_doctor
    assert complete(observation(needs_doctor=True), StoreFacts()).needs_doctor


def test_uses_that_were_not_reported_are_added_with_their_providers() -> None:
    chat, images = Use("anthropic/opus", Purpose.CHAT), Use("xai/vision", Purpose.IMAGES)
    before = observation(providers_in_use=("anthropic", "xai"), uses=(chat, images), blind_to=frozenset({"uses"}))
    stored = (Use("openai/gpt", Purpose.CHAT), Use("zai/glm", Purpose.HEARTBEAT), Use("groq/vision", Purpose.IMAGES))
    facts = StoreFacts(providers_in_use=("openai", "zai", "groq"), uses=stored, sees_uses=True)

    done = complete(before, facts)

    assert done.uses == (chat, stored[1], images)
    assert done.providers_in_use == ("anthropic", "xai", "zai")
    assert done.blind_to == frozenset()
    assert complete(before, facts._replace(sees_uses=False)).blind_to == {"uses"}


DATES = st.none() | st.sampled_from([NOW - 60, NOW + 60])
TROUBLE = st.none() | st.builds(
    Unusable,
    st.sampled_from(["cooldown", "disabled"]),
    st.none() | st.sampled_from(["auth", "rate_limit"]),
    DATES,
    st.none() | st.just("opus"),
)
PROFILES = st.lists(
    st.builds(
        ObservedProfile,
        st.sampled_from(["a", "b", "c", "env:KEY"]),
        st.sampled_from(["anthropic", "openai"]),
        st.sampled_from(["token", "oauth"]),
        status=st.sampled_from([None, "ok", "expired"]),
        expires_at=DATES,
        has_refresh_token=st.none() | st.booleans(),
        secret_hash=st.none() | st.just("h"),
        unusable=TROUBLE,
        last_used_at=DATES,
        error_count=st.none() | st.just(2),
    ),
    max_size=4,
    unique_by=lambda profile: profile.id,
).map(tuple)
BLIND = st.sampled_from([frozenset(), frozenset({"unusable"})])


@settings(deadline=None)
@given(PROFILES, PROFILES, BLIND)
def test_completing_changes_no_seen_fact(
    seen: tuple[ObservedProfile, ...], stored: tuple[ObservedProfile, ...], blind: frozenset[str]
) -> None:
    before = observation(*seen, blind_to=blind)

    after = complete(before, StoreFacts(stored))

    assert [profile.id for profile in after.profiles] == [profile.id for profile in seen]
    for old, new in zip(before.profiles, after.profiles, strict=True):
        for name in ObservedProfile.__slots__:
            if name != "unusable" and getattr(old, name) is not None:
                assert getattr(new, name) == getattr(old, name)
        if old.unusable:
            assert new.unusable is not None
            for name in Unusable.__slots__:
                assert getattr(old.unusable, name) in (None, getattr(new.unusable, name))
        assert blind or old.unusable or new.unusable is None
    assert complete(after, StoreFacts(stored)).profiles == after.profiles


@settings(deadline=None)
@given(PROFILES, PROFILES, BLIND)
def test_order_of_profiles_never_matters_to_completing(
    seen: tuple[ObservedProfile, ...], stored: tuple[ObservedProfile, ...], blind: frozenset[str]
) -> None:
    one_way = complete(observation(*seen, blind_to=blind), StoreFacts(stored))
    other_way = complete(observation(*seen[::-1], blind_to=blind), StoreFacts(stored[::-1]))

    assert other_way == replace(one_way, profiles=one_way.profiles[::-1])
