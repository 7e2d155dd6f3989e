"""Commands, configurations and dependencies in the documents are those of the program.

tests/real/test_recipes.py runs docs/recipes.md.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from importlib import metadata
from pathlib import Path

import click
import pytest

from exporter.cli.program import cli
from exporter.config.reading import parse

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TEXTS = {path: path.read_text() for path in DOCUMENTS}
PROGRAM = "openclaw-auth-exporter"
REQUIREMENTS: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]


def fenced(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every command of the exporter in a document or an alert: in a block of shell, or as inline code."""
    found = set()
    alerts = re.sub(r"\{\{.*?\}\}", "X", (ROOT / "deploy/prometheus/openclaw-auth.rules.yml").read_text())
    for text in (*TEXTS.values(), alerts):
        shell = "\n".join(fenced(text, "sh"))
        lines = shell.replace("\\\n", " ").splitlines() + re.findall(r"`([^`\n]+)`", text)
        for line in lines:
            # The program itself, not a unit, a folder or a package of that name.
            for call in re.findall(rf"(?:^|[\s'(/=]){PROGRAM} ([a-z-][^|<>&;)']*)", line):
                found.add(call.partition(" #")[0].strip())
    return sorted(found)


COMMAND_NAMES = cli.list_commands(click.Context(cli))
COMMANDS = [
    call
    for call in commands()
    if call.split()[0] in COMMAND_NAMES  # else words of other programs, or the rest of a sentence
]


def test_commands_are_found() -> None:
    assert {call.split()[0] for call in COMMANDS} >= set(COMMAND_NAMES)
    assert len(COMMANDS) > 25


@pytest.mark.parametrize("call", COMMANDS)
def test_every_documented_command_exists(call: str) -> None:
    words = shlex.split(call)
    command: click.Command = cli
    context = click.Context(cli, info_name=PROGRAM)
    while isinstance(command, click.Group) and words:
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"{name} is no command"
        command, context = found, click.Context(found, info_name=name, parent=context)
    try:
        command.make_context(command.name, words, parent=context.parent)
    except click.MissingParameter:
        # Named by its name alone, in a sentence.
        assert not words


def configurations() -> list[str]:
    """The blocks that are a whole configuration. Others show output."""
    blocks = [block for text in TEXTS.values() for block in fenced(text, "json5")]
    blocks += re.findall(r"config\.json5 <<'EOF'\n(.*?)^EOF$", "\n".join(TEXTS.values()), re.MULTILINE | re.DOTALL)
    return [block for block in blocks if re.match(r"\{\s*(//.*\s+)*(targets|channels|web|interval|policy)\b", block)]


def test_every_documented_configuration_is_valid() -> None:
    found = configurations()
    assert len(found) >= 4
    for block in found:
        parse(block)


def test_termux_page_lists_the_compiled_dependencies() -> None:
    """docs/termux.md has a row for every dependency that is not pure Python, and for no other."""
    compiled, known, left = set[str](), set[str](), [PROGRAM]
    while left:
        name = left.pop()
        if name in known:
            continue
        known.add(name)
        found = metadata.distribution(name)
        if "Root-Is-Purelib: false" in (found.read_text("WHEEL") or ""):
            compiled.add(found.metadata["Name"].lower().replace("_", "-"))
        # Our own requirements are those of pyproject.toml: the installed metadata may be older.
        for requirement in REQUIREMENTS if name == PROGRAM else found.requires or ():
            wanted = re.match(r"[\w.-]+", requirement)
            assert wanted
            if "extra ==" not in requirement and "platform" not in requirement and "python_version" not in requirement:
                left.append(wanted[0])
    (inside,) = re.findall(r"^## The exporter inside Termux$(.*)", TEXTS[ROOT / "docs/termux.md"], re.M | re.DOTALL)
    rows = re.findall(r"^\| `([\w-]+)`", inside, re.MULTILINE)
    assert {row.lower() for row in rows} == compiled
