"""`check` and `serve` beside real OpenClaw releases whose stores their own commands made."""

from __future__ import annotations

import json
import os
import shlex
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from exporter.lib.durations import iso

from .conftest import MakeHome, Serve
from .parts import CURRENT, RELEASES, Exporter, OpenClawHome, processes_of, wait_for

pytestmark = pytest.mark.real

PROFILE = "anthropic:default"
HOUR_MS = 3_600_000
#: Seconds within which the daemon shows what changed in a store on its host, where ``openclaw`` takes ``USUAL``.
PROMISE, USUAL = 15.0, 3.0


def one_profile(result: dict[str, Any]) -> dict[str, Any]:
    (profile,) = the_agent(result)["profiles"]
    assert isinstance(profile, dict)
    return profile


def the_agent(result: dict[str, Any], agent: str = "main") -> dict[str, Any]:
    (target,) = result["targets"]
    (found,) = [one for one in target["agents"] if one["id"] == agent]
    assert isinstance(found, dict)
    return found


def conditions(agent: dict[str, Any]) -> set[tuple[str, str, str | None]]:
    return {(one["condition"], one["severity"], one["profile"]) for one in agent["conditions"]}


def expires(world: OpenClawHome, profile: str = PROFILE, agent: str | None = None) -> int:
    """Unix milliseconds, as the store holds them."""
    return int(world.stored_profiles(agent)[profile]["expires"])


# --- check ---------------------------------------------------------------------------------------


