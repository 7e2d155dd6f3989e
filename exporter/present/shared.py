"""What several agents share, once, with its agents: conditions and credentials, by severity and then by deadline."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from exporter.model import AgentReport, Condition, ConditionName, ProfileReport, Report, Severity, Status, Step
from exporter.present.problems import conditions_to_show

_STATUS_ORDER = (Status.EXPIRED, Status.MISSING, Status.EXPIRING, Status.UNKNOWN, Status.OK, Status.STATIC)


@dataclass(frozen=True, slots=True)
class SharedCondition:
    """One condition, in every agent of a target that has it. Where agents need other commands, each has its own."""

    condition: Condition  # the worst of them
    target: str
    agents: tuple[str, ...]
    deadline: float  # Unix seconds; infinity if there is none
    checked_at: float | None  # the last successful check, if the last one failed; else None
    remedies: tuple[tuple[tuple[str, ...], tuple[Step, ...]], ...]  # agents and their steps


@dataclass(frozen=True, slots=True)
class SharedProfile:
    """One credential, in every agent of a target that has it."""

    profile: ProfileReport
    target: str
    agents: tuple[str, ...]
    severity: Severity | None  # of its worst condition


def shared_conditions(report: Report) -> list[SharedCondition]:
    """Every condition to show, the worst first, then the nearest deadline."""
    groups: dict[tuple[object, ...], list[tuple[AgentReport, Condition]]] = {}
    for agent in _agents(report):
        secrets = {(profile.provider, profile.id): profile.secret_hash for profile in agent.profiles}
        for condition in conditions_to_show(agent):
            secret = secrets.get((condition.provider or "", condition.profile or ""))
            own = agent.agent if condition.name is ConditionName.CHECK_FAILED else None
            key = (agent.target, condition.name, condition.provider, condition.profile, secret, own)
            groups.setdefault(key, []).append((agent, condition))
    return sorted(map(_merged, groups.values()), key=_condition_rank)


def _merged(group: list[tuple[AgentReport, Condition]]) -> SharedCondition:
    agent, worst = max(group, key=lambda pair: pair[1].severity.rank)
    remedies: dict[tuple[Step, ...], list[str]] = {}
    for each, condition in group:
        if condition.steps:
            remedies.setdefault(condition.steps, []).append(each.agent)
    deadlines = [_deadline(each, condition) for each, condition in group]
    return SharedCondition(
        condition=worst,
        target=agent.target,
        agents=tuple(each.agent for each, _ in group),
        deadline=min(deadlines),
        checked_at=agent.checked_at if agent.failure is not None else None,
        remedies=tuple((tuple(agents), steps) for steps, agents in remedies.items()),
    )


def shared_profiles(report: Report) -> list[SharedProfile]:
    """Every credential, the worst first, then the nearest deadline."""
    groups: dict[tuple[object, ...], list[tuple[AgentReport, ProfileReport]]] = {}
    for agent in _agents(report):
        for profile in agent.profiles:
            state = (profile.status, profile.expires_at, profile.unusable, profile.label, profile.refreshable)
            key = (agent.target, profile.provider, profile.id, profile.secret_hash, *state)
            groups.setdefault(key, []).append((agent, profile))
    shared = [
        SharedProfile(group[0][1], group[0][0].target, tuple(agent.agent for agent, _ in group), _worst(group))
        for group in groups.values()
    ]
    return sorted(shared, key=_profile_rank)


def _agents(report: Report) -> Iterable[AgentReport]:
    return (agent for target in report.targets for agent in target.entries)


def _worst(group: list[tuple[AgentReport, ProfileReport]]) -> Severity | None:
    found = (
        condition.severity
        for agent, profile in group
        for condition in agent.conditions
        if condition.provider == profile.provider and condition.profile == profile.id
    )
    return max(found, key=lambda severity: severity.rank, default=None)


def _deadline(agent: AgentReport, condition: Condition) -> float:
    profile = next((p for p in agent.profiles if (p.provider, p.id) == (condition.provider, condition.profile)), None)
    deadline = condition.deadline if condition.deadline is not None or profile is None else profile.expires_at
    return deadline if deadline is not None and math.isfinite(deadline) else math.inf


def _condition_rank(shared: SharedCondition) -> tuple[int, float, str, str]:
    return (-shared.condition.severity.rank, shared.deadline, shared.target, shared.condition.profile or "")


def _profile_rank(shared: SharedProfile) -> tuple[int, bool, int, float, str, str]:
    profile, severity = shared.profile, shared.severity
    date = profile.expires_at
    soon = date if date is not None and math.isfinite(date) else math.inf
    status = _STATUS_ORDER.index(profile.status)
    is_down = profile.unusable is not None or status < _STATUS_ORDER.index(Status.EXPIRING)
    if severity is not None:
        return (-severity.rank, False, 0, soon, shared.target, profile.id)
    return (1, not is_down, status, soon, shared.target, profile.id)
