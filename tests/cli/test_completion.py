"""``completion``: the scripts, and what they complete in a real shell."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import DAY, CommandLine

BASH = shutil.which("bash")


def completed(cli: CommandLine, line: str) -> list[str]:
    """What the program answers to bash for ``line``. Nothing else may be printed."""
    answer = cli(with_config=False, _OPENCLAW_AUTH_EXPORTER_COMPLETE="bash_complete", COMP_TYPED=f"x {line}")
    assert (answer.returncode, answer.stderr) == (0, "")
    return [word.partition(",")[2] for word in answer.stdout.splitlines() if word]


@pytest.fixture
def seen(cli: CommandLine) -> CommandLine:
    """A command line whose ledger knows profiles, and whose configuration is found without ``--config``."""
    cli.paste(90 * DAY)
    cli.paste(90 * DAY, "anthropic:$(id) work")
    cli.add(
        channels=[{"name": "phone", "type": "command", "command": ["true"]}],
        policy={"profiles": {"openai:api": {"alias": "paid"}}},
    )
    assert cli("check", "--quiet").returncode == 0
    (cli.home / ".config/openclaw-auth-exporter").mkdir(parents=True)
    cli.config.rename(cli.home / ".config/openclaw-auth-exporter/config.json5")
    return cli


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_script_asks_the_program(cli: CommandLine, shell: str) -> None:
    printed = cli("completion", shell).stdout
    assert f"_OPENCLAW_AUTH_EXPORTER_COMPLETE={shell}_complete" in printed
    assert "openclaw-auth-exporter" in printed


def test_names_are_completed_from_configuration_and_ledger(seen: CommandLine) -> None:
    assert completed(seen, "silence re") == ["remove"]
    assert completed(seen, "check --target ") == ["home"]
    assert completed(seen, "check --target=ho") == ["home"]
    assert completed(seen, "notify test --channel ") == ["phone"]
    assert completed(seen, "reauth --agent m") == ["main"]
    assert completed(seen, "silence add --provider ") == ["anthropic"]
    assert completed(seen, "silence add --condition no_") == ["no_usable_profile"]
    assert completed(seen, "explain pa") == ["paid"]
    assert completed(seen, "deadline set home/main/anthropic:d") == ["default"]
    assert completed(seen, "deadline set 'home/main/anthropic:d") == ["home/main/anthropic:default"]
    assert completed(seen, "silence add --profile=anthropic:d") == ["default"]
    assert completed(seen, "assets show deploy/systemd/openclaw-auth-exporter.se") == [
        "deploy/systemd/openclaw-auth-exporter.service"
    ]
    away = seen.home / "away.json5"
    away.write_text('{targets: [{name: "vps"}]}')
    assert completed(seen, f"check --config {away} --target ") == ["vps"]
    assert completed(seen, "check --config ~/away.json5 --target ") == ["vps"]


def test_a_completed_name_runs_nothing(seen: CommandLine) -> None:
    assert completed(seen, "explain anthropic:$") == [r"\$\(id\)\ work"]


def test_nothing_is_printed_where_nothing_can_be_read(cli: CommandLine) -> None:
    (cli.home / "state").mkdir()
    (cli.home / "state/ledger.sqlite").write_text("no database")
    assert completed(cli, f"explain --config {cli.config} ") == []
    cli.config.write_text("{nonsense")
    assert completed(cli, f"check --config {cli.config} --target ") == []
    assert completed(cli, "check --config /nowhere --target ") == []


def test_completion_creates_no_state(cli: CommandLine) -> None:
    completed(cli, f"explain --config {cli.config} ")
    assert not (cli.home / "state").exists()


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_tab_in_a_real_bash_completes_a_profile_with_its_colon(seen: CommandLine, tmp_path: Path) -> None:
    assert BASH is not None
    program = tmp_path / "bin/openclaw-auth-exporter"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m exporter.cli "$@"\n')
    program.chmod(0o755)
    env = {
        **seen.env,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "TERM": "dumb",
        "PS1": "",
        "INPUTRC": "/dev/null",
    }
    script = tmp_path / "completion.bash"
    script.write_text(seen("completion", "bash", with_config=False).stdout)
    master, slave = pty.openpty()
    shell = subprocess.Popen(
        [BASH, "--noprofile", "--norc", "-i"],
        stdin=slave, stdout=slave, stderr=slave, env=env, cwd=tmp_path, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    try:
        typed = f"source {script}\nopenclaw-auth-exporter explain anthropic:d\t"
        os.write(master, typed.encode())
        assert "explain anthropic:default " in _read_until(master, "anthropic:default ")
    finally:
        shell.kill()
        shell.wait()
        os.close(master)


def _read_until(terminal: int, wanted: str) -> str:
    """What a terminal shows, up to ``wanted`` or a minute of silence."""
    shown = ""
    while wanted not in shown and select.select([terminal], [], [], 60)[0]:
        shown += os.read(terminal, 4096).decode(errors="replace")
    return shown
