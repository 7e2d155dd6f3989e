"""The terminal: colours, its width, and a line that shows what takes longer than a second."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeVar

import click

from exporter.lib import tasks

if TYPE_CHECKING:
    from exporter.config import Config
    from exporter.present import Style

F = TypeVar("F", bound=Callable[..., Any])
Colour = Literal["auto", "always", "never"]

#: Seconds before a progress line appears, and between two of its changes.
PROGRESS_AFTER, PROGRESS_EVERY = 1.0, 1.0


def color_option(command: F) -> F:
    """``--color``, as the argument ``color``."""
    return click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="When to use colours. auto: on a terminal, unless NO_COLOR is set.",
    )(command)


def has_colours(color: Colour, stream: TextIO) -> bool:
    """Whether output on ``stream`` is coloured. See https://no-color.org."""
    if color != "auto":
        return color == "always"
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def style_of(config: Config, color: Colour, everything: bool = False) -> Style:
    """How output for people looks on this standard output."""
    from exporter.present import Style

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    colour = has_colours(color, sys.stdout)
    return Style(width=width, colour=colour, zone=config.zone(), everything=everything)


@contextlib.asynccontextmanager
async def progress(doing: str) -> AsyncIterator[None]:
    """Show ``doing`` with the seconds it has taken, on a terminal's standard error, once it has lasted a second."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    task = tasks.begin(_count(doing, sys.stderr))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _count(doing: str, stream: TextIO) -> None:
    began, shown = time.monotonic(), 0
    try:
        await asyncio.sleep(PROGRESS_AFTER)
        while True:
            line = f"{doing} … {time.monotonic() - began:.0f} s"
            line = line[: shutil.get_terminal_size().columns - 1]
            stream.write("\r" + line.ljust(shown))
            stream.flush()
            shown = len(line)
            await asyncio.sleep(PROGRESS_EVERY)
    finally:
        if shown:
            stream.write("\r" + " " * shown + "\r")
            stream.flush()
