"""The person's own terminal: sentences and questions there, and the programs that are given it.

No secret passes through this process. A program that is run inherits the terminal. A secret that is
pasted for OpenClaw is read by a small shell script (``_PASTE``), for two reasons. OpenClaw's own prompt
takes the first line of a paste for all of it (seen on 2026.2.9, 2026.6.11 and 2026.9.6: a token wrapped
at 80 columns is stored as its first 80 characters, and passes for a token). And ^C at that prompt makes
2026.2.9 store the name of the cancellation as the token.

The script joins the lines, counts the characters, and only then starts OpenClaw with the secret on its
standard input: not on a command line, not in an environment, not in a file. This process learns the
script's exit code and nothing else.
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

from exporter.lib.printable import each_line, one_line
from exporter.reauth.plan import RenewalAction
from exporter.reauth.screen import TypedAnswers
from exporter.verdict.invocation import Programs
from exporter.verdict.remedies import TOKEN_BEGINS, TOKEN_LENGTH

#: The script's exit code if it passed nothing on (sysexits.h: EX_DATAERR).
NOTHING_PASTED = 65

# $1 is the expected beginning, $2 the minimum length, $3 the command that reads the secret.
#
# The script waits for the first byte as long as it takes. The paste ends after $4 tenths of a second
# without another byte, however many lines it has. Echo is off. `echo` is built into every sh, so the
# secret is on no command line. The 2026.2 prompt needs the Enter key's own character at the end; the
# others ignore it. Without the trap, dash forgets a ^C that comes while stty runs, and waits for a paste.
_PASTE = r"""
saved=$(stty -g) || exit 70
trap 'stty "$saved"; exit 130' INT
stty -icanon -echo min 1 time 0
secret=$( { dd bs=1 count=1 2>/dev/null; stty min 0 time "$4"; cat; } | tr -d '[:space:]' )
stty "$saved"
refused() { echo "$1"; exit 65; }
case $secret in
  "") refused "Nothing was pasted.";;
  *[!A-Za-z0-9._~+/=:@%,-]*) refused "This is more than a token or key. Copy only that.";;
esac
doubt=
[ "${#secret}" -ge "$2" ] || doubt="Only ${#secret} of $2 characters arrived: it is cut off."
case $secret in "$1"*) ;; *) doubt="It does not begin with $1: something else was copied.";; esac
if [ -n "$doubt" ]; then
  echo "$doubt"
  printf 'Store it anyway? y/[N] '
  read -r answer
  case $answer in [Yy]*) ;; *) exit 65;; esac
fi
echo "Passing it to OpenClaw ..."
echo "$secret" | tr '\n' '\r' | eval "$3"
"""

#: How long a paste may pause, in tenths of a second. A slow connection delivers it in pieces.
PAUSE = 20

#: Turns bracketed paste off, which would put its marks around the secret.
_PLAIN_PASTE = "\x1b[?2004l"


class Terminal(TypedAnswers):
    """The terminal on standard input and output."""

    def __init__(self) -> None:
        #: Whether a person can answer.
        self.is_interactive = sys.stdin.isatty() and sys.stdout.isatty()
        self._columns = min(78, shutil.get_terminal_size().columns) if sys.stdout.isatty() else 78

    def say(self, text: str = "", indent: str = "") -> None:
        """Print sentences, folded to the terminal's width."""
        print(fold(each_line(text), self._columns, indent), flush=True)

    def show(self, command: str) -> None:
        """Print a command on one line, to be copied."""
        print(f"  {one_line(command)}", flush=True)

    def ask(self, question: str) -> str:
        """The person's answer in lower case; ``n`` at the end of input. Raises KeyboardInterrupt."""
        self.say(question)
        print("> ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            print()
            return "n"
        return line.strip().lower()

    def run(self, action: RenewalAction, environment: Mapping[str, str]) -> int:
        return self._run_in_terminal(["/bin/sh", "-c", action.text], environment)

    def paste(self, action: RenewalAction, environment: Mapping[str, str]) -> int:
        """``is_token``: a cut one is noticed before it is stored. ``echoes``: its standard output is not shown."""
        self.request_paste(action)
        begins, length = (TOKEN_BEGINS, TOKEN_LENGTH) if action.is_token else ("", 1)
        print(_PLAIN_PASTE, end="", flush=True)
        reader = f"{action.text} >/dev/null" if action.echoes else action.text
        script = ["/bin/sh", "-c", _PASTE, "paste", begins, str(length), reader, str(PAUSE)]
        return self._run_in_terminal(script, environment)

    def _run_in_terminal(self, argv: list[str], environment: Mapping[str, str]) -> int:
        with self._restored():
            return subprocess.Popen(argv, env=dict(environment)).wait()

    @contextlib.contextmanager
    def _restored(self) -> Iterator[None]:
        """Leave ^C to the program, then restore the terminal and discard unread input.

        That input may be the rest of a paste. Neither the next question may take it for an answer, nor
        the person's shell for a command.
        """
        terminal = sys.stdin.fileno()
        saved = termios.tcgetattr(terminal)
        # A handler, not SIG_IGN, which the program would inherit.
        before = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            yield
        finally:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, saved)
            signal.signal(signal.SIGINT, before)


def fold(text: str, columns: int, indent: str = "") -> str:
    """``text`` in lines of at most ``columns``. A longer word (a URL, a profile) stays whole, to be copied."""
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

    So a wrapper script finds what lies beside it.
    """
    environment = {**os.environ, **variables}
    local = [p.program[0] for p in (programs.openclaw, programs.claude) if p.ssh is None]
    folders = [folder for program in local if (folder := os.path.dirname(os.path.expanduser(program)))]
    if folders:
        environment["PATH"] = ":".join([*folders, environment.get("PATH", os.defpath)])
    return environment
