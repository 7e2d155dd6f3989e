"""The command line as its users meet it: outputs, exit codes, and sentences instead of tracebacks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import programs
import pytest
from stand_ins import COMMAND

from exporter import cli as program
from exporter.simulator.world import Fault, World

DAY = 86400.0


class Cli:
    """The installed command over a simulated OpenClaw, with a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.world_file = home / "world.json"
        self.world = World()
        self.config = home / "config.json5"
        command = [*COMMAND, "--world", str(self.world_file), "openclaw"]
        target = {"name": "home", "source": "openclaw", "command": command, "timeout": "20s"}
        self.configure({"targets": [target]})
        self.save()

    def configure(self, made: dict[str, object]) -> None:
        self.config.write_text(json.dumps({**made, "state_dir": str(self.home / "state")}))

    def save(self) -> None:
        self.world.save(self.world_file)

    def paste(self, expires_in: float | None, profile: str = "anthropic:default") -> None:
        self.world.paste_token(profile, expires_in, time.time())
        self.save()

    def __call__(self, *args: str, with_config: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        where = ["--config", str(self.config)] if with_config else []
        return programs.run([*args, *where], {**self.env, **env})

    @property
    def env(self) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}

    def in_shell(self, line: str) -> str:
        """What a shell prints of ``line``, in which ``$X`` is the program and ``$C`` its configuration."""
        names = {"X": f"{sys.executable} -m exporter.cli", "C": str(self.config)}
        run = ["bash", "-c", line]
        return subprocess.run(run, capture_output=True, text=True, timeout=60, env={**self.env, **names}).stdout


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_check_follows_the_three_codes(cli: Cli) -> None:
    assert cli("check").returncode == 1  # no credential
    cli.paste(90 * DAY)
    assert cli("check").returncode == 0
    cli.paste(DAY / 2)
    result = cli("check", "--json")
    assert result.returncode == 2
    report = json.loads(result.stdout)
    assert (report["schema_version"], report["exit_code"]) == (1, 2)
    (agent,) = report["targets"][0]["agents"]
    assert (agent["id"], agent["exit_code"], agent["openclaw_exit_code"], agent["error"]) == ("main", 2, 2, None)
    (profile,) = agent["profiles"]
    assert (profile["status"], profile["basis"], profile["refreshable"]) == ("expiring", "reported", False)
    assert [c["condition"] for c in agent["conditions"]] == ["expiring"]


