"""Termux: one notification per alert, its priority, its buttons, and what helps without the app."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from exporter.alerts.channels import ChannelContext, PermanentError, ReplacesNotifications, TemporaryError, build
from exporter.alerts.channels.termux import MAX_BODY, TermuxSender
from exporter.alerts.values import Alert, NotificationReason
from exporter.config.channels.termux import TermuxChannel
from exporter.model import ConditionName, Severity

from .messages import (
    FINGERPRINT,
    ID,
    NOW,
    SECRET,
    alert,
    ended,
    lines_of_a_crowd,
    other,
    outgoing,
    program,
)

STANDIN = Path(__file__).parents[1] / "termux/standin.py"


class Phone:
    """A folder with the strict stand-in of ``termux-notification``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        text = f"#!{sys.executable} -SsE\n{STANDIN.read_text()}"
        self.command = program(root / "bin/termux-notification", text)
        program(root / "bin/termux-notification-remove", text)

    def channel(self, timeout: float = 60.0, **context: Any) -> TermuxSender:
        config = TermuxChannel(name="handset", type="termux")
        environment = {"PATH": str(self.root / "bin"), "TERMUX_PHONE": str(self.root)}
        made = ChannelContext(clock=lambda: NOW, environment=environment, **context)
        assert isinstance(build(config, made), TermuxSender)
        return TermuxSender(config, made, timeout)

    @property
    def calls(self) -> list[dict[str, Any]]:
        calls = [json.loads(line) for line in (self.root / "calls.jsonl").read_text().splitlines()]
        assert not [call for call in calls if "refused" in call]
        return calls

    @property
    def shown(self) -> list[dict[str, str]]:
        """The options of each call."""
        return [dict(zip(call["argv"][::2], call["argv"][1::2], strict=True)) for call in self.calls]


@pytest.fixture
def phone(tmp_path: Path) -> Phone:
    return Phone(tmp_path)


async def test_message_is_shown(phone: Phone) -> None:
    await phone.channel().send(outgoing())
    (shown,) = phone.shown
    body = shown.pop("-c")
    assert shown == {
        "-i": f"openclaw-auth-{FINGERPRINT}",
        "-t": "anthropic:default has expired on home",
        "--priority": "max",
        "--group": "openclaw-auth-exporter",
    }
    assert "claude setup-token" in body


async def test_alert_keeps_its_notification_and_a_group_has_its_own(phone: Phone) -> None:
    handset = phone.channel()
    for message in (outgoing(), outgoing(ended(), id="01JD0000000000000000000001"), outgoing(other(1), other(2))):
        await handset.send(message)
    assert [one["-i"] for one in phone.shown] == [
        f"openclaw-auth-{FINGERPRINT}",
        f"openclaw-auth-{FINGERPRINT}",
        f"openclaw-auth-{ID}",
    ]


async def test_notification_is_shown_again_without_a_sound_and_withdrawn(phone: Phone) -> None:
    handset = phone.channel()
    assert isinstance(handset, ReplacesNotifications)
    await handset.show(ID, outgoing(other(1), other(2)).message, quietly=True)
    await handset.withdraw(ID)
    shown, removed = phone.calls
    assert shown["argv"][-1] == "--alert-once"
    assert shown["argv"][shown["argv"].index("--priority") + 1] == "low"
    assert (removed["name"], removed["argv"]) == ("termux-notification-remove", [f"openclaw-auth-{ID}"])


async def test_priorities(phone: Phone) -> None:
    handset = phone.channel()
    for about in (
        alert(),
        alert(severity=Severity.WARNING, condition=ConditionName.EXPIRING),
        alert(severity=Severity.INFO),
        ended(),
        alert(reason=NotificationReason.TEST),
    ):
        await handset.send(outgoing(about))
    assert [one["--priority"] for one in phone.shown] == ["max", "high", "default", "low", "default"]


async def test_buttons_open_links(phone: Phone) -> None:
    def links(action: str, about: Alert, channel: str) -> str:
        return f"https://status.test/{action}?a='b'&c"

    handset = phone.channel(links=links, external_url="https://status.test/")
    await handset.send(outgoing())
    await handset.send(outgoing(ended()))
    first, over = phone.shown
    assert first["--action"] == "termux-open-url https://status.test/"
    assert [first[f"--button{n}"] for n in (1, 2, 3)] == ["Renew", "Acknowledge", "Silence"]
    # A shell reads this as one word.
    assert first["--button2-action"] == """termux-open-url 'https://status.test/acknowledge?a='"'"'b'"'"'&c'"""
    assert not [name for name in over if name.startswith("--button")]


async def test_long_body_is_cut_and_texts_are_not_flags(phone: Phone) -> None:
    await phone.channel().send(outgoing(alert(summary="-c", profile="-ongoing", remedy=("x" * 1900,) * 3)))
    (shown,) = phone.shown
    assert shown["-t"].startswith("-ongoing")
    assert len(shown["-c"]) <= MAX_BODY


async def test_nothing_is_cut_inside_a_name(phone: Phone) -> None:
    crowd, lines = lines_of_a_crowd()
    await phone.channel().send(crowd)
    body = phone.shown[0]["-c"]
    *shown, last = body.splitlines()
    assert MAX_BODY - 400 < len(body) <= MAX_BODY
    assert set(shown) <= lines
    assert last.startswith("… and ")


async def test_missing_termux_is_permanent(phone: Phone) -> None:
    phone.command.unlink()
    with pytest.raises(PermanentError) as caught:
        await phone.channel().send(outgoing())
    assert caught.value.reason == "command_not_found"
    assert "pkg install termux-api" in caught.value.message


async def test_missing_app_is_a_timeout(phone: Phone) -> None:
    program(phone.command, "#!/bin/sh\nexec /bin/sleep 600\n")
    with pytest.raises(TemporaryError) as caught:
        await phone.channel(timeout=0.2).send(outgoing())
    assert caught.value.reason == "timeout"


async def test_failing_command_is_retried(phone: Phone) -> None:
    program(phone.command, f"#!/bin/sh\necho 'no luck token={SECRET}' >&2\nexit 2\n")
    with pytest.raises(TemporaryError) as caught:
        await phone.channel().send(outgoing())
    assert caught.value.message == "`termux-notification` exited with 2: no luck token=<redacted>"
