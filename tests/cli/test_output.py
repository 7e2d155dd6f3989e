"""Whatever OpenClaw calls its profiles: no command prints a forged line or controls the terminal."""

from __future__ import annotations

import ast
import json
import time
from pathlib import Path

import pytest
from command_line import CommandLine, run, writing
from stores import DAY, Home, token

import exporter
from exporter.reauth.terminal import Terminal

HOSTILE = "evil\r\nFORGED OK\x1b]0;x\x07\x1b[2K\u202e\u2028\x85\x9b31m"
#: The modules that print. Every other one goes through ``exporter.cli.output``.
PRINTS = {"cli/output.py", "reauth/terminal.py"}


@pytest.fixture
def hostile(cli: CommandLine) -> CommandLine:
    """A store with that profile, read in this process."""
    home = Home(cli.home)
    home.write_json({HOSTILE: token(expires=int(time.time() * 1000) + DAY // 2)})
    target = {"name": "home", "source": "store", "state_dir": str(home.state_dir), "agents": ["main"]}
    cli.add(targets=[target], channels=[writing(cli.home / "sent")])
    return cli


@pytest.mark.parametrize(
    "words",
    [
        ["check"],
        ["check", "--line"],
        ["check", "--nagios"],
        ["check", "--json"],
        ["check", "--notify"],
        ["explain"],
        ["explain", HOSTILE],
        ["explain", "vil"],
        ["forecast"],
        ["forecast", "--json"],
        ["deadline", "set", HOSTILE, "2027-03-01"],
        ["silence", "add", "--profile", HOSTILE, "--for", "8h", "--reason", HOSTILE],
        ["notify", "test"],
        ["config", "show"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_commands_print_no_foreign_control_characters(hostile: CommandLine, words: list[str]) -> None:
    _, printed = run(hostile.config, *words)
    if words[:2] == ["explain", "vil"]:
        printed = hostile(*words).stderr  # the sentence of a wrong argument
    assert printed
    assert [line for line in printed.split("\n") if not line.replace("\t", "").isprintable()] == []
    assert [line for line in printed.split("\n") if line.startswith("FORGED")] == []
    if words[-1] == "--json":
        assert json.loads(printed)
    if words == ["check", "--json"]:
        assert json.loads(printed)["targets"][0]["agents"][0]["profiles"][0]["id"] == HOSTILE


def test_lists_print_no_foreign_control_characters(hostile: CommandLine) -> None:
    run(hostile.config, "deadline", "set", HOSTILE, "2027-03-01")
    run(hostile.config, "silence", "add", "--profile", HOSTILE, "--for", "8h", "--reason", HOSTILE)
    for words in (["deadline", "list"], ["silence", "list"]):
        _, printed = run(hostile.config, *words)
        assert len(printed.splitlines()) == 1
        assert printed.rstrip("\n").replace("\t", "").isprintable()
        assert r"evil\r\nFORGED OK\x1b" in printed


def test_the_person_at_reauth_sees_no_foreign_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Terminal()
    screen.say(f"Renewing {HOSTILE}")
    screen.show(f"openclaw {HOSTILE}")
    printed = capsys.readouterr().out
    assert all(line.isprintable() for line in printed.split("\n"))
    assert "\nFORGED" not in printed


def test_a_key_of_the_configuration_forges_no_line(cli: CommandLine) -> None:
    cli.add(**{HOSTILE: 1})
    refused = cli("check").stderr
    assert refused.rstrip("\n").isprintable()
    assert r"evil\r\nFORGED" in refused


def test_only_one_module_prints() -> None:
    root = Path(exporter.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in ("print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"):
                    found.add(str(path.relative_to(root)))
    assert found == PRINTS
