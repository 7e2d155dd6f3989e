"""``reauth``: what it offers, what it says at each step, what it makes of the answers, and the paste itself."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import click
import programs
import pytest
from captured import seen, verdict
from hypothesis import given
from hypothesis import strategies as st
from reauth.conversation import Scripted, World, disabled, key, login, talk, token
from reauth.typist import Typist
from reports import DAY, HOUR, agent, profile, report

from exporter.config import Config
from exporter.model import Report, Severity, TargetReport
from exporter.reauth import candidates, resolve, terminal
from exporter.reauth.candidates import Selection
from exporter.reauth.terminal import environment_of, fold
from exporter.verdict.remedies import TOKEN_LENGTH, Invocation, Programs

GOLDEN = Path(__file__).parent / "reauth/golden"
PASTED = "openclaw models auth paste-token --provider anthropic --profile-id anthropic:default --expires-in 365d"


# --- what a person sees, on a phone ----------------------------------------------------------------


def expired() -> tuple[int, Scripted]:
    """The usual case: a new token, pasted whole."""
    world = World(token())
    screen = Scripted(["y", "y"], [0, (0, world.renewed())])
    return talk(world, screen, told="The channels are told."), screen


def cut_paste() -> tuple[int, Scripted]:
    """The first paste was half of it, the second was interrupted, the third is whole."""
    world = World(token(ends=HOUR))
    screen = Scripted(["s", "y", "y", "y"], [terminal.NOTHING_PASTED, -2, (0, world.renewed())])
    return talk(world, screen), screen


def refused() -> tuple[int, Scripted]:
    """A token was made, and then not pasted."""
    screen = Scripted(["y", ""])
    return talk(World(token()), screen), screen


def unchanged() -> tuple[int, Scripted]:
    """OpenClaw's command ended well and stored nothing, as it does for ^C at its own prompts."""
    screen = Scripted(["s", "y"])
    return talk(World(token()), screen), screen


def same_secret() -> tuple[int, Scripted]:
    """An undated token, pasted again with a date."""
    world = World(token(ends=None))
    screen = Scripted(
        ["s", "y"], [(0, lambda: world.change(status="ok", expires_at=world.check(None).checked_at + DAY * 365))]
    )
    return talk(world, screen, Selection(profile="anthropic:default")), screen


def still_disabled() -> tuple[int, Scripted]:
    """OpenClaw keeps the disable of a revoked token after another one was pasted."""
    world = World(token(ends=30 * DAY, unusable=disabled("auth_permanent")))
    screen = Scripted(["y", "y", "y", "y"], [0, (0, world.renewed()), 0, (0, world.renewed(unusable=None))])
    return talk(world, screen), screen


def still_disabled_middle() -> tuple[int, Scripted]:
    """On 2026.6 the disable is over when the secret is asked for: ^C there, and nothing is pasted again."""
    world = World(token(ends=30 * DAY, unusable=disabled("auth_permanent")), release="2026.6.11")
    screen = Scripted(["s", "y", "y"], [(0, world.renewed()), (1, lambda: world.change(unusable=None))])
    return talk(world, screen), screen


def cut_by_the_prompt() -> tuple[int, Scripted]:
    """OpenClaw's own prompt took a line of the token, and the whole is not pasted afterwards: that is not well."""
    world = World(token(ends=30 * DAY, unusable=disabled("auth_permanent")))
    cut: dict[str, Any] = {"secret_hash": "cut", "expires_at": None, "status": "static", "unusable": None}
    screen = Scripted(["s", "y", "y", ""], [(0, world.renewed()), (0, lambda: world.change(**cut))])
    return talk(world, screen), screen


def pasted_at_the_prompt() -> tuple[int, Scripted]:
    """What was to be ended with ^C was given the token: it is pasted whole once more."""
    world = World(token(ends=30 * DAY, unusable=disabled("auth_permanent")), release="2026.6.11")
    cut: dict[str, Any] = {"secret_hash": "cut", "expires_at": None, "status": "static", "unusable": None}
    screen = Scripted(
        ["s", "y", "y", "y"], [(0, world.renewed()), (0, lambda: world.change(**cut)), (0, world.renewed())]
    )
    return talk(world, screen), screen


