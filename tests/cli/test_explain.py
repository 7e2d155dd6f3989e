"""``explain``: evidence for each verdict, and the status of alerts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from command_line import DAY, CommandLine, run, writing


def test_the_evidence_of_a_verdict_is_shown(cli: CommandLine) -> None:
    cli.paste(DAY / 2)
    result = cli("explain", "anthropic:default")
    assert "OpenClaw reports expiring" in result.stdout
    assert "the deadline is within policy.expiring_within" in result.stdout
    assert cli("explain", "anthropic:nobody").returncode == 64
    cli.paste(DAY, "anthropic:\x1b[31mred")
    assert "anthropic:\\x1b[31mred" in cli("explain", "red").stderr


def test_the_status_of_each_alert_is_shown(configure: Callable[..., Path], tmp_path: Path) -> None:
    config = configure("expired", writing(tmp_path / "sent"))
    before = run(config, "explain")[1]
    assert "alert " not in before
    assert not (tmp_path / "state" / "alerts.sqlite").exists()
    assert run(config, "check", "--notify", "--quiet")[0] == 1
    run(config, "silence", "add", "--provider", "anthropic", "--for", "8h")

    lines = run(config, "explain")[1].splitlines()
    expired, down = (line for line in lines if line.startswith("    alert "))
    assert re.fullmatch(
        r"    alert expired \(critical\): not notified; notified as part of no_usable_profile; "
        r"silenced until 20\S+ \S+ UTC",
        expired,
    )
    assert re.fullmatch(
        r"    alert no_usable_profile \(critical\): notified on script \d+ s ago \(first, 20\S+ \S+ UTC\); "
        r"silenced until 20\S+ \S+ UTC; next at 20\S+ \S+ UTC",
        down,
    )
    assert lines.index(expired) < lines.index("  other conditions") < lines.index(down)


def test_an_unreadable_alert_state_does_not_stop_it(configure: Callable[..., Path], tmp_path: Path) -> None:
    config = configure("healthy", writing(tmp_path / "sent"))
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "alerts.sqlite").mkdir()
    code, printed = run(config, "explain")
    assert code == 0
    assert "The status of alerts is unknown: the alert state " in printed
    assert "home/main" in printed
