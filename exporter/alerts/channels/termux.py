"""Termux: a notification on the phone that the exporter runs on, through the app Termux:API.

The flags are those of termux-api 0.59. An alert keeps one notification for its whole life: the id is made from
its fingerprint, so each message replaces the one before, "resolved" too.
"""

from __future__ import annotations

import shlex

from exporter.alerts.channels import PermanentError, Sender, TemporaryError, _command
from exporter.alerts.values import Message, NotificationReason, QueuedMessage
from exporter.config.channels.termux import TermuxChannel
from exporter.lib.redact import safe_text
from exporter.model import FailureReason, Severity

COMMAND = "termux-notification"
MAX_BODY = 4000  # characters

_PRIORITIES = {Severity.CRITICAL: "max", Severity.WARNING: "high", Severity.INFO: "default"}
_MISSING = f"`{COMMAND}` was not found: on the phone, run `pkg install termux-api` and install the app Termux:API"


class TermuxSender(Sender[TermuxChannel]):
    """The phone that the exporter runs on."""

    timeout = 20.0  # seconds; without the app the command waits for ever

    def arguments(self, outgoing: QueuedMessage) -> list[str]:
        """The command that shows a message.

        The links of its buttons are among the arguments, because the phone's API accepts them no other way.
        Each is for one action, once, and on Android no other user sees our processes.
        """
        message, text = outgoing.message, self.context.render(self.config, outgoing.message)
        # Without -c the command would wait for standard input.
        body = _command.shortened(text.body, MAX_BODY) or text.title
        shown = ["-i", notification_id(outgoing), "-t", text.title, "-c", body]
        buttons = []
        for number, (label, link) in enumerate(self.context.buttons(message)[:3], 1):
            buttons += [f"--button{number}", label, f"--button{number}-action", _open(link)]
        click = ["--action", _open(self.context.external_url)] if self.context.external_url else []
        group = ["--priority", priority(message), "--group", "openclaw-auth-exporter"]
        return [COMMAND, *shown, *group, *click, *buttons]

    async def send(self, outgoing: QueuedMessage) -> None:
        """Show a message. Raises TemporaryError or PermanentError."""
        try:
            code, output = await _command.run(self, self.arguments(outgoing))
        except TemporaryError as error:
            if error.reason == FailureReason.COMMAND_NOT_FOUND:
                raise PermanentError(error.reason, _MISSING) from None
            raise
        if code != 0:
            why = safe_text(output)
            message = f"`{COMMAND}` exited with {code}" + (f": {why}" if why else "")
            raise TemporaryError(FailureReason.COMMAND_ERROR, message)


def notification_id(outgoing: QueuedMessage) -> str:
    """The notification that a message replaces: that of its alert, or for a group an earlier try of the message."""
    alerts = outgoing.message.alerts
    return f"openclaw-auth-{alerts[0].fingerprint if len(alerts) == 1 else outgoing.id}"


def priority(message: Message) -> str:
    """Android's priority: that of the worst firing alert; low when nothing fires any more."""
    firing = [alert for alert in message.alerts if not alert.reason.ends]
    if not firing:
        return "low"
    if all(alert.reason is NotificationReason.TEST for alert in firing):
        return "default"
    return _PRIORITIES[max((alert.severity for alert in firing), key=lambda severity: severity.rank)]


def _open(url: str) -> str:
    return f"termux-open-url {shlex.quote(url)}"


build = TermuxSender