def still_disabled_old() -> tuple[int, Scripted]:
    """On 2026.2 nothing ends it: it is said until when it lasts."""
    world = World(token(unusable=disabled("auth", 3600)), release="2026.2.9")
    screen = Scripted(["y", "y"], [0, (0, world.renewed())])
    return talk(world, screen), screen


def several() -> tuple[int, Scripted]:
    """Three credentials, two agents that share one; two are chosen, and one of those does not go well."""
    world = World(token(ends=HOUR), key(unusable=disabled("auth")), token("anthropic:work"))
    world.store(token(ends=HOUR), "ops")
    world.store(key(), "ops")
    screen = Scripted(
        ["9", "1 2", "y", "n"], [(0, lambda: world.change("openai:key", secret_hash="new", unusable=None))]
    )
    return talk(world, screen), screen


def billing() -> tuple[int, Scripted]:
    """Nothing to paste; what ends the disable sooner is offered, and refused."""
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
    """The login fails, and is given up."""
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
    """A provider in use without any, on a host without Claude Code."""
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


def nothing_to_mend() -> tuple[int, Scripted]:
    """Something is wrong that no signing in mends."""
    world = World(token(ends=30 * DAY))
    world.failure = "openclaw gave no answer within 60 s"
    screen = Scripted([])
    return talk(world, screen), screen


def on_purpose() -> tuple[int, Scripted]:
    """Long before the end, by name, and it stays as it is."""
    screen = Scripted(["n"])
    return talk(World(token(ends=30 * DAY)), screen, Selection(profile="anthropic:default")), screen


def no_terminal() -> tuple[int, Scripted]:
    screen = Scripted([], is_interactive=False)
    return talk(World(token(), login(ends=-HOUR)), screen), screen


def elsewhere() -> tuple[int, Scripted]:
    """A gateway on another host: the commands are for over there."""
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
    still_disabled: 0,
    still_disabled_middle: 0,
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
    nothing_to_mend: 1,
    on_purpose: 0,
    no_terminal: 1,
    elsewhere: 1,
    interrupted: 130,
}


@pytest.mark.golden
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_what_a_person_sees(scene: Callable[[], tuple[int, Scripted]]) -> None:
    code, screen = scene()
    assert (code, screen.answers) == (SCENES[scene], [])
    path = GOLDEN / f"{scene.__name__}.txt"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(screen.text, encoding="utf-8")
    assert screen.text == path.read_text(encoding="utf-8")
    commands = [line for line in screen.shown if line.startswith(("  ", "[")) or "`" in line]
    assert all(len(part) <= 40 for line in screen.shown if line not in commands for part in line.splitlines())


def test_ctrl_c_after_openclaws_own_prompt_tells_what_is_left_to_do() -> None:
    world = World(token(ends=30 * DAY, unusable=disabled("auth_permanent")))
    screen = Scripted(["s", "y", "y", "^C"], [(0, world.renewed()), 0])
    with pytest.raises(KeyboardInterrupt):
        talk(world, screen)
    assert screen.shown[-1].strip().endswith("--profile anthropic:default")


# --- what needs it ---------------------------------------------------------------------------------


def shown(scenario: str) -> Report:
    judged = verdict(seen("2026.9.6", scenario))
    return Report(judged.evaluated_at, (TargetReport("home", "openclaw", (judged,)),))


def test_the_worst_is_first_and_what_the_profiles_tell_is_not_told_again() -> None:
    found = candidates.find_candidates(shown("all_unusable"), Selection())
    assert [(need.severity, need.profile) for need in found] == [
        (Severity.CRITICAL, "anthropic:api"),
        (Severity.CRITICAL, "anthropic:default"),
        (Severity.WARNING, "anthropic:work"),
    ]
    assert candidates.troubles(shown("all_unusable"), Selection()) == []
    assert candidates.exit_code(shown("all_unusable"), Selection()) == 1


