"""What happens to the credential of a real OpenClaw, one thing after another, and what people are told of it."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from alerts.fake_ntfy import after_polling

from . import checked_daemon
from .conftest import MakeHome, need
from .desk import recording_channel
from .parts import CURRENT, TOKEN_PREFIX, Exporter, OpenClawHome, running, wait_for
from .test_ntfy import TOPIC, Ntfy

pytestmark = pytest.mark.real

PROFILE, WEB_TOKEN = "anthropic:default", "w" * 40
#: Seconds within which a check ends on a busy machine.
PATIENCE = 60.0


def secret(letter: str) -> str:
    return TOKEN_PREFIX + letter * 80


class CheckedExporter(Exporter):
    """Its daemon has the invariant checker in it."""

    def _argv(self, *args: str) -> list[str]:
        program = Path(checked_daemon.__file__)
        return [sys.executable, str(program), *args, "--config", str(self.config_file)]

    def believed(self) -> int:
        """How many messages could be believed; each of them must."""
        lines = self.log.read_text().splitlines()
        assert [line for line in lines if checked_daemon.MARK in line] == []
        return sum(checked_daemon.CHECKED in line for line in lines)


@dataclass
class Story:
    """A home, the exporter that watches it, a channel that records, and a phone."""

    world: OpenClawHome
    exporter: CheckedExporter
    recorded: Path
    ntfy: Ntfy
    told: list[str] = field(default_factory=list)

    def messages(self) -> list[dict[str, Any]]:
        lines = self.recorded.read_text().splitlines() if self.recorded.exists() else []
        return [json.loads(line) for line in lines if line]

    def received(self) -> list[str]:
        """A line for each alert that the channel was sent."""
        return [_line(alert) for message in self.messages() for alert in message["alerts"]]

    def then(self, *lines: str) -> None:
        """Check, and wait until the channel was sent exactly ``lines`` of what changed."""
        self.told += lines
        self.check()
        wait_for(f"{self.told}, not {self.received()}", lambda: self.received() == self.told, 30)
        wait_for("all to be sent", self._is_told, 60)
        assert self.received() == self.told
        ids = [message["id"] for message in self.messages()]
        assert len(set(ids)) == len(ids)
        assert self.exporter.believed() >= len(ids)

    def check(self) -> None:
        """Check everything, and let the exporter think about it."""
        headers = {"Authorization": f"Bearer {WEB_TOKEN}"}
        answer = httpx.post(f"{self.exporter.url}/api/v1/check", headers=headers, timeout=PATIENCE, trust_env=False)
        assert answer.status_code == 200, answer.text
        time.sleep(3)

    def holds(self, *titles: str) -> None:
        """Check that a phone that was offline until now shows problems with exactly these titles, and maybe ends."""
        events = after_polling(self.ntfy.events()).values()
        shown = sorted(event["title"] for event in events if "white_check_mark" not in event["tags"])
        assert len(shown) == len(titles), shown
        assert all(title.startswith(start) for title, start in zip(shown, titles, strict=True)), shown

    def _is_told(self) -> bool:
        notifications = json.loads(self.exporter.get("/api/v1/status"))["notifications"]
        is_sent = not any(alert["waits"] == "about to be sent" for alert in notifications["alerts"])
        return is_sent and not any(channel["pending"] for channel in notifications["channels"])


def _line(alert: dict[str, Any]) -> str:
    new = f" +{','.join(alert['new_agents'])}" if alert.get("new_agents") else ""
    why = f" {alert['why']}" if alert.get("why") else ""
    about = alert["profile"] or alert["provider"] or alert["target"]
    return f"{alert['reason']}{why} {alert['condition']} {about} at {','.join(sorted(alert['agents']))}{new}"


@pytest.fixture(params=["store", "openclaw"])
def story(request: pytest.FixtureRequest, openclaw: MakeHome, tmp_path: Path) -> Iterator[Story]:
    """The same story by the store alone, and by the command."""
    world, recorded = openclaw(CURRENT), tmp_path / "recorded"
    need("ntfy")
    world.paste_token(PROFILE, "12h", token=secret("A"))
    with ExitStack() as stack:
        ntfy = stack.enter_context(Ntfy("ntfy", tmp_path / "ntfy").running())
        how: dict[str, Any] = {"state_dir": str(world.state)}
        if request.param == "openclaw":
            how = {"command": [str(world.command)], "agents": "all"}
        exporter = CheckedExporter(
            world,
            tmp_path / "exporter",
            targets=[{"name": "home", "source": request.param, **how}],
            alerts={"group_wait": "1s", "confirm_checks": 1, "cooldown_after": "0s"},
            channels=[
                recording_channel(recorded),
                {"name": "phone", "type": "ntfy", "url": ntfy.url, "topic": TOPIC},
            ],
        )
        exporter.config["web"]["token"] = WEB_TOKEN
        exporter.config_file.write_text(json.dumps(exporter.config))
        stack.enter_context(running(exporter))
        yield Story(world, exporter, recorded, ntfy)


def test_each_message_is_true_and_none_is_missing_or_doubled(story: Story) -> None:
    world, exporter = story.world, story.exporter
    story.then("first expiring anthropic:default at main")
    story.holds("anthropic:default expires in 11 h")

    world.add_agent("work")  # which inherits the token
    story.then()
    world.paste_token(PROFILE, "90d", token=secret("B"), agent="work")  # which has its own from now on
    story.then()
    world.set_order(PROFILE)
    story.then()

    now = int(time.time() * 1000)
    refused = {"disabledUntil": now + 6 * 3_600_000, "disabledReason": "auth_permanent", "lastUsed": now}
    world.write_usage({PROFILE: refused})
    story.then("first no_usable_profile anthropic at main,work")
    story.holds("No anthropic credential works on home", "anthropic:default expires in 11 h")

    world.paste_token(PROFILE, "80d", token=secret("C"), agent="main")  # which does not end the disable
    story.then("resolved replaced expiring anthropic:default at main,work")
    story.holds("No anthropic credential works on home")
    world.write_usage({})  # as a login does
    story.then("resolved no_usable_profile anthropic at main,work")
    story.holds()

    world.write_store({})  # of the main agent
    story.then("first missing anthropic at main", "first vanished anthropic:default at main")
    exporter.send(signal.SIGKILL)
    assert exporter.daemon is not None
    exporter.daemon.wait()
    exporter.start()
    story.then()
    story.holds("anthropic has no credential on home/main · 1 more")
    world.paste_token(PROFILE, "70d", token=secret("D"), agent="main")
    story.then("renewed missing anthropic at main", "resolved vanished anthropic:default at main")
    story.holds()
