"""Fixtures for the commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., Path]:
    """Writes a configuration with one simulated target, the given channels and other keys; returns its path."""

    def write(scenario: str, *channels: dict[str, Any], **rest: Any) -> Path:
        path = tmp_path / "config.json5"
        target = {"name": "home", "source": "simulated", "scenario": scenario}
        path.write_text(
            json.dumps({"targets": [target], "channels": channels, "state_dir": str(tmp_path / "state"), **rest})
        )
        return path

    return write