def test_it_can_be_narrowed() -> None:
    def profiles(scenario: str, **asked: str) -> list[str]:
        return [need.profile for need in candidates.find_candidates(shown(scenario), Selection(**asked))]

    assert profiles("all_unusable", profile="anthropic:api") == ["anthropic:api"]
    assert profiles("all_unusable", agent="other") == []
    assert profiles("all_unusable", target="other") == []
    assert profiles("token_ok_30d") == []
    assert profiles("token_ok_30d", profile="anthropic:default") == ["anthropic:default"]
    assert profiles("token_no_expiry") == []
    assert profiles("token_no_expiry", profile="anthropic:default") == ["anthropic:default"]


def test_an_alias_is_a_name_too() -> None:
    named = report(agent(profile(label="mine")))
    assert [need.profile for need in candidates.find_candidates(named, Selection(profile="mine"))] == [
        "anthropic:default"
    ]


def test_a_rate_limit_on_all_there_is_is_nothing_to_sign_in_for() -> None:
    world = World(token(ends=30 * DAY, unusable=disabled("rate_limit")), release="2026.6.11")
    found = world.check(None)
    assert candidates.find_candidates(found, Selection()) == []
    assert [condition.name for _, condition in candidates.troubles(found, Selection())] == ["no_usable_profile"]


def test_agents_with_different_secrets_hold_different_credentials() -> None:
    world = World(token())
    world.store(token(), "ops")
    world.store(token(secret_hash="another"), "work")
    assert [need.agents for need in candidates.find_candidates(world.check(None), Selection())] == [
        ("main", "ops"),
        ("work",),
    ]
    assert [need.agents for need in candidates.find_candidates(world.check(None), Selection(agent="ops"))] == [("ops",)]


def test_what_was_mended_by_the_way_is_not_offered_again() -> None:
    """Renewing the credential of one agent renewed that of the other."""
    world = World(token())
    world.store(token(secret_hash="another"), "ops")
    screen = Scripted(["", "s", "y"], [(0, world.renewed())])
    assert talk(world, screen) == 0
    assert screen.answers == []


def test_the_code_is_about_what_was_asked_for() -> None:
    world = World(token(), token("openai:token", ends=30 * DAY))
    assert candidates.exit_code(world.check(None), Selection()) == 1
    assert candidates.exit_code(world.check(None), Selection(profile="openai:token")) == 0
    assert candidates.exit_code(world.check(None), Selection(profile="anthropic:default")) == 1
    world.failure = "no answer"
    assert candidates.exit_code(world.check(None), Selection(profile="openai:token")) == 1


@pytest.mark.parametrize("asked", [Selection(agent="nobody"), Selection(profile="nothing:here")])
def test_a_name_that_is_not_there_is_a_mistake(asked: Selection) -> None:
    with pytest.raises(
        click.UsageError, match=r"there is no (agent|profile) named .*; there are (main|anthropic:default)$"
    ):
        talk(World(token()), Scripted([]), asked)


def test_what_is_typed_is_never_repeated() -> None:
    """The rest of a paste may come where a question is."""
    screen = Scripted([TOKEN[80:], "y", TOKEN[80:], "n"])
    assert talk(World(token()), screen) == 1
    assert [line for line in screen.shown if TOKEN[80:] in line and not line.startswith("> ")] == []


@given(st.text(max_size=60), st.integers(20, 80))
def test_what_is_folded_is_all_there(text: str, columns: int) -> None:
    assert fold(text, columns).split() == text.split()


# --- where it runs ---------------------------------------------------------------------------------


def test_a_command_is_found_where_it_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setenv("HOME", "/home/me")
    programs = Programs(Invocation(("~/oc/bin/openclaw",)))
    assert environment_of(programs, {"A": "b"})["PATH"] == "/home/me/oc/bin:/usr/bin"
    assert environment_of(programs, {"A": "b"})["A"] == "b"
    assert environment_of(Programs(), {})["PATH"] == "/usr/bin"
    assert environment_of(Programs(Invocation(("/oc/openclaw",), ssh="vps")), {})["PATH"] == "/usr/bin"


