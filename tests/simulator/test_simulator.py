"""The simulator against the real thing: what it renders is compared with what real releases printed.

``captures`` and ``simulator_captures`` hold what 2026.1.29, 2026.2.9, 2026.6.11 and 2026.9.6 printed, each with the
store, the configuration and the environment that it saw.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_ins.gateway import gateway_json

from exporter.config.targets import SimulatedTarget
from exporter.model import FailureReason
from exporter.simulator import RELEASES, Configured, Fault, Profile, Usage, World, status_json
from exporter.simulator.demo import demo_config

HERE = Path(__file__).parents[1]
DIALECTS = {release: dialect for dialect, release in RELEASES.items()}
CAPTURES = sorted([*HERE.glob("captures/openclaw-*/*.json"), *HERE.glob("simulator_captures/openclaw-*/*.json")])
GATEWAY = HERE / "captures" / "gateway-2026.9.6"
NOW = 1_795_000_000.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
DEFAULT, WORK = "anthropic:default", "anthropic:work"


def world_of(capture: dict[str, Any]) -> World:
    """The World that a capture's store, configuration and environment describe."""

    def seconds(milliseconds: float | None) -> float | None:
        return None if milliseconds is None else milliseconds / 1000

    store, model = capture["store"], capture["config"]["agents"]["defaults"]["model"]
    world = World(model=model["primary"], fallbacks=model.get("fallbacks", []), env=capture.get("env", {}))
    world.order = store.get("order", {})
    for id, p in store.get("profiles", {}).items():
        secret = p.get("token", p.get("key", p.get("access", "")))
        world.add(
            Profile(
                id, p["provider"], p["type"], seconds(p.get("expires")), bool(p.get("refresh")), secret, p.get("email")
            )
        )
    for id, u in store.get("usage", {}).items():
        world.usage[id] = Usage(
            cooldown_until=seconds(u.get("cooldownUntil")),
            cooldown_reason=u.get("cooldownReason"),
            cooldown_model=u.get("cooldownModel"),
            disabled_until=seconds(u.get("disabledUntil")),
            disabled_reason=u.get("disabledReason"),
            last_used=seconds(u.get("lastUsed")),
            error_count=u.get("errorCount", 0),
        )
    for id, said in capture["config"]["auth"].get("profiles", {}).items():
        world.configured[id] = Configured(said["provider"], said["mode"])
    return world


# Not compared: what the model catalogue decides (aliases, allowed), which of two files of one home is
# named (storePath: it depends on what made the home), and times left, since the real process read its
# clock some seconds after the capture's ``now_ms``.
UNKNOWABLE = {"aliases", "allowed", "storePath", "remainingMs"}


def comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items() if key not in UNKNOWABLE}
    return [comparable(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: f"{path.parent.name[9:]}-{path.stem}")
def test_output_equals_that_of_the_real_release(path: Path) -> None:
    capture = json.loads(path.read_text(encoding="utf-8"))
    payload, exit_code = status_json(world_of(capture), capture["now_ms"] / 1000, DIALECTS[capture["openclaw"]])
    assert comparable(payload) == comparable(json.loads(capture["stdout"]))
    assert exit_code == capture["exit_code"]


def test_every_capture_is_present() -> None:
    assert len(CAPTURES) == 147


# --- the table of exit codes: the same store, three releases ---------------------------------------------


def _one(kind: str = "token", expires: float | None = 30 * DAY, refreshable: bool = False) -> World:
    world = World()
    world.add(Profile(DEFAULT, "anthropic", kind, None if expires is None else NOW + expires, refreshable))
    return world


def _revoked() -> World:
    world = _one()
    world.disable(DEFAULT, "auth_permanent", NOW + HOUR)
    return world


def _limited() -> World:
    world = _one()
    world.cool_down(DEFAULT, "rate_limit", NOW + MINUTE)
    return world


def _all_unusable() -> World:
    world = _limited()
    world.add(Profile(WORK, "anthropic", "token", NOW + 3 * HOUR))
    world.cool_down(WORK, None, NOW + 10 * MINUTE)
    world.add(Profile("anthropic:api", "anthropic", "api_key"))
    world.disable("anthropic:api", "billing", NOW + 9 * HOUR)
    return world


def _another_selected() -> World:
    world = _one(expires=12 * HOUR)
    world.add(Profile(WORK, "anthropic", "token"))
    world.order["anthropic"] = [WORK, DEFAULT]
    return world


def _wrong_mode() -> World:
    world = _one("api_key", None)
    world.configured[DEFAULT] = Configured("anthropic", "token")
    return world


@pytest.mark.parametrize(
    ("world", "codes"),
    [
        pytest.param(_revoked(), (0, 0, 0, 1), id="revoked"),
        pytest.param(_limited(), (0, 0, 0, 1), id="rate limit"),
        pytest.param(_all_unusable(), (2, 2, 2, 1), id="all unusable"),
        pytest.param(_another_selected(), (2, 2, 2, 0), id="another selected"),
        pytest.param(_one("oauth", 6 * HOUR, True), (2, 0, 2, 2), id="OAuth for 6 h"),
        pytest.param(_one("oauth", -1.0, True), (1, 0, 1, 1), id="OAuth just expired"),
        pytest.param(_wrong_mode(), (0, 0, 1, 1), id="wrong mode"),
        pytest.param(_one(expires=None), (0, 0, 0, 0), id="no date"),
    ],
)
def test_exit_codes_differ_by_release_as_observed(world: World, codes: tuple[int, int, int, int]) -> None:
    assert tuple(status_json(world, NOW, dialect)[1] for dialect in DIALECTS.values()) == codes


@pytest.mark.parametrize("scenario", ["all_unusable", "mixed_providers", "token_expired"])
def test_gateway_answer_equals_that_of_the_real_gateway(scenario: str) -> None:
    capture = json.loads((GATEWAY / f"{scenario}.json").read_text())
    payload = capture["body"]["payload"]
    world = World()
    for provider in payload["providers"]:
        for entry in provider["profiles"]:
            at = entry.get("expiry", {}).get("at")
            expires = at / 1000 if at else payload["ts"] / 1000 - HOUR if entry["status"] == "expired" else None
            refreshable = entry["type"] == "oauth"
            world.add(
                Profile(
                    entry["profileId"],
                    provider["provider"],
                    entry["type"],
                    expires,
                    refreshable,
                    email=entry.get("email"),
                )
            )
    rendered = gateway_json(world, payload["ts"] / 1000)
    assert comparable(rendered["providers"]) == comparable(payload["providers"])
    assert rendered["ts"] == payload["ts"]


def test_status_of_a_provider_in_the_gateway_follows_its_logins() -> None:
    world = _one("oauth", 6 * HOUR, refreshable=True)
    world.add(Profile(WORK, "anthropic", "token", NOW + HOUR))
    (provider,) = gateway_json(world, NOW)["providers"]
    assert (provider["status"], provider["expiry"]["label"]) == ("ok", "6h")


def test_only_the_clock_ages_a_world() -> None:
    world, seen = _one(expires=2 * DAY), []
    for later in (0, 1.5 * DAY, 2 * DAY):
        payload, exit_code = status_json(world, NOW + later)
        (entry,) = payload["auth"]["oauth"]["profiles"]
        seen.append((entry["status"], entry.get("expiresAt"), exit_code))
    at = round((NOW + 2 * DAY) * 1000)
    assert seen == [("ok", at, 0), ("expiring", at, 2), ("expired", None, 1)]


# --- any world ---------------------------------------------------------------------------------------

names = st.sampled_from(["anthropic", "openai", "openrouter", "google", ""]) | st.text(max_size=5)
seconds = st.none() | st.floats(-1e10, 9e12) | st.floats(NOW - 2 * DAY, NOW + 2 * DAY)
reasons = st.none() | st.sampled_from(["auth", "auth_permanent", "billing", "rate_limit"]) | st.text(max_size=5)
ids = st.sampled_from([DEFAULT, WORK, "openai:me"]) | st.text(max_size=8)
kinds = st.sampled_from(["token", "oauth", "api_key"])
profiles = st.builds(Profile, ids, names, kinds, seconds, st.booleans(), st.none() | st.text(max_size=20), reasons)
usages = st.builds(Usage, seconds, reasons, st.none() | names, seconds, reasons, seconds, st.integers(0, 9))
refs = st.sampled_from(["anthropic/claude-opus-5", "openrouter/auto", "nonsense", ""])
worlds = st.builds(
    World,
    profiles=st.lists(profiles, max_size=6).map(lambda many: {profile.id: profile for profile in many}),
    usage=st.dictionaries(ids, usages, max_size=4),
    order=st.dictionaries(names, st.lists(ids, max_size=4), max_size=2),
    configured=st.dictionaries(ids, st.builds(Configured, names, kinds), max_size=3),
    model=refs,
    fallbacks=st.lists(refs, max_size=2),
    image_model=st.none() | refs,
    env=st.dictionaries(
        st.sampled_from(["ANTHROPIC_API_KEY", "ANTHROPIC_OAUTH_TOKEN", "OTHER"]), st.text(), max_size=2
    ),
    agents=st.lists(st.text(max_size=5), min_size=1, max_size=3),
    dialect=st.sampled_from(list(DIALECTS.values())),
    broken=st.none() | st.sampled_from(FailureReason),
    faults=st.dictionaries(st.sampled_from(Fault), st.floats(0, 1e9), max_size=2),
)


@given(worlds)
def test_world_survives_its_file(world: World) -> None:
    assert World.from_json(world.to_json()) == world


@given(worlds, st.floats(0, 4e9))
def test_every_world_can_be_rendered(world: World, now: float) -> None:
    payload, exit_code = status_json(world, now)
    assert exit_code in (0, 1, 2)
    assert len(payload["auth"]["oauth"]["profiles"]) == len(world.profiles)
    assert json.loads(json.dumps(payload)) == payload
    assert json.loads(json.dumps(gateway_json(world, now)))["ts"] == round(now * 1000)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[]", "the world: must be an object"),
        ('{"profile": {}}', "the world: unknown key 'profile'"),
        ('{"profiles": {"a": {"id": "a", "provider": "p", "kind": "token", "expires": NaN}}}', "must be a number"),
        ('{"profiles": {"a": {"id": "a", "provider": "p", "kind": "token", "expires": 1e300}}}', "too large"),
        ('{"profiles": {"a": {"id": "a", "provider": "p", "kind": "magic"}}}', "kind is one of token"),
        ('{"profiles": {"a": {"id": "a"}}}', "a: a key is missing"),
        ('{"agents": []}', "at least one is needed"),
        ('{"model": null}', "model: must be a text"),
        ('{"broken": "tired"}', "'tired' is not a valid FailureReason"),
        ("{", "Expecting property name"),
    ],
)
def test_nonsense_gives_no_world(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        World.from_json(text)


def test_repr_of_a_world_has_no_secrets() -> None:
    world = World(env={"ANTHROPIC_API_KEY": "PLANTED-SECRET-ENV"})
    world.add(Profile(DEFAULT, "anthropic", "token", secret="PLANTED-SECRET-TOKEN"))
    assert "PLANTED" not in repr(world)


# --- commands ------------------------------------------------------------------------------------------


def test_command_changes_the_world() -> None:
    world = World()
    world.paste_token(DEFAULT, 90 * DAY, NOW)
    first = world.profiles[DEFAULT]
    assert (first.provider, first.kind, first.expires) == ("anthropic", "token", NOW + 90 * DAY)
    assert status_json(world, NOW)[1] == 0

    world.disable(DEFAULT, "auth_permanent", NOW + HOUR)
    (unusable,) = status_json(world, NOW)[0]["auth"]["unusableProfiles"]
    assert (unusable["kind"], unusable["reason"], unusable["remainingMs"]) == ("disabled", "auth_permanent", 3_600_000)
    assert status_json(world, NOW)[1] == 1
    assert status_json(world, NOW + HOUR)[0]["auth"]["unusableProfiles"] == []

    world.paste_token(DEFAULT, 12 * HOUR, NOW + 1)
    assert world.profiles[DEFAULT].secret != first.secret
    assert status_json(world, NOW + 1)[1] == 2

    world.cool_down(DEFAULT, "rate_limit", NOW + HOUR, model="claude-haiku-4-5")
    assert status_json(world, NOW + 1)[1] == 1  # the utility model's route
    world.recover(DEFAULT)
    assert status_json(world, NOW + 1)[1] == 2

    world.remove(DEFAULT)
    assert world.profiles == {}
    assert status_json(world, NOW)[1] == 1


def test_healing_the_check_removes_every_fault() -> None:
    world = World()
    world.break_check(FailureReason.TIMEOUT)
    world.inject(Fault.HUGE, 10)
    world.break_check(None)
    assert (world.broken, world.faults) == (None, {})


# --- scenarios and the source -----------------------------------------------------------------------------


def test_demo_shows_what_a_day_may_bring() -> None:
    targets = [target for target in demo_config().targets if isinstance(target, SimulatedTarget)]
    shown = {target.scenario for target in targets}
    assert {target.name for target in targets} >= {"home"}
    steady, lively = {"healthy", "expiring", "spare"}, {"cooldown", "aging"}
    assert shown == steady | lively | {"outage", "refreshing", "revocation", "billing"}