def test_the_other_outputs(cli: Cli) -> None:
    cli.paste(DAY / 2)
    line = cli("check", "--line")
    assert line.stdout.startswith("EXPIRING anthropic:default on home")
    assert line.stdout.count("\n") == 1
    nagios = cli("check", "--nagios")
    assert (nagios.returncode, nagios.stdout.split(" - ")[0]) == (1, "OPENCLAW_AUTH WARNING")
    quiet = cli("check", "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (2, "", "")
    table = cli("check")
    assert "anthropic:default" in table.stdout
    assert "claude setup-token" in table.stdout


def test_a_command_that_is_not_there(cli: Cli) -> None:
    cli.configure(
        {"targets": [{"name": "home", "source": "openclaw", "command": ["/nowhere/openclaw"], "agents": ["main"]}]}
    )
    result = cli("check", "--json")
    assert result.returncode == 1
    (agent,) = json.loads(result.stdout)["targets"][0]["agents"]
    assert agent["error"]["reason"] == "command_not_found"
    assert result.stderr == ""


def test_a_broken_command_is_one_entry_for_all_agents(cli: Cli) -> None:
    cli.world.inject(Fault.COMMAND_ERROR)
    cli.save()
    result = cli("check", "--json")
    assert result.returncode == 1
    (agent,) = json.loads(result.stdout)["targets"][0]["agents"]
    assert (agent["id"], agent["error"]["reason"]) == ("*", "command_error")


def test_own_errors_have_codes_of_their_own(cli: Cli) -> None:
    assert cli("check", "--no-such-option").returncode == 64
    assert cli("no-such-command").returncode == 64
    assert cli(with_config=False).returncode == 64
    unknown = cli("check", "--target", "vps")
    assert (unknown.returncode, "there is no target named 'vps'; there are home" in unknown.stderr) == (64, True)
    cli.config.write_text("{intervall: '5m'}")
    bad = cli("check")
    assert (bad.returncode, bad.stdout) == (78, "")
    assert bad.stderr == f"{cli.config}: intervall: unknown key; did you mean 'interval'?\n"
    assert cli("config", "check").returncode == 78
    cli.configure({"web": {"listen": "127.0.0.1:0", "tls": {"cert_file": "/nowhere.pem", "key_file": "/nowhere.key"}}})
    no_certificate = cli("serve")
    assert (no_certificate.returncode, no_certificate.stdout) == (78, "")
    assert no_certificate.stderr.endswith("web.tls: /nowhere.pem cannot be read: No such file or directory\n")
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
def test_wrong_usage_is_told_before_anything_is_looked_at(
    cli: Cli, wrong: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(*_: object) -> None:
        raise AssertionError("it looked")

    monkeypatch.setattr(program, "check_with", check)
    with pytest.raises(click.UsageError):
        program.cli.main([*wrong, "--config", str(cli.config)], standalone_mode=False)


@pytest.mark.parametrize("error", [ImportError("PLANTED"), RuntimeError("PLANTED")])
def test_an_error_of_ours_is_70_and_quotes_nothing(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> int:
        raise error

    monkeypatch.setattr(program, "_main", fail)  # which imports what it needs
    with pytest.raises(SystemExit) as caught:
        program.main()
    assert caught.value.code == 70
    told = capsys.readouterr().err
    assert told.startswith(f"Error of the exporter's own: {type(error).__name__} at test_cli.py:")
    assert "PLANTED" not in told


def test_every_command_takes_the_configuration(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    def leaves(command: click.Command) -> list[click.Command]:
        if not isinstance(command, click.Group):
            return [command]
        return [leaf for one in command.commands.values() for leaf in leaves(one)]

    found = leaves(program.cli)
    assert len(found) > 20
    assert [leaf.name for leaf in found if not any("--config" in option.opts for option in leaf.params)] == []
    program.cli.main(["--config", str(cli.config), "config", "check"], standalone_mode=False)
    assert capsys.readouterr().out == f"{cli.config}: good; 1 target (home)\n"


def test_a_reader_that_leaves_changes_no_verdict(cli: Cli) -> None:
    cli.paste(DAY / 2)
    assert cli.in_shell("$X check --config $C | true; echo ${PIPESTATUS[0]}") == "2\n"
    assert cli.in_shell("$X explain --config $C | true; echo ${PIPESTATUS[0]}") == "2\n"
    assert cli.in_shell("$X check --config $C 2>&1 >/dev/full; echo $?") == (
        "Error: the result cannot be written: No space left on device\n70\n"
    )
    assert cli.in_shell("$X config schema | true; echo ${PIPESTATUS[0]}") in ("0\n", "141\n")


def test_what_a_locale_cannot_show_is_shown_as_an_escape(cli: Cli) -> None:
    cli.paste(DAY / 2, "anthropic:漢")
    told = cli.in_shell("PYTHONIOENCODING=latin-1 $X check --line --config $C 2>&1; echo code $?")
    assert told.startswith("EXPIRING anthropic:\\u6f22 on home")
    assert told.endswith("\ncode 2\n")
    assert told.count("\n") == 2
    whole = cli.in_shell("PYTHONIOENCODING=latin-1 $X check --json --config $C")
    assert json.loads(whole)["targets"][0]["agents"][0]["profiles"][0]["id"] == "anthropic:漢"


def test_config_commands(cli: Cli) -> None:
    assert cli("config", "check").stdout == f"{cli.config}: good; 1 target (home)\n"
    assert json.loads(cli("config", "show").stdout)["interval"] == "5m"
    assert json.loads(cli("config", "schema", with_config=False).stdout)["type"] == "object"


def test_deadlines_are_told_listed_and_cleared(cli: Cli) -> None:
    cli.paste(None)
    assert cli("check", "--line").stdout == "OK\n"
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    assert cli("deadline", "set", "anthropic:default", ends).stdout == f"anthropic:default: ends {ends}\n"
    assert cli("check").returncode == 2
    assert cli("deadline", "list").stdout.startswith(f"anthropic:default\tends {ends}\ttold ")
    assert cli("deadline", "clear", "anthropic:default").returncode == 0
    assert cli("deadline", "clear", "anthropic:default").returncode == 64
    assert cli("check").returncode == 0
    assert cli("deadline", "set", "x", "soon").returncode == 64
    typo = cli("deadline", "set", "anthropic:defualt", ends)
    assert typo.stderr.startswith("No profile of that name was seen yet, only anthropic:default")
    assert cli("deadline", "clear", "anthropic:defualt").returncode == 0
    made = cli("deadline", "set", "anthropic:default", "2020-01-01").stdout
    assert made == "anthropic:default: made 2020-01-01T00:00:00Z, so it ends 2020-12-31T00:00:00Z (365d later)\n"


def test_a_deadline_is_told_by_alias_and_before_the_first_look(cli: Cli) -> None:
    cli.paste(None)
    made = json.loads(cli.config.read_text())
    named = {"home/main/anthropic:default": {"alias": "mine"}, "anthropic:a": {"alias": "x"}, "b": {"alias": "x"}}
    cli.configure({**made, "policy": {"profiles": named}})
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    assert cli("deadline", "set", "mine", ends).stdout == f"home/main/anthropic:default: ends {ends}\n"
    assert cli("check").returncode == 2
    # As an alert spells it, once it has been seen.
    for place in ("home/main", "home"):
        said = cli("deadline", "set", f"{place}/mine", ends)
        assert (said.stdout, said.stderr) == (f"{place}/anthropic:default: ends {ends}\n", "")
        assert cli("deadline", "clear", f"{place}/mine").returncode == 0
    with pytest.raises(click.UsageError, match="'x' is the alias of anthropic:a and of b: name one of them"):
        program.cli.main(["deadline", "set", "x", ends, "--config", str(cli.config)], standalone_mode=False)


def test_explain_says_what_the_verdict_rests_on(cli: Cli) -> None:
    cli.paste(DAY / 2)
    result = cli("explain", "anthropic:default")
    assert "OpenClaw reports expiring" in result.stdout
    assert "the deadline is within policy.expiring_within" in result.stdout
    assert cli("explain", "anthropic:nobody").returncode == 64
    cli.paste(DAY, "anthropic:\x1b[31mred")
    assert "anthropic:\\x1b[31mred" in cli("explain", "anthropic:nobody").stderr


def test_textfile_is_replaced_whole(cli: Cli) -> None:
    cli.paste(90 * DAY)
    output = cli.home / "openclaw.prom"
    output.write_text("old")
    assert cli("textfile", "--output", str(output)).returncode == 0
    text = output.read_text()
    assert "openclaw_auth_profile_expiry_timestamp_seconds" in text
    assert "_total" not in text
    assert sorted(path.name for path in cli.home.iterdir()) == ["config.json5", "openclaw.prom", "state", "world.json"]
    assert output.stat().st_mode & 0o777 == 0o644
    assert cli("textfile", "--output", str(cli.home / "none" / "x.prom")).returncode == 70


def test_check_notify_tells_once_and_tells_the_end(cli: Cli) -> None:
    told = cli.home / "told.jsonl"
    script = cli.home / "tell.sh"
    script.write_text(f"#!/bin/sh\ncat >> {told}\necho >> {told}\n")
    script.chmod(0o755)
    made = json.loads(cli.config.read_text())
    cli.configure({**made, "channels": [{"name": "script", "type": "command", "command": [str(script)]}]})
    cli.paste(-60)
    assert cli("check", "--notify").returncode == 1
    assert cli("check", "--notify").returncode == 1
    cli.paste(90 * DAY)
    assert cli("check", "--notify").returncode == 0
    messages = [json.loads(line) for line in told.read_text().splitlines() if line]
    assert [[alert["reason"] for alert in message["alerts"]] for message in messages] == [["first"], ["renewed"]]
    assert [alert["condition"] for alert in messages[0]["alerts"]] == ["no_usable_profile"]
    assert messages[0]["alerts"][0]["fingerprint"] == messages[1]["alerts"][0]["fingerprint"]


def test_what_cannot_be_handed_over_is_75_where_nothing_is_wrong(cli: Cli) -> None:
    made = json.loads(cli.config.read_text())
    cli.configure({**made, "channels": [{"name": "script", "type": "command", "command": ["false"]}]})
    cli.paste(None)  # an info, told once
    assert cli("check", "--notify", "--quiet").returncode == 75
    assert cli("notify", "test").returncode == 75
    assert cli("notify", "test", "--channel", "nobody").returncode == 64


def test_silences_are_added_listed_and_removed(cli: Cli) -> None:
    added = cli("silence", "add", "--target", "home", "--for", "8h", "--reason", "moving house").stdout
    name = added.split(":")[0]
    assert "target=home until " in added
    assert cli("silence", "list").stdout.endswith("\tmoving house\n")
    assert cli("silence", "remove", name).returncode == 0
    assert cli("silence", "remove", name).returncode == 64
    assert cli("silence", "add", "--for", "8h").returncode == 64
    assert cli("silence", "add", "--condition", "nonsense", "--for", "8h").returncode == 64


def test_the_forecast_tells_every_step(cli: Cli) -> None:
    cli.paste(20 * DAY)
    lines = cli("forecast", "--for", "21d").stdout.splitlines()
    reasons = [line.split("  ")[2] for line in lines]
    assert reasons[:6] == ["first", "reminder", "reminder", "escalated", "reminder", "reminder"]
    assert "anthropic" in lines[0]


def test_no_secret_of_any_input_comes_out(cli: Cli) -> None:
    from exporter.simulator.world import Profile

    secret = "PLANTEDPLANTEDPLANTEDPLANTEDPLANTED"
    cli.world.add(Profile("anthropic:default", "anthropic", "token", secret=f"sk-ant-oat01-{secret}"))
    cli.world.add(Profile("anthropic:api", "anthropic", "api_key", secret=f"sk-ant-api03-{secret}"))
    cli.save()
    output = cli.home / "out.prom"
    runs = [
        cli(*command)
        for command in (
            ["check"],
            ["check", "--json"],
            ["check", "--nagios"],
            ["explain"],
            ["textfile", "--output", str(output)],
        )
    ]
    texts = [run.stdout + run.stderr for run in runs] + [output.read_text()]
    texts += [path.read_bytes().decode("latin-1") for path in (cli.home / "state").iterdir()]
    for text in texts:
        assert "PLANTED" not in text


def test_a_hanging_look_ends_with_us(cli: Cli) -> None:
    cli.world.inject(Fault.HANG, 600)
    cli.save()
    process = subprocess.Popen(
        [sys.executable, "-m", "exporter.cli", "check", "--config", str(cli.config)],
        env={"HOME": str(cli.home), "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    children: list[int] = []
    deadline = time.monotonic() + 30
    while not children and time.monotonic() < deadline:
        time.sleep(0.05)
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        children = [int(pid) for pid in listed if b"stand_ins" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert children
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 130
    assert process.communicate()[1] == b""
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
