"""``forecast``: notifications to come."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import DAY, CommandLine, run, writing

from exporter.cli.commands import forecast


def test_every_step_before_a_deadline_is_listed(cli: CommandLine) -> None:
    cli.paste(20 * DAY)
    lines = cli("forecast", "--for", "21d").stdout.splitlines()
    reasons = [line.split("  ")[2] for line in lines]
    assert reasons[:6] == ["first", "reminder", "reminder", "escalated", "reminder", "reminder"]
    assert "anthropic" in lines[0]


def test_test_notifications_are_listed_and_a_long_list_is_cut(
    configure: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = tmp_path / "sent"
    config = configure("healthy", writing(sent), alerts={"prove_every": "1d", "remind_before": []})
    lines = run(config, "forecast", "--for", "3d12h")[1].splitlines()
    assert [line.split("  ")[1:] for line in lines] == [["script", "test", "All is well: 1 profile on 1 target"]] * len(
        lines
    )
    assert len(lines) == 4  # now, and once a day
    monkeypatch.setattr(forecast, "MAX_MESSAGES", 2)
    shown = run(config, "forecast", "--for", "3d12h")[1].splitlines()
    assert len(shown) == 3
    assert shown[-1] == "Only the first 2 notifications are shown. Use a shorter --for."

    # A test notification that the state knows of is not due again so soon.
    monkeypatch.undo()
    assert run(config, "check", "--notify", "--quiet") == (0, "")
    assert len(run(config, "forecast", "--for", "3d12h")[1].splitlines()) == 3


def test_the_summary_of_suppressed_alerts_is_listed(configure: Callable[..., Path], tmp_path: Path) -> None:
    store = tmp_path / "openclaw" / "agents" / "main" / "agent" / "auth-profiles.json"
    store.parent.mkdir(parents=True)
    target = {"name": "home", "source": "store", "state_dir": str(tmp_path / "openclaw")}
    config = configure("", writing(tmp_path / "sent"), targets=[target])
    key, gone = ({"type": "api_key", "provider": name, "key": name} for name in ("openai", "groq"))
    store.write_text(json.dumps({"version": 1, "profiles": {"openai:a": key, "groq:b": gone}}))
    run(config, "check", "--quiet")
    store.write_text(json.dumps({"version": 1, "profiles": {"openai:a": key}}))
    run(config, "silence", "add", "--target", "home", "--for", "8d")
    lines = run(config, "forecast", "--for", "30d")[1].splitlines()  # `vanished` lasts a week
    assert [line.split("  ")[1:] for line in lines] == [
        ["script", "summary", "1 alert fired and resolved while suppressed"]
    ]
