"""Notifications of the whole program: a pasted token notifies at once, ten thousand expiries are one message."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from faults.servers import BadServer

from .conftest import MakeHome, Serve
from .files import DAY, FilesHome, store_target
from .parts import CURRENT, wait_for

pytestmark = pytest.mark.real

MANY = 10_000


class Notes:
    """A command channel that writes each message to a file named after its id."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        script = f'cat >"{directory}/.$OPENCLAW_AUTH_ALERT_ID" && mv "{directory}/.$OPENCLAW_AUTH_ALERT_ID" '
        script += f'"{directory}/$OPENCLAW_AUTH_ALERT_ID"'
        self.channel = {"name": "notes", "type": "command", "command": ["/bin/sh", "-c", script]}

    def received(self) -> list[dict[str, Any]]:
        """Return the messages, oldest first (their ids sort by time)."""
        return [json.loads(path.read_text()) for path in sorted(self.directory.glob("[0-9A-Z]*"))]

    def times(self) -> list[float]:
        return [path.stat().st_mtime for path in sorted(self.directory.glob("[0-9A-Z]*"))]


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "notes")


def story(messages: list[Any]) -> list[list[tuple[str, str, str]]]:
    """Return reason, condition and severity of each alert, by message."""
    return [
        [(alert["reason"], alert["condition"], alert["severity"]) for alert in message["alerts"]]
        for message in messages
    ]


def test_a_pasted_token_notifies_that_the_alert_is_renewed(
    openclaw: MakeHome, serve: Serve, notes: Notes, capsys: pytest.CaptureFixture[str]
) -> None:
    """With default settings; prints how long a person waits for the notification."""
    world = openclaw(CURRENT)
    world.paste_token("anthropic:default", "12h")
    world.write_store({"anthropic:default": {**world.stored_profiles()["anthropic:default"], "expires": 1}})
    with BadServer() as server:
        hook = {"name": "hook", "type": "webhook", "url": f"{server.url}/hook"}
        exporter = serve(world, channels=[hook, notes.channel])
        expired = [[("first", "no_usable_profile", "critical")]]
        wait_for("the first notification", lambda: len(server.received("hook")) == len(notes.times()) == 1 or None, 120)
        assert story(server.received("hook")) == story(notes.received()) == expired

        world.paste_token("anthropic:default", "365d")
        pasted_at = time.time()
        wait_for(
            "the notification of the recovery",
            lambda: len(server.received("hook")) == len(notes.times()) == 2 or None,
            60,
        )
        took = server.came[-1][2] - pasted_at, notes.times()[-1] - pasted_at
        assert (
            story(server.received("hook")) == story(notes.received()) == [*expired, [("renewed", *expired[0][0][1:])]]
        )
        (alert,) = server.received("hook")[1]["alerts"]
        assert alert["fingerprint"] == server.received("hook")[0]["alerts"][0]["fingerprint"]
        ends = world.stored_profiles()["anthropic:default"]["expires"] / 1000
        assert alert["deadline"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
        assert exporter.value("exit_code", target="home", agent="main") == 0
    with capsys.disabled():
        print(f"\nrecovery notified {took[0]:.1f} s (webhook) and {took[1]:.1f} s (command) after the paste ended")


def test_ten_thousand_profiles_that_expire_at_once_are_one_message_a_channel(
    tmp_path: Path, serve: Serve, notes: Notes, capsys: pytest.CaptureFixture[str]
) -> None:
    world = FilesHome(tmp_path / "files")
    ends = float(int(time.time()) + 30)  # late enough for the first message to arrive before, even on a busy machine
    spare = {"anthropic:spare": time.time() + 300 * DAY}
    world.write_tokens({**{f"anthropic:{number:05}": ends for number in range(MANY)}, **spare})
    with BadServer() as server:
        hook = {"name": "hook", "type": "webhook", "url": f"{server.url}/hook"}
        serve(world, targets=[store_target(world)], channels=[hook, notes.channel], alerts={"group_wait": "0s"})
        wait_for(
            "a message for each deadline", lambda: len(server.received("hook")) == len(notes.times()) == 2 or None, 90
        )
        took = server.came[-1][2] - ends, notes.times()[-1] - ends
        time.sleep(1)  # time for a message that must not arrive
    warned = [("first", "expiring", "warning")] * MANY
    expired = [("escalated", "expired", "warning")] * MANY
    assert story(server.received("hook")) == story(notes.received()) == [warned, expired]
    for message in (*server.received("hook"), *notes.received()):
        assert len({alert["profile"] for alert in message["alerts"]}) == MANY
    with capsys.disabled():
        print(f"\n{MANY} expiries notified {took[0]:.1f} s (webhook) and {took[1]:.1f} s (command) after the deadline")
