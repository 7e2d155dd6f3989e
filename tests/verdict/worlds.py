"""Hypothesis strategies for any observation of OpenClaw at one moment."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from exporter.model import Dialect, Observation, ObservedProfile, Purpose, Unusable, Use, most_important_first

NOW = 1_795_346_770.0
HOUR, DAY = 3600.0, 86400.0
PROVIDERS = ("anthropic", "openai", "ollama", "claude-cli")

words = st.sampled_from([None, "ok", "expiring", "expired", "missing", "static", "some-new-word"])
dates = st.one_of(
    st.none(),
    st.floats(NOW - 400 * DAY, NOW + 400 * DAY),
    st.sampled_from([NOW, NOW + 1, NOW - 1, NOW + DAY, 9e12, 1.0]),
)
unusables = st.one_of(
    st.none(),
    st.builds(
        Unusable,
        kind=st.sampled_from(["cooldown", "disabled"]),
        reason=st.sampled_from([None, "auth", "auth_permanent", "billing", "rate_limit", "new-reason"]),
        until=st.one_of(st.none(), st.floats(NOW - DAY, NOW + DAY)),
        model=st.sampled_from([None, "claude-opus-5", "other"]),
    ),
)


uses = st.lists(
    st.builds(
        Use,
        model=st.sampled_from([f"{name}/{model}" for name in PROVIDERS for model in ("claude-opus-5", "small")]),
        purpose=st.sampled_from(Purpose),
    ),
    unique=True,
    max_size=4,
).map(most_important_first)


@st.composite
def profiles(draw: st.DrawFn, number: int) -> ObservedProfile:
    provider = draw(st.sampled_from(PROVIDERS))
    prefix = draw(st.sampled_from([f"{provider}:p", "env:KEY_"]))
    return ObservedProfile(
        id=f"{prefix}{number}",
        provider=provider,
        kind=draw(st.sampled_from(["token", "oauth", "api_key", "unknown"])),
        status=draw(words),
        reason_code=draw(st.sampled_from([None, "expired", "invalid_expires", "new-code"])),
        expires_at=draw(dates),
        login_ends_at=draw(st.one_of(st.none(), st.none(), dates)),
        has_refresh_token=draw(st.sampled_from([None, True, False])),
        secret_hash=draw(st.sampled_from([None, "hash-a", "hash-b"])),
        unusable=draw(unusables),
        last_used_at=draw(st.one_of(st.none(), st.floats(NOW - DAY, NOW))),
    )


@st.composite
def observations(draw: st.DrawFn, min_profiles: int = 0) -> Observation:
    count = draw(st.integers(min_profiles, 5))
    seen = tuple(draw(profiles(number)) for number in range(count))
    orders: dict[str, Any] = {}
    for provider in draw(st.sets(st.sampled_from(PROVIDERS))):
        theirs = [p.id for p in seen if p.provider == provider]
        orders[provider] = tuple(draw(st.permutations(theirs)))[: draw(st.integers(0, 5))]
    some = st.frozensets(st.sampled_from(PROVIDERS), max_size=2)
    return Observation(
        target="home",
        agent="main",
        source="openclaw",
        dialect=draw(st.sampled_from(Dialect)),
        observed_at=NOW,
        profiles=seen,
        providers_in_use=draw(st.one_of(st.none(), st.lists(st.sampled_from(PROVIDERS), unique=True).map(tuple))),
        uses=draw(uses),
        order=orders,
        missing_providers=draw(some),
        indeterminate_providers=draw(some),
        refreshing_providers=draw(some),
        served_by=draw(st.sampled_from([{}, {}, {"anthropic": ("claude-cli",)}])),
        borrowed_logins=draw(st.sampled_from([frozenset[str](), frozenset({"claude-cli"})])),
        blind_to=draw(st.sampled_from([frozenset[str](), frozenset({"unusable"})])),
    )
