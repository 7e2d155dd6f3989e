"""What makes a report's exit code, one entry per cause: the one-line outputs start from here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from exporter.lib.durations import END_OF_DATES, in_words
from exporter.model import AgentReport, Condition, ConditionName, LineWord, Report, Severity
from exporter.present.words import relative, visible

_LINE_WORDS = tuple(LineWord)


@dataclass(frozen=True)
class Problem:
    """One thing that makes an exit code, wherever it is seen in a target."""

    word: LineWord
    severity: Severity
    target: str
    agents: tuple[str, ...]
    subject: str  # profile, or provider; empty: the agent as a whole
    detail: str  # time left, reason
    deadline: float
    is_failed_look: bool

    @property
    def rank(self) -> tuple[int, int, float]:
        return (-self.severity.rank, _LINE_WORDS.index(self.word), self.deadline)

    def __str__(self) -> str:
        agents = ",".join(visible(agent, 60) for agent in self.agents[:3])
        if len(self.agents) > 3:
            agents += f" and {len(self.agents) - 3} more agents"
        place = f"{visible(self.target, 60)}/{agents}" if agents else visible(self.target, 60)
        subject = f"{visible(self.subject, 80)} on {place}" if self.subject else place
        return f"{self.word} {subject}{self.detail}"


def problems_of(report: Report, now: float) -> list[Problem]:
    """Everything that is critical or a warning, worst first; one credential in many agents once."""
    found: dict[tuple[Any, ...], Problem] = {}
    for target in report.targets:
        if not target.entries:
            found[target.target,] = Problem(
                LineWord.UNKNOWN, Severity.CRITICAL, target.target, (), "", " (no agents)", math.inf, True
            )
        for agent in target.entries:
            for key, problem in _agent_problems(agent, now):
                same = found.get((target.target, *key))
                agents = (*same.agents, agent.agent) if same else problem.agents
                worst = min((same, problem), key=lambda one: one.rank) if same else problem
                found[target.target, *key] = Problem(**(vars(worst) | {"agents": agents, "target": target.target}))
    return sorted(found.values(), key=lambda problem: problem.rank)


def _agent_problems(agent: AgentReport, now: float) -> Iterator[tuple[tuple[Any, ...], Problem]]:
    serious = [condition for condition in agent.conditions if condition.severity is not Severity.INFO]
    dead = {condition.provider for condition in serious if condition.name is ConditionName.NO_USABLE_PROFILE}
    for condition in serious:
        cause = condition
        if condition.name is ConditionName.NO_USABLE_PROFILE:
            cause = _cause(agent, condition)
        elif condition.provider in dead and condition.name.definition.causes_outage:
            continue  # told as the cause
        yield (condition.name, condition.provider, cause.profile), _problem(agent, condition, cause, now)
    if agent.failure is not None and all(condition.name is not ConditionName.CHECK_FAILED for condition in serious):
        failed = Condition(ConditionName.CHECK_FAILED, Severity.CRITICAL, reason=agent.failure.reason.value)
        yield (ConditionName.CHECK_FAILED, None, None), _problem(agent, failed, failed, now)
    elif agent.exit_code != 0 and not serious:
        severity = Severity.CRITICAL if agent.exit_code == 1 else Severity.WARNING
        unsaid = Condition(ConditionName.REPORTED, severity, reason=f"exit code {agent.exit_code}")
        yield (ConditionName.REPORTED, None, None), _problem(agent, unsaid, unsaid, now)


def _cause(agent: AgentReport, nothing_works: Condition) -> Condition:
    """The condition that says best why a provider has no usable profile."""
    theirs = [c for c in agent.conditions if c.provider == nothing_works.provider and c.name.definition.causes_outage]
    return min(
        theirs, key=lambda c: (_LINE_WORDS.index(c.name.definition.line), c.profile or ""), default=nothing_works
    )


def _problem(agent: AgentReport, condition: Condition, cause: Condition, now: float) -> Problem:
    profile = next((p for p in agent.profiles if p.id == cause.profile and p.provider == cause.provider), None)
    deadline = cause.deadline if cause.deadline is not None or profile is None else profile.expires_at
    word = cause.name.definition.line
    reason = f" ({visible(cause.reason or cause.name.value, 80)})"
    match word:
        case LineWord.EXPIRING | LineWord.EXPIRED:
            # A date that contradicts the word is no time left; OpenClaw's word may stand without one.
            agrees = deadline is not None and (deadline > now) == (word is LineWord.EXPIRING)
            detail = f" {relative(deadline, now)}".rstrip() if agrees else ""
        case LineWord.UNUSABLE:
            until = profile.unusable.until if profile and profile.unusable else None
            left = "" if until is None or not now < until <= END_OF_DATES else f", {in_words(until - now)} left"
            detail = (reason if cause.reason else "") + left
        case LineWord.MISSING:
            detail = reason if cause.reason else ""
        case _:
            detail = reason
    return Problem(
        word=word,
        severity=condition.severity,
        target=agent.target,
        agents=(agent.agent,),
        subject=cause.profile or cause.provider or "",
        detail=detail,
        deadline=deadline if deadline is not None and math.isfinite(deadline) else math.inf,
        is_failed_look=condition.name is ConditionName.CHECK_FAILED,
    )
