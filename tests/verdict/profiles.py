"""Profiles, an observation that holds them, and the conditions found in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from exporter.model import AgentReport, Dialect, Observation, ObservedProfile

NOW = 1_795_346_770.0
HOUR, DAY = 3600.0, 86400.0
TOKEN = ObservedProfile("anthropic:default", "anthropic", "token", status="ok", expires_at=NOW + 90 * DAY)
SPARE = replace(TOKEN, id="anthropic:spare")
EXPIRED = replace(TOKEN, status="expired", expires_at=NOW - DAY)
LOGIN = ObservedProfile("openai:me", "openai", "oauth", status="ok", expires_at=NOW + 6 * HOUR)


def observation(*profiles: ObservedProfile, **rest: Any) -> Observation:
    made = Observation("home", "main", "openclaw", Dialect.ROUTES, NOW, profiles, ("anthropic",))
    return replace(made, **rest)


def found(report: AgentReport) -> set[tuple[str, str, str | None]]:
    return {(c.name.value, c.severity.value, c.profile) for c in report.conditions}
