"""The conversation: what a person sees, and what their answers do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from reports import DAY, HOUR

from exporter.reauth import terminal
from exporter.reauth.candidates import Selection
from reauth.conversation import Scripted, World, disabled, key, login, talk, token

GOLDEN = Path(__file__).parent / "golden"


def expired() -> tuple[int, Scripted]:
    """The usual case: a new token, pasted whole."""
    world = World(token())
    screen = Scripted(["y", "y"], [0, (0, world.renewed())])
    return talk(world, screen, resolved="The channels are notified."), screen


def cut_paste() -> tuple[int, Scripted]:
    """The first paste is cut, the second is interrupted, the third is whole."""
    world = World(token(ends=HOUR))
    screen = Scripted(["s", "y", "y", "y"], [terminal.NOTHING_PASTED, -2, (0, world.renewed())])
    return talk(world, screen), screen


def refused() -> tuple[int, Scripted]:
    """A token is made and then not pasted."""
    screen = Scripted(["y", ""])
    return talk(World(token()), screen), screen


def unchanged() -> tuple[int, Scripted]:
    """OpenClaw's command exits with 0 and stores nothing, as after ^C at its own prompts."""
    screen = Scripted(["s", "y"])
    return talk(World(token()), screen), screen


def same_secret() -> tuple[int, Scripted]:
    """An undated token, pasted again with a date."""
    world = World(token(ends=None))
    screen = Scripted(
        ["s", "y"], [(0, lambda: world.change(status="ok", expires_at=world.check(None).checked_at + DAY * 365))]
    )
    return talk(world, screen, Selection(profile="anthropic:default")), screen


def disabled_token() -> tuple[int, Scripted]:
    """A revoked token. OpenClaw keeps its disable when another is pasted, so the old one goes first."""
    world = World(token(ends=30 * DAY, unusable=disabled("auth_permanent")))
    renewed = token(ends=365 * DAY, secret_hash="new")
    screen = Scripted(["y", "y", "y"], [0, (0, lambda: world.remove()), (0, lambda: world.store(renewed))])
    return talk(world, screen), screen


def removed_and_not_stored() -> tuple[int, Scripted]:
    """The old token is removed, and the new one is not pasted: it is missing then."""
    world = World(token(ends=30 * DAY, unusable=disabled("auth_permanent")))
    screen = Scripted(["s", "y", ""], [(0, lambda: world.remove())])
    return talk(world, screen), screen


def found_disabled() -> tuple[int, Scripted]:
    """OpenClaw disables the credential while it is renewed."""
    world = World(key(status="missing"))
    renewed = key(secret_hash="new", unusable=disabled("auth_permanent"))
    screen = Scripted(
        ["y", "y", "y"],
        [
            (0, lambda: world.store(renewed)),
            (0, lambda: world.remove("openai:key")),
            (0, lambda: world.store(key(secret_hash="newer"))),
        ],
    )
    return talk(world, screen), screen


def disabled_token_middle() -> tuple[int, Scripted]:
    """2026.6 ends the disable before it asks for the secret: ^C there is no failure."""
    world = World(token(ends=30 * DAY, unusable=disabled("auth_permanent")), release="2026.6.11")
    screen = Scripted(["s", "y", "y"], [(1, lambda: world.change(unusable=None)), (0, world.renewed())])
    return talk(world, screen), screen


CUT: dict[str, Any] = {"secret_hash": "cut", "expires_at": None, "status": "static", "unusable": None}


def cut_by_the_prompt() -> tuple[int, Scripted]:
    """OpenClaw's own prompt took one line of the token, and the token is not pasted again: exit code 1."""
    world = World(token(ends=30 * DAY, unusable=disabled("auth_permanent")), release="2026.6.11")
    screen = Scripted(["s", "y", ""], [(0, lambda: world.change(**CUT))])
    return talk(world, screen), screen


def pasted_at_the_prompt() -> tuple[int, Scripted]:
    """The person pastes at the prompt of the login, too: the whole token is pasted after it."""
    world = World(token(ends=30 * DAY, unusable=disabled("auth_permanent")), release="2026.6.11")
    screen = Scripted(["s", "y", "y"], [(0, lambda: world.change(**CUT)), (0, world.renewed())])
    return talk(world, screen), screen


