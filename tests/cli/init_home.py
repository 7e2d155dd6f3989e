"""A home directory in which a test runs ``init``."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from exporter.cli import program
from exporter.setup import homes


class Home:
    """A home directory, a shell environment, and a fake systemctl that records its calls."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.home = home
        self.config = home / ".config/openclaw-auth-exporter/config.json5"
        self.units = home / ".config/systemd/user"
        self.bin = home / "bin"
        self.bin.mkdir(parents=True)
        self.env = {"HOME": str(home), "PATH": f"{self.bin}:/usr/bin:/bin", "USER": "alice"}
        self.systemctl("exit 0")
        self.users: list[tuple[str, Path]] = []  # others whose homes this one may read, as root

    def systemctl(self, script: str) -> None:
        file = self.bin / "systemctl"
        file.write_text(f'#!/bin/sh\necho "$*" >>"$HOME/calls"\n{script}\n')
        file.chmod(0o755)

    def calls(self) -> list[str]:
        file = self.home / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def __call__(self, *args: str, stdin: int | None = None) -> subprocess.CompletedProcess[str]:
        with (
            self._monkeypatch.context() as patch,
            open(os.devnull if stdin is None else stdin, closefd=stdin is None) as file,
        ):
            for name in set(os.environ) - set(self.env):
                patch.delenv(name)
            for name, value in self.env.items():
                patch.setenv(name, value)
            patch.setattr("sys.argv", ["openclaw-auth-exporter", "init", *args])
            patch.setattr("sys.stdin", file)
            patch.setattr(homes, "other_users", lambda: self.users)
            code = program.run()
        return subprocess.CompletedProcess(args, code, *self._capsys.readouterr())

    def files(self) -> set[str]:
        """Every file below the home except the fake systemctl and its record."""
        found = {str(path.relative_to(self.home)) for path in self.home.rglob("*") if not path.is_dir()}
        return {name for name in found if not name.startswith(("bin/", "calls"))}

    def undo(self, output: str) -> None:
        """Paste the printed undo commands into a shell."""
        script = output.partition("To undo this:\n")[2]
        assert script
        subprocess.run(["sh", "-eu"], input=script, env=self.env, text=True, check=True, timeout=60)
