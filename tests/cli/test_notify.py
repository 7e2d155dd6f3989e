"""``notify test``: one real test notification per channel."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from command_line import run, writing

from exporter.alerts.lifecycle import test_message as make_test_message
from exporter.cli.commands.notify import button_links
from exporter.config import load
from exporter.state.credentials_db import CredentialDatabase
from exporter.web import links


def test_an_unknown_channel_is_answered_with_the_nearest_known(configure: Callable[..., Path], tmp_path: Path) -> None:
    config = configure("healthy", writing(tmp_path / "sent", "phone"), writing(tmp_path / "sent", "team"))
    assert run(config, "notify", "test", "--channel", "phnoe") == (
        64,
        "there is no channel named 'phnoe'; did you mean 'phone'?",
    )
    assert run(config, "notify", "test", "--channel", "x") == (
        64,
        "there is no channel named 'x'; known: phone, team",
    )
    assert run(configure("healthy"), "notify", "test", "--channel", "x")[1].startswith("no channel is configured")


def test_each_channel_is_tested_once_and_reported(configure: Callable[..., Path], tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    broken = {"name": "broken", "type": "command", "command": ["/bin/false"]}
    config = configure("healthy", writing(sent), broken)
    assert run(config, "notify", "test") == (75, "script: delivered\nbroken: FAILED: command_error: exit code 1\n")
    assert run(config, "notify", "test", "--channel", "script", "--channel", "script") == (0, "script: delivered\n")
    messages = [json.loads(line) for line in sent.read_text().splitlines()]
    assert [[alert["reason"] for alert in message["alerts"]] for message in messages] == [["test"], ["test"]]


def test_the_links_of_a_test_are_valid_at_the_daemon(configure: Callable[..., Path]) -> None:
    config = load(configure("healthy", web={"external_url": "https://status.test/"}))
    alert = make_test_message("phone", 0.0, "").alerts[0]
    made = button_links(config)("acknowledge", alert, "phone")
    assert made is not None
    ledger = CredentialDatabase(config.state_directory())
    key = ledger.keyed_hash(links.KEY).encode()
    ledger.close()
    action = links.read(key, made.removeprefix("https://status.test/act/"), 0.0, lambda nonce: False)
    assert (action.fingerprint, action.channel) == (alert.fingerprint, "phone")
    assert button_links(load(configure("healthy")))("acknowledge", alert, "phone") is None
