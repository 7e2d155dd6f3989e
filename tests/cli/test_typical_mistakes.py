"""Typical mistakes of a new user, each with the sentence it gets: tests/golden/mistakes.txt. Read it as that user."""

from __future__ import annotations

import json
import shlex

import pytest
from command_line import CommandLine
from reports import compare_golden

NTFY = {"name": "phone", "type": "ntfy", "topic": "a-topic"}

#: What the user has in mind, the configuration (None: as it is after the installation), and what is typed.
MISTAKES: tuple[tuple[str, object, str], ...] = (
    ("a command is misspelt", None, "chekq"),
    ("an option is misspelt", None, "check --jsn"),
    ("a target is misspelt", None, "check --target hmoe"),
    ("a key is misspelt", {"intervall": "5m"}, "config check"),
    ("a duration has no unit", {"interval": 5}, "config check"),
    ("a comma is missing", '{\n  interval: "5m"\n  targets: [{ name: "home" }],\n}\n', "config check"),
    ("the type of a channel is misspelt", {"channels": [{**NTFY, "type": "nfty"}]}, "config check"),
    ("a channel has no topic", {"channels": [{"name": "phone", "type": "ntfy"}]}, "config check"),
    ("the gateway's address has no scheme", {"targets": [{"source": "gateway", "url": "rack7:18789"}]}, "config check"),
    ("the page's address has no port", {"web": {"listen": "rack7"}}, "config check"),
    ("nobody is notified yet", None, "notify test"),
    ("a channel is misspelt", {"channels": [NTFY]}, "notify test --channel phnoe"),
    ("the date is as people write it", None, "deadline set anthropic:default 1.3.2026"),
    ("a silence has no end", None, "silence add --target home"),
    ("the file of the configuration is somewhere else", None, "check --config ~/openclaw.json5"),
    ("openclaw is not on the PATH", {"targets": [{"name": "home", "source": "openclaw"}]}, "check"),
    ("init is run twice", None, "init"),
)


@pytest.mark.golden
def test_each_typical_mistake_gets_a_sentence_that_helps(cli: CommandLine) -> None:
    usual = cli.config.read_text()
    shown = []
    for mistake, configuration, typed in MISTAKES:
        match configuration:
            case str():
                cli.config.write_text(configuration)
            case dict():
                cli.configure(configuration)
            case _:
                cli.config.write_text(usual)
        words = [word.replace("~", str(cli.home)) for word in shlex.split(typed)]
        done = cli(*words, with_config="--config" not in words, PATH=str(cli.home / "empty"))
        printed = (done.stdout + done.stderr).replace(str(cli.home), "~").rstrip()
        shown.append(f"# {mistake}\n$ openclaw-auth-exporter {typed}\n{printed}\nexit code {done.returncode}\n")
        assert done.returncode in (1, 64, 73, 78), shown[-1]
        assert "Traceback" not in printed
    compare_golden("mistakes.txt", "\n".join(shown))


def test_the_usual_configuration_is_none_of_them(cli: CommandLine) -> None:
    assert json.loads(cli.config.read_text())["targets"][0]["name"] == "home"
    assert cli("config", "check").returncode == 0
