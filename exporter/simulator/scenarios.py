"""Named scenarios: the World at a given time.

Every date depends on the clock's cycle, never on ``now`` itself. Two checks therefore see the same date,
and the end of a cycle is a real renewal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exporter.model import FailureReason
from exporter.simulator.world import Profile, World

MINUTE, HOUR, DAY, MONTH = 60.0, 3600.0, 86400.0, 30 * 86400.0
PROVIDER, DEFAULT, WORK = "anthropic", "anthropic:default", "anthropic:work"

#: ``aging``: ten minutes from one paste to the next; the token is expired for the last two.
AGING_CYCLE, AGING_LIFE = 10 * MINUTE, 8 * MINUTE
#: ``flapping``: a cooldown every other minute.
FLAPPING_CYCLE = 2 * MINUTE
#: The scenarios in which trouble comes and goes: it lasts for one of three cycles, in each scenario another.
EPISODE, EPISODES = 2 * MINUTE, 3


def cycle_start(now: float, length: float) -> float:
    """The start of the cycle of ``length`` seconds that contains ``now``."""
    return now // length * length


@dataclass(frozen=True)
class Scenario:
    """How to fill a World with profiles, one at a time."""

    cycle: float  # seconds until the dates move on
    fill: Callable[[World, str, int, float], None]  # (world, profile id, its number, cycle's start)
    broken: FailureReason | None = None
    spare: bool = False  # another profile works


def _token(life: float, spread: float = 0.0) -> Callable[[World, str, int, float], None]:
    """A token that ends ``life`` seconds after the start of the cycle, each profile's ``spread`` later."""

    def fill(world: World, profile: str, index: int, start: float) -> None:
        world.add(Profile(profile, PROVIDER, "token", start + life + index % 1000 * spread))

    return fill


def _undated(world: World, profile: str, index: int, start: float) -> None:
    world.add(Profile(profile, PROVIDER, "token"))


def _good_token(world: World, profile: str, start: float) -> None:
    # Its date must not move with a short cycle, or every check would see a renewal.
    world.add(Profile(profile, PROVIDER, "token", cycle_start(start, MONTH) + 2 * MONTH))


def _cooldown(world: World, profile: str, index: int, start: float) -> None:
    _good_token(world, profile, start)
    world.cool_down(profile, "rate_limit", start + 5 * MINUTE)


def _flapping(world: World, profile: str, index: int, start: float) -> None:
    _good_token(world, profile, start)
    world.cool_down(profile, "auth", start + FLAPPING_CYCLE / 2)


def _revoked(world: World, profile: str, index: int, start: float) -> None:
    _good_token(world, profile, start)
    world.disable(profile, "auth_permanent", start + HOUR)


def _is_turn(number: int, start: float) -> bool:
    return start // EPISODE % EPISODES == number


def _revocation(world: World, profile: str, index: int, start: float) -> None:
    _good_token(world, profile, start)
    if _is_turn(0, start):
        world.disable(profile, "auth_permanent", start + HOUR)


def _billing(world: World, profile: str, index: int, start: float) -> None:
    world.add(Profile(profile, PROVIDER, "api_key"))
    if _is_turn(1, start):
        world.disable(profile, "billing", start + EPISODE)


def _outage(world: World, profile: str, index: int, start: float) -> None:
    _good_token(world, profile, start)
    if _is_turn(2, start):
        world.break_check(FailureReason.CONNECTION)


def _refreshing(world: World, profile: str, index: int, start: float) -> None:
    """A login whose access token is refreshed every two minutes, long before it ends."""
    world.add(Profile(profile, PROVIDER, "oauth", start + 4 * EPISODE, refreshable=True))


def _oauth(world: World, profile: str, index: int, start: float) -> None:
    world.add(Profile(profile, PROVIDER, "oauth", start + 8 * HOUR, refreshable=True))


def _nothing(world: World, profile: str, index: int, start: float) -> None:
    """No credential at all."""


SCENARIOS: dict[str, Scenario] = {
    "healthy": Scenario(MONTH, _token(2 * MONTH, spread=MINUTE)),
    "undated": Scenario(MONTH, _undated),
    "expiring": Scenario(12 * HOUR, _token(12 * HOUR)),
    "expired": Scenario(2 * DAY, _token(-3 * HOUR, spread=-1.0)),
    "cooldown": Scenario(5 * MINUTE, _cooldown),
    "revoked": Scenario(HOUR, _revoked),
    "spare": Scenario(2 * DAY, _token(-3 * HOUR, spread=-1.0), spare=True),
    "oauth": Scenario(8 * HOUR, _oauth),
    "missing": Scenario(MONTH, _nothing),
    "failing": Scenario(MONTH, _token(2 * MONTH), broken=FailureReason.TIMEOUT),
    "aging": Scenario(AGING_CYCLE, _token(AGING_LIFE)),
    "flapping": Scenario(FLAPPING_CYCLE, _flapping),
    "revocation": Scenario(EPISODE, _revocation),
    "billing": Scenario(EPISODE, _billing),
    "outage": Scenario(EPISODE, _outage),
    "refreshing": Scenario(EPISODE, _refreshing),
}


def scenario_world(name: str, now: float, profiles: int = 1) -> World:
    """The World of scenario ``name`` at ``now`` (Unix seconds), spread over ``profiles`` profiles.

    It stays the same for the whole cycle. Raises KeyError for a name that is not in SCENARIOS.
    """
    scenario = SCENARIOS[name]
    start = cycle_start(now, scenario.cycle)
    world = World(broken=scenario.broken)
    for index in range(profiles):
        scenario.fill(world, DEFAULT if index == 0 else f"{PROVIDER}:p{index:06d}", index, start)
    if scenario.spare and profiles:
        _good_token(world, WORK, start)
    return world
