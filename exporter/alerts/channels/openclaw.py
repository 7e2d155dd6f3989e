"""OpenClaw's own ``message send``: to a chat that its gateway serves. A second channel, never the only one.

The arguments are those of 2026.2 to 2026.9 (``openclaw message send --help``): ``--channel``, ``--target``,
``--message``. Delivery needs a working gateway and chat, but no working model.
"""

from __future__ import annotations

import asyncio
import re

from exporter.alerts.channels import PermanentError, Sender, TemporaryError, _command
from exporter.alerts.values import QueuedMessage
from exporter.config.channels.openclaw import OpenClawChannel
from exporter.lib.redact import safe_text
from exporter.model import FailureReason

MAX_TEXT = 3500  # bytes; the chat with the smallest limit accepts about 4,000 characters
MAX_TITLE = 242  # bytes: 60 characters, and the empty line below them

#: What the command prints when another try would fail too (seen on 2026.2.9, 2026.6.11 and 2026.9.6).
_PERMANENT = re.compile("unknown (channel|target|option|command)|does not recognize option|required option", re.I)


class OpenClawSender(Sender[OpenClawChannel]):
    """One recipient in one of OpenClaw's chats."""

    timeout = 90.0  # seconds; a cold start takes 5 to 11

    def arguments(self, outgoing: QueuedMessage) -> list[str]:
        """The command that sends a message. None of its words is a secret."""
        text = self.context.render(self.config, outgoing.message, limit=MAX_TEXT - MAX_TITLE)
        message = f"{text.title}\n\n{text.body}"
        recipient = ["--channel", self.config.channel, "--target", self.config.recipient]
        return [*self.config.command, "message", "send", *recipient, "--message", message]

    async def send(self, outgoing: QueuedMessage) -> None:
        """Run the command. Raises TemporaryError or PermanentError."""
        code, output = await _command.run(
            self, await asyncio.to_thread(self.arguments, outgoing), env={"NO_COLOR": "1"}
        )
        if code == 0:
            return
        output = output.replace(self.config.recipient, "…")
        lines = [line for line in map(str.strip, output.splitlines()) if line]
        why = safe_text(next(filter(_PERMANENT.search, lines), lines[0] if lines else ""))
        message = f"`openclaw message send` exited with {code}" + (f": {why}" if why else "")
        error = PermanentError if _PERMANENT.search(why) else TemporaryError
        raise error(FailureReason.COMMAND_ERROR, message)


build = OpenClawSender
