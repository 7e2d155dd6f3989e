"""Shell completion: the script for each shell, and the answers that the script asks for when someone presses Tab."""

from __future__ import annotations

import logging
import os
import shlex
import sys

import click
from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from exporter.cli.options import PROGRAM

#: The variable with which a script asks for an answer instead of running a command.
VARIABLE = "_OPENCLAW_AUTH_EXPORTER_COMPLETE"

#: Unlike click's own script, it passes the line as it was typed, because bash splits words at the colons of profile
#: ids; it quotes what it completes; and it works with the bash 3.2 of macOS.
_BASH = """\
%(complete_func)s() {
    local kind value
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            plain) COMPREPLY+=("$value") ;;
            dir) compopt -o dirnames 2>/dev/null ;;
            file) compopt -o default 2>/dev/null ;;
        esac
    done < <(COMP_TYPED="${COMP_LINE:0:$COMP_POINT}" %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null || complete -F %(complete_func)s %(prog_name)s
"""


class Bash(ShellComplete):
    """Completion for bash."""

    name = "bash"
    source_template = _BASH
    _typed = ""  # the word under the cursor, with its quotes

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ["COMP_TYPED"]
        words = split_arg_string(line)
        self._typed = _last_word(line)
        begun = words.pop() if self._typed and words else ""
        return words[1:], begun

    def format_completion(self, item: CompletionItem[str]) -> str:
        value = str(item.value)
        if item.type != "plain" or self._typed[:1] in ("'", '"'):
            return f"{item.type},{value}"
        # bash replaces only what follows the last colon.
        typed = self._typed.partition("=")[2] if self._typed.startswith("--") else self._typed
        kept = typed[: typed.rfind(":") + 1]
        value = value.removeprefix(kept)
        return f"{item.type},{value if value.isascii() and shlex.quote(value) == value else _escaped(value)}"


def script(shell: str) -> str:
    """The completion script for ``shell``."""
    found = get_completion_class(shell)
    assert found is not None
    return ShellComplete.source(found(click.Command(PROGRAM), {}, PROGRAM, VARIABLE))


def answer(cli: click.Command, instruction: str) -> None:
    """Print the completions for the line in the environment, and nothing if they cannot be found."""
    logging.disable()
    shell, _, wanted = instruction.partition("_")
    found = get_completion_class(shell)
    if found is None or wanted != "complete":
        return
    try:
        text = found(cli, {}, PROGRAM, VARIABLE).complete()
        sys.stdout.buffer.write(f"{text}\n".encode())
        sys.stdout.flush()
    except Exception:
        return  # whoever presses Tab cannot do anything about it


def _last_word(line: str) -> str:
    """The end of ``line`` after the last space that no quote holds."""
    start, quote = 0, ""
    position = 0
    while position < len(line):
        char = line[position]
        if char == "\\" and quote != "'":
            position += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in " \t":
            start = position + 1
        position += 1
    return line[start:]


def _escaped(value: str) -> str:
    return "".join(char if char.isalnum() or char in "_@%+=:,./-" else f"\\{char}" for char in value)


add_completion_class(Bash)
