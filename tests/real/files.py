"""An OpenClaw home that consists of files only, for tests of the exporter's reactions to a store."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .parts import TOKEN_PREFIX, Exporter, OpenClawHome

DAY = 86400.0


class FilesHome(OpenClawHome):
    """The layout of 2026.2, with ``auth-profiles.json`` per agent. No program runs in it."""

    def __init__(self, tmp_path: Path) -> None:
        self.release = "2026.2.9"
        self.version = (2026, 2, 9)
        self.command = Path("/bin/false")
        self.home = tmp_path / "home"
        self.env = {"HOME": str(self.home), "PATH": "/usr/local/bin:/usr/bin:/bin", "NO_COLOR": "1"}
        self.state.mkdir(parents=True)
        model = {"primary": "anthropic/claude-opus-4-6"}
        (self.state / "openclaw.json").write_text(json.dumps({"agents": {"defaults": {"model": model}}}))

    def write_tokens(self, ends: Mapping[str, float]) -> None:
        """Replace the main agent's profiles with tokens: name → expiry in Unix seconds."""
        path = self.state / "agents/main/agent/auth-profiles.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        profiles = {
            name: {
                "type": "token",
                "provider": "anthropic",
                "token": f"{TOKEN_PREFIX}{name}-{at:.0f}-".ljust(93, "A"),
                "expires": int(at * 1000),
            }
            for name, at in ends.items()
        }
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps({"version": 1, "profiles": profiles}))
        fresh.replace(path)


def store_target(world: FilesHome) -> dict[str, Any]:
    return {"name": "home", "source": "store", "state_dir": str(world.state)}


def check_now(exporter: Exporter) -> None:
    """Request a check instead of waiting for the next one. The configuration must have the token ``TOKEN``."""
    import httpx

    answer = httpx.post(
        f"{exporter.url}/api/v1/check", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60, trust_env=False
    )
    assert answer.is_success, answer.text


TOKEN = "a-token-of-the-tests-that-is-long-enough"


def in_a_year() -> float:
    return time.time() + 365 * DAY
