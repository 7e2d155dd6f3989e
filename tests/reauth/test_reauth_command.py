"""The command ``reauth`` without a terminal."""

from __future__ import annotations

import json
import os
from pathlib import Path

import programs
import pytest


@pytest.mark.parametrize(
    ("scenario", "arguments", "code", "said"),
    [
        ("expired", [], 1, "Nothing was run, because this is not a terminal."),
        ("healthy", [], 0, "No credential needs renewing."),
        ("healthy", ["--profile", "anthropic:default"], 0, "claude setup-token"),
        ("failing", [], 1, "Renewing does not fix this, critical: "),
        ("healthy", ["--profile", "nobody"], 64, "there is no profile named 'nobody'; known: anthropic:default"),
        ("healthy", ["--target", "nobody"], 64, "there is no target named 'nobody'"),
        (7, [], 78, "scenario"),
    ],
)
def test_command_without_a_terminal_runs_nothing(
    tmp_path: Path, scenario: object, arguments: list[str], code: int, said: str
) -> None:
    target = {"name": "home", "source": "simulated", "scenario": scenario}
    file = tmp_path / "config.json5"
    file.write_text(json.dumps({"targets": [target], "state_dir": str(tmp_path / "state")}))
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    finished = programs.run(["reauth", *arguments, "--config", str(file)], env)
    assert (finished.returncode, said in finished.stdout + finished.stderr) == (code, True), finished
