"""`check` and `serve` beside real OpenClaw releases, with stores that their own commands wrote."""

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
#: Seconds within which the daemon shows a changed store on its host, if ``openclaw`` takes ``USUAL`` seconds.
PROMISE, USUAL = 15.0, 3.0


def one_profile(result: dict[str, Any]) -> dict[str, Any]:
    (profile,) = the_agent(result)["profiles"]
    assert isinstance(profile, dict)
    return profile


def the_agent(result: dict[str, Any], agent: str = "main") -> dict[str, Any]:
    (target,) = result["targets"]
    (found,) = [entry for entry in target["agents"] if entry["id"] == agent]
    assert isinstance(found, dict)
    return found


def conditions(agent: dict[str, Any]) -> set[tuple[str, str, str | None]]:
    return {(c["condition"], c["severity"], c["profile"]) for c in agent["conditions"]}


def expires(world: OpenClawHome, profile: str = PROFILE, agent: str | None = None) -> int:
    """Return the expiry in Unix milliseconds, as the store holds it."""
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


@pytest.mark.parametrize("release", [CURRENT, RELEASES[-1]])
def test_a_key_that_only_the_shell_has_is_advice(openclaw: MakeHome, tmp_path: Path, release: str) -> None:
    """The unit is what ``openclaw gateway install`` leaves there; no systemd has to run for it."""
    world = openclaw(release)
    exporter = Exporter(world, tmp_path / "exporter")
    shell = {"ANTHROPIC_API_KEY": "sk-ant-api03-" + "k" * 80}
    said = "ANTHROPIC_API_KEY is set in the environment of this check, but in no file of OpenClaw's service"
    assert said not in exporter.run("explain", env=shell).stdout  # nothing is known of a service
    unit = world.home / ".config/systemd/user/openclaw-gateway.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/usr/bin/node openclaw gateway\nEnvironment=OPENCLAW_GATEWAY_PORT=18789\n")
    explained = exporter.run("explain", env=shell)
    assert f"  advice\n    - {said}" in explained.stdout
    assert shell["ANTHROPIC_API_KEY"] not in explained.stdout + explained.stderr
    (world.state / ".env").write_text(f"ANTHROPIC_API_KEY={shell['ANTHROPIC_API_KEY']}\n")
    assert said not in exporter.run("explain", env=shell).stdout


@pytest.mark.parametrize("release", RELEASES)
def test_a_pasted_token_is_read_on_every_release(openclaw: MakeHome, tmp_path: Path, release: str) -> None:
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


def test_an_unknown_agent_is_a_failed_check_and_not_expired(openclaw: MakeHome, tmp_path: Path) -> None:
    world = openclaw(CURRENT)
    target = {"name": "home", "source": "openclaw", "command": [str(world.command)], "agents": ["nobody"]}
    code, result = Exporter(world, tmp_path / "exporter", targets=[target]).check()
    assert code == 1
    agent = the_agent(result, "nobody")
    assert agent["error"]["reason"] == "unknown_agent"
    assert conditions(agent) == {("check_failed", "critical", None)}


def test_wrong_usage_has_its_own_exit_code(openclaw: MakeHome, tmp_path: Path) -> None:
    world = openclaw(CURRENT)
    exporter = Exporter(world, tmp_path / "exporter")
    finished = exporter.run("check", "--target", "nowhere")
    assert finished.returncode == 64
    assert "'nowhere'" in finished.stderr
    assert "home" in finished.stderr


# --- agents --------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
def test_every_agent_is_checked_with_its_own_profiles(openclaw: MakeHome, tmp_path: Path, release: str) -> None:
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
        # On a busy machine openclaw is slow for us, too, so the limit is relative to the duration of the paste.
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


def test_a_bad_configuration_is_not_applied(openclaw: MakeHome, serve: Serve) -> None:
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
    wait_for("the successful reload", lambda: exporter.value("exporter_config_last_reload_successful") == 1, 10)
    wait_for("the renamed target", lambda: exporter.value("exit_code", target="renamed", agent="main") == 1, 60)
    assert exporter.value("exit_code", target="home") is None


@pytest.mark.parametrize("release", RELEASES)
def test_sigterm_ends_a_running_check(openclaw: MakeHome, tmp_path: Path, release: str) -> None:
    world = openclaw(release)
    exporter = Exporter(world, tmp_path / "exporter")
    try:
        exporter.start()
        assert exporter.daemon is not None
        daemon = exporter.daemon.pid
        wait_for("an openclaw process", lambda: processes_of(world.home).keys() - {daemon}, 30)
        time.sleep(0.7)  # openclaw starts a second Node in a new session
        under_way = processes_of(world.home).keys() - {daemon}
        assert under_way
        for pid in under_way:
            os.kill(pid, signal.SIGSTOP)  # so that none of them ends by chance
        assert exporter.stop() == 0  # also asserts that no process is left
        assert "Traceback" not in exporter.log.read_text()
    finally:
        exporter.end()


def test_an_unchanged_store_starts_no_openclaw_process(openclaw: MakeHome, serve: Serve, tmp_path: Path) -> None:
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

    def checks() -> int:
        return Counter(line.startswith("models status") for line in calls.read_text().splitlines())[True]

    time.sleep(45)  # two intervals and many comparisons
    first = calls.read_text().splitlines()
    assert sorted(set(first)) == sorted(first), "a command ran twice"
    assert checks() == 1
    assert {" ".join(line.split()[:2]) for line in first} <= {"models status", "agents list", "--version"}

    # A working gateway keeps writing lastUsed, which says nothing about the credential.
    for _ in range(3):
        world.write_usage({PROFILE: {"lastUsed": int(time.time() * 1000), "errorCount": 0}})
        time.sleep(7)
    assert calls.read_text().splitlines() == first

    # A cooldown is noticed, so the comparison did run all the time.
    now = int(time.time() * 1000)
    usage = {PROFILE: {"cooldownUntil": now + HOUR_MS, "cooldownReason": "rate_limit", "errorCount": 3}}
    world.write_usage(usage)
    wait_for("the cooldown", lambda: exporter.value("profile_unusable", profile=PROFILE) == 1, PROMISE)
    assert checks() == 2
