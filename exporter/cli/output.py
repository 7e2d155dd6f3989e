"""The one place where commands print: nothing in it can forge a line or control the terminal.

Names and errors come from other programs. What is unprintable in them becomes a backslash escape, in JSON one of
JSON's own, so that a reader gets the same document.
"""

from __future__ import annotations

import json
import os
import re
import sys

import click

from exporter.lib.errors import ExpectedError
from exporter.lib.known_secrets import KNOWN
from exporter.lib.printable import each_line, json_text, one_line

#: The shell's exit code for a program whose reader has gone (128 + SIGPIPE).
EX_PIPE = 141
_COLOUR = re.compile(r"(\x1b\[[0-9;]{0,16}m)")


class OutputError(ExpectedError):
    """The result cannot be printed."""

    exit_code = os.EX_CANTCREAT


def print_line(*fields: str, err: bool = False) -> None:
    """Print ``fields`` as one line, with tabs between them."""
    click.echo("\t".join(map(one_line, fields)), err=err)


def print_error(text: str) -> None:
    """Print sentences about an error, which may quote what was read."""
    click.echo(each_line(KNOWN.redact(text, of_ours=True)), err=True)


def print_result(text: str, *, is_coloured: bool = False) -> None:
    """Print lines that the exit code repeats. A reader that has gone (``| head``) changes nothing.

    ``is_coloured``: ``text`` has our own colours. Names in it are escaped already, so no colour is theirs.
    """
    parts = _COLOUR.split(text) if is_coloured else [text]
    shown = "".join(part if at % 2 else each_line(part) for at, part in enumerate(parts))
    try:
        click.echo(shown, color=is_coloured)
    except BrokenPipeError:
        discard_output()
    except OSError as error:
        discard_output()
        raise OutputError(f"the result cannot be written: {error.strerror}") from None


def print_file(content: str | bytes) -> None:
    """Print one of our own files as it is."""
    click.echo(content, nl=False)


def as_json(value: object) -> str:
    """``value`` as indented JSON, escaped where standard output is not UTF-8."""
    encoding = getattr(sys.stdout, "encoding", None) or ""
    is_utf8 = encoding.lower().replace("-", "") == "utf8"
    return json_text(json.dumps(value, indent=2, ensure_ascii=not is_utf8))


def show_usage(error: click.UsageError) -> None:
    """Print what is wrong with the command line."""
    click.UsageError(each_line(error.format_message()), error.ctx).show()


def discard_output() -> None:
    """Send the rest of standard output to /dev/null: nobody can read it, or it cannot be written."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
