"""``silence``: mute alerts for a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import CommandLine, run

from exporter.alerts.delivery.outbox import Outbox
from exporter.lib.sqlite import StateError


def test_silences_are_added_listed_and_removed(cli: CommandLine) -> None:
    added = cli("silence", "add", "--target", "home", "--for", "8h", "--reason", "moving house").stdout
    name = added.split(":")[0]
    assert "target=home until " in added
    assert cli("silence", "list").stdout.endswith("\tmoving house\n")
    assert cli("silence", "remove", name).returncode == 0
    assert cli("silence", "remove", name).returncode == 64
    assert cli("silence", "add", "--for", "8h").returncode == 64
    assert cli("silence", "add", "--condition", "nonsense", "--for", "8h").returncode == 64


def test_an_unknown_condition_is_answered_with_the_nearest_known(configure: Callable[..., Path]) -> None:
    assert run(configure("healthy"), "silence", "add", "--condition", "expird", "--for", "1h") == (
        64,
        "there is no condition named 'expird'; did you mean 'expired'?",
    )


def test_a_silence_of_no_length_is_wrong_usage(configure: Callable[..., Path]) -> None:
    assert run(configure("healthy"), "silence", "add", "--target", "home", "--for", "0s") == (
        64,
        "--for: '0s' must be longer than 0",
    )


def test_an_unwritable_alert_state_is_an_error_sentence(
    configure: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StateError("the alert state cannot be written: disk full")

    words = ("silence", "add", "--target", "home", "--for", "1h")
    assert run(configure("healthy"), *words)[0] == 0
    monkeypatch.setattr(Outbox, "add_silence", refuse)
    assert run(configure("healthy"), *words) == (69, "the alert state cannot be written: disk full")
