"""The person's own terminal: what is said and asked there, and the programs that are handed it.

A secret never passes through this process. A program that is run inherits the terminal. What is pasted
for OpenClaw is read by a small shell script (``_PASTE``), because OpenClaw's own prompt takes the first
line of a paste for the whole (seen on 2026.2.9, 2026.6.11 and 2026.9.6: a token wrapped at 80 columns
is stored as its first 80 characters, and passes for a token), and because on 2026.2.9 ^C at that prompt
stores the word of the cancellation as the token. The script joins the lines, counts them, and only then
starts OpenClaw with the secret on its standard input: not on a command line, not in an environment, not
in a file. Of what was pasted this process learns the script's exit code.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import termios
import textwrap
from collections.abc import Iterator, Mapping

from exporter.verdict.remedies import TOKEN_BEGINS, TOKEN_LENGTH, Programs

#: The script's own exit code: nothing was passed on (sysexits.h: EX_DATAERR).
NOTHING_PASTED = 65

# $1 is how it must begin, $2 how many characters it has, $3 the command that takes it.
#
# The first byte is waited for without end; $4 tenths of a second without another one end the paste,
# however many lines it has. Echo is off. `echo` is built into every sh, so the secret is on no command line; the
# 2026.2 prompt wants the Enter key's own character at the end, and the others pass over it.
_PASTE = r"""
saved=$(stty -g) || exit 70
stty -icanon -echo min 1 time 0
secret=$( { dd bs=1 count=1 2>/dev/null; stty min 0 time "$4"; cat; } | tr -d '[:space:]' )
stty "$saved"
refused() { echo "$1"; exit 65; }
case $secret in
  "") refused "Nothing came.";;
  *[!A-Za-z0-9._~+/=:@%,-]*) refused "That is more than a token or key: copy only that.";;
esac
doubt=
[ "${#secret}" -ge "$2" ] || doubt="Only ${#secret} of $2 characters came: it is cut off."
case $secret in "$1"*) ;; *) doubt="It does not begin with $1: something else was copied.";; esac
if [ -n "$doubt" ]; then
  echo "$doubt"
  printf 'Store it all the same? y/[N] '
  read -r answer
  case $answer in [Yy]*) ;; *) exit 65;; esac
fi
echo "Handing it to OpenClaw ..."
echo "$secret" | tr '\n' '\r' | eval "$3"
"""

#: How long a paste may pause, tenths of a second: a slow connection delivers it in pieces.
PAUSE = 20

#: Bracketed paste would put its marks around what is pasted.
_PLAIN_PASTE = "\x1b[?2004l"


class Terminal:
    """The terminal on standard input and output."""

    def __init__(self) -> None:
        #: Whether a person can answer here.
        self.is_interactive = sys.stdin.isatty() and sys.stdout.isatty()
        self._columns = min(78, shutil.get_terminal_size().columns) if sys.stdout.isatty() else 78

    def say(self, text: str = "", indent: str = "") -> None:
        """A sentence, folded to the terminal."""
        print(fold(text, self._columns, indent), flush=True)

    def show(self, command: str) -> None:
        """A command, whole on its line, to be copied."""
        print(f"  {command}", flush=True)

    def ask(self, question: str) -> str:
        """What a person typed, lower case; the end of input is ``n``. Raises KeyboardInterrupt."""
        self.say(question)
        print("> ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            print()
            return "n"
        return line.strip().lower()

    def run(self, command: str, environment: Mapping[str, str]) -> int:
        """Hand the terminal to ``command`` until it ends; its exit code, negative for a signal."""
        return self._hand_over(["/bin/sh", "-c", command], environment)

    def paste(self, command: str, environment: Mapping[str, str], *, is_token: bool, is_noisy: bool) -> int:
        """Let a person paste a secret for ``command``; NOTHING_PASTED where nothing was passed on.

        ``is_token``: it has the shape of a Claude setup-token, so that a part of one is noticed before
        it is stored. ``is_noisy``: the command draws what it reads, so its standard output is not shown.
        """
        begins, length = (TOKEN_BEGINS, TOKEN_LENGTH) if is_token else ("", 1)
        print(_PLAIN_PASTE, end="", flush=True)
        taking = f"{command} >/dev/null" if is_noisy else command
        script = ["/bin/sh", "-c", _PASTE, "paste", begins, str(length), taking, str(PAUSE)]
        return self._hand_over(script, environment)

    def _hand_over(self, argv: list[str], environment: Mapping[str, str]) -> int:
        with self._restored():
            return subprocess.Popen(argv, env=dict(environment)).wait()

    @contextlib.contextmanager
    def _restored(self) -> Iterator[None]:
        """^C is the program's alone; afterwards the terminal is as it was, without what is left in it.

        What is left may be the rest of a paste: the next question must not take it for an answer, nor
        the person's shell, later, for a command.
        """
        there = sys.stdin.fileno()
        saved = termios.tcgetattr(there)
        # A handler, not SIG_IGN, which the program would inherit.
        before = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            yield
        finally:
            termios.tcsetattr(there, termios.TCSAFLUSH, saved)
            signal.signal(signal.SIGINT, before)


def fold(text: str, columns: int, indent: str = "") -> str:
    """``text`` on lines of at most ``columns``; a longer word (a URL, a profile) stays whole, to be copied."""
    return textwrap.fill(
        text,
        max(20, columns),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def environment_of(programs: Programs, variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program: ours, ``variables``, and the folders of ``programs`` first on PATH.

    A local program is shown and run by its name; PATH makes that name the configured file.
    """
    environment = {**os.environ, **variables}
    local = [p.program[0] for p in (programs.openclaw, programs.claude) if p.ssh is None]
    folders = [folder for program in local if (folder := os.path.dirname(os.path.expanduser(program)))]
    if folders:
        environment["PATH"] = ":".join([*folders, environment.get("PATH", os.defpath)])
    return environment
