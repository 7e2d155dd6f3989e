"""The real ``openclaw message send`` of each release accepts our arguments."""

from __future__ import annotations

import json
import time

import pytest

from exporter.alerts.channels import ChannelContext, PermanentError, TemporaryError
from exporter.alerts.channels.openclaw import OpenClawSender
from exporter.alerts.values import Alert, Message, NotificationReason, QueuedMessage
from exporter.config.channels.openclaw import OpenClawChannel
from exporter.model import ConditionName, Family, Severity

from .conftest import MakeHome
from .parts import CURRENT, RELEASES, OpenClawHome

pytestmark = pytest.mark.real

#: A group's id, which begins like a flag.
RECIPIENT = "-1001234567"


def outgoing() -> QueuedMessage:
    """Return a message with everything that a command line could misread."""
    alert = Alert(
        fingerprint="0123",
        reason=NotificationReason.FIRST,
        family=Family.DEADLINE,
        condition=ConditionName.EXPIRED,
        severity=Severity.CRITICAL,
        target="home",
        agents=("main",),
        provider="anthropic",
        profile="--dry-run",
        since=time.time(),
        summary="-- 'one' \"two\" $HOME `id` \\n é 💥",
        remedy=("claude setup-token", "openclaw models auth paste-token --provider anthropic"),
    )
    return QueuedMessage("01JD0000000000000000000000", Message("chat", time.time(), (alert,)))


def channel(world: OpenClawHome, chat: str = "telegram") -> OpenClawSender:
    values = {"name": "chat", "type": "openclaw", "channel": chat, "recipient": RECIPIENT}
    config = OpenClawChannel.model_validate({**values, "command": [str(world.command)]})
    return OpenClawSender(config, ChannelContext(environment=world.env))


@pytest.fixture
def make_home_with_telegram(openclaw: MakeHome) -> MakeHome:
    """Returns a function that makes a home with Telegram configured; its bot token is invented."""

    def make(release: str) -> OpenClawHome:
        world = openclaw(release)
        path = world.state / "openclaw.json"
        config = json.loads(path.read_text())
        config["channels"] = {"telegram": {"enabled": True, "botToken": "123456:" + "A" * 35}}
        config.setdefault("plugins", {})["entries"] = {"telegram": {"enabled": True}}
        path.write_text(json.dumps(config))
        return world

    return make


@pytest.mark.parametrize("release", RELEASES)
def test_our_arguments_are_accepted(make_home_with_telegram: MakeHome, release: str) -> None:
    world = make_home_with_telegram(release)
    command, *arguments = channel(world).arguments(outgoing())
    assert command == str(world.command)
    answer = json.loads(world.run(*arguments, "--dry-run", "--json").stdout)
    assert (answer["action"], answer["channel"], answer["dryRun"]) == ("send", "telegram", True)
    assert answer["payload"]["to"] == f"telegram:{RECIPIENT}"


async def test_a_missing_gateway_is_retried_and_an_unknown_chat_is_not(make_home_with_telegram: MakeHome) -> None:
    world = make_home_with_telegram(CURRENT)
    with pytest.raises(TemporaryError) as caught:
        await channel(world).send(outgoing())
    assert caught.value.reason == "command_error"
    assert RECIPIENT not in str(caught.value)

    with pytest.raises(PermanentError, match="Unknown channel"):
        await channel(world, "telegrem").send(outgoing())
