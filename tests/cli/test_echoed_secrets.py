"""What another program echoes on its standard error is on no page, in no message and not in the state."""

from __future__ import annotations

import pytest
from command_line import CommandLine, run, writing

ECHOES = [
    "password hunter2pw",
    "Error: login with password 'hunter2pw' failed",
    "Authorization hunter2pw",
    "api key hunter2pw was refused",
]


@pytest.mark.parametrize("echoed", ECHOES)
def test_secret_echoed_on_stderr_is_in_no_output_and_not_in_the_state(cli: CommandLine, echoed: str) -> None:
    program = cli.home / "openclaw"
    program.write_text(f'#!/bin/sh\necho "{echoed}" >&2\nexit 1\n')
    program.chmod(0o755)
    target = {"name": "home", "source": "openclaw", "command": [str(program)], "agents": ["main"]}
    cli.add(targets=[target], channels=[writing(cli.home / "sent")])
    printed = [run(cli.config, *words)[1] for words in (["check", "--notify"], ["check", "--json"], ["explain"])]
    assert "<redacted>" in printed[0]
    printed += [path.read_bytes().decode("latin-1") for path in (cli.home / "state").iterdir()]
    if (cli.home / "sent").exists():
        printed.append((cli.home / "sent").read_text())
    assert len(printed) > 5
    assert not any("hunter2pw" in text for text in printed)
