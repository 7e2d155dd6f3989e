"""The command line for tests: the installed program over a simulated OpenClaw, and commands run in this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import programs
from click.testing import CliRunner
from stand_ins import COMMAND

from exporter.cli.program import cli
from exporter.lib.errors import ExpectedError
from exporter.simulator.world import World

DAY = 86400.0


class CommandLine:
    """The installed program, with its own home and one simulated target named ``home``."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.world_file = home / "world.json"
        self.world = World()
        self.config = home / "config.json5"
        command = [*COMMAND, "--world", str(self.world_file), "openclaw"]
        target = {"name": "home", "source": "openclaw", "command": command, "timeout": "20s"}
        self.configure({"targets": [target]})
        self.save()

    def configure(self, made: dict[str, object]) -> None:
        self.config.write_text(json.dumps({**made, "state_dir": str(self.home / "state")}))

    def add(self, **more: object) -> None:
        """Add keys to the configuration."""
        self.configure({**json.loads(self.config.read_text()), **more})

    def save(self) -> None:
        self.world.save(self.world_file)

    def paste(self, expires_in: float | None, profile: str = "anthropic:default") -> None:
        self.world.paste_token(profile, expires_in, time.time())
        self.save()

    def __call__(self, *args: str, with_config: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        where = ["--config", str(self.config)] if with_config else []
        return programs.run([*args, *where], {**self.env, **env})

    @property
    def env(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "TZ": "UTC",
        }

    def in_shell(self, line: str) -> str:
        """The output of a shell for ``line``, in which ``$X`` is the program and ``$C`` its configuration."""
        names = {"X": f"{sys.executable} -m exporter.cli", "C": str(self.config)}
        run = ["bash", "-c", line]
        return subprocess.run(run, capture_output=True, text=True, timeout=60, env={**self.env, **names}).stdout


def run(config: Path, *words: str) -> tuple[int, str]:
    """Run a command in this process. Returns its exit code with its output, or with the message of its error."""
    result = CliRunner().invoke(cli, [*words, "--config", str(config)], standalone_mode=False)
    match result.exception:
        case click.UsageError() as error:
            return 64, error.format_message()
        case ExpectedError() as error:
            return error.exit_code, str(error)
        case error:
            assert error is None, error
    return int(result.return_value or 0), result.output


def writing(path: Path, name: str = "script") -> dict[str, Any]:
    """A channel that appends each message to a file, one line each."""
    return {"name": name, "type": "command", "command": ["/bin/sh", "-c", f"cat >> {path}"]}
