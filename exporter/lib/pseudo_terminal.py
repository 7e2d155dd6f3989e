"""A program on a terminal that no person sees: its screen as text, and the keys that are typed for it.

Synchronous: one thread starts it, reads it and ends it. The screen is that of a terminal emulator (pyte), because
programs draw with cursor movements; it is wide, so that an address or a token stays on one line. When this process is
gone, the kernel hangs up the terminal, which ends the program.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping

from exporter.lib.command import ProcessTree

#: Wide enough for the longest sign-in address, in columns; and high enough for what programs print before it, in lines.
COLUMNS, LINES = 600, 60
#: More output than this is no conversation any more, in bytes.
MAX_OUTPUT = 4 * 1024 * 1024
_GRACE = 1.0  # seconds between SIGHUP and SIGKILL
_CHUNK = 16 * 1024

#: Makes the terminal on standard input the program's own, so that ^C reaches it, and starts it. Not as ``preexec_fn``,
#: because other threads run here.
_START = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGPIPE):
    signal.signal(number, signal.SIG_DFL)
os.execve("/bin/sh", ["/bin/sh", "-c", sys.argv[1]], os.environ)
"""


class PseudoTerminal:
    """Runs the shell command ``command`` with exactly ``environment`` and TERM."""

    def __init__(self, command: str, environment: Mapping[str, str]) -> None:
        """Raises OSError if it cannot be started."""
        import pyte  # only a renewal needs it

        self._screen = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self._screen)
        self._left = MAX_OUTPUT
        self._master, slave = os.openpty()
        try:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
            # "linux" and "dumb" would spare some escapes, but programs also draw for people.
            known = {**environment, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _START, command],
                env=known,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._master)
            raise
        finally:
            os.close(slave)
        self._code: int | None = None  # once it has been ended
        #: When it last printed something, by the monotonic clock.
        self.printed_at = time.monotonic()

    def listen(self, seconds: float) -> bool:
        """Take what it prints within ``seconds``; returns early after the first piece. False once it has ended.

        Raises ValueError if it prints without end.
        """
        ready, _, _ = select.select([self._master], [], [], seconds)
        if not ready:
            return not self._has_ended()
        try:
            data = os.read(self._master, _CHUNK)
        except OSError:  # Linux: nobody has the other side open any more
            data = b""
        if not data:
            return False
        self.printed_at = time.monotonic()
        self._left -= len(data)
        if self._left < 0:
            raise ValueError("the program prints without end")
        # An escape that the emulator does not know may raise anything. What is on the screen stays there.
        with contextlib.suppress(Exception):
            self._stream.feed(data)
        return True

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def reads_keys(self) -> bool:
        """Whether the program reads single keys, as prompts do that draw themselves."""
        with contextlib.suppress(OSError, termios.error):
            return not termios.tcgetattr(self._master)[3] & termios.ICANON
        return False

    def type(self, keys: str) -> None:
        """Type keys, as far as the program takes them."""
        with contextlib.suppress(OSError):
            os.set_blocking(self._master, False)
            os.write(self._master, keys.encode("utf-8", "replace"))

    def end(self) -> int:
        """End the program and everything that it started. Returns its exit code, negative for a signal.

        Again, it only returns that: the numbers of the process and of the descriptor may belong to something else.
        """
        if self._code is not None:
            return self._code
        tree = ProcessTree(self._process)
        for number in (signal.SIGHUP, signal.SIGKILL):
            tree.signal(number)
            with contextlib.suppress(OSError):
                if (foreground := os.tcgetpgrp(self._master)) > 0:  # 0 would be our own group
                    os.killpg(foreground, number)
            if self._ends_within(_GRACE):
                break
        tree.signal(signal.SIGKILL)  # it is not reaped yet, so this is still its group
        with contextlib.suppress(OSError):
            os.close(self._master)
        code = self._process.poll()
        self._code = -signal.SIGKILL if code is None else code
        return self._code

    def wait(self, seconds: float) -> int:
        """The exit code of a program that has ended, or that is ended after ``seconds``."""
        self._ends_within(seconds)
        return self.end()

    def _has_ended(self) -> bool:
        """Without reaping it, where the system can do that: the number of its group stays its own."""
        if not hasattr(os, "waitid"):
            return self._process.poll() is not None
        with contextlib.suppress(ChildProcessError):
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return True

    def _ends_within(self, seconds: float) -> bool:
        """While waiting, what it prints is read, or it could not end."""
        ends = time.monotonic() + seconds
        while not (ended := self._has_ended()) and time.monotonic() < ends:
            with contextlib.suppress(OSError):
                if select.select([self._master], [], [], 0.05)[0]:
                    os.read(self._master, _CHUNK)
        return ended
