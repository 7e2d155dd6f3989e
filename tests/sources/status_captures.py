"""What OpenClaw printed with ``models status --json``, recorded or made up, and what is read from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from exporter.model import CheckError, Observation
from exporter.sources.openclaw.status import extract_json, observe

CAPTURES = sorted((Path(__file__).parent.parent / "captures").glob("openclaw-*/*.json"))


def capture(name: str, release: str = "2026.9.6") -> dict[str, Any]:
    path = Path(__file__).parent.parent / "captures" / f"openclaw-{release}" / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def payload_of(name: str, release: str = "2026.9.6") -> dict[str, Any]:
    return extract_json(capture(name, release)["stdout"].encode())


def seen(payload: Mapping[str, Any], exit_code: int | None = 0, version: str | None = "1.2.3") -> Observation:
    return observe(payload, target="t", agent="main", observed_at=1000.0, exit_code=exit_code, version=version)


def status_of(*profiles: Any, **auth: Any) -> dict[str, Any]:
    return {
        "resolvedDefault": "anthropic/x",
        "auth": {"oauth": {"profiles": [*profiles]}, "unusableProfiles": [], **auth},
    }


def answer_or_reason(call: Callable[[Any], Any], given: Any) -> Any:
    try:
        return call(given)
    except CheckError as error:
        assert "PLANTED" not in str(error)  # noqa: PT017 - an answer is as good
        return error.reason
