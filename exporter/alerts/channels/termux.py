"""termux: a notification on the phone itself, through the app Termux:API.

Flags as termux-api 0.59 has them. An alert keeps one notification through its life: the id comes
from its fingerprint, so what follows replaces it, "resolved" too.
"""

from __future__ import annotations

import os
import shlex

from exporter.alerts.channels import ChannelContext, FailureReason, PermanentError, TemporaryError
from exporter.alerts.values import Message, QueuedMessage
from exporter.alerts.values import NotificationReason as Why
from exporter.config.channels import TermuxChannel
from exporter.lib import command
from exporter.lib.redact import safe_text
from exporter.model import CheckError, Severity

COMMAND = "termux-notification"
TIMEOUT = 20.0  # seconds; without the app the command waits for ever
MAX_BODY = 4000  # characters

_PRIORITIES = {Severity.CRITICAL: "max", Severity.WARNING: "high", Severity.INFO: "default"}


def build(config: TermuxChannel, context: ChannelContext) -> TermuxSender:
    return TermuxSender(config, context)


class TermuxSender:
    """The phone we run on."""

    def __init__(self, config: TermuxChannel, context: ChannelContext, timeout: float = TIMEOUT) -> None:
        self.name = config.name
        self._config = config
        self._context = context
        self._timeout = timeout

    def arguments(self, outgoing: QueuedMessage) -> list[str]:
        """The command that shows a message.

        A button's link is among them: the phone's API takes it no other way. It is for one action, once,
        and on Android nobody but this user sees our processes.
        """
        message, text = outgoing.message, self._context.words(self._config, outgoing.message)
        body = text.body if len(text.body) <= MAX_BODY else text.body[: MAX_BODY - 1].rstrip() + "…"
        # Without -c it would wait for standard input, so there always is one.
        shown = ["-i", notification_id(outgoing), "-t", text.title, "-c", body or text.title]
        buttons = []
        for number, (label, link) in enumerate(self._context.buttons(message)[:3], 1):
            buttons += [f"--button{number}", label, f"--button{number}-action", _open(link)]
        click = ["--action", _open(self._context.external_url)] if self._context.external_url else []
        words = [COMMAND, *shown, "--priority", priority(message), "--group", "openclaw-auth-exporter"]
        return [word.replace("\0", "") for word in (*words, *click, *buttons)]

    async def send(self, outgoing: QueuedMessage) -> None:
        """Show a message. Raises TemporaryError or PermanentError."""
        environment = os.environ if self._context.environment is None else self._context.environment
        try:
            finished = await command.run(
                self.arguments(outgoing),
                env=environment,
                timeout=self._timeout,
                max_stdout=16 * 1024,
                max_stderr=16 * 1024,
            )
        except CheckError as error:
            if error.reason is FailureReason.COMMAND_NOT_FOUND:
                why = (
                    f"`{COMMAND}` was not found: on the phone, `pkg install termux-api` and install the app Termux:API"
                )
                raise PermanentError(error.reason, why) from None
            raise TemporaryError(error.reason, None, error.message) from None
        if finished.exit_code != 0:
            why = safe_text((finished.stderr or finished.stdout).decode("utf-8", "replace"))
            message = f"`{COMMAND}` ended with {finished.exit_code}" + (f": {why}" if why else "")
            raise TemporaryError(FailureReason.COMMAND_ERROR, None, message)


def notification_id(outgoing: QueuedMessage) -> str:
    """Which notification a message replaces: its alert's, or for a group that of another try of itself."""
    alerts = outgoing.message.alerts
    return f"openclaw-auth-{alerts[0].fingerprint if len(alerts) == 1 else outgoing.id}"


def priority(message: Message) -> str:
    """What is over lies low; the others as bad as the worst of them."""
    firing = [alert for alert in message.alerts if not alert.reason.ends]
    if not firing:
        return "low"
    if all(alert.reason is Why.TEST for alert in firing):
        return "default"
    return _PRIORITIES[max((alert.severity for alert in firing), key=lambda severity: severity.rank)]


def _open(url: str) -> str:
    return f"termux-open-url {shlex.quote(url)}"