def test_the_persons_own_programs_do_not_see_the_services_environment(tmp_path: Path) -> None:
    """A key in there would be another login to Claude Code; and PATH leads to the configured command."""
    (tmp_path / "env").write_text("ANTHROPIC_API_KEY=PLANTED\n")
    world = World(token(), env_file=str(tmp_path / "env"), command=["/opt/oc/bin/openclaw"])
    screen = Scripted(["y", "y"], [0, (0, world.renewed())])
    assert talk(world, screen) == 0
    (_, own), (_, services) = screen.ran
    assert "ANTHROPIC_API_KEY" not in own or own["ANTHROPIC_API_KEY"] != "PLANTED"
    assert services["ANTHROPIC_API_KEY"] == "PLANTED"
    assert services["PATH"].startswith("/opt/oc/bin:")


# --- who is told -----------------------------------------------------------------------------------


def config(**rest: Any) -> Config:
    return Config.model_validate({"targets": [{"name": "vps", "source": "openclaw", "ssh": "vps"}], **rest})


HOOK = {"name": "hook", "type": "webhook", "url": "http://127.0.0.1:9/"}


@pytest.mark.parametrize(
    ("channels", "once", "said"),
    [
        ([], None, None),
        ([HOOK], True, "The channels are told."),
        ([HOOK], False, "A notification could not be handed over: the next `check --notify` tries again."),
        ([HOOK], None, "The daemon tells that it is over: at its next look, in 1 h at the latest."),
    ],
)
def test_who_tells_of_alerts_is_told(channels: list[Any], once: bool | None, said: str | None) -> None:
    assert resolve.tell(config(channels=channels), ["vps"], lambda targets: once) == said


def test_a_daemon_is_asked_to_look() -> None:
    heard: list[tuple[str, str, bytes]] = []

    class Daemon(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.append((self.path, self.headers["authorization"], body))
            self.send_response(200 if self.headers["authorization"] == "Bearer right" else 401)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Daemon) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        web = {"listen": f"0.0.0.0:{server.server_port}", "token": "right"}
        told = resolve.tell(config(web=web), ["vps"], lambda targets: True)
        wrong = resolve.tell(config(web={**web, "token": "wrong"}), ["vps"], lambda targets: True)
        server.shutdown()
    assert (told, wrong) == ("The daemon has looked too: its alerts end.", None)
    assert heard[0] == ("/api/v1/check", "Bearer right", b'{"target":"vps"}')
    assert resolve.tell(config(web=web), ["vps"], lambda targets: True) is None  # nobody is there any more


# --- the command -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "arguments", "code", "said"),
    [
        ("expired", [], 1, "This is no terminal, so nothing was run."),
        ("healthy", [], 0, "Nothing needs signing in again."),
        ("healthy", ["--profile", "anthropic:default"], 0, "claude setup-token"),
        ("failing", [], 1, "But critical: "),
        ("healthy", ["--profile", "nobody"], 64, "there is no profile named 'nobody'; there are anthropic:default"),
        ("healthy", ["--target", "nobody"], 64, "there is no target named 'nobody'"),
        (7, [], 78, "scenario"),
    ],
)
def test_the_command(tmp_path: Path, scenario: object, arguments: list[str], code: int, said: str) -> None:
    target = {"name": "home", "source": "simulated", "scenario": scenario}
    file = tmp_path / "config.json5"
    file.write_text(json.dumps({"targets": [target], "state_dir": str(tmp_path / "state")}))
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    finished = programs.run(["reauth", *arguments, "--config", str(file)], env)
    assert (finished.returncode, said in finished.stdout + finished.stderr) == (code, True), finished


# --- the paste itself ------------------------------------------------------------------------------

#: Made up, as long as a real one, and different everywhere.
TOKEN = "sk-ant-oat01-" + "".join(f"{n:03d}_" for n in range(23)) + "AA-"
SHELLS = [shell for shell in ("/bin/sh", "dash", "bash", "busybox sh") if shutil.which(shell.split()[0])]


def wrapped(text: str, columns: int, end: str = "\r") -> str:
    """As it is copied from a terminal of so many columns."""
    return end.join(text[at : at + columns] for at in range(0, len(text), columns))