def still_disabled_old() -> tuple[int, Scripted]:
    """2026.2 has no command that ends it: the person reads when it ends."""
    world = World(token(unusable=disabled("auth", 3600)), release="2026.2.9")
    screen = Scripted(["y", "y"], [0, (0, world.renewed())])
    return talk(world, screen), screen


def several() -> tuple[int, Scripted]:
    """Three credentials, two agents that share one; two are chosen, and one of them is refused."""
    world = World(token(ends=HOUR), key(unusable=disabled("auth")), token("anthropic:work"))
    world.store(token(ends=HOUR), "ops")
    world.store(key(), "ops")
    screen = Scripted(
        ["9", "1 2", "s", "y", "n"], [(0, lambda: world.change("openai:key", secret_hash="new", unusable=None))]
    )
    return talk(world, screen), screen


def billing() -> tuple[int, Scripted]:
    """It is paid for. The login that ends the disable is refused."""
    world = World(key(unusable=disabled("billing", 5 * HOUR)))
    screen = Scripted(["y", "n"])
    return talk(world, screen), screen


def environment() -> tuple[int, Scripted]:
    """A key in the service's environment that the provider refuses."""
    variable = key("env:OPENAI_API_KEY", provider="openai", unusable=disabled("auth"))
    world = World(variable)
    screen = Scripted(["y", "y"], [(0, lambda: world.change("env:OPENAI_API_KEY", secret_hash="new", unusable=None))])
    return talk(world, screen), screen


def oauth_refused() -> tuple[int, Scripted]:
    """The login fails and is not tried again."""
    screen = Scripted(["y", "n"], [1])
    return talk(World(login()), screen), screen


def claude_code() -> tuple[int, Scripted]:
    """Claude Code's own login, in a container."""
    world = World(source="claude", command=["docker", "exec", "box", "claude"])
    world.store(login("claude-code", -HOUR), "claude-code")
    world.agents = {"claude-code": {"claude.ai": login("claude.ai", -HOUR)}}
    world.in_use = ("claude.ai",)
    screen = Scripted(
        ["y"], [(0, lambda: world.change("claude.ai", expires_at=world.check(None).checked_at + 28 * DAY, status="ok"))]
    )
    return talk(world, screen), screen


def first_credential() -> tuple[int, Scripted]:
    """A provider in use has no credential, on a host without Claude Code."""
    world = World()
    screen = Scripted(["y", "y"], [(0, lambda: world.store(token(ends=365 * DAY)))])
    return talk(world, screen, programs=("openclaw",)), screen


def over_ssh() -> tuple[int, Scripted]:
    """Another host, another agent, an older release."""
    world = World(release="2026.6.11", ssh="me@vps", state_dir="~/oc")
    world.agents = {"work": {"anthropic:default": token()}}
    world.in_use = ("anthropic",)
    screen = Scripted(["y", "y", "y"], [255, 0, (0, world.renewed())])
    return talk(world, screen, programs=()), screen


def nothing() -> tuple[int, Scripted]:
    screen = Scripted([])
    return talk(World(token(ends=30 * DAY), key()), screen), screen


def other_problem() -> tuple[int, Scripted]:
    """Something is wrong that renewing does not fix."""
    world = World(token(ends=30 * DAY))
    world.failure = "openclaw gave no answer within 60 s"
    screen = Scripted([])
    return talk(world, screen), screen


def on_purpose() -> tuple[int, Scripted]:
    """Selected by name long before it expires, and left unchanged."""
    screen = Scripted(["n"])
    return talk(World(token(ends=30 * DAY)), screen, Selection(profile="anthropic:default")), screen


def no_terminal() -> tuple[int, Scripted]:
    screen = Scripted([], is_interactive=False)
    return talk(World(token(), login(ends=-HOUR)), screen), screen


