"""A person at a real terminal: a pty, a program on it, and what is typed when it asks."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from typing import Self


class Typist:
    """Runs ``argv`` on a terminal of its own, ``columns`` wide. Everything it prints is in ``seen``."""

    def __init__(self, argv: Sequence[str | os.PathLike[str]], env: Mapping[str, str], columns: int = 80) -> None:
        self.seen = ""
        self._read_to = 0
        self.pid, self._fd = pty.fork()
        if self.pid == 0:  # pragma: no cover - another process
            try:
                # A shell's background job ignores ^C, and hands that down to whatever it starts.
                for number in (signal.SIGINT, signal.SIGQUIT):
                    signal.signal(number, signal.SIG_DFL)
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
                os.execvpe(os.fspath(argv[0]), [os.fspath(word) for word in argv], dict(env))
            finally:
                os._exit(127)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays."""
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)

    def until(self, text: str, seconds: float = 300.0) -> str:
        """What was printed from the last ``until`` to ``text``, which must come. A line may be folded between words."""
        words = re.split(r"(?<=\S) (?=\S)", text)
        wanted = re.compile(r"\s+".join(map(re.escape, words)))
        ends = time.monotonic() + seconds
        while (found := wanted.search(self.seen, self._read_to)) is None:
            still_there = self._listen(0.1)
            if wanted.search(self.seen, self._read_to) is None:
                assert still_there, f"it ended without {text!r}:\n{self.seen}"
                assert time.monotonic() < ends, f"not within {seconds:g} s: {text!r}\n{self.seen}"
        before, self._read_to = self._read_to, found.end()
        return self.seen[before : self._read_to]

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def answer(self, question: str, keys: str) -> str:
        """Wait for a question's prompt, type an answer and Enter; what was printed up to the prompt."""
        shown = self.until(question) + self.until("> ")
        self.type(f"{keys}\r")
        return shown

    def paste(self, text: str) -> None:
        """Paste when it is asked for, and the terminal no longer echoes: as a person does, a moment later."""
        self.keys("continues by itself.", text)

    def keys(self, asked: str, keys: str) -> str:
        """Type for a program that has asked and reads single keys; what was printed up to what it asks."""
        shown = self.until(asked)
        while termios.tcgetattr(self._fd)[3] & termios.ICANON:
            self._listen(0.05)
        self.type(keys)
        return shown

    def wait(self, seconds: float = 300.0) -> int:
        """The exit code, when it has ended."""
        ends = time.monotonic() + seconds
        while True:
            self._listen(0.1)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._listen(0.1)
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < ends, f"not ended within {seconds:g} s:\n{self.seen}"

    def _listen(self, seconds: float) -> bool:
        """Take what is printed; False when nothing more can come."""
        ready, _, _ = select.select([self._fd], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # Linux: nobody has the other side open any more
            return False
        self.seen += data.decode("utf-8", "replace")
        return bool(data)
