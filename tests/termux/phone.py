"""A simulated Termux in a temporary directory: a home, and a prefix with a shell, a few tools and strict fakes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parents[2] / "scripts/termux"
STANDIN = Path(__file__).parent / "standin.py"
STANDINS = (
    *("termux-notification", "termux-notification-remove", "termux-toast", "termux-dialog", "termux-open-url"),
    *("termux-job-scheduler", "termux-wake-lock", "am", "curl", "ssh"),
)
TOOLS = (
    "cat",
    "chmod",
    "cksum",
    "cp",
    "dirname",
    "head",
    "mkdir",
    "mv",
    "printf",
    "rm",
    "tail",
    "timeout",
    "tr",
)  # coreutils, as in Termux
#: 2026-11-23 10:00 UTC.
NOW = 1_795_428_000


class Phone:
    """A phone with the downloaded scripts, not yet installed. ``shell`` is its ``sh``."""

    def __init__(self, root: Path, shell: Path) -> None:
        self.root = root
        self.prefix = root / "usr"
        self.home = root / "home"
        self.download = root / "download"
        self.now = NOW
        bin_ = self.prefix / "bin"
        bin_.mkdir(parents=True)
        self.home.mkdir()
        shutil.copytree(SCRIPTS, self.download)
        (bin_ / "sh").symlink_to(shell)
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, f"{tool} is missing on this machine"
            (bin_ / tool).symlink_to(found)
        program = self.prefix / "libexec/standin"
        program.parent.mkdir()
        program.write_text(f"#!{sys.executable} -SsE\n{STANDIN.read_text()}")
        program.chmod(0o755)
        for name in STANDINS:
            (bin_ / name).symlink_to(program)
        # The clock stands still; how a moment is written is the real program's business.
        date = bin_ / "date"
        date.write_text(f'#!/bin/sh\n[ "$*" = +%s ] || exec {shutil.which("date")} -u "$@"\ncat "$TERMUX_PHONE/now"\n')
        date.chmod(0o755)
        self.calls_file.touch()
        self.set_clock(NOW)

    @property
    def calls_file(self) -> Path:
        return self.root / "calls.jsonl"

    @property
    def programs(self) -> Path:
        return self.home / ".local/share/openclaw-auth"

    @property
    def state(self) -> Path:
        return self.home / ".local/state/openclaw-auth"

    @property
    def config(self) -> Path:
        return self.home / ".config/openclaw-auth/config"

    @property
    def button(self) -> str:
        """The beginning of a notification's action that calls the program."""
        return f"'{self.prefix}/bin/sh' '{self.programs}/openclaw-auth'"

    def set_clock(self, now: int) -> None:
        self.now = now
        (self.root / "now").write_text(str(now))

    def later(self, *, hours: float) -> None:
        self.set_clock(self.now + int(hours * 3600))

    def answers(self, name: str, out: str, code: int = 0) -> None:
        """Set the output and the exit code of the fake ``name``."""
        (self.root / f"{name}.json").write_text(json.dumps({"out": out, "code": code}))

    def run(self, *argv: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command as Termux does: in its home, with only the prefix on PATH."""
        environment = {"PREFIX": str(self.prefix), "HOME": str(self.home), "PATH": str(self.prefix / "bin")}
        return self._run(argv, environment)

    def sh(self, script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(self.prefix / "bin/sh", script, *arguments)

    def do(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the installed program."""
        return self.sh(self.programs / "openclaw-auth", command)

    def install(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.sh(self.download / "install.sh", *arguments)

    def tap(self, notification: list[str], action: str) -> subprocess.CompletedProcess[str]:
        """Run a notification's action (``button1-action``, ``on-delete``) like Android: in a new shell without PATH."""
        command = notification[notification.index(f"--{action}") + 1]
        # A test prefix must be passed on.
        environment = {"PREFIX": str(self.prefix), "HOME": str(self.home)}
        return self._run([self.prefix / "bin/sh", "-c", command], environment)

    def answer(self, *argv: str | Path, reply: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a terminal and answer its question."""
        ours, theirs = os.openpty()
        try:
            os.write(ours, f"{reply}\n".encode())
            environment = {"PREFIX": str(self.prefix), "HOME": str(self.home), "PATH": str(self.prefix / "bin")}
            return self._run(argv, environment, stdin=theirs)
        finally:
            os.close(ours)
            os.close(theirs)

    def _run(
        self, argv: Any, environment: dict[str, str], stdin: int = subprocess.DEVNULL
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [os.fspath(word) for word in argv],
            env={**environment, "TERMUX_PHONE": str(self.root)},
            cwd=self.home,
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def calls(self) -> list[list[str]]:
        """The calls since the last time, each as its words. Fails if a fake refused one."""
        found = [json.loads(line) for line in self.calls_file.read_text().splitlines()]
        self.calls_file.write_text("")
        refused = [call for call in found if "refused" in call]
        assert not refused, refused
        return [[call["name"], *call["argv"]] for call in found]
