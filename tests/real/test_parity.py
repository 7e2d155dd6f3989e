"""The same state of the world has the same verdict on each release of OpenClaw."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .conftest import need
from .parts import RELEASES, TOKEN_PREFIX, Exporter, OpenClawHome

pytestmark = pytest.mark.real

HOUR = 3_600_000  # milliseconds, like all times in the stores
DEFAULT, SPARE, THIRD = "anthropic:default", "anthropic:spare", "anthropic:third"

#: condition, severity, provider, profile
Found = tuple[str, str, str | None, str | None]


@dataclass(frozen=True)
class World:
    """The content of a store, and the expected verdict."""

    exit_code: int
    conditions: set[Found]
    profiles: Mapping[str, Mapping[str, Any]]
    usage: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    order: Sequence[str] = ()


def token(expires: int | None = None) -> dict[str, Any]:
    made = {"type": "token", "provider": "anthropic", "token": TOKEN_PREFIX + "A" * 80}
    return {**made, "expires": expires} if expires is not None else made


def login(expires: int, refresh: str = "r" * 40) -> dict[str, Any]:
    return {"type": "oauth", "provider": "anthropic", "access": "a" * 60, "refresh": refresh, "expires": expires}


def critical(name: str, profile: str | None = DEFAULT) -> Found:
    return (name, "critical", "anthropic", profile)


def cooldown(until: int, reason: str, **more: str) -> dict[str, Any]:
    return {"cooldownUntil": until, "cooldownReason": reason, "errorCount": 3, **more}


def disabled(until: int, reason: str) -> dict[str, Any]:
    return {"disabledUntil": until, "disabledReason": reason, "errorCount": 3}


NOTHING = critical("no_usable_profile", None)

#: Name → function of the time (Unix milliseconds) that returns the world.
WORLDS: dict[str, Callable[[int], World]] = {
    "token": lambda now: World(0, set(), {DEFAULT: token(now + 720 * HOUR)}),
    "token, expiring": lambda now: World(
        2, {("expiring", "warning", "anthropic", DEFAULT)}, {DEFAULT: token(now + 12 * HOUR)}
    ),
    "token, expired": lambda now: World(1, {critical("expired"), NOTHING}, {DEFAULT: token(now - 2 * HOUR)}),
    "token, no date": lambda now: World(0, {("undated", "info", "anthropic", DEFAULT)}, {DEFAULT: token()}),
    "login": lambda now: World(0, set(), {DEFAULT: login(now + 6 * HOUR)}),
    "login, expired, refreshes": lambda now: World(0, set(), {DEFAULT: login(now - HOUR)}),
    "login, expired, cannot refresh": lambda now: World(
        1, {critical("expired"), NOTHING}, {DEFAULT: login(now - HOUR, refresh="")}
    ),
    "key": lambda now: World(0, set(), {DEFAULT: {"type": "api_key", "provider": "anthropic", "key": "k" * 60}}),
    "cooldown, rate limit": lambda now: World(
        1,
        {("unusable", "info", "anthropic", DEFAULT), NOTHING},
        {DEFAULT: token(now + 720 * HOUR)},
        {DEFAULT: cooldown(now + HOUR, "rate_limit")},
    ),
    "cooldown for a model that is not in use": lambda now: World(
        0,
        {("unusable", "info", "anthropic", DEFAULT)},
        {DEFAULT: token(now + 720 * HOUR)},
        {DEFAULT: cooldown(now + HOUR, "rate_limit", cooldownModel="claude-of-yore")},
    ),
    "disabled, billing": lambda now: World(
        1,
        {critical("unusable"), NOTHING},
        {DEFAULT: token(now + 720 * HOUR)},
        {DEFAULT: disabled(now + HOUR, "billing")},
    ),
    "disabled, revoked": lambda now: World(
        1,
        {critical("unusable"), NOTHING},
        {DEFAULT: token(now + 720 * HOUR)},
        {DEFAULT: disabled(now + HOUR, "auth_permanent")},
    ),
    "disabled, with a spare": lambda now: World(
        2,
        {("unusable", "warning", "anthropic", DEFAULT)},
        {DEFAULT: token(now + 720 * HOUR), SPARE: token(now + 720 * HOUR)},
        {DEFAULT: disabled(now + HOUR, "billing")},
    ),
    "all three unusable": lambda now: World(
        1,
        {critical("unusable"), ("unusable", "info", "anthropic", SPARE), critical("unusable", THIRD), NOTHING},
        {DEFAULT: token(now + 720 * HOUR), SPARE: token(now + 720 * HOUR), THIRD: token(now + 12 * HOUR * 60)},
        {
            DEFAULT: disabled(now + HOUR, "billing"),
            SPARE: cooldown(now + HOUR, "rate_limit"),
            THIRD: disabled(now + HOUR, "auth_permanent"),
        },
    ),
    "empty": lambda now: World(1, {critical("missing", None)}, {}),
    "one of two expiring, the other selected": lambda now: World(
        2,
        {("expiring", "warning", "anthropic", DEFAULT)},
        {DEFAULT: token(now + 12 * HOUR), SPARE: token(now + 720 * HOUR)},
        order=[SPARE, DEFAULT],
    ),
    "expired, with a spare": lambda now: World(
        2,
        {("expired", "warning", "anthropic", DEFAULT)},
        {DEFAULT: token(now - 2 * HOUR), SPARE: token(now + 720 * HOUR)},
    ),
    "expired, with a spare the order excludes": lambda now: World(
        1,
        {critical("expired"), NOTHING},
        {DEFAULT: token(now - 2 * HOUR), SPARE: token(now + 720 * HOUR)},
        order=[DEFAULT],
    ),
}


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, OpenClawHome]:
    """One home per release, with stores in the layout that its own paste-token creates."""
    need("node")
    for release in RELEASES:
        need(f"openclaw-{release}")

    def make(release: str) -> OpenClawHome:
        world = OpenClawHome(release, tmp_path_factory.mktemp(release))
        world.set_model()
        world.paste_token(DEFAULT, "30d")
        return world

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(RELEASES, pool.map(make, RELEASES), strict=True))


@pytest.mark.parametrize("name", WORLDS)
def test_every_release_has_the_same_verdict(homes: dict[str, OpenClawHome], tmp_path: Path, name: str) -> None:
    world = WORLDS[name](int(time.time() * 1000))

    def verdict(release: str) -> tuple[int, set[Found]]:
        home = homes[release]
        home.write_store(world.profiles, world.usage, {"anthropic": world.order} if world.order else None)
        target = {"name": "home", "source": "openclaw", "command": [str(home.command)], "agents": ["main"]}
        # A separate state directory, so that the history of another world does not count.
        code, result = Exporter(home, tmp_path / release, targets=[target]).check()
        (agent,) = result["targets"][0]["agents"]
        assert agent["error"] is None
        assert agent["openclaw_version"] == release
        assert {profile["id"] for profile in agent["profiles"]} == world.profiles.keys()
        return code, {(c["condition"], c["severity"], c["provider"], c["profile"]) for c in agent["conditions"]}

    with ThreadPoolExecutor(2) as pool:
        verdicts = dict(zip(RELEASES, pool.map(verdict, RELEASES), strict=True))
    assert verdicts == dict.fromkeys(RELEASES, (world.exit_code, world.conditions))
