"""Runs the external command of a channel. Not a channel itself, hence the underscore."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from exporter.alerts.channels import Sender, TemporaryError
from exporter.lib import command
from exporter.model import CheckError

MAX_OUTPUT = 16 * 1024  # bytes of each stream that are kept


async def run(
    sender: Sender[Any], words: Sequence[str], env: Mapping[str, str] | None = None, stdin: bytes | None = None
) -> tuple[int, str]:
    """The exit code of a command, and what it printed: on standard error, else on standard output.

    ``env`` is added to the exporter's environment, without NUL and surrogates, which it cannot carry. Raises
    TemporaryError where the command cannot be run or does not end within the sender's time limit. A missing command
    counts as temporary: an upgrade removes it for a minute, and its disk may not be mounted yet.
    """
    inherited = os.environ if sender.context.environment is None else sender.context.environment
    added = {name: value.replace("\0", "").encode("utf-8", "replace").decode() for name, value in (env or {}).items()}
    try:
        finished = await command.run(
            [word.replace("\0", "") for word in words],
            env={**inherited, **added},
            timeout=sender.timeout,
            stdin=stdin,
            max_stdout=MAX_OUTPUT,
            max_stderr=MAX_OUTPUT,
        )
    except CheckError as error:
        raise TemporaryError(error.reason, error.message) from None
    return finished.exit_code, (finished.stderr or finished.stdout).decode("utf-8", "replace")
