"""The other ways to renew with ``reauth`` in a real terminal.

Over ``ssh -t``, in a container, for another agent, a first credential, an unpaid bill, an environment variable, ahead
of time, without a terminal, with OpenClaw's wizard, and for Claude Code's login. Each uses real releases and ``desk``'s
search for leaked secrets.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .box import Box, opened
from .conftest import need
from .desk import (
    CLAUDE,
    CLAUDE_CODE,
    CURRENT,
    DAY,
    DOCKER,
    EARLY,
    KEY,
    MARKS,
    MIDDLE,
    MINIMAX,
    OLD,
    OLDEST,
    REFRESH,
    TOKEN,
    Desk,
    Homes,
    Leaks,
    program,
    wrapped,
)
from .files import FilesHome
from .parts import RELEASES

pytestmark = pytest.mark.real


def now(seconds: float = 0.0) -> int:
    """Return the time in ``seconds`` as OpenClaw writes it, in Unix milliseconds."""
    return int((time.time() + seconds) * 1000)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A remote host, whose user has the programs of the folder ``far`` and the home ``home``."""
    folder = tmp_path_factory.mktemp("box")
    with opened(folder, f"SetEnv PATH={folder}/far:/usr/bin:/bin HOME={folder}/home\n") as there:
        yield there


@pytest.mark.parametrize("release", RELEASES)
def test_over_ssh(homes: Homes, box: Box, tmp_path: Path, release: str) -> None:
    """Without Claude Code here, ``claude setup-token`` and the logins run in a remote terminal (``ssh -t``).

    A pasted secret goes through the connection's pipe. Renews another agent's revoked token, and makes a
    first login.
    """
    world = homes.make(
        release,
        tmp_path / "openclaw",
        {
            "anthropic:ops": {"type": "token", "provider": "anthropic", "token": OLD, "expires": now(30 * DAY)},
        },
        {"anthropic:ops": {"disabledUntil": now(7200), "disabledReason": "auth_permanent", "errorCount": 3}},
        agent="ops",
        fallbacks=["minimax-portal/MiniMax-M2.1"],
        # In that release the login is a plugin that is disabled by default; later releases have it built in.
        **({"plugins": {"entries": {"minimax-portal-auth": {"enabled": True}}}} if release == OLDEST else {}),
    )
    (box.folder / "home").unlink(missing_ok=True)
    (box.folder / "home").symlink_to(world.home)
    (tmp_path / "minimax.mjs").write_text(MINIMAX)
    program(box.folder / "far/claude", CLAUDE)
    service = {**world.env, "NODE_OPTIONS": f"--import={tmp_path}/minimax.mjs"}
    given = " ".join(f"{name}='{service[name]}'" for name in ("PATH", "TMPDIR", "NO_COLOR", "NODE_OPTIONS"))
    program(box.folder / "far/openclaw", f'#!/bin/sh\nexec env {given} {world.command} "$@"\n')
    target = {"name": "vps", "source": "openclaw", "ssh": "box", "agents": ["ops"]}
    desk = Desk(world, tmp_path / "desk", has_claude=False, targets=[target])
    here = {"path": f"{box.folder}/bin", "XDG_RUNTIME_DIR": str(box.runtime)}
    with Leaks() as leaks:
        with desk.reauth(**here) as person:
            assert "1. critical: minimax-portal has no credential" in person.answer("Which ones?", "2 1")
            made = person.answer(f"Step 1 of {2 if release == OLDEST else 3}: make a new token", "y")
            assert "  ssh -t box claude setup-token" in made
            assert "Your OAuth token" in person.until("Step 2 of ")
            if release == CURRENT:
                assert "  ssh box openclaw models auth logout anthropic:ops" in person.answer("Run it here?", "y")
            elif release != OLDEST:
                assert "  ssh -t box openclaw models auth --agent ops login" in person.answer("Run it here?", "y")
                person.keys("Paste Anthropic setup-token", "\x03")
            assert "  ssh box " in person.answer("Run it here?", "y")
            person.paste(wrapped(TOKEN))
            if release == OLDEST:
                person.until("It is stored, but OpenClaw keeps anthropic:ops on vps/ops disabled")
            else:
                person.until("anthropic:ops on vps/ops works until 20")
            assert "  ssh -t box " in person.answer("Step 1 of 1: sign in", "y")
            person.keys("MiniMax OAuth (Global)", "\r")
            person.until("https://minimax.invalid/")
            person.until("minimax-portal:default on vps/ops works")
            assert person.wait() == (1 if release == OLDEST else 0)
        desk.check_that_nothing_leaked(leaks, box.folder)
    token = world.stored_profiles("ops")["anthropic:ops"]
    assert token["token"] == TOKEN
    assert token["expires"] / 1000 == pytest.approx(time.time() + 365 * DAY, abs=600)


