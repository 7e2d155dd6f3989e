"""Every command has a summary, a mention in the documentation and a test of its own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from exporter.cli.options import PROGRAM
from exporter.cli.program import cli

ROOT = Path(__file__).parents[2]
DOCUMENTS = "\n".join(path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, like ``deadline set``. Groups themselves are left out."""
    context = click.Context(cli)
    pending = [(name, cli.get_command(context, name)) for name in cli.list_commands(context)]
    while pending:
        name, command = pending.pop()
        assert command is not None
        if isinstance(command, click.Group):
            pending += [(f"{name} {sub}", command.get_command(context, sub)) for sub in command.list_commands(context)]
        else:
            yield name, command


COMMANDS = dict(sorted(commands()))
GROUPS = {
    name: command
    for name in cli.list_commands(click.Context(cli))
    if isinstance(command := cli.get_command(click.Context(cli), name), click.Group)
}
HELPED: dict[str, click.Command] = {"": cli, **GROUPS, **COMMANDS}


def test_commands_are_found() -> None:
    assert {"check", "serve", "deadline set", "silence remove"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_summary(name: str) -> None:
    summary = (COMMANDS[name].help or "").split("\n\n")[0].strip()
    assert summary.endswith("."), f"`{name}` has no summary: its docstring must begin with a sentence"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    options = [option for option in COMMANDS[name].params if isinstance(option, click.Option) and not option.hidden]
    assert [option.name for option in options if not option.help] == [], f"`{name}` has options without a help text"


@pytest.mark.parametrize("name", HELPED)
def test_every_help_text_ends_with_examples_that_parse(name: str) -> None:
    """Each is about the command itself, and is a line for a shell."""
    help = HELPED[name].get_help(click.Context(HELPED[name], info_name="x"))
    _, found, lines = help.partition("\n  Examples:\n")
    assert found, f"the help of `{name}` has no examples: add epilog=examples(...)"
    assert lines.split("\n")
    for line in lines.split("\n"):
        words = shlex.split(re.split(r" [|>]", line)[0])
        assert " ".join(words).startswith(f"{PROGRAM} {name}".strip()), line
        command, context = cli, click.Context(cli, info_name=PROGRAM)
        words = words[1:]
        while isinstance(command, click.Group):
            found_command = command.get_command(context, words.pop(0))
            assert found_command is not None, line
            command, context = found_command, click.Context(found_command, parent=context)  # type: ignore[assignment]  # the first is a group
        command.make_context(command.name, words, parent=context.parent)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    group, _, sub = name.partition(" ")
    named = rf"\b{group} {sub}\b" if sub else rf"openclaw-auth-exporter {group}\b|`{group}\b"
    assert re.search(named, DOCUMENTS), f"no document names `{name}`: add it to README.md or docs/"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_tested(name: str) -> None:
    group, _, sub = name.partition(" ")
    file = Path(__file__).parent / f"test_{group}.py"
    assert file.exists(), f"`{name}` has no test: add tests/cli/{file.name}"
    used = rf'"{sub}"' if sub else rf'"{group}"'
    texts = [path.read_text() for path in (file, *file.parent.glob(f"{group}_*.py"))]  # with its helpers
    assert any(re.search(used, text) for text in texts), f"tests/cli/{file.name} never runs `{name}`"
