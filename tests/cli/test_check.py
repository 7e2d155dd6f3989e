"""``check``: outputs, exit codes and notifications."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

from command_line import DAY, CommandLine, run, writing

from exporter.simulator.world import Fault, Profile


def test_check_follows_the_three_codes(cli: CommandLine) -> None:
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


def test_line_nagios_quiet_and_table(cli: CommandLine) -> None:
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


def test_a_missing_command_is_a_failed_check(cli: CommandLine) -> None:
    cli.configure(
        {"targets": [{"name": "home", "source": "openclaw", "command": ["/nowhere/openclaw"], "agents": ["main"]}]}
    )
    result = cli("check", "--json")
    assert result.returncode == 1
    (agent,) = json.loads(result.stdout)["targets"][0]["agents"]
    assert agent["error"]["reason"] == "command_not_found"
    assert result.stderr == ""


def test_a_broken_command_is_one_entry_for_all_agents(cli: CommandLine) -> None:
    cli.world.inject(Fault.COMMAND_ERROR)
    cli.save()
    result = cli("check", "--json")
    assert result.returncode == 1
    (agent,) = json.loads(result.stdout)["targets"][0]["agents"]
    assert (agent["id"], agent["error"]["reason"]) == ("*", "command_error")


def test_notify_sends_an_alert_once_and_then_its_end(cli: CommandLine) -> None:
    sent = cli.home / "sent.jsonl"
    script = cli.home / "append.sh"
    script.write_text(f"#!/bin/sh\ncat >> {sent}\necho >> {sent}\n")
    script.chmod(0o755)
    cli.add(channels=[{"name": "script", "type": "command", "command": [str(script)]}])
    cli.paste(-60)
    assert cli("check", "--notify").returncode == 1
    assert cli("check", "--notify").returncode == 1
    cli.paste(90 * DAY)
    assert cli("check", "--notify").returncode == 0
    messages = [json.loads(line) for line in sent.read_text().splitlines() if line]
    assert [[alert["reason"] for alert in message["alerts"]] for message in messages] == [["first"], ["renewed"]]
    assert [alert["condition"] for alert in messages[0]["alerts"]] == ["no_usable_profile"]
    assert messages[0]["alerts"][0]["fingerprint"] == messages[1]["alerts"][0]["fingerprint"]


def test_a_notification_that_is_not_handed_over_is_75_if_nothing_is_wrong(cli: CommandLine) -> None:
    cli.add(channels=[{"name": "script", "type": "command", "command": ["false"]}])
    cli.paste(None)  # an info, which is sent once
    assert cli("check", "--notify", "--quiet").returncode == 75


def test_no_secret_of_any_input_is_printed_or_stored(cli: CommandLine) -> None:
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


def test_sigterm_ends_a_hanging_check_and_its_processes(cli: CommandLine) -> None:
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


def test_an_unscheduled_target_never_notifies(configure: Callable[..., Path], tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    unscheduled = {"name": "cold", "source": "simulated", "scenario": "expired"}

    def reasons() -> list[str]:
        lines = sent.read_text().splitlines() if sent.exists() else []
        return [alert["reason"] for line in lines for alert in json.loads(line)["alerts"]]

    scheduled = configure("healthy", writing(sent), targets=[unscheduled])
    assert run(scheduled, "check", "--notify", "--quiet") == (1, "")
    assert reasons() == ["first"]
    # An alert that fires when its target leaves the schedule is resolved: nobody would see its end.
    config = configure("healthy", writing(sent), targets=[{**unscheduled, "schedule": False}])
    assert run(config, "check", "--notify", "--quiet") == (1, "")
    assert reasons() == ["first", "resolved"]
    assert run(config, "check", "--notify", "--quiet", "--target", "cold") == (1, "")
    assert reasons() == ["first", "resolved"]


def test_people_see_times_in_the_configured_zone_and_programs_in_utc(configure: Callable[..., Path]) -> None:
    config = configure("expiring", timezone="Asia/Tokyo")
    table = run(config, "check", "--all")[1]
    assert " JST" in table
    assert "UTC" not in table
    assert " UTC" not in run(config, "explain")[1]
    ends = json.loads(run(config, "check", "--json")[1])["targets"][0]["agents"][0]["profiles"][0]["expires_at"]
    local = dt.datetime.fromisoformat(ends).astimezone(ZoneInfo("Asia/Tokyo"))
    assert f"{local:%Y-%m-%d %H:%M} JST" in table


def test_without_a_configured_zone_times_are_the_hosts(cli: CommandLine) -> None:
    cli.paste(DAY / 2)
    assert " CET" in cli("check", TZ="Europe/Stockholm").stdout + cli("explain", TZ="Europe/Stockholm").stdout


def test_secret_of_the_environment_is_shown_nowhere(cli: CommandLine) -> None:
    words = "Error: hunter2pw was refused in ~/.openclaw/agents/main/agent/openclaw-agent.sqlite"
    cli.configure(
        {"targets": [{"name": "home", "source": "openclaw", "command": ["sh", "-c", f"echo '{words}' >&2; exit 3"]}]}
    )
    for option in ("--json", "--line", "--nagios"):
        shown = cli("check", option, ACME_API_KEY="hunter2pw")
        assert "hunter2pw" not in shown.stdout + shown.stderr
    assert "~/.openclaw/agents/main/agent/openclaw-agent.sqlite" in cli("check", "--json").stdout


def test_file_system_that_hangs_is_a_failed_check_and_the_command_ends(tmp_path: Path) -> None:
    config = tmp_path / "config.json5"
    target = {"name": "old", "source": "store", "state_dir": str(tmp_path), "timeout": "100ms"}
    config.write_text(json.dumps({"targets": [target], "state_dir": str(tmp_path / "state")}))
    hanging = (
        "import sys, time; from exporter.sources.store import source; from exporter.cli import main; "
        "source.require_readable = lambda _: time.sleep(600); "
        f"sys.argv = ['openclaw-auth-exporter', 'check', '--line', '--config', {str(config)!r}]; main()"
    )
    ended = subprocess.run([sys.executable, "-c", hanging], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (1, "UNKNOWN old/* (timeout)\n")
