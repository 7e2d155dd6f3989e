"""The command channel: the message on standard input and in the environment, and its exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from alerts.test_channel_webhook import ALERT, OUTGOING
from alerts.worlds import NOW
from exporter.alerts.channels import ChannelContext, PermanentError, TemporaryError, build
from exporter.alerts.channels.command import CommandSender
from exporter.alerts.values import Message, QueuedMessage
from exporter.config.channels.command import CommandChannel
from exporter.model import RUNBOOK


def channel(*argv: str, timeout: float = 30.0, **environment: str) -> CommandSender:
    config = CommandChannel(name="script", type="command", command=list(argv))
    context = ChannelContext(clock=lambda: NOW, environment={"PATH": "/usr/bin:/bin", **environment})
    built = build(config, context)
    assert isinstance(built, CommandSender)
    return CommandSender(config, context, timeout)


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


async def test_message_is_on_standard_input_and_in_the_environment(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    code = (
        "import json, os, sys\n"
        "json.dump({'in': json.load(sys.stdin), 'env': dict(os.environ)}, open(os.environ['OUT'], 'w'))"
    )
    await channel(*python(code), OUT=str(out)).send(OUTGOING)
    got: dict[str, Any] = json.loads(out.read_text())
    assert got["in"]["id"] == OUTGOING.id
    assert got["in"]["alerts"][0]["condition"] == "expired"
    values = {key: value for key, value in got["env"].items() if key.startswith("OPENCLAW_AUTH_ALERT_")}
    body = values.pop("OPENCLAW_AUTH_ALERT_BODY")
    assert "claude setup-token" in body
    assert values == {
        "OPENCLAW_AUTH_ALERT_ID": OUTGOING.id,
        "OPENCLAW_AUTH_ALERT_CHANNEL": "hook",
        "OPENCLAW_AUTH_ALERT_TITLE": "anthropic:default has expired on rack7",
        "OPENCLAW_AUTH_ALERT_SEVERITY": "critical",
        "OPENCLAW_AUTH_ALERT_REASON": "first",
        "OPENCLAW_AUTH_ALERT_COUNT": "1",
        "OPENCLAW_AUTH_ALERT_EXPORTER": "rack7",
        "OPENCLAW_AUTH_ALERT_RUNBOOK": f"{RUNBOOK}#openclawauthexpired",
    }


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1, TemporaryError),
        (7, TemporaryError),
        (75, TemporaryError),
        (64, PermanentError),
        (65, PermanentError),
        (77, PermanentError),
        (78, PermanentError),
    ],
)
async def test_exit_code_decides_whether_it_is_retried(code: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"exit code {code}"):
        await channel("/bin/sh", "-c", f"exit {code}").send(OUTGOING)


async def test_timeout_signal_and_missing_command_are_retried() -> None:
    for argv, reason in (
        (("/bin/sh", "-c", "sleep 600"), "timeout"),
        (("/bin/sh", "-c", "kill -9 $$"), "killed"),
        (("/does/not/exist",), "command_not_found"),
    ):
        with pytest.raises(TemporaryError) as caught:
            await channel(*argv, timeout=0.3).send(OUTGOING)
        assert caught.value.reason == reason


async def test_command_that_reads_nothing_can_be_sent_ten_thousand_alerts() -> None:
    await channel("/bin/sh", "-c", "exec <&-; exit 0").send(
        QueuedMessage("id", Message("script", NOW, (ALERT,) * 10_000))
    )