@pytest.mark.parametrize("release", RELEASES)
def test_in_a_container(homes: Homes, tmp_path: Path, release: str) -> None:
    """A used provider without any credential, on a host without Claude Code, and a provider with an unpaid bill."""
    world = homes.make(
        release,
        tmp_path / "openclaw",
        {"xai:api": {"type": "api_key", "provider": "xai", "key": KEY}},
        {"xai:api": {"disabledUntil": now(7200), "disabledReason": "billing", "errorCount": 1}},
        agent="ops",
        fallbacks=["xai/grok-4"],
    )
    environment = " ".join(f"{name}={value}" for name, value in {**world.env, "TERM": "xterm"}.items())
    docker = program(tmp_path / "host/docker", DOCKER.format(environment=environment))
    command = ["docker", "exec", "gw", str(world.command)]
    target = {"name": "home", "source": "openclaw", "command": command, "agents": ["ops"]}
    desk = Desk(world, tmp_path / "desk", has_claude=False, targets=[target])
    with Leaks() as leaks:
        with desk.reauth(path=str(docker.parent)) as person:
            assert "anthropic has no credential on home/ops" in person.answer("Which ones?", "")
            assert "There is no `claude` here." in person.answer("Step 1 of 2: make a new token", "y")
            assert "  docker exec -i gw " in person.answer("Step 2 of 2: give it to OpenClaw", "y")
            person.paste(wrapped(TOKEN))
            person.until("anthropic:default on home/ops works until 20")
            person.until("  Restart the gateway's container")
            person.answer(": pay", "y")
            if release == OLDEST:
                person.until("OpenClaw keeps xai:api on home/ops disabled (billing)")
            elif release == CURRENT:
                assert "  docker exec -i gw " in person.answer("remove the old one", "y")
                person.answer("give OpenClaw the new API key", "y")
                person.paste(KEY)
            else:
                assert "  docker exec -it gw " in person.answer("give OpenClaw the API key", "y")
                person.keys("Enter xAI API key", "\x03")
                if release != MIDDLE:
                    person.answer("give OpenClaw the new API key", "s")
            if release != OLDEST:
                person.until("xai:api on home/ops works.")
            assert person.wait() == (1 if release == OLDEST else 0)
            assert not any(mark.decode() in person.seen for mark in MARKS)
        desk.check_that_nothing_leaked(leaks)
    stored = world.stored_profiles("ops")
    assert (stored["anthropic:default"]["token"], stored["xai:api"]["key"]) == (TOKEN, KEY)


@pytest.mark.parametrize("release", RELEASES)
def test_ahead_of_time_and_in_the_environment(homes: Homes, tmp_path: Path, release: str) -> None:
    """Another agent's token long before its end, first without a terminal; then a key in the service's environment."""
    world = homes.make(
        release,
        tmp_path / "openclaw",
        {"anthropic:ops": {"type": "token", "provider": "anthropic", "token": OLD, "expires": now(30 * DAY)}},
        agent="ops",
        fallbacks=["xai/grok-4"],
    )
    service = tmp_path / "service.env"
    service.write_text(f"XAI_API_KEY={'x' * 40}\n")
    target = {"name": "home", "source": "openclaw", "command": [str(world.command)], "agents": ["ops"]}
    desk = Desk(world, tmp_path / "desk", targets=[{**target, "env_file": str(service)}])
    paste = "paste-token --provider anthropic --profile-id anthropic:ops --expires-in 365d"
    asked = ("--agent", "ops", "--profile", "anthropic:ops")
    with Leaks() as leaks:
        printed = desk.exporter.run("reauth", *asked, env={"PATH": desk.path})
        assert printed.returncode == 0
        assert "\n  claude setup-token\n" in printed.stdout
        assert paste in printed.stdout
        assert "Nothing was run, because this is not a terminal." in printed.stdout
        with desk.reauth(*asked) as person:
            shown = person.answer("Step 1 of 2: make a new token", "y")
            assert "nothing is wrong with it. It works until" in " ".join(shown.split())
            assert paste in person.answer("Step 2 of 2: give it to OpenClaw", "y")
            person.paste(wrapped(TOKEN))
            person.until("anthropic:ops on home/ops works until 20")
            person.until("All is well.")
            assert person.wait() == 0
        assert world.stored_profiles("ops")["anthropic:ops"]["token"] == TOKEN

        with desk.reauth("--profile", "env:XAI_API_KEY") as person:
            asked_for = person.until("Done?")
            assert "Set a new XAI_API_KEY where the gateway gets it from, often" in " ".join(asked_for.split())
            assert str(service) in asked_for
            # Meanwhile a person edits the file.
            service.write_text(f"XAI_API_KEY={'y' * 40}\n")
            person.until("> ")
            person.type("y\r")
            assert "openclaw gateway restart" in person.answer("Step 2 of 2: restart the gateway", "y")
            if release in (MIDDLE, EARLY):  # these releases exit with 0 if there is no service to restart
                person.until("Gateway service disabled.")
            else:
                person.until("Gateway restart failed" if release == CURRENT else "Gateway service check failed")
                person.until("The command failed (exit code 1).")
                person.answer("Try again?", "s")
            person.until("OpenClaw finds env:XAI_API_KEY on home/ops.")
            assert person.wait() == 0
        desk.check_that_nothing_leaked(leaks)


