"""The commands about notifications, in this process over a simulated target: what they say, and of whose state."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from exporter.cli import cli, notifications
from exporter.config import load

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., Path]:
    def write(scenario: str, *channels: dict[str, Any], **rest: Any) -> Path:
        path = tmp_path / "config.json5"
        target = {"name": "home", "source": "simulated", "scenario": scenario}
        made = {"targets": [target], "channels": channels, "state_dir": str(tmp_path / "state"), **rest}
        path.write_text(json.dumps(made))
        return path

    return write


def run(config: Path, *words: str) -> tuple[int, str]:
    """The exit code and all that was printed."""
    result = CliRunner().invoke(cli, [*words, "--config", str(config)], standalone_mode=False)
    if isinstance(result.exception, click.UsageError):
        return 64, result.exception.format_message()
    assert result.exception is None, result.exception
    return int(result.return_value or 0), result.output


def telling(path: Path, name: str = "script") -> dict[str, Any]:
    """A channel that writes what it is told to a file, a line each."""
    return {"name": name, "type": "command", "command": ["/bin/sh", "-c", f"cat >> {path}"]}


def test_a_mistyped_channel_is_answered_with_the_nearest(configure: Callable[..., Path], tmp_path: Path) -> None:
    config = configure("healthy", telling(tmp_path / "told", "phone"), telling(tmp_path / "told", "team"))
    assert run(config, "notify", "test", "--channel", "phnoe") == (
        64,
        "there is no channel named 'phnoe'; did you mean 'phone'?",
    )
    assert run(config, "notify", "test", "--channel", "x") == (
        64,
        "there is no channel named 'x'; there are phone, team",
    )
    assert run(configure("healthy"), "notify", "test", "--channel", "x")[1].startswith("no channel is configured")


def test_each_channel_is_tested_once_and_reported(configure: Callable[..., Path], tmp_path: Path) -> None:
    told = tmp_path / "told"
    broken = {"name": "broken", "type": "command", "command": ["/bin/false"]}
    config = configure("healthy", telling(told), broken)
    assert run(config, "notify", "test") == (75, "script: delivered\nbroken: FAILED: command_error: exit code 1\n")
    assert run(config, "notify", "test", "--channel", "script", "--channel", "script") == (0, "script: delivered\n")
    messages = [json.loads(line) for line in told.read_text().splitlines()]
    assert [[alert["reason"] for alert in one["alerts"]] for one in messages] == [["test"], ["test"]]


def test_a_tests_links_are_those_the_daemon_knows(configure: Callable[..., Path]) -> None:
    from exporter.alerts.lifecycle import test_message as make_test_message
    from exporter.config import default_state_dir
    from exporter.state.credentials_db import CredentialDatabase
    from exporter.web import links

    config = load(configure("healthy", web={"external_url": "https://status.test/"}))
    alert = make_test_message("phone", 0.0).alerts[0]
    made = notifications._links(config)("acknowledge", alert, "phone")
    assert made is not None
    ledger = CredentialDatabase(default_state_dir(config))
    key = ledger.keyed_hash(links.KEY).encode()
    ledger.close()
    action = links.read(key, made.removeprefix("https://status.test/act/"), 0.0, lambda nonce: False)
    assert (action.fingerprint, action.channel) == (alert.fingerprint, "phone")
    assert notifications._links(load(configure("healthy")))("acknowledge", alert, "phone") is None


def test_explain_says_where_each_alert_stands(configure: Callable[..., Path], tmp_path: Path) -> None:
    config = configure("expired", telling(tmp_path / "told"))
    before = run(config, "explain")[1]
    assert "alert " not in before
    assert not (tmp_path / "state" / "alerts.sqlite").exists()
    assert run(config, "check", "--notify", "--quiet")[0] == 1
    run(config, "silence", "add", "--provider", "anthropic", "--for", "8h")

    lines = run(config, "explain")[1].splitlines()
    expired, down = (line for line in lines if line.startswith("    alert "))
    assert re.fullmatch(
        r"    alert expired \(critical\): not told; told within no_usable_profile; silenced until 20\S+Z", expired
    )
    assert re.fullmatch(
        r"    alert no_usable_profile \(critical\): told on script \d+ s ago \(first, 20\S+Z\); silenced until 20\S+Z; "
        r"again at 20\S+Z",
        down,
    )
    assert lines.index(expired) < lines.index("  beside the profiles") < lines.index(down)


def test_what_is_only_looked_at_when_asked_never_alarms(configure: Callable[..., Path], tmp_path: Path) -> None:
    told = tmp_path / "told"
    asked = {"name": "asked", "source": "simulated", "scenario": "expired"}

    def reasons() -> list[str]:
        lines = told.read_text().splitlines() if told.exists() else []
        return [alert["reason"] for line in lines for alert in json.loads(line)["alerts"]]

    scheduled = configure("healthy", telling(told), targets=[asked])
    assert run(scheduled, "check", "--notify", "--quiet") == (1, "")
    assert reasons() == ["first"]
    # What fires when it is taken off the schedule is over: nobody would see its end.
    config = configure("healthy", telling(told), targets=[{**asked, "schedule": False}])
    assert run(config, "check", "--notify", "--quiet") == (1, "")
    assert reasons() == ["first", "resolved"]
    assert run(config, "check", "--notify", "--quiet", "--target", "asked") == (1, "")
    assert reasons() == ["first", "resolved"]


def test_explain_goes_on_where_the_alert_state_cannot_be_read(configure: Callable[..., Path], tmp_path: Path) -> None:
    config = configure("healthy", telling(tmp_path / "told"))
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "alerts.sqlite").mkdir()
    code, said = run(config, "explain")
    assert code == 0
    assert "Where alerts stand is not known: the alert state in " in said
    assert "home/main" in said


def test_the_forecast_has_proofs_and_says_where_it_is_cut(
    configure: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    config = configure("healthy", telling(told), alerts={"prove_every": "1d", "remind_before": []})
    lines = run(config, "forecast", "--for", "3d12h")[1].splitlines()
    assert [line.split("  ")[1:] for line in lines] == [
        ["script", "test", "All watched and fine: 1 profile on 1 target"]
    ] * len(lines)
    assert len(lines) == 4  # now, and once a day
    monkeypatch.setattr(notifications, "MESSAGES", 2)
    shown = run(config, "forecast", "--for", "3d12h")[1].splitlines()
    assert len(shown) == 3
    assert shown[-1] == "These are the first 2; the rest is cut off: ask for less than 3d12h."

    # What the state knows was told is not told again so soon.
    monkeypatch.undo()
    assert run(config, "check", "--notify", "--quiet") == (0, "")
    assert len(run(config, "forecast", "--for", "3d12h")[1].splitlines()) == 3


def test_the_forecast_has_the_summary_of_what_will_have_come_and_gone(
    configure: Callable[..., Path], tmp_path: Path
) -> None:
    store = tmp_path / "openclaw" / "agents" / "main" / "agent" / "auth-profiles.json"
    store.parent.mkdir(parents=True)
    target = {"name": "home", "source": "store", "state_dir": str(tmp_path / "openclaw")}
    config = configure("", telling(tmp_path / "told"), targets=[target])
    key, gone = ({"type": "api_key", "provider": name, "key": name} for name in ("openai", "groq"))
    store.write_text(json.dumps({"version": 1, "profiles": {"openai:a": key, "groq:b": gone}}))
    run(config, "check", "--quiet")
    store.write_text(json.dumps({"version": 1, "profiles": {"openai:a": key}}))
    run(config, "silence", "add", "--target", "home", "--for", "8d")
    lines = run(config, "forecast", "--for", "30d")[1].splitlines()  # that one vanished is told for a week
    assert [line.split("  ")[1:] for line in lines] == [["script", "summary", "1 alert came and went while held back"]]


def test_what_cannot_be_written_is_a_sentence(
    configure: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure("healthy", telling(tmp_path / "told"))
    silence, told = ("silence", "add", "--target", "home", "--for"), ("deadline", "set", "openai:a", "2020-01-01")
    assert run(config, *silence, "0s") == (64, "--for: '0s' is over at once")
    for words in ((*silence, "1h"), told):
        assert run(config, *words)[0] == 0
    for words, file, method in (
        ((*silence, "1h"), "alert state", "exporter.alerts.delivery.outbox.Outbox.add_silence"),
        (told, "ledger", "exporter.state.credentials_db.CredentialDatabase.set_date"),
    ):
        monkeypatch.setattr(method, refusing(file))
        result = CliRunner().invoke(cli, [*words, "--config", str(config)], standalone_mode=False)
        assert isinstance(result.exception, click.ClickException)
        assert result.exception.format_message() == f"the {file} cannot be written: disk full"


def refusing(file: str) -> Callable[..., None]:
    def refuse(*words: object) -> None:
        from exporter.lib.sqlite import StateError

        raise StateError(f"the {file} cannot be written: disk full")

    return refuse
