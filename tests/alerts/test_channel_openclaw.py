"""OpenClaw's ``message send``: its arguments, and which failures are retried."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from exporter.alerts.channels import ChannelContext, PermanentError, TemporaryError, build
from exporter.alerts.channels.openclaw import MAX_TEXT, OpenClawSender
from exporter.config.channels.openclaw import OpenClawChannel

from .messages import NOW, SECRET, alert, lines_of_a_crowd, outgoing, program

RECIPIENT = "-1001234567"


class FakeOpenClaw:
    """A command that records its arguments and exits as configured."""

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


async def test_arguments_name_the_chat_and_the_message(fake: FakeOpenClaw) -> None:
    await fake.channel().send(outgoing())
    argv, environment = fake.called
    assert argv[:-1] == ["message", "send", "--channel", "telegram", "--target", RECIPIENT, "--message"]
    assert argv[-1].startswith("anthropic:default has expired on home\n\n")
    assert "\n  claude setup-token\n" in argv[-1]
    assert environment["NO_COLOR"] == "1"
    assert environment["HOME"] == "/nowhere"


async def test_long_text_is_cut_at_a_line(fake: FakeOpenClaw) -> None:
    await fake.channel().send(outgoing(alert(remedy=("a" * 1900, "b" * 1900, "c" * 1900))))
    text = fake.called[0][-1]
    assert len(text) <= MAX_TEXT
    assert f"\n  {'a' * 1900}\n… (shortened" in text


async def test_nothing_is_cut_inside_a_name(fake: FakeOpenClaw) -> None:
    crowd, lines = lines_of_a_crowd()
    await fake.channel().send(crowd)
    text = fake.called[0][-1]
    _, _, *shown, last = text.splitlines()
    assert MAX_TEXT - 700 < len(text) <= MAX_TEXT
    assert set(shown) <= lines
    assert last.startswith("… and ")


async def test_nul_is_removed(fake: FakeOpenClaw) -> None:
    await fake.channel().send(outgoing(alert(summary="one\0two", target="ho\0me")))
    assert "\0" not in "".join(fake.called[0])


@pytest.mark.parametrize(
    "output",
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
async def test_unknown_chat_or_option_is_permanent(fake: FakeOpenClaw, output: str) -> None:
    fake.answers(1, stderr=output)
    with pytest.raises(PermanentError) as caught:
        await fake.channel().send(outgoing())
    assert caught.value.reason == "command_error"
    assert caught.value.message.startswith("`openclaw message send` exited with 1: ")
    assert RECIPIENT not in caught.value.message


async def test_other_failure_is_retried(fake: FakeOpenClaw) -> None:
    fake.answers(1, stderr=f"gateway message.action: connection refused token={SECRET}\nFix: start it\n")
    with pytest.raises(TemporaryError) as caught:
        await fake.channel().send(outgoing())
    assert caught.value.reason == "command_error"
    assert caught.value.message == (
        "`openclaw message send` exited with 1: gateway message.action: connection refused token=<redacted>"
    )


async def test_exit_code_without_output_is_reported(fake: FakeOpenClaw) -> None:
    fake.answers(3)
    with pytest.raises(TemporaryError) as caught:
        await fake.channel().send(outgoing())
    assert caught.value.message == "`openclaw message send` exited with 3"


async def test_missing_command_is_retried(fake: FakeOpenClaw) -> None:
    made = fake.channel()
    fake.command.unlink()
    with pytest.raises(TemporaryError) as caught:
        await made.send(outgoing())
    assert caught.value.reason == "command_not_found"
    assert str(fake.folder) not in "".join(traceback.format_exception(caught.value))


async def test_hanging_command_is_a_timeout(fake: FakeOpenClaw) -> None:
    program(fake.command, "#!/bin/sh\nexec sleep 600\n")
    with pytest.raises(TemporaryError) as caught:
        await fake.channel(timeout=0.2).send(outgoing())
    assert caught.value.reason == "timeout"
