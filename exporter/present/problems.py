"""Picks the problems that decide a report's exit code, one per cause, for the one-line outputs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from exporter.lib.durations import END_OF_DATES, in_words
from exporter.model import AgentReport, Condition, ConditionName, LineWord, Report, Severity
from exporter.present.words import relative, visible

_LINE_WORDS = tuple(LineWord)


class Problem(NamedTuple):
    """One critical or warning condition, in every agent of a target that has it."""

    word: LineWord
    severity: Severity
    target: str
    agents: tuple[str, ...]
    subject: str  # the profile or provider; empty: the agent as a whole
    detail: str  # time left or reason, ready to append
    deadline: float  # Unix seconds; infinity if there is none
    is_failed_check: bool

    @property
    def rank(self) -> tuple[int, int, float]:
        """Sorts the worst first."""
        return (-self.severity.rank, _LINE_WORDS.index(self.word), self.deadline)

    def __str__(self) -> str:
        agents = ",".join(visible(agent, 60) for agent in self.agents[:3])
        if len(self.agents) > 3:
            agents += f" and {len(self.agents) - 3} more agents"
        place = f"{visible(self.target, 60)}/{agents}" if agents else visible(self.target, 60)
        subject = f"{visible(self.subject, 80)} on {place}" if self.subject else place
        return f"{self.word} {subject}{self.detail}"


def problems_of(report: Report, now: float) -> list[Problem]:
    """Every critical or warning problem, the worst first. A credential that agents share is one problem."""
    found: dict[tuple[Any, ...], Problem] = {}
    for target in report.targets:
        if not target.entries:
            found[target.target,] = Problem(
                LineWord.UNKNOWN, Severity.CRITICAL, target.target, (), "", " (no agents)", math.inf, True
            )
        for agent in target.entries:
            for key, problem in _agent_problems(agent, now):
                known = found.get((target.target, *key))
                agents = (*known.agents, agent.agent) if known else problem.agents
                worst = min((known, problem), key=lambda either: either.rank) if known else problem
                found[target.target, *key] = worst._replace(agents=agents, target=target.target)
    return sorted(found.values(), key=lambda problem: problem.rank)


def conditions_to_show(agent: AgentReport) -> list[Condition]:
    """The conditions, without those of single profiles that the outage of their provider lists."""
    outages = {
        condition.provider for condition in agent.conditions if condition.name is ConditionName.NO_USABLE_PROFILE
    }
    return [c for c in agent.conditions if not (c.name.definition.causes_outage and c.provider in outages)]


def _agent_problems(agent: AgentReport, now: float) -> Iterator[tuple[tuple[Any, ...], Problem]]:
    serious = [condition for condition in conditions_to_show(agent) if condition.severity is not Severity.INFO]
    for condition in serious:
        cause = _cause(agent, condition) if condition.name is ConditionName.NO_USABLE_PROFILE else condition
        yield (condition.name, condition.provider, cause.profile), _problem(agent, condition, cause, now)
    if agent.exit_code != 0 and not serious:
        severity = Severity.CRITICAL if agent.exit_code == 1 else Severity.WARNING
        unexplained = Condition(ConditionName.REPORTED, severity, reason=f"exit code {agent.exit_code}")
        yield (ConditionName.REPORTED, None, None), _problem(agent, unexplained, unexplained, now)


def _cause(agent: AgentReport, outage: Condition) -> Condition:
    """The most urgent condition that explains why a provider has no usable profile; else the outage itself."""
    causes = [c for c in agent.conditions if c.provider == outage.provider and c.name.definition.causes_outage]
    return min(causes, key=lambda c: (_LINE_WORDS.index(c.name.definition.line), c.profile or ""), default=outage)


def _problem(agent: AgentReport, condition: Condition, cause: Condition, now: float) -> Problem:
    profile = next((p for p in agent.profiles if p.id == cause.profile and p.provider == cause.provider), None)
    deadline = cause.deadline if cause.deadline is not None or profile is None else profile.expires_at
    word = cause.name.definition.line
    reason = f" ({visible(cause.reason or cause.name.value, 80)})"
    match word:
        case LineWord.EXPIRING | LineWord.EXPIRED:
            # OpenClaw's status may contradict its date, which then is not the time left.
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
        is_failed_check=condition.name is ConditionName.CHECK_FAILED,
    )
