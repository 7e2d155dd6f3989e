"""The entry point: exit codes, sentences instead of tracebacks, and output that survives its reader."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest
from command_line import DAY, CommandLine

from exporter.checks.monitor import Monitor
from exporter.cli import program
from exporter.lib import logs


def test_our_own_errors_never_use_the_codes_of_a_verdict(cli: CommandLine) -> None:
    assert cli("check", "--no-such-option").returncode == 64
    assert cli("no-such-command").returncode == 64
    assert cli(with_config=False).returncode == 64
    assert "there is no command named 'checkq'; did you mean 'check'?" in cli("checkq").stderr
    unknown = cli("check", "--target", "vps")
    assert (unknown.returncode, "there is no target named 'vps'; known: home" in unknown.stderr) == (64, True)
    cli.config.write_text("{intervall: '5m'}")
    bad = cli("check")
    assert (bad.returncode, bad.stdout) == (78, "")
    assert bad.stderr == f"{cli.config}: intervall: unknown key; did you mean 'interval'?\n"
    assert cli("check", "--config", "", with_config=False).returncode == 64


@pytest.mark.parametrize(
    "wrong",
    [
        ["check", "--json", "--quiet"],
        ["textfile", "--output", "openclaw.txt"],
        ["push", "--url", "push.example:9091"],
        ["push", "--url", "http://push.example:port"],
        ["demo", "--listen", "10785"],
        ["deadline", "set", "", "2027-03-01"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_reported_before_any_check(
    cli: CommandLine, wrong: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(*_: object) -> None:
        raise AssertionError("a target was checked")

    monkeypatch.setattr(Monitor, "check", check)
    with pytest.raises(click.UsageError):
        program.cli.main([*wrong, "--config", str(cli.config)], standalone_mode=False)


@pytest.mark.parametrize("error", [ImportError("PLANTED"), RuntimeError("PLANTED")])
def test_an_internal_error_is_70_and_quotes_nothing(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> int:
        raise error

    monkeypatch.setattr(program.cli, "main", fail)
    monkeypatch.setattr(logs, "install", lambda: None)  # pytest has its own hooks
    assert program.run() == 70
    printed = capsys.readouterr().err
    assert printed.startswith(f"Internal error ({type(error).__name__} at test_main.py:")
    assert "PLANTED" not in printed


def test_every_command_takes_the_configuration(cli: CommandLine, capsys: pytest.CaptureFixture[str]) -> None:
    context = click.Context(program.cli)

    def leaves(command: click.Command) -> list[click.Command]:
        if not isinstance(command, click.Group):
            return [command]
        found = [command.get_command(context, name) for name in command.list_commands(context)]
        return [leaf for one in found if one is not None for leaf in leaves(one)]

    found = leaves(program.cli)
    assert len(found) > 20
    assert [leaf.name for leaf in found if not any("--config" in option.opts for option in leaf.params)] == []
    program.cli.main(["--config", str(cli.config), "config", "check"], standalone_mode=False)
    assert capsys.readouterr().out == f"{cli.config}: valid; 1 target (home)\n"


def test_a_reader_that_leaves_changes_no_verdict(cli: CommandLine) -> None:
    cli.paste(DAY / 2)
    assert cli.in_shell("$X check --config $C | true; echo ${PIPESTATUS[0]}") == "2\n"
    assert cli.in_shell("$X explain --config $C | true; echo ${PIPESTATUS[0]}") == "2\n"
    assert cli.in_shell("$X check --config $C 2>&1 >/dev/full; echo $?") == (
        "Error: the result cannot be written: No space left on device\n73\n"
    )
    assert cli.in_shell("$X config schema | true; echo ${PIPESTATUS[0]}") in ("0\n", "141\n")


def test_characters_outside_the_locale_are_escaped(cli: CommandLine) -> None:
    cli.paste(DAY / 2, "anthropic:漢")
    printed = cli.in_shell("PYTHONIOENCODING=latin-1 $X check --line --config $C 2>&1; echo code $?")
    assert printed.startswith("EXPIRING anthropic:\\u6f22 on home")
    assert printed.endswith("\ncode 2\n")
    assert printed.count("\n") == 2
    whole = cli.in_shell("PYTHONIOENCODING=latin-1 $X check --json --config $C")
    assert json.loads(whole)["targets"][0]["agents"][0]["profiles"][0]["id"] == "anthropic:漢"


def imported_by(cli: CommandLine, *words: str) -> set[str]:
    script = f"import sys; from exporter.cli import program; sys.argv = ['x', *{words!r}]\n" + (
        "program.run(); print(*sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env=cli.env)
    return set(ran.stderr.split())


def test_a_command_imports_only_what_it_uses(cli: CommandLine) -> None:
    """A timer starts ``check`` every few minutes, also on small machines."""
    checked = imported_by(cli, "check", "--line", "--config", str(cli.config))
    assert {"exporter.checks.monitor", "exporter.cli.commands.check"} <= checked
    unused = ("exporter.cli.commands", "exporter.alerts", "exporter.daemon", "exporter.metrics", "exporter.web")
    assert {name for name in checked if name.startswith(unused)} == {
        "exporter.cli.commands",
        "exporter.cli.commands.check",
    }
    assert "tzlocal" not in imported_by(cli, "check", "--config", str(cli.config))
    assert not checked & {"apscheduler", "difflib", "httpx", "jinja2", "json5", "prometheus_client", "starlette"}
    helped = imported_by(cli, "--help")
    assert "exporter.cli.commands.serve" in helped
    assert not helped & {"exporter.config", "pydantic"}
