"""``deadline``: dates that the user supplies."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from command_line import CommandLine, run

from exporter.cli.program import cli as program
from exporter.lib.sqlite import StateError
from exporter.state.credentials_db import CredentialDatabase


def test_dates_are_recorded_listed_and_cleared(cli: CommandLine) -> None:
    cli.paste(None)
    assert cli("check", "--line").stdout == "OK\n"
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    assert cli("deadline", "set", "anthropic:default", ends).stdout == f"anthropic:default: ends {ends}\n"
    assert cli("check").returncode == 2
    assert cli("deadline", "list").stdout.startswith(f"anthropic:default\tends {ends}\trecorded ")
    assert cli("deadline", "clear", "anthropic:default").returncode == 0
    assert cli("deadline", "clear", "anthropic:default").returncode == 64
    assert cli("check").returncode == 0
    assert cli("deadline", "set", "x", "soon").returncode == 64
    early = cli("deadline", "set", "openai:api", ends)
    assert early.stderr.startswith("No check has seen the profile openai:api yet, only anthropic:default.")
    misspelt = cli("deadline", "clear", "openai:pai")
    assert (misspelt.returncode, misspelt.stderr.splitlines()[-1]) == (
        64,
        "Error: no date is recorded for 'openai:pai'; did you mean 'openai:api'?",
    )
    assert cli("deadline", "clear", "openai:api").returncode == 0
    created = cli("deadline", "set", "anthropic:default", "2020-01-01").stdout
    assert created == "anthropic:default: created 2020-01-01T00:00:00Z, so it ends 2020-12-31T00:00:00Z (365d later)\n"


def test_a_date_is_recorded_by_alias_and_before_the_first_check(cli: CommandLine) -> None:
    cli.paste(None)
    profiles = {"home/main/anthropic:default": {"alias": "mine"}, "anthropic:a": {"alias": "x"}, "b": {"alias": "x"}}
    cli.add(policy={"profiles": profiles})
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    assert cli("deadline", "set", "mine", ends).stdout == f"home/main/anthropic:default: ends {ends}\n"
    assert cli("check").returncode == 2
    # Alerts name a profile by its alias once a check has seen it.
    for place in ("home/main", "home"):
        printed = cli("deadline", "set", f"{place}/mine", ends)
        assert (printed.stdout, printed.stderr) == (f"{place}/anthropic:default: ends {ends}\n", "")
        assert cli("deadline", "clear", f"{place}/mine").returncode == 0
    with pytest.raises(click.UsageError, match="'x' is the alias of anthropic:a and of b: name one of them"):
        program.main(["deadline", "set", "x", ends, "--config", str(cli.config)], standalone_mode=False)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("anthropic:defualt", "anthropic:default"),
        ("default", "anthropic:default"),
        ("hoem/anthropic:default", "home/anthropic:default"),
        ("home/mainn/anthropic:default", "home/main/anthropic:default"),
        ("privat", "private"),
    ],
)
def test_a_date_for_a_misspelt_profile_is_refused(configure: Callable[..., Path], typed: str, meant: str) -> None:
    config = configure("healthy", policy={"profiles": {"anthropic:default": {"alias": "private"}}})
    assert run(config, "check", "--quiet")[0] == 0
    code, printed = run(config, "deadline", "set", typed, "2020-01-01")
    assert (code, printed) == (
        64,
        f"no check has seen a profile named {typed!r}; did you mean {meant!r}? "
        "If it is new, run `openclaw-auth-exporter check` first",
    )
    assert "No date is recorded" in run(config, "deadline", "list")[1]


def test_an_unwritable_ledger_is_an_error_sentence(
    configure: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StateError("the ledger cannot be written: disk full")

    words = ("deadline", "set", "openai:a", "2020-01-01")
    assert run(configure("healthy"), *words)[0] == 0
    monkeypatch.setattr(CredentialDatabase, "set_date", refuse)
    assert run(configure("healthy"), *words) == (69, "the ledger cannot be written: disk full")


def test_a_ledger_in_memory_is_refused(configure: Callable[..., Path], tmp_path: Path) -> None:
    """A date that would be lost at the end of the command is not recorded."""
    (tmp_path / "state").write_text("")
    code, printed = run(configure("healthy"), "deadline", "set", "openai:a", "2020-01-01")
    assert code == 69
    assert "cannot be used" in printed
