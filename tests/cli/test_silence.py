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


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        (["--target", "hoem"], "there is no target named 'hoem'; did you mean 'home'?"),
        (["--agent", "mainn"], "there is no agent named 'mainn'; did you mean 'main'?"),
        (["--provider", "antropic"], "there is no provider named 'antropic'; did you mean 'anthropic'?"),
        (["--profile", "anthropic:defualt"], "there is no profile named 'anthropic:defualt'; did you mean"),
        (["--target", "cold", "--profile", "private"], "no profile has target 'cold' and profile 'private'"),
    ],
)
def test_a_silence_that_matches_nothing_is_made_with_a_warning(
    configure: Callable[..., Path], filters: list[str], reason: str
) -> None:
    targets = [
        {"name": "home", "source": "simulated", "scenario": "healthy"},
        {"name": "cold", "source": "simulated", "scenario": "expired"},
    ]
    profiles = {"home/main/anthropic:default": {"alias": "private"}}
    config = configure("healthy", targets=targets, policy={"profiles": profiles})
    assert run(config, "check", "--quiet")[0] == 1
    code, printed = run(config, "silence", "add", *filters, "--for", "1h")
    assert code == 0
    assert f"warning: it matches nothing now: {reason}" in printed
    assert filters[1] in run(config, "silence", "list")[1]


@pytest.mark.parametrize(
    "filters",
    [
        ["--target", "home"],
        ["--agent", "main", "--condition", "expired"],
        ["--target", "home", "--profile", "private"],
        ["--profile", "anthropic:default"],
    ],
    ids=" ".join,
)
def test_a_silence_that_may_match_has_no_warning(configure: Callable[..., Path], filters: list[str]) -> None:
    config = configure("healthy", policy={"profiles": {"anthropic:default": {"alias": "private"}}})
    assert run(config, "check", "--quiet")[0] == 0
    assert "warning" not in run(config, "silence", "add", *filters, "--for", "1h")[1]


def test_before_the_first_check_only_targets_are_known(configure: Callable[..., Path]) -> None:
    config = configure("healthy")
    assert "warning" not in run(config, "silence", "add", "--profile", "anthropic:defualt", "--for", "1h")[1]
    assert "did you mean 'home'" in run(config, "silence", "add", "--target", "hme", "--for", "1h")[1]


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
