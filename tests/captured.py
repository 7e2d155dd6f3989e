"""The output of real programs (tests/captures), as the values that tests need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from exporter.config import Policy
from exporter.model import AgentReport, Observation
from exporter.sources.openclaw.status import observe
from exporter.state.history import CredentialHistory, record_observation
from exporter.verdict import Subject, evaluate

CAPTURES = Path(__file__).parent / "captures"
MORE_CAPTURES = Path(__file__).parent / "simulator_captures"


def capture(program: str, scenario: str) -> dict[str, Any]:
    paths = [folder / program / f"{scenario}.json" for folder in (CAPTURES, MORE_CAPTURES)]
    path = next(path for path in paths if path.exists())
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


def scenarios(program: str, folder: Path = CAPTURES) -> list[str]:
    return sorted(path.stem for path in (folder / program).glob("*.json") if not path.stem.startswith("_"))


def seen(release: str, scenario: str) -> Observation:
    """The observation from a captured run of the openclaw command, at the time of the run."""
    data = capture(f"openclaw-{release}", scenario)
    return observe(
        json.loads(data["stdout"]),
        target="home",
        agent="main",
        observed_at=data["now_ms"] / 1000,
        exit_code=data["exit_code"],
        version=release,
    )


def verdict(
    observation: Observation,
    history: CredentialHistory | None = None,
    policy: Policy | None = None,
    now: float | None = None,
) -> AgentReport:
    """The verdict about an observation at its own time, recorded in the history first."""
    at = observation.observed_at if now is None else now
    subject = Subject(observation.target, observation.agent, observation.source)
    recorded = record_observation(history or CredentialHistory(), observation, at)
    return evaluate(subject, observation, None, recorded, policy or Policy(), at)
