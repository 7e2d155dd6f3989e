"""Report → a short table for a terminal."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterator

from exporter.model import AgentReport, ProfileReport, Report, Severity, Status
from exporter.present.problems import conditions_to_show, problems_of
from exporter.present.words import (
    VERDICTS,
    count,
    counts,
    heading,
    listed,
    now_of,
    remedy_lines,
    until_of,
    visible,
)

#: How many entries a table shows. It counts the rest.
MAX_AGENTS, MAX_PROFILES, MAX_CONDITIONS = 20, 20, 10

_WORST_FIRST = {1: 0, 2: 1, 0: 2}  # exit codes
_STATUS_ORDER = (Status.EXPIRED, Status.MISSING, Status.EXPIRING, Status.UNKNOWN, Status.OK, Status.STATIC)


def to_table(report: Report, now: float | None = None) -> str:
    """A short table, worst first, that ends with a summary.

    Beyond MAX_AGENTS, MAX_PROFILES and MAX_CONDITIONS it only counts entries. The JSON has all.
    """
    now = now_of(report, now)
    agents = sorted(
        (agent for target in report.targets for agent in target.entries),
        key=lambda agent: _WORST_FIRST[agent.exit_code],
    )
    blocks = ["\n".join(_agent_block(agent, now)) for agent in agents[:MAX_AGENTS]]
    if len(agents) > MAX_AGENTS:
        rest = Counter(VERDICTS[agent.exit_code] for agent in agents[MAX_AGENTS:])
        blocks.append(f"... and {count(sum(rest.values()), 'more agent')}: " + listed(rest))
    blocks += [f"{visible(t.target, 60)} ({visible(t.source, 20)}): no agents" for t in report.targets if not t.entries]
    severities = [problem.severity for problem in problems_of(report, now)]
    critical, warnings = severities.count(Severity.CRITICAL), severities.count(Severity.WARNING)
    serious = [f"{critical} critical"] * bool(critical) + [count(warnings, "warning")] * bool(warnings)
    where = f"{', '.join(serious)} in {counts(report)}" if serious else counts(report)
    blocks.append(f"{VERDICTS[report.exit_code].capitalize()}: {where} (exit code {report.exit_code}).")
    return "\n\n".join(blocks)


def _agent_block(agent: AgentReport, now: float) -> Iterator[str]:
    yield f"{heading(agent, now)}: {VERDICTS[agent.exit_code]}"
    worst = sorted(agent.profiles, key=_profile_rank)
    rows = [(_name(p), p.unusable.kind if p.unusable else p.status.value, p) for p in worst[:MAX_PROFILES]]
    width = max((len(name) for name, _, _ in rows), default=0)
    for name, word, profile in rows:
        yield f"  {name:<{width}}  {visible(word, 20):<8}  {until_of(profile, now)}"
    if len(worst) > MAX_PROFILES:
        rest = Counter(profile.status.value for profile in worst[MAX_PROFILES:])
        yield f"  ... and {count(sum(rest.values()), 'more profile')}: " + listed(rest)
    conditions = sorted(conditions_to_show(agent), key=lambda condition: -condition.severity.rank)
    for condition in conditions[:MAX_CONDITIONS]:
        yield from _paragraph(
            f"{condition.severity.value.upper()} {condition.name.value}: {visible(condition.summary, 600)}"
        )
        yield from remedy_lines(condition.remedy, "    ")
    if len(conditions) > MAX_CONDITIONS:
        yield f"  ... and {count(len(conditions) - MAX_CONDITIONS, 'more condition')}"


def _name(profile: ProfileReport) -> str:
    alias = f" ({visible(profile.label, 20)})" if profile.label != profile.id else ""
    return visible(profile.id, 40) + alias


def _profile_rank(profile: ProfileReport) -> tuple[bool, int, float, str]:
    date = profile.expires_at
    soon = date if date is not None and math.isfinite(date) else math.inf
    status = _STATUS_ORDER.index(profile.status)
    is_down = profile.unusable is not None or status < _STATUS_ORDER.index(Status.EXPIRING)
    return (not is_down, status, soon, profile.id)


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(
        text, 78, initial_indent="  ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
