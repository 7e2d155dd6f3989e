"""One state of the world gives one verdict on every release, if its store is on this host.

The simulator renders it as each release prints it; tests compare the simulator with the real releases.
"""

from __future__ import annotations

from typing import Any

import pytest
from captured import verdict
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.model import AgentReport, Dialect, ObservedProfile, Unusable
from exporter.simulator import RELEASES, Profile, Usage, World, status_json
from exporter.sources.openclaw.status import observe
from exporter.sources.store.complete import complete
from exporter.sources.store.facts import StoreFacts

NOW = 1_795_346_770.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
dates = st.sampled_from([NOW - 40 * DAY, NOW - 2 * DAY, NOW - HOUR, NOW + HOUR, NOW + 12 * HOUR, NOW + 90 * DAY])


@st.composite
def profiles(draw: st.DrawFn, number: int) -> Profile:
    kind = draw(st.sampled_from(["token", "oauth", "api_key"]))
    # A date that older releases accept and newer refuse, or a login without one, is another matter.
    expires = {"token": draw(st.none() | dates), "oauth": draw(dates), "api_key": None}[kind]
    return Profile(
        f"anthropic:p{number}", "anthropic", kind, expires, kind == "oauth" and draw(st.booleans()), "s" * 60
    )


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    until = NOW + draw(st.sampled_from([-HOUR, 10 * MINUTE, 5 * HOUR]))
    reason = draw(st.sampled_from(["auth", "billing", "rate_limit", "overloaded"]))
    if draw(st.booleans()):
        return Usage(disabled_until=until, disabled_reason=reason, error_count=3)
    return Usage(cooldown_until=until, cooldown_reason=reason, error_count=3)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World()
    for number in range(draw(st.integers(0, 3))):
        profile = draw(profiles(number))
        world.add(profile)
        if draw(st.booleans()):
            world.usage[profile.id] = draw(usages())
    is_ordered = draw(st.booleans())
    if world.profiles and is_ordered:
        some = draw(st.permutations(sorted(world.profiles)))
        world.order["anthropic"] = some[: draw(st.integers(1, len(some)))]
    return world


def store_of(world: World) -> StoreFacts:
    """What the store of the world says, with the order in which OpenClaw tries its profiles."""
    found = []
    for profile in world.profiles.values():
        usage, unusable = world.usage.get(profile.id, Usage()), None
        if (usage.disabled_until or 0) > NOW:
            unusable = Unusable("disabled", usage.disabled_reason, usage.disabled_until)
        elif (usage.cooldown_until or 0) > NOW:
            unusable = Unusable("cooldown", usage.cooldown_reason, usage.cooldown_until)
        refreshes = profile.kind == "oauth" and profile.refreshable
        found.append(
            ObservedProfile(
                profile.id,
                profile.provider,
                profile.kind,
                expires_at=profile.expires,
                has_refresh_token=refreshes,
                secret_hash=None if profile.kind == "oauth" else f"hash of {profile.id}",
                unusable=unusable,
                error_count=usage.error_count,
            )
        )
    return StoreFacts(profiles=tuple(found), order={name: tuple(ids) for name, ids in world.order.items()})


def report_of(world: World, dialect: Dialect) -> AgentReport:
    payload, code = status_json(world, NOW, dialect)
    about: dict[str, Any] = {"target": "home", "agent": "main", "observed_at": NOW}
    observation = observe(payload, **about, exit_code=code, version=RELEASES[dialect])
    assert observation.dialect is dialect or not world.profiles
    return verdict(complete(observation, store_of(world)))


#: OpenClaw finds no profile in the order, and a login that the order excludes is not to blame.
EXCLUDED = World(
    {
        "anthropic:p0": Profile("anthropic:p0", "anthropic", "token"),
        "anthropic:p1": Profile("anthropic:p1", "anthropic", "oauth", NOW - 2 * DAY, refreshable=True),
    },
    {"anthropic:p0": Usage(cooldown_until=NOW + HOUR, cooldown_reason="auth", error_count=3)},
    {"anthropic": ["anthropic:p0"]},
)


@example(EXCLUDED)
@given(worlds())
def test_one_world_gives_one_verdict_on_every_release(world: World) -> None:
    reports = {dialect: report_of(world, dialect) for dialect in RELEASES}
    found = {
        dialect: (report.exit_code, {(c.name, c.severity, c.profile) for c in report.conditions})
        for dialect, report in reports.items()
    }
    assert found[Dialect.DATES] == found[Dialect.STATUS] == found[Dialect.LISTING] == found[Dialect.ROUTES]
    shown = [[(p.id, p.status, p.expires_at, p.refreshable) for p in report.profiles] for report in reports.values()]
    assert shown[1:] == shown[:-1]


@pytest.mark.parametrize("dialect", RELEASES)
@given(world=worlds())
def test_without_the_store_a_login_of_unknown_refreshability_is_never_called_expired(
    dialect: Dialect, world: World
) -> None:
    payload, code = status_json(world, NOW, dialect)
    about: dict[str, Any] = {"target": "home", "agent": "main", "observed_at": NOW}
    report = verdict(observe(payload, **about, exit_code=code, version=RELEASES[dialect]))
    for profile in report.profiles:
        names = {condition.name for condition in report.conditions if condition.profile == profile.id}
        if profile.kind == "oauth" and profile.refreshable is None:
            assert profile.expires_at is None
            assert not names & {"expired", "expiring"}
        if world.profiles[profile.id].refreshable:
            assert not names & {"expired", "expiring"}
    assert not any(condition.name == "reported" for condition in report.conditions)
