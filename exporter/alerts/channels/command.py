"""Command: a program of the user's choice gets the message as JSON on standard input, and as text in its environment.

Exit code 0 means delivered. 64, 65, 77 and 78 (sysexits: usage, data, permission, configuration) mean that
another try would fail too. Every other code, 75 (try again) among them, a signal and a timeout are retried: a
script whose curl finds no network exits with curl's code, and its alert must not be lost.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from exporter.alerts.channels import PermanentError, Sender, TemporaryError, _command, as_json
from exporter.alerts.channels.webhook import body_of
from exporter.alerts.values import QueuedMessage
from exporter.config.channels.command import CommandChannel
from exporter.lib.printable import one_line
from exporter.model import FailureReason

_PERMANENT = frozenset({os.EX_USAGE, os.EX_DATAERR, os.EX_NOPERM, os.EX_CONFIG})
_PREFIX = "OPENCLAW_AUTH_ALERT_"


class CommandSender(Sender[CommandChannel]):
    """One command, run once per message."""

    timeout = 30.0  # seconds

    async def send(self, outgoing: QueuedMessage) -> None:
        """Run the command; its output is ignored. Raises TemporaryError or PermanentError."""

        def render() -> tuple[dict[str, Any], bytes]:
            body = body_of(outgoing, self.context, self.config)
            return body, as_json(body) + b"\n"

        body, stdin = await asyncio.to_thread(render)  # of ten thousand alerts
        code, _ = await _command.run(self, self.config.command, env=_environment(body), stdin=stdin)
        if code in _PERMANENT:
            raise PermanentError(FailureReason.COMMAND_ERROR, f"exit code {code}, which is not retried")
        if code != 0:
            raise TemporaryError(FailureReason.COMMAND_ERROR, f"exit code {code}")


def _environment(body: Mapping[str, Any]) -> dict[str, str]:
    """The message in variables; ``REASON``, ``EXPORTER`` and ``RUNBOOK`` are those of its first alert."""
    alerts = body["alerts"] or body.get("held_back") or [{}]
    values = {
        "ID": body["id"],
        "CHANNEL": body["channel"],
        "TITLE": body["title"],
        "BODY": body["text"],
        "SEVERITY": body["severity"],
        "REASON": alerts[0].get("reason", ""),
        "COUNT": str(len(body["alerts"])),
        "EXPORTER": one_line(alerts[0].get("exporter", "")),
        "RUNBOOK": body["runbook"] or "",
    }
    return {f"{_PREFIX}{name}": value for name, value in values.items()}


build = CommandSender
