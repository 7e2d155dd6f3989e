"""OpenClaw's own ``message send``: to a chat that its gateway serves. A second channel, never the only one.

Arguments as 2026.2 to 2026.9 have them (``openclaw message send --help``): ``--channel``, ``--target``,
``--message``. Delivering needs a working gateway and chat, not a working model.
"""

from __future__ import annotations

import os

from exporter.alerts.channels import ChannelContext, FailureReason, PermanentError, TemporaryError
from exporter.alerts.values import QueuedMessage
from exporter.config.channels import OpenClawChannel
from exporter.lib import command
from exporter.lib.redact import safe_text
from exporter.model import CheckError

TIMEOUT = 90.0  # seconds; a cold start takes 5 to 11
MAX_TEXT = 3500  # characters: the narrowest of the chats takes about 4,000

#: What the command says when no waiting helps. (Seen on 2026.2.9, 2026.6.11 and 2026.9.6.)
_PERMANENT = (
    "unknown channel",
    "unknown target",
    "unknown option",
    "does not recognize option",
    "missing required option",
    "required option",
    "unknown command",
)


def build(config: OpenClawChannel, context: ChannelContext) -> OpenClawSender:
    return OpenClawSender(config, context)


class OpenClawSender:
    """One recipient in one of OpenClaw's chats."""

    def __init__(self, config: OpenClawChannel, context: ChannelContext, timeout: float = TIMEOUT) -> None:
        self.name = config.name
        self._config = config
        self._context = context
        self._timeout = timeout

    def arguments(self, outgoing: QueuedMessage) -> list[str]:
        """The command that sends a message. No secret is among its words."""
        text = self._context.words(self._config, outgoing.message)
        words = f"{text.title}\n\n{text.body}".replace("\0", "")
        if len(words) > MAX_TEXT:
            words = words[: MAX_TEXT - 1].rstrip() + "…"
        who = ["--channel", self._config.channel, "--target", self._config.recipient]
        return [*self._config.command, "message", "send", *who, "--message", words]

    async def send(self, outgoing: QueuedMessage) -> None:
        """Run the command. Raises TemporaryError or PermanentError."""
        environment = os.environ if self._context.environment is None else self._context.environment
        try:
            finished = await command.run(
                self.arguments(outgoing),
                env={**environment, "NO_COLOR": "1"},
                timeout=self._timeout,
                max_stdout=16 * 1024,
                max_stderr=16 * 1024,
            )
        except CheckError as error:
            # One that is not there may be back soon: an upgrade takes it away for a minute.
            raise TemporaryError(error.reason, None, error.message) from None
        if finished.exit_code == 0:
            return
        said = (finished.stderr or finished.stdout).decode("utf-8", "replace").replace(self._config.recipient, "…")
        lines = [line for line in map(str.strip, said.splitlines()) if line]
        why = safe_text(next((line for line in lines if _is_permanent(line)), lines[0] if lines else ""))
        message = f"`openclaw message send` ended with {finished.exit_code}" + (f": {why}" if why else "")
        if _is_permanent(why):
            raise PermanentError(FailureReason.COMMAND_ERROR, message)
        raise TemporaryError(FailureReason.COMMAND_ERROR, None, message)


def _is_permanent(line: str) -> bool:
    return any(words in line.lower() for words in _PERMANENT)
