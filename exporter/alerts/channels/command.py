"""A command of the user's own: the message as JSON on its standard input, in words in its environment.

Exit 0 is delivered. 64, 65, 77 and 78 (sysexits: usage, data, permission, configuration) say that
trying again changes nothing; every other code, 75 before all, a signal or running out of time is tried
again: a script whose curl found no network exits with curl's code, and its alarm must not be lost.
"""

from __future__ import annotations

import json
import os

from exporter.alerts.channels import ChannelContext, FailureReason, PermanentError, TemporaryError
from exporter.alerts.channels.webhook import body_of
from exporter.alerts.values import QueuedMessage
from exporter.config.channels import CommandChannel
from exporter.lib.command import run
from exporter.model import CheckError

TIMEOUT = 30.0  # seconds
_NEVER = frozenset({os.EX_USAGE, os.EX_DATAERR, os.EX_NOPERM, os.EX_CONFIG})
_PREFIX = "OPENCLAW_AUTH_ALERT_"


def build(config: CommandChannel, context: ChannelContext) -> CommandSender:
    """The channel; that the command is there is seen when it runs."""
    return CommandSender(config, context)


class CommandSender:
    """One command, run once per message."""

    def __init__(self, config: CommandChannel, context: ChannelContext, timeout: float = TIMEOUT) -> None:
        self.name = config.name
        self._config = config
        self._context = context
        self._timeout = timeout

    async def send(self, outgoing: QueuedMessage) -> None:
        """Run the command. Raises TemporaryError or PermanentError; what it prints is not looked at."""
        message = json.dumps(body_of(outgoing, self._context.clock()), ensure_ascii=False)
        try:
            done = await run(
                self._config.command,
                env=self._environment(outgoing),
                timeout=self._timeout,
                stdin=message.encode("utf-8", "replace") + b"\n",
                max_stdout=0,
                max_stderr=0,
            )
        except CheckError as error:
            # A command that is not there may be on a disk that is not mounted yet.
            raise TemporaryError(error.reason, None, error.message) from None
        if done.exit_code in _NEVER:
            raise PermanentError(
                FailureReason.COMMAND_ERROR, f"it exited {done.exit_code}: trying again changes nothing"
            )
        if done.exit_code != 0:
            raise TemporaryError(FailureReason.COMMAND_ERROR, None, f"it exited {done.exit_code}")

    def _environment(self, outgoing: QueuedMessage) -> dict[str, str]:
        message = outgoing.message
        words = self._context.words(self._config, message)
        inherited = os.environ if self._context.environment is None else self._context.environment
        said = {
            "ID": outgoing.id,
            "CHANNEL": message.channel,
            "TITLE": words.title,
            "BODY": words.body,
            "SEVERITY": message.severity,
            "REASON": message.alerts[0].reason if message.alerts else "",
            "COUNT": str(len(message.alerts)),
        }
        return {**inherited, **{f"{_PREFIX}{name}": _sayable(value) for name, value in said.items()}}


def _sayable(value: str) -> str:
    """An environment holds neither NUL nor half a character."""
    return value.replace("\0", "").encode("utf-8", "replace").decode()