def test_the_wizard_of_the_oldest_release(homes: Homes, tmp_path: Path) -> None:
    """The only way to store an Anthropic key in that release. ^C ends the wizard with exit code 0, and the check shows
    that nothing changed. Then the wizard is completed, which draws the key on the screen."""
    old = {"type": "api_key", "provider": "anthropic", "key": "sk-ant-api03-" + "A" * 80}
    world = homes.make(OLDEST, tmp_path / "openclaw", {"anthropic:default": old})
    desk = Desk(world, tmp_path / "desk")
    with Leaks() as leaks:
        with desk.reauth("--profile", "anthropic:default") as person:
            assert "openclaw configure --section model" in person.answer("Step 1 of 1: use OpenClaw's wizard", "y")
            person.keys("Where will the Gateway run?", "\x03")
            person.until("Setup cancelled.")
            person.until("OpenClaw has stored nothing new for anthropic:default on home/main.")
            assert person.wait() == 0  # the key works, as before
        assert world.stored_profiles()["anthropic:default"] == old
        with desk.reauth("--profile", "anthropic:default") as person:
            person.answer("Step 1 of 1: use OpenClaw's wizard", "y")
            person.keys("Where will the Gateway run?", "\r")
            for question in ("Model/auth provider", "Anthropic auth method"):
                person.keys(question, "\x1b[B\r")  # the second entry: Anthropic, then its API key
            person.keys("Enter Anthropic API key", f"{KEY}\r")
            person.keys("Models in /model picker", "\r")
            person.until("anthropic:default on home/main works.")
            assert person.wait() == 0
        desk.check_that_nothing_leaked(leaks)
    assert world.stored_profiles()["anthropic:default"]["key"] == KEY


def test_claude_code_s_login(tmp_path: Path) -> None:
    """The real Claude Code reports its login. A stand-in replaces Anthropic's servers, which create a new one."""
    world = FilesHome(tmp_path / "there")
    ended = {"accessToken": "A" * 40, "refreshToken": "R" * 40, "expiresAt": now(-DAY), "scopes": ["user:inference"]}
    login = world.home / ".claude/.credentials.json"
    login.parent.mkdir()
    login.write_text(json.dumps({"claudeAiOauth": {**ended, "refreshTokenExpiresAt": now(-3600)}}))
    desk = Desk(world, tmp_path / "desk", has_claude=False, targets=[{"name": "laptop", "source": "claude"}])
    program(desk.folder / "bin/claude", CLAUDE_CODE.format(claude=need("claude-2.1.330")))
    with Leaks() as leaks:
        with desk.reauth() as person:
            assert "claude-code:login expired on laptop/claude-code" in person.until("Step 1 of 1: sign in")
            assert "  claude auth login" in person.answer("Run it here?", "y")
            person.until("Paste the code here: ")
            person.type("\x03")
            person.until("Interrupted.")
            person.answer("Try again?", "y")
            person.until("Paste the code here: ")
            person.type("wrong\r")
            person.until("The command failed (exit code 1).")
            person.answer("Try again?", "y")
            person.until("Paste the code here: ")
            person.type("right\r")
            person.until("claude-code:login on laptop/claude-code works until 20")
            person.until("All is well.")
            assert person.wait() == 0
        desk.check_that_nothing_leaked(leaks)
    assert json.loads(login.read_text())["claudeAiOauth"]["refreshToken"] == REFRESH