def pasted(tmp_path: Path, keys: str, answer: str = "", *, shell: str = "/bin/sh", is_token: bool = True) -> Any:
    """Exit code, what the command was given (None: it was not started) and what was on the screen."""
    taken = tmp_path / "taken"
    begins, length = ("sk-ant-oat01-", TOKEN_LENGTH) if is_token else ("", 1)
    words = [*shell.split(), "-c", terminal._PASTE, "paste", begins, str(length), f"cat > {taken}", "3"]
    with Typist(words, {"PATH": os.environ["PATH"]}) as person:
        person.seen = "goes on by itself."
        person.paste(keys)
        if answer:
            person.until("[N] ")
            person.type(answer)
        code = person.wait()
    return code, taken.read_bytes().decode() if taken.exists() else None, person.seen.removeprefix("goes on by itself.")


def test_the_token_is_as_long_as_a_real_one() -> None:
    assert len(TOKEN) == TOKEN_LENGTH


@pytest.mark.parametrize("shell", SHELLS)
def test_a_wrapped_token_arrives_whole(tmp_path: Path, shell: str) -> None:
    """However many lines it has, with or without Enter: and never on the screen."""
    code, taken, screen = pasted(tmp_path, wrapped(TOKEN, 40) + "\r", shell=shell)
    assert (code, taken) == (0, f"{TOKEN}\r")
    assert screen.split() == ["Handing", "it", "to", "OpenClaw", "..."]


@pytest.mark.parametrize(
    ("keys", "answer", "code", "said"),
    [
        (TOKEN[:80], "n\r", 65, "Only 80 of 108 characters came: it is cut off."),
        (TOKEN[:80], "\r", 65, "Only 80 of 108 characters came"),
        (TOKEN[:80], "y\r", 0, "Handing it"),
        (TOKEN[80:], "\r", 65, "It does not begin with sk-ant-oat01-"),
        ("\r", "", 65, "Nothing came."),
        (f"Your token:\n{TOKEN} (1 year!)", "", 65, "That is more than a token or key"),
    ],
)
def test_what_is_no_whole_token_is_noticed_before_it_is_stored(
    tmp_path: Path, keys: str, answer: str, code: int, said: str
) -> None:
    got, taken, screen = pasted(tmp_path, keys, answer)
    assert (got, taken) == (code, f"{keys}\r" if code == 0 else None)
    assert said in screen
    assert TOKEN[-20:] not in screen
    assert TOKEN[20:60] not in screen


def test_a_key_has_any_length(tmp_path: Path) -> None:
    assert pasted(tmp_path, "sk-1/+=.~:@%,_", is_token=False)[:2] == (0, "sk-1/+=.~:@%,_\r")


def test_ctrl_c_stores_nothing(tmp_path: Path) -> None:
    code, taken, _ = pasted(tmp_path, "\x03")
    assert code in (-2, 130)
    assert taken is None


PROGRAM = """
import os, sys
from exporter.reauth import terminal
terminal.PAUSE = 3
screen = terminal.Terminal()
paste = lambda: screen.paste("cat > %s", os.environ, is_token=True, is_noisy=False)
print("interrupted", paste(), flush=True)
screen.say("Paste it now: it goes on by itself.")
print("pasted", paste(), flush=True)
print("ran", screen.run("read line; echo ready; sleep 1; exit 3", os.environ), flush=True)
print("answered", repr(screen.ask("Again?")), flush=True)
print("ended", repr(screen.ask("Again?")), flush=True)
"""


def test_the_terminal_is_the_programs_and_then_ours_again(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parent.parent), "TERM": "xterm"}
    with Typist([sys.executable, "-c", PROGRAM % taken], env) as person:
        person.seen = "goes on by itself."
        person.paste("\x03")
        person.until("interrupted")
        assert not taken.exists()
        person.paste(TOKEN)
        person.until("pasted 0")
        person.type("x\r")
        person.until("ready")
        person.type(f"{TOKEN[80:]}\r{TOKEN[80:]}\r")  # the rest of a paste, left in the terminal
        person.until("ran 3")
        person.answer("Again?", "YES")
        person.until("answered 'yes'")
        person.until("Again?")
        person.until("> ")
        person.type("\x04")
        person.until("ended 'n'")
        assert person.wait() == 0
    assert taken.read_bytes() == f"{TOKEN}\r".encode()
