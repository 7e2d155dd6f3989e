"""The simulated source: what its scenarios show, and how they age."""

from __future__ import annotations

import pytest

from exporter.config.targets import SimulatedTarget
from exporter.model import CheckError, Dialect, FailureReason, Observation
from exporter.simulator.scenarios import SCENARIOS
from exporter.sources import SourceContext
from exporter.sources.simulated import SimulatedSource

NOW = 1_795_000_000.0
DAY = 86400.0
DEFAULT = "anthropic:default"


class Clock:
    def __init__(self) -> None:
        self.now = NOW // (30 * DAY) * 30 * DAY

    def __call__(self) -> float:
        return self.now


def source(scenario: str, clock: Clock, profiles: int = 1) -> SimulatedSource:
    target = SimulatedTarget(source="simulated", name="t", scenario=scenario, profiles=profiles)
    return SimulatedSource(target, SourceContext(keyed_hash=lambda text: "hash", now=clock))


async def check(scenario: str, clock: Clock, profiles: int = 1) -> Observation:
    simulated = source(scenario, clock, profiles)
    (agent,) = await simulated.agents()
    assert agent == "main"
    return await simulated.check(agent)


#: (status, kind of unusable, exit code) right after the start of every cycle.
STATES = {
    "healthy": ("ok", None, 0),
    "undated": ("static", None, 0),
    "expiring": ("expiring", None, 2),
    "expired": ("expired", None, 1),
    "cooldown": ("ok", "cooldown", 1),
    "revoked": ("ok", "disabled", 1),
    "spare": ("expired", None, 0),
    "oauth": ("expiring", None, 2),
    "aging": ("expiring", None, 2),
    "flapping": ("ok", "cooldown", 1),
    "revocation": ("ok", "disabled", 1),
    "billing": ("static", None, 0),
    "outage": ("ok", None, 0),
    "refreshing": ("expiring", None, 2),
}


@pytest.mark.parametrize("scenario", STATES)
async def test_scenario_gives_its_state(scenario: str) -> None:
    seen = await check(scenario, Clock())
    first = seen.profiles[0]
    assert (first.id, first.provider, seen.source, seen.dialect) == (DEFAULT, "anthropic", "simulated", Dialect.ROUTES)
    kind = first.unusable.kind if first.unusable else None
    assert (first.status, kind, seen.openclaw_exit_code) == STATES[scenario]
    assert "sk-ant" not in repr(seen)
    assert len(seen.profiles) == (2 if scenario == "spare" else 1)


async def test_scenario_without_profiles_gives_its_failure_or_none() -> None:
    seen = await check("missing", Clock())
    assert (seen.profiles, seen.openclaw_exit_code) == ((), 1)
    with pytest.raises(CheckError) as failed:
        await check("failing", Clock())
    assert failed.value.reason is FailureReason.TIMEOUT
    with pytest.raises(CheckError, match="no scenario 'sunny'; known: aging"):
        await check("sunny", Clock())
    assert set(SCENARIOS) == {*STATES, "missing", "failing"}


@pytest.mark.parametrize("scenario", sorted(set(STATES) - {"aging", "refreshing"}))
async def test_dates_stay_the_same_between_checks(scenario: str) -> None:
    clock, dates = Clock(), set()
    simulated = source(scenario, clock)
    for _ in range(5):
        dates.add((await simulated.check("main")).profiles[0].expires_at)
        clock.now += 29.5
    assert len(dates) == 1


@pytest.mark.parametrize("scenario", ["cooldown", "flapping", "revoked", "spare"])
async def test_a_short_cycle_renews_no_date(scenario: str) -> None:
    clock = Clock()
    simulated = source(scenario, clock)
    before = await simulated.check("main")
    clock.now += 4 * DAY
    after = await simulated.check("main")
    assert [profile.expires_at for profile in after.profiles] == [profile.expires_at for profile in before.profiles]
    assert before.profiles[-1].expires_at == clock.now - 4 * DAY + 60 * DAY


async def test_aging_token_runs_out_and_is_renewed() -> None:
    clock = Clock()
    start, simulated = clock.now, source("aging", clock)
    found = []
    for second in (0, 1, 479, 480, 599, 600, 1079, 1080):
        clock.now = start + second
        (profile,) = (await simulated.check("main")).profiles
        found.append((profile.status, profile.expires_at))
    first, second_life = ("expiring", start + 480), ("expiring", start + 1080)
    gone = ("expired", None)
    assert found == [first, first, first, gone, gone, second_life, second_life, gone]


async def test_flapping_scenario_alternates() -> None:
    clock = Clock()
    simulated, found = source("flapping", clock), []
    for _ in range(4):
        found.append((await simulated.check("main")).profiles[0].unusable is not None)
        clock.now += 60
    assert found == [True, False, True, False]


@pytest.mark.parametrize(("scenario", "turn"), [("revocation", 0), ("billing", 1)])
async def test_trouble_comes_and_goes(scenario: str, turn: int) -> None:
    clock = Clock()
    simulated, found = source(scenario, clock), []
    for _ in range(6):
        found.append((await simulated.check("main")).profiles[0].unusable is not None)
        clock.now += 120
    assert [cycle for cycle, is_unusable in enumerate(found) if is_unusable] == [turn, turn + 3]


async def test_outage_ends_and_comes_again() -> None:
    clock = Clock()
    simulated = source("outage", clock)
    for is_down in (False, False, True, False, False, True):
        if is_down:
            with pytest.raises(CheckError) as failed:
                await simulated.check("main")
            assert failed.value.reason is FailureReason.CONNECTION
        else:
            assert (await simulated.check("main")).openclaw_exit_code == 0
        clock.now += 120


async def test_refreshing_login_gets_a_new_date_before_the_old_one_ends() -> None:
    clock = Clock()
    simulated, start = source("refreshing", clock), clock.now
    for cycle in range(3):
        (profile,) = (await simulated.check("main")).profiles
        assert profile.expires_at == start + (cycle + 4) * 120
        clock.now += 120


async def test_scenario_spreads_over_many_profiles() -> None:
    seen = await check("healthy", Clock(), profiles=300)
    assert len({profile.id for profile in seen.profiles}) == 300
    assert len({profile.expires_at for profile in seen.profiles}) == 300
    assert {profile.status for profile in (await check("expired", Clock(), profiles=300)).profiles} == {"expired"}
    assert (await check("healthy", Clock(), profiles=0)).profiles == ()
