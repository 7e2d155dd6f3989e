"""Log records as single lines without control characters, secrets, and the texts of exceptions and warnings.

Such a text may quote anything, so only the kind of an exception and where it was raised are logged. Every handler
of ours uses ``line_of``; ``install`` also leads to the log what Python itself would print with these texts.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, TextIO

from exporter.lib.known_secrets import KNOWN, MAX_SECRET
from exporter.lib.printable import one_line
from exporter.lib.redact import safe_text

log = logging.getLogger(__name__)

#: The longest message, in characters.
MAX_MESSAGE = 4096
#: The longest message of a library, in characters.
_MAX_FOREIGN = 500
#: How many frames of a traceback are logged, the innermost ones.
_MAX_FRAMES = 12
#: How many exceptions that led to one another are named.
_MAX_CHAIN = 5


class MessageFormatter(logging.Formatter):
    """Only the message, as commands print it."""

    def format(self, record: logging.LogRecord) -> str:
        return line_of(record)


class SafeFormatter(logging.Formatter):
    """``LEVEL message``, always one line."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelname} {line_of(record)}"


class TimedFormatter(SafeFormatter):
    """``2026-11-29T08:00:00.000Z LEVEL message``, always one line."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{_time_of(record)} {super().format(record)}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``msg``."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": line_of(record),
        }
        return json.dumps(fields)


def formatter(kind: Literal["text", "json"], descriptor: int = 2) -> logging.Formatter:
    """How records look that are written to ``descriptor``. Text has a time unless journald adds one."""
    if kind == "json":
        return JsonFormatter()
    return SafeFormatter() if is_journal(descriptor) else TimedFormatter()


def is_journal(descriptor: int, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether ``descriptor`` leads to journald, as JOURNAL_STREAM says (systemd.exec): device and inode of its pipe."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _time_of(record: logging.LogRecord) -> str:
    moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def line_of(record: logging.LogRecord) -> str:
    """The message of ``record`` as one line, and in brackets its exception, if it has one."""
    text = _message(record)
    shown = KNOWN.redact(text[: MAX_MESSAGE + MAX_SECRET], of_ours=True)
    if len(shown) > MAX_MESSAGE:
        shown = shown[:MAX_MESSAGE] + "…"
    error = record.exc_info[1] if record.exc_info else None
    return one_line(shown if error is None else f"{shown} [{trace_of(error)}]")


def kind_and_place(error: BaseException) -> str:
    """``ValueError at reader.py:33``; for an error of the system also what it says."""
    kind = type(error).__name__
    if isinstance(error, OSError) and error.errno is not None:
        kind += f": {os.strerror(error.errno)}"
    frames = _frames(error.__traceback__)
    return f"{kind} at {frames[-1][0]}" if frames else kind


def trace_of(error: BaseException) -> str:
    """The exception, the one that caused it, and so on, each with the frames that it went through."""
    shown: list[str] = []
    one: BaseException | None = error
    while one is not None and len(shown) < _MAX_CHAIN:
        frames = [f"{place} in {function}" for place, function in _frames(one.__traceback__)[-_MAX_FRAMES:]]
        shown.append(" < ".join([kind_and_place(one), *reversed(frames[:-1])]))
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return "; caused by ".join(shown)


def _frames(trace: TracebackType | None) -> list[tuple[str, str]]:
    """File and line, and the function, of each frame. The source lines are left out: they may hold a secret, too."""
    return [
        (f"{Path(frame.f_code.co_filename).name}:{line}", frame.f_code.co_name)
        for frame, line in traceback.walk_tb(trace)
    ]


# --- messages --------------------------------------------------------------------------------------


def _message(record: logging.LogRecord) -> str:
    is_ours = record.name.partition(".")[0] == "exporter"
    try:
        return record.getMessage() if is_ours else _foreign(record)
    except Exception:  # arguments that do not fit, or that cannot be shown
        template = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        return f"{'' if is_ours else record.name + ': '}{template} (without its arguments)"


def _foreign(record: logging.LogRecord) -> str:
    """The first line of a library's message, without the texts of exceptions and what looks like a secret.

    asyncio's messages go on with arguments of callbacks and results of tasks, which may be anything.
    """
    if isinstance(record.msg, BaseException):
        return f"{record.name}: {kind_and_place(record.msg)}"
    args = record.args
    if isinstance(args, tuple):
        args = tuple(type(arg).__name__ if isinstance(arg, BaseException) else arg for arg in args)
    message = str(record.msg) % args if args else str(record.msg)
    for text in _texts(record.exc_info[1] if record.exc_info else None):
        message = message.replace(text, "…")
    line = message.lstrip().partition("\n")[0]
    if record.name == "asyncio" and not line.startswith("socket."):
        line = without_arguments(line)
    return f"{record.name}: {safe_text(line, _MAX_FOREIGN)}"


def without_arguments(message: str) -> str:
    """A message of asyncio up to the callback, task or transport that it shows."""
    return message.partition("(")[0].partition("<")[0].strip()


def _texts(error: BaseException | None) -> list[str]:
    """The texts of an exception and its arguments, the longest first. A shorter one could be any word."""
    found: list[str] = []
    for _ in range(_MAX_CHAIN):
        if error is None:
            break
        found += [repr(error), str(error), *map(str, error.args)]
        error = error.__cause__ or error.__context__
    return sorted({text for text in found if len(text) > 3}, key=len, reverse=True)


# --- what Python itself would print ----------------------------------------------------------------


def install() -> None:
    """From now on nothing of this process prints the text of an exception or a warning.

    Also formats the warnings of commands that configure no logging.
    """
    logging.raiseExceptions = False  # logging would print the arguments of a record that it cannot write
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(MessageFormatter())
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable
    warnings.showwarning = _warning


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        log.error("Internal error (%s). Please report it.", trace_of(error))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        log.error("Internal error in a thread (%s). Please report it.", trace_of(args.exc_value))


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    if args.exc_value is not None:
        log.warning("Internal error that nobody handles (%s)", trace_of(args.exc_value))


def _warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    log.warning("%s at %s:%d", category.__name__, Path(filename).name, lineno)
