"""Report → the JSON of ``check --json`` and ``/api/v1/status``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from exporter.lib.durations import iso
from exporter.lib.printable import without_surrogates
from exporter.model import AgentReport, Condition, Failure, ProfileReport, Report, Step, TargetReport

SCHEMA_VERSION = 1


def to_json(report: Report) -> dict[str, Any]:
    """The body of ``check --json`` and ``/api/v1/status``, ready for ``json.dumps``.

    Dates are ISO 8601 in UTC, or null beyond the year 9999. Lone surrogates, which UTF-8 cannot encode,
    become backslash escapes.
    """
    return {**_head(report), "targets": [_target(target) for target in report.targets]}


def to_text(report: Report, more: Mapping[str, Any]) -> Iterator[str]:
    """``to_json`` as text, with ``more`` at its end. In pieces: those of a whole fleet at once would need much room."""
    yield json.dumps(_head(report))[:-1] + ', "targets": ['
    for number, target in enumerate(report.targets):
        yield (", " if number else "") + json.dumps(_target(target), ensure_ascii=False)
    yield "], " + json.dumps(encodable({**more}), ensure_ascii=False)[1:] if more else "]}"


def _head(report: Report) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "exit_code": report.exit_code,
        "checked_at": iso(report.checked_at),
    }


def _target(target: TargetReport) -> dict[str, Any]:
    chosen = {} if target.chosen is None else {"chosen": target.chosen}
    result = {
        "name": target.target,
        "source": target.source,
        **chosen,
        "error": _error(target.failure),
        "agents": [_agent(agent) for agent in target.entries],
    }
    cleaned = encodable(result)
    assert isinstance(cleaned, dict)
    return cleaned


def _agent(agent: AgentReport) -> dict[str, Any]:
    return {
        "id": agent.agent,
        "exit_code": agent.exit_code,
        "openclaw_exit_code": agent.openclaw_exit_code,
        "openclaw_version": agent.openclaw_version,
        "checked_at": iso(agent.checked_at),
        "error": _error(agent.failure),
        "profiles": [_profile(profile) for profile in agent.profiles],
        "conditions": [_condition(condition) for condition in agent.conditions],
    }


def _profile(profile: ProfileReport) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": profile.id,
        "provider": profile.provider,
        "kind": profile.kind,
        "status": profile.status.value,
        "expires_at": iso(profile.expires_at),
        "basis": profile.basis.value if profile.basis else None,
        "refreshable": profile.refreshable,
        "selected": profile.selected,
    }
    if profile.label != profile.id:
        shown["alias"] = profile.label
    unusable = profile.unusable
    if unusable is not None:
        shown["unusable"] = {"kind": unusable.kind, "reason": unusable.reason, "until": iso(unusable.until)}
    elif profile.unusable_seen:
        shown["unusable"] = None
    return shown


def _condition(condition: Condition) -> dict[str, Any]:
    return {
        "condition": condition.name.value,
        "severity": condition.severity.value,
        "provider": condition.provider,
        "profile": condition.profile,
        "summary": condition.summary,
        "remedy": list(condition.remedy),
        "steps": [_step(step) for step in condition.steps],
    }


def _step(step: Step) -> dict[str, Any]:
    where = {"host": step.where.host, "user": step.where.user, "home": step.where.home}
    return {"kind": step.kind.value, "text": step.text, "where": where, "needs": [need.value for need in step.needs]}


def _error(failure: Failure | None) -> dict[str, str] | None:
    return None if failure is None else {"reason": failure.reason.value, "message": failure.message}


def encodable(value: Any) -> Any:
    """``value`` with lone surrogates as backslash escapes, so that its JSON is valid UTF-8."""
    if isinstance(value, dict):
        return {key: encodable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [encodable(item) for item in value]
    return without_surrogates(value) if isinstance(value, str) else value
