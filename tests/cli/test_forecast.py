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


def test_what_is_repeated_is_listed_once_with_its_interval(cli: CommandLine) -> None:
    cli.paste(DAY)
    lines = cli("forecast", "--for", "1y").stdout.splitlines()
    assert [line.split("  ")[2] for line in lines][-2:] == ["escalated", "repeat"]
    assert lines[-1].endswith("; then every 6 h until someone acts")
    assert len(lines) < 10


def test_without_a_channel_it_says_so(configure: Callable[..., Path]) -> None:
    config = configure("expired")
    result = run(config, "forecast", "--for", "2d")
    assert "(no channel)  first" in result[1]
    assert "No channel is configured that these notifications could be sent to: add one to `channels`." in result[1]


def test_json_has_every_message(configure: Callable[..., Path], tmp_path: Path) -> None:
    config = configure("expired", writing(tmp_path / "sent"), name="rack7")
    found = json.loads(run(config, "forecast", "--for", "2d", "--json")[1])
    assert found["schema_version"] == 1
    assert [(m["channel"], [a["reason"] for a in m["alerts"]]) for m in found["messages"]] == [
        ("script", ["first"]),
        ("script", ["repeat"]),
    ]
    assert [m["alerts"][0]["repeat_every_seconds"] for m in found["messages"]] == [None, 21600.0]


def test_test_notifications_are_listed_and_a_long_list_is_cut(
    configure: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = tmp_path / "sent"
    config = configure("healthy", writing(sent), alerts={"prove_every": "1d", "remind_before": []})
    lines = run(config, "forecast", "--for", "3d12h")[1].splitlines()
    title = "All is well: 1 profile on 1 target; then every 1 day"
    assert [line.split("  ")[1:] for line in lines] == [["script", "test", title]]
    monkeypatch.setattr(forecast, "MAX_MESSAGES", 0)
    assert run(config, "forecast", "--for", "3d12h")[1] == "Only the first 0 messages are shown. Use a shorter --for.\n"

    # A test notification that the state knows of is not due again so soon.
    monkeypatch.undo()
    assert run(config, "check", "--notify", "--quiet") == (0, "")
    (again,) = run(config, "forecast", "--for", "3d12h")[1].splitlines()
    assert again[:20] > lines[0][:20]


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
    assert [line.split("  ")[1:] for line in lines] == [["script", "summary", "Over: groq:b on home/main was gone"]]
