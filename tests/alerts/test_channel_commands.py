"""The channels that are commands: OpenClaw's own ``message send``, and Termux' notifications."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from exporter.alerts.channels import ChannelContext, PermanentError, TemporaryError, build
from exporter.alerts.channels.openclaw import MAX_TEXT, OpenClawSender
from exporter.alerts.channels.termux import MAX_BODY, TermuxSender
from exporter.alerts.values import Alert, NotificationReason
from exporter.config.channels import OpenClawChannel, TermuxChannel
from exporter.model import ConditionName, Severity

from .messages import FINGERPRINT, ID, NOW, SECRET, alert, ended, other, outgoing

STANDIN = Path(__file__).parents[1] / "termux/standin.py"
RECIPIENT = "-1001234567"


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


# --- openclaw ----------------------------------------------------------------------------------


class FakeOpenClaw:
    """A command that writes down its arguments and ends as it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = program(
            folder / "openclaw",
            f"#!{sys.executable} -SsE\nimport json, os, sys\n"
            "here = os.path.dirname(sys.argv[0])\n"
            "json.dump([sys.argv[1:], dict(os.environ)], open(here + '/called', 'w'))\n"
            "code, out, err = json.load(open(here + '/answer'))\n"
            "sys.stdout.write(out); sys.stderr.write(err); sys.exit(code)\n",
        )
        self.answers(0)

    def answers(self, code: int, stdout: str = "", stderr: str = "") -> None:
        (self.folder / "answer").write_text(json.dumps([code, stdout, stderr]))

    @property
    def called(self) -> tuple[list[str], dict[str, str]]:
        argv, environment = json.loads((self.folder / "called").read_text())
        return argv, environment

    def channel(self, **changes: Any) -> OpenClawSender:
        values = {"name": "chat", "type": "openclaw", "channel": "telegram", "recipient": RECIPIENT}
        config = OpenClawChannel.model_validate({**values, "command": [str(self.command)]})
        context = ChannelContext(clock=lambda: NOW, environment={"PATH": "/usr/bin:/bin", "HOME": "/nowhere"})
        assert isinstance(build(config, context), OpenClawSender)
        return OpenClawSender(config, context, **changes)


@pytest.fixture
def fake(tmp_path: Path) -> FakeOpenClaw:
    return FakeOpenClaw(tmp_path)


async def test_openclaw_is_told_where_and_what(fake: FakeOpenClaw) -> None:
    await fake.channel().send(outgoing())
    argv, environment = fake.called
    assert argv[:-1] == ["message", "send", "--channel", "telegram", "--target", RECIPIENT, "--message"]
    assert argv[-1].startswith("anthropic:default has expired on home\n\n")
    assert "\n  claude setup-token\n" in argv[-1]
    assert environment["NO_COLOR"] == "1"
    assert environment["HOME"] == "/nowhere"


async def test_a_long_text_is_cut(fake: FakeOpenClaw) -> None:
    await fake.channel().send(outgoing(alert(remedy=("a" * 1900, "b" * 1900, "c" * 1900))))
    text = fake.called[0][-1]
    assert len(text) <= MAX_TEXT
    assert text.endswith("b…")


async def test_a_nul_does_not_stop_it(fake: FakeOpenClaw) -> None:
    await fake.channel().send(outgoing(alert(summary="one\0two", target="ho\0me")))
    assert "\0" not in "".join(fake.called[0])


@pytest.mark.parametrize(
    "said",
    [
        # 2026.9.6
        'Unknown channel "telegrem". Run `openclaw channels list --all` to see configured and installable channels.',
        'OpenClaw does not recognize option "--target".\nTry: openclaw message send --help',
        'Missing required option "-t, --target <dest>".\nTry: openclaw message send --help',
        # 2026.2.9
        "\n🦞 a line of the log\nError: Unknown channel: telegram",
        f'Error: Unknown target "{RECIPIENT}" for telegram.',
    ],
)
async def test_what_no_waiting_heals(fake: FakeOpenClaw, said: str) -> None:
    fake.answers(1, stderr=said)
    with pytest.raises(PermanentError) as caught:
        await fake.channel().send(outgoing())
    assert caught.value.reason == "command_error"
    assert caught.value.message.startswith("`openclaw message send` ended with 1: ")
    assert RECIPIENT not in caught.value.message


async def test_what_may_be_over_soon(fake: FakeOpenClaw) -> None:
    fake.answers(1, stderr=f"gateway message.action: connection refused token={SECRET}\nFix: start it\n")
    with pytest.raises(TemporaryError) as caught:
        await fake.channel().send(outgoing())
    assert caught.value.reason == "command_error"
    assert caught.value.message == (
        "`openclaw message send` ended with 1: gateway message.action: connection refused token=<redacted>"
    )