def elsewhere() -> tuple[int, Scripted]:
    """A gateway on another host: the commands are shown, to be run there."""
    world = World(token(), source="gateway", url="http://rack7:18789", token="x" * 20)
    screen = Scripted([])
    return talk(world, screen), screen


def interrupted() -> tuple[int, Scripted]:
    """^C at a question."""
    screen = Scripted(["y", "^C"])
    with pytest.raises(KeyboardInterrupt):
        talk(World(token()), screen)
    return 130, screen


SCENES: dict[Callable[[], tuple[int, Scripted]], int] = {
    expired: 0,
    cut_paste: 0,
    refused: 1,
    unchanged: 1,
    same_secret: 0,
    disabled_token: 0,
    removed_and_not_stored: 1,
    found_disabled: 0,
    disabled_token_middle: 0,
    cut_by_the_prompt: 1,
    pasted_at_the_prompt: 0,
    still_disabled_old: 1,
    several: 2,
    billing: 1,
    environment: 0,
    oauth_refused: 1,
    claude_code: 0,
    first_credential: 0,
    over_ssh: 0,
    nothing: 0,
    other_problem: 1,
    on_purpose: 0,
    no_terminal: 1,
    elsewhere: 1,
    interrupted: 130,
}


@pytest.mark.golden
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_conversation_fits_a_phone(scene: Callable[[], tuple[int, Scripted]]) -> None:
    code, screen = scene()
    assert (code, screen.answers) == (SCENES[scene], [])
    path = GOLDEN / f"{scene.__name__}.txt"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(screen.text, encoding="utf-8")
    assert screen.text == path.read_text(encoding="utf-8")
    commands = [line for line in screen.shown if line.startswith(("  ", "[")) or "`" in line]
    assert all(len(part) <= 40 for line in screen.shown if line not in commands for part in line.splitlines())


def test_ctrl_c_after_a_cut_token_shows_the_command_that_continues() -> None:
    world = World(token(ends=30 * DAY, unusable=disabled("auth_permanent")), release="2026.6.11")
    screen = Scripted(["s", "y", "^C"], [(0, lambda: world.change(**CUT))])
    with pytest.raises(KeyboardInterrupt):
        talk(world, screen)
    assert screen.shown[-1].strip().endswith("--profile anthropic:default")


def test_credential_fixed_by_an_earlier_renewal_is_not_offered() -> None:
    """Renewing one agent's credential also renewed the other's."""
    world = World(token())
    world.store(token(secret_hash="another"), "ops")
    screen = Scripted(["", "s", "y"], [(0, world.renewed())])
    assert talk(world, screen) == 0
    assert screen.answers == []


@pytest.mark.parametrize("selection", [Selection(agent="nobody"), Selection(profile="nothing:here")])
def test_unknown_name_is_a_usage_error(selection: Selection) -> None:
    with pytest.raises(
        click.UsageError,
        match=r"there is no (agent|profile) named .*; (did you mean|known:) .?(main|anthropic:default)('\?)?$",
    ):
        talk(World(token()), Scripted([]), selection)


def test_unexpected_input_is_never_repeated() -> None:
    """It may be the rest of a paste."""
    rest = "0".join("TOKEN-REST")
    screen = Scripted([rest, "y", rest, "n"])
    assert talk(World(token()), screen) == 1
    assert [line for line in screen.shown if rest in line and not line.startswith("> ")] == []


def test_claude_setup_token_does_not_see_the_services_environment(tmp_path: Path) -> None:
    """A key there would be another login to Claude Code. PATH leads to the configured command."""
    (tmp_path / "env").write_text("ANTHROPIC_API_KEY=PLANTED\n")
    world = World(token(), env_file=str(tmp_path / "env"), command=["/opt/oc/bin/openclaw"])
    screen = Scripted(["y", "y"], [0, (0, world.renewed())])
    assert talk(world, screen) == 0
    (_, own), (_, services) = screen.ran
    assert "ANTHROPIC_API_KEY" not in own or own["ANTHROPIC_API_KEY"] != "PLANTED"
    assert services["ANTHROPIC_API_KEY"] == "PLANTED"
    assert services["PATH"].startswith("/opt/oc/bin:")
