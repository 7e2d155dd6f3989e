"""Command: a program of the user's choice gets the message as JSON on standard input, and as text in its environment.

Exit code 0 means delivered. 64, 65, 77 and 78 (sysexits: usage, data, permission, configuration) mean that
another try would fail too. Every other code, 75 (try again) among them, a signal and a timeout are retried: a
script whose curl finds no network exits with curl's code, and its alert must not be lost.
"""

from __future__ import annotations

import os

from exporter.alerts.channels import PermanentError, Sender, TemporaryError, _command, as_json
from exporter.alerts.channels.webhook import body_of
from exporter.alerts.values import QueuedMessage
from exporter.config.channels.command import CommandChannel
from exporter.model import FailureReason

_PERMANENT = frozenset({os.EX_USAGE, os.EX_DATAERR, os.EX_NOPERM, os.EX_CONFIG})
_PREFIX = "OPENCLAW_AUTH_ALERT_"


class CommandSender(Sender[CommandChannel]):
    """One command, run once per message."""

    timeout = 30.0  # seconds

    async def send(self, outgoing: QueuedMessage) -> None:
        """Run the command; its output is ignored. Raises TemporaryError or PermanentError."""
        message = as_json(body_of(outgoing, self.context.clock())) + b"\n"
        code, _ = await _command.run(self, self.config.command, env=self._environment(outgoing), stdin=message)
        if code in _PERMANENT:
            raise PermanentError(FailureReason.COMMAND_ERROR, f"exit code {code}, which is not retried")
        if code != 0:
            raise TemporaryError(FailureReason.COMMAND_ERROR, f"exit code {code}")

    def _environment(self, outgoing: QueuedMessage) -> dict[str, str]:
        message = outgoing.message
        text = self.context.render(self.config, message)
        values = {
            "ID": outgoing.id,
            "CHANNEL": message.channel,
            "TITLE": text.title,
            "BODY": text.body,
            "SEVERITY": message.severity,
            "REASON": message.alerts[0].reason if message.alerts else "",
            "COUNT": str(len(message.alerts)),
        }
        return {f"{_PREFIX}{name}": value for name, value in values.items()}


build = CommandSender