async def test_a_code_without_a_word(fake: FakeOpenClaw) -> None:
    fake.answers(3)
    with pytest.raises(TemporaryError) as caught:
        await fake.channel().send(outgoing())
    assert caught.value.message == "`openclaw message send` ended with 3"


async def test_a_command_that_is_not_there_may_be_back(fake: FakeOpenClaw) -> None:
    made = fake.channel()
    fake.command.unlink()
    with pytest.raises(TemporaryError) as caught:
        await made.send(outgoing())
    assert caught.value.reason == "command_not_found"
    assert str(fake.folder) not in "".join(traceback.format_exception(caught.value))


async def test_a_command_that_hangs(fake: FakeOpenClaw) -> None:
    program(fake.command, "#!/bin/sh\nexec sleep 600\n")
    with pytest.raises(TemporaryError) as caught:
        await fake.channel(timeout=0.2).send(outgoing())
    assert caught.value.reason == "timeout"


# --- termux ------------------------------------------------------------------------------------


class Phone:
    """A folder with the strict stand-in of ``termux-notification``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.command = program(root / "bin/termux-notification", f"#!{sys.executable} -SsE\n{STANDIN.read_text()}")

    def channel(self, timeout: float = 60.0, **context: Any) -> TermuxSender:
        config = TermuxChannel(name="handset", type="termux")
        environment = {"PATH": str(self.root / "bin"), "TERMUX_PHONE": str(self.root)}
        made = ChannelContext(clock=lambda: NOW, environment=environment, **context)
        assert isinstance(build(config, made), TermuxSender)
        return TermuxSender(config, made, timeout)

    @property
    def shown(self) -> list[dict[str, str]]:
        """The options of each call."""
        calls = [json.loads(line) for line in (self.root / "calls.jsonl").read_text().splitlines()]
        assert not [call for call in calls if "refused" in call]
        return [dict(zip(call["argv"][::2], call["argv"][1::2], strict=True)) for call in calls]


@pytest.fixture
def phone(tmp_path: Path) -> Phone:
    return Phone(tmp_path)


async def test_termux_shows_it(phone: Phone) -> None:
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


async def test_an_alert_keeps_its_notification_and_a_group_its_own(phone: Phone) -> None:
    handset = phone.channel()
    for told in (outgoing(), outgoing(ended(), id="01JD0000000000000000000001"), outgoing(other(1), other(2))):
        await handset.send(told)
    assert [one["-i"] for one in phone.shown] == [
        f"openclaw-auth-{FINGERPRINT}",
        f"openclaw-auth-{FINGERPRINT}",
        f"openclaw-auth-{ID}",
    ]


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
    assert (first["--button1"], first["--button2"]) == ("Acknowledge", "Silence")
    # What a fresh `sh -c` makes of it is one word.
    assert first["--button1-action"] == """termux-open-url 'https://status.test/acknowledge?a='"'"'b'"'"'&c'"""
    assert not [name for name in over if name.startswith("--button")]


async def test_a_long_body_is_cut_and_words_are_no_flags(phone: Phone) -> None:
    await phone.channel().send(outgoing(alert(summary="-c", profile="-ongoing", remedy=("x" * 1900,) * 3)))
    (shown,) = phone.shown
    assert shown["-t"].startswith("-ongoing")
    assert len(shown["-c"]) <= MAX_BODY


async def test_without_termux_nothing_helps(phone: Phone) -> None:
    phone.command.unlink()
    with pytest.raises(PermanentError) as caught:
        await phone.channel().send(outgoing())
    assert caught.value.reason == "command_not_found"
    assert "pkg install termux-api" in caught.value.message


async def test_without_the_app_it_hangs_and_is_tried_again(phone: Phone) -> None:
    program(phone.command, "#!/bin/sh\nexec /bin/sleep 600\n")
    with pytest.raises(TemporaryError) as caught:
        await phone.channel(timeout=0.2).send(outgoing())
    assert caught.value.reason == "timeout"


async def test_one_that_fails_is_tried_again(phone: Phone) -> None:
    program(phone.command, f"#!/bin/sh\necho 'no luck token={SECRET}' >&2\nexit 2\n")
    with pytest.raises(TemporaryError) as caught:
        await phone.channel().send(outgoing())
    assert caught.value.message == "`termux-notification` ended with 2: no luck token=<redacted>"