def test_check_follows_the_credential(openclaw: MakeHome, tmp_path: Path) -> None:
    world = openclaw(CURRENT)
    exporter = Exporter(world, tmp_path / "exporter")

    code, result = exporter.check()
    assert code == 1
    assert ("missing", "critical", None) in conditions(the_agent(result))
    assert the_agent(result)["profiles"] == []

    world.paste_token(PROFILE, "90d")
    code, result = exporter.check()
    assert code == 0
    agent = the_agent(result)
    assert agent["openclaw_version"] == CURRENT
    assert (agent["openclaw_exit_code"], agent["error"], agent["conditions"]) == (0, None, [])
    assert one_profile(result) == {
        "id": PROFILE,
        "provider": "anthropic",
        "kind": "token",
        "status": "ok",
        "expires_at": iso(expires(world) // 1000),
        "basis": "reported",
        "refreshable": False,
        "selected": True,
        "unusable": None,
    }

    world.paste_token(PROFILE, "12h")
    code, result = exporter.check()
    assert code == 2
    assert the_agent(result)["openclaw_exit_code"] == 2
    assert conditions(the_agent(result)) == {("expiring", "warning", PROFILE)}
    assert one_profile(result)["status"] == "expiring"
    assert one_profile(result)["expires_at"] == iso(expires(world) // 1000)


@pytest.mark.parametrize("release", RELEASES)
def test_every_release_is_read_from_its_own_paste_to_its_own_words(
    openclaw: MakeHome, tmp_path: Path, release: str
) -> None:
    world = openclaw(release)
    world.paste_token(PROFILE, "12h")
    world.paste_token("anthropic:spare", "30d")
    world.set_order("anthropic:spare", PROFILE)
    code, result = Exporter(world, tmp_path / "exporter").check()
    assert code == 2
    agent = the_agent(result)
    assert agent["openclaw_version"] == release
    assert conditions(agent) == {("expiring", "warning", PROFILE)}
    assert {p["id"]: (p["expires_at"], p["selected"]) for p in agent["profiles"]} == {
        PROFILE: (iso(expires(world) // 1000), False),
        "anthropic:spare": (iso(expires(world, "anthropic:spare") // 1000), True),
    }


def test_an_unknown_agent_is_could_not_check_not_expired(openclaw: MakeHome, tmp_path: Path) -> None:
    world = openclaw(CURRENT)
    target = {"name": "home", "source": "openclaw", "command": [str(world.command)], "agents": ["nobody"]}
    code, result = Exporter(world, tmp_path / "exporter", targets=[target]).check()
    assert code == 1
    agent = the_agent(result, "nobody")
    assert agent["error"]["reason"] == "unknown_agent"
    assert conditions(agent) == {("check_failed", "critical", None)}


def test_wrong_usage_borrows_no_verdict(openclaw: MakeHome, tmp_path: Path) -> None:
    world = openclaw(CURRENT)
    exporter = Exporter(world, tmp_path / "exporter")
    finished = exporter.run("check", "--target", "nowhere")
    assert finished.returncode == 64
    assert "'nowhere'" in finished.stderr
    assert "home" in finished.stderr


# --- agents --------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
def test_every_agent_is_seen_with_what_it_has(openclaw: MakeHome, tmp_path: Path, release: str) -> None:
    world = openclaw(release)
    world.paste_token(PROFILE, "90d")
    world.add_agent("work")
    exporter = Exporter(world, tmp_path / "exporter")

    code, result = exporter.check("--target", "home")
    assert [agent["id"] for agent in result["targets"][0]["agents"]] == ["main", "work"]
    assert [profile["id"] for profile in the_agent(result)["profiles"]] == [PROFILE]
    work = the_agent(result, "work")
    assert code == 0
    assert work["profiles"] == the_agent(result)["profiles"]  # inherited

    world.paste_token("anthropic:work", "12h", agent="work")
    code, result = exporter.check()
    assert code == 2
    assert [profile["id"] for profile in the_agent(result)["profiles"]] == [PROFILE]
    work = the_agent(result, "work")
    assert {profile["id"] for profile in work["profiles"]} == {PROFILE, "anthropic:work"}
    assert conditions(work) == {("expiring", "warning", "anthropic:work")}


# --- serve ---------------------------------------------------------------------------------------


def test_serve_shows_each_paste_in_time(openclaw: MakeHome, serve: Serve) -> None:
    world = openclaw(CURRENT)
    exporter = serve(world)
    exporter.wait_for_check()
    assert exporter.value("exit_code", target="home", agent="main") == 1
    assert exporter.value("profile_expiry_timestamp_seconds") is None

    for expires_in, code in (("90d", 0), ("12h", 2), ("30d", 0)):
        began = time.monotonic()
        world.paste_token(PROFILE, expires_in)
        # A busy machine runs openclaw slowly, for us too: the promise is a ratio to what the paste took.
        patience = PROMISE * max(1.0, (time.monotonic() - began) / USUAL)
        wanted = expires(world) // 1000

        def shown(wanted: int = wanted) -> bool:
            gauge = exporter.value("profile_expiry_timestamp_seconds", target="home", agent="main", profile=PROFILE)
            return gauge is not None and int(gauge) == wanted

        wait_for(f"the paste of {expires_in} in /metrics; log:\n{exporter.log.read_text()}", shown, patience)
        assert exporter.value("exit_code", target="home", agent="main") == code
        status = json.loads(exporter.get("/api/v1/status"))
        assert status["exit_code"] == code
        assert one_profile(status)["expires_at"] == iso(wanted)
        assert exporter.get("/api/v1/status?format=line").startswith({0: "OK", 2: "EXPIRING"}[code])


def test_a_bad_configuration_is_not_taken_over(openclaw: MakeHome, serve: Serve) -> None:
    world = openclaw(CURRENT)
    exporter = serve(world)
    exporter.wait_for_check()
    assert exporter.value("exporter_config_last_reload_successful") == 1
    before = exporter.value("exporter_config_last_reload_success_timestamp_seconds")

    exporter.config_file.write_text('{ targets: [ { name: "home", sauce: "openclaw" } ] }')
    exporter.send(signal.SIGHUP)
    wait_for("the failed reload", lambda: exporter.value("exporter_config_last_reload_successful") == 0, 10)
    assert exporter.value("exit_code", target="home", agent="main") == 1
    assert "sauce" in exporter.log.read_text()
    assert exporter.value("exporter_config_last_reload_success_timestamp_seconds") == before

    (target,) = exporter.config["targets"]
    exporter.config_file.write_text(json.dumps({**exporter.config, "targets": [{**target, "name": "renamed"}]}))
    exporter.send(signal.SIGHUP)
    wait_for("the mended reload", lambda: exporter.value("exporter_config_last_reload_successful") == 1, 10)
    wait_for("the renamed target", lambda: exporter.value("exit_code", target="renamed", agent="main") == 1, 60)
    assert exporter.value("exit_code", target="home") is None


@pytest.mark.parametrize("release", RELEASES)
def test_sigterm_ends_a_look_under_way(openclaw: MakeHome, tmp_path: Path, release: str) -> None:
    world = openclaw(release)
    exporter = Exporter(world, tmp_path / "exporter")
    try:
        exporter.start()
        assert exporter.daemon is not None
        daemon = exporter.daemon.pid
        wait_for("an openclaw process", lambda: processes_of(world.home).keys() - {daemon}, 30)
        time.sleep(0.7)  # it starts a second Node beneath itself, in a session of its own
        under_way = processes_of(world.home).keys() - {daemon}
        assert under_way
        for pid in under_way:
            os.kill(pid, signal.SIGSTOP)  # so that none of them just happens to end by itself
        assert exporter.stop() == 0  # which also asserts that nothing is left
        assert "Traceback" not in exporter.log.read_text()
    finally:
        exporter.end()


def test_what_is_unchanged_costs_no_process(openclaw: MakeHome, serve: Serve, tmp_path: Path) -> None:
    world = openclaw(CURRENT)
    world.paste_token(PROFILE, "90d")
    calls = tmp_path / "calls"
    counting = tmp_path / "openclaw"
    counting.write_text(
        f'#!/bin/sh\necho "$*" >>{shlex.quote(str(calls))}\nexec {shlex.quote(str(world.command))} "$@"\n'
    )
    counting.chmod(0o755)
    target = {"name": "home", "source": "openclaw", "command": [str(counting)], "agents": "all"}
    exporter = serve(world, targets=[target], interval="20s")
    exporter.wait_for_check()

    def looks() -> int:
        return Counter(line.startswith("models status") for line in calls.read_text().splitlines())[True]

    time.sleep(45)  # twice the interval, and many comparisons
    first = calls.read_text().splitlines()
    assert sorted(set(first)) == sorted(first), "the same command twice"
    assert looks() == 1
    assert {" ".join(line.split()[:2]) for line in first} <= {"models status", "agents list", "--version"}

    # A gateway at work writes lastUsed all the time: no news of the credential.
    for _ in range(3):
        world.write_usage({PROFILE: {"lastUsed": int(time.time() * 1000), "errorCount": 0}})
        time.sleep(7)
    assert calls.read_text().splitlines() == first

    # And what matters is seen: the comparison did run all the while.
    now = int(time.time() * 1000)
    usage = {PROFILE: {"cooldownUntil": now + HOUR_MS, "cooldownReason": "rate_limit", "errorCount": 3}}
    world.write_usage(usage)
    wait_for("the cooldown", lambda: exporter.value("profile_unusable", profile=PROFILE) == 1, PROMISE)
    assert looks() == 2
