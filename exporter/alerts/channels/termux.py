"""Termux: a notification on the phone that the exporter runs on, through the app Termux:API.

The flags are those of termux-api 0.59. Each notification has an id, by which a later message replaces it or
``termux-notification-remove`` withdraws it.
"""

from __future__ import annotations

import shlex

from exporter.alerts.channels import PermanentError, Sender, TemporaryError, _command, notification_of
from exporter.alerts.values import Message, NotificationReason, QueuedMessage
from exporter.config.channels.termux import TermuxChannel
from exporter.lib.redact import safe_text
from exporter.model import FailureReason, Severity

COMMAND, REMOVE = "termux-notification", "termux-notification-remove"
MAX_BODY = 4000  # bytes

_PRIORITIES = {Severity.CRITICAL: "max", Severity.WARNING: "high", Severity.INFO: "default"}
_MISSING = "`{}` was not found: on the phone, run `pkg install termux-api` and install the app Termux:API"


class TermuxSender(Sender[TermuxChannel]):
    """The phone that the exporter runs on."""

    timeout = 20.0  # seconds; without the app the command waits for ever

    def arguments(self, notification: str, message: Message, *, quietly: bool = False) -> list[str]:
        """The command that shows a message.

        The links of its buttons are among the arguments, because the phone's API accepts them no other way.
        Each is for one action, once, and on Android no other user sees our processes.
        """
        text = self.context.render(self.config, message, limit=MAX_BODY)
        # Without -c the command would wait for standard input.
        shown = ["-i", _id(notification), "-t", text.title, "-c", text.body or text.title]
        buttons = []
        for number, (label, link) in enumerate(self.context.buttons(message)[:3], 1):
            buttons += [f"--button{number}", label, f"--button{number}-action", _open(link)]
        click = ["--action", _open(self.context.external_url)] if self.context.external_url else []
        group = ["--priority", "low" if quietly else priority(message), "--group", "openclaw-auth-exporter"]
        once = ["--alert-once"] if quietly else []
        return [COMMAND, *shown, *group, *click, *buttons, *once]

    async def send(self, outgoing: QueuedMessage) -> None:
        """Show a message. Raises TemporaryError or PermanentError."""
        await self.show(notification_of(outgoing), outgoing.message)

    async def show(self, notification: str, message: Message, *, quietly: bool = False) -> None:
        """Show a message instead of what the notification shows. Raises TemporaryError or PermanentError."""
        await self._run(self.arguments(notification, message, quietly=quietly))

    async def withdraw(self, notification: str) -> None:
        """Remove a notification. Raises TemporaryError or PermanentError."""
        await self._run([REMOVE, _id(notification)])

    async def _run(self, words: list[str]) -> None:
        try:
            code, output = await _command.run(self, words)
        except TemporaryError as error:
            if error.reason == FailureReason.COMMAND_NOT_FOUND:
                raise PermanentError(error.reason, _MISSING.format(words[0])) from None
            raise
        if code != 0:
            why = safe_text(output)
            message = f"`{words[0]}` exited with {code}" + (f": {why}" if why else "")
            raise TemporaryError(FailureReason.COMMAND_ERROR, message)


def _id(notification: str) -> str:
    return f"openclaw-auth-{notification}"


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
