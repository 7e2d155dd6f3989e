"""A day of a homelab on a real ntfy, and two daemons with default names that share a topic and an Alertmanager."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from alerts import worlds
from alerts.fake_ntfy import after_polling, while_online
from alerts.test_phone import Plain
from alerts.worlds import DAY, HOUR, MINUTE, NOW, P
from pydantic import SecretStr
from stand_ins import COMMAND

from exporter.alerts.channels import build
from exporter.alerts.channels.ntfy import NtfySender
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.delivery.worker import ChannelWorker
from exporter.alerts.lifecycle import next_event
from exporter.alerts.lifecycle.policy import ChannelPolicy
from exporter.config.channels.ntfy import NtfyChannel
from exporter.model import Report
from exporter.simulator import Profile, World

from .parts import Exporter, OpenClawHome, running, wait_for
from .test_alertmanager import Instance, Receiver, shipped
from .test_ntfy import TOPIC, Ntfy

pytestmark = pytest.mark.real

PROFILE = "anthropic:default"


@pytest.fixture
def ntfy(tmp_path: Path) -> Iterator[Ntfy]:
    with Ntfy("ntfy", tmp_path / "ntfy").running() as server:
        yield server


# --- a day --------------------------------------------------------------------------------------


def homelab(hour: float) -> list[worlds.World]:
    """What there is at an hour of the day. At its end the token at home has expired, and gateway-2 is down."""
    home = P(ends=NOW + 12 * HOUR, secret="home", down="rate_limit" if 1 <= hour < 1.5 else None)
    is_disabled = 7 <= hour < 10
    renewed = P(ends=NOW + 90 * DAY, secret="new" if hour >= 10 else "old", down="auth" if is_disabled else None)
    down = {"gateway-1": 3 <= hour < 4, "gateway-2": hour >= 3}
    return [
        worlds.World({"main": (home,)}),
        *(
            worlds.World(
                {"main": (renewed if name == "gateway-1" else P(ends=NOW + 90 * DAY, secret=name),)},
                target=name,
                failing={"main": NOW + hour * HOUR} if is_down else {},
                check_started_at=NOW + hour * HOUR,
            )
            for name, is_down in down.items()
        ),
    ]


def test_phone_that_was_offline_all_day_shows_exactly_what_holds_at_its_end(ntfy: Ntfy, tmp_path: Path) -> None:
    now = NOW
    outbox = Outbox(tmp_path / "alerts.sqlite", lambda: now)
    config = NtfyChannel(name="phone", type="ntfy", url=SecretStr(ntfy.url), topic=SecretStr(TOPIC))
    channel = build(config, Plain(clock=lambda: now))
    assert isinstance(channel, NtfySender)
    worker = ChannelWorker(outbox, channel, lambda: now)
    life = worlds.Life(
        worlds.policy(
            ChannelPolicy("phone", can_withdraw=True),
            targets=frozenset({"home", "gateway-1", "gateway-2"}),
            group_wait=10.0,
        )
    )
    checks = [NOW + number * 10 * MINUTE for number in range(23 * 6)]
    for now, until in zip(checks, [*checks[1:], checks[-1] + 1], strict=True):
        while True:
            report = Report(now, tuple(world.report(now) for world in homelab((now - NOW) / HOUR)))
            sent = len(life.messages)
            life.sees(report, now)
            outbox.commit(life.states, life.messages[sent:], now)
            assert asyncio.run(worker.flush())
            at = next_event(life.states, report, life.policy, now)
            if at is None or at >= until:
                break
            now = at
    holds = {state.fingerprint for state in life.states.values() if state.firing and not state.inhibited}
    assert len(holds) == 2
    assert len(life.messages) > 8
    events = ntfy.events()
    for phone in (after_polling(events), while_online(events)):
        shown = [alert for event in phone.values() for alert in json.loads(event["message"])]
        assert sorted(f"{number:032x}" for number, _, _ in shown) == sorted(holds)


# --- two hosts ----------------------------------------------------------------------------------

_AT_HOST = (
    "import socket, sys\nname = sys.argv.pop(1)\nsocket.gethostname = lambda: name\n"
    "from exporter.cli import main\nmain()\n"
)


@dataclass(frozen=True)
class Host:
    """A home of the stand-in for ``openclaw``, on a host with a name."""

    name: str
    home: Path

    @property
    def env(self) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": "/usr/bin:/bin"}

    @property
    def command(self) -> str:
        return "openclaw"  # of a target that is not checked

    @property
    def file(self) -> Path:
        return self.home / "world.json"

    def paste(self, expires_in: float) -> None:
        world = World.load(self.file) if self.file.exists() else World()
        if not self.file.exists():
            world.add(Profile(PROFILE, "anthropic", "token", time.time() - HOUR))
        else:
            world.paste_token(PROFILE, expires_in, time.time())
        world.save(self.file)


class Daemon(Exporter):
    """The exporter of a host, with the default names of exporter and target."""

    def __init__(self, host: Host, url: str, alertmanager: str) -> None:
        self._host = host.name
        command = [*COMMAND, "--world", str(host.file), "openclaw"]
        super().__init__(
            cast(OpenClawHome, host),
            host.home / "exporter",
            targets=[{"name": "local", "source": "openclaw", "command": command, "agents": ["main"], "interval": "3s"}],
            alerts={"group_wait": "1s"},
            channels=[
                {"name": "phone", "type": "ntfy", "url": url, "topic": TOPIC},
                {"name": "am", "type": "alertmanager", "urls": [alertmanager]},
            ],
        )

    def _argv(self, *args: str) -> list[str]:
        return [sys.executable, "-c", _AT_HOST, self._host, *args, "--config", str(self.config_file)]


def test_renewal_on_one_host_leaves_the_alerts_of_another_alone(ntfy: Ntfy, tmp_path: Path) -> None:
    receiver = Receiver()
    hosts = [Host(name, tmp_path / name) for name in ("alpha", "beta")]
    with ExitStack() as stack:
        webhook = stack.enter_context(receiver.listening())
        instance = Instance(tmp_path / "alertmanager", webhook, text=shipped(webhook))
        stack.callback(instance.end)
        instance.wait_until_ready(0)
        for host in hosts:
            host.home.mkdir()
            host.paste(-HOUR)
            stack.enter_context(running(Daemon(host, ntfy.url, instance.url)))

        def exporters() -> list[str]:
            """The exporters whose alerts Alertmanager notifies of."""
            found = instance.get("/api/v2/alerts?active=true&inhibited=false")
            return [alert["labels"]["exporter"] for alert in found]

        wait_for("both alerts on the phone", lambda: len(ntfy.titles()) == 2, 60)
        before = ntfy.titles()
        assert before == ["No anthropic credential works on alpha", "No anthropic credential works on beta"]
        wait_for("both alerts at Alertmanager", lambda: sorted(exporters()) == ["alpha", "beta"], 60)
        # Both alerts are of one group: one notification if they came together, otherwise a second one that has both.
        wait_for("a notification of both", lambda: [number for _, number, _ in receiver.notifications][-1:] == [2], 60)
        notified = len(receiver.notifications)

        hosts[0].paste(90 * DAY)
        wait_for("one alert at Alertmanager", lambda: exporters() == ["beta"], 60)
        wait_for("its end", lambda: "resolved" in [status for status, _, _ in receiver.received], 60)
        wait_for("its end on the phone", lambda: sum("until" in title for title in ntfy.titles()) == 1, 60)
        renewed, kept = sorted(ntfy.titles(), key=lambda title: "beta" in title)
        assert renewed.startswith("anthropic works again until ")
        assert kept in before

        time.sleep(65)  # until both have published again
        assert exporters() == ["beta"]
        assert [place for place, _, _ in receiver.notifications] == ["phone"] * (notified + 1)
        assert sum(event["event"] == "message" for event in ntfy.events()) == 3
