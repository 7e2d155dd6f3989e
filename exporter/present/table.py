"""Report → a short table for a terminal: first what needs someone, with its commands, then every credential."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from exporter.lib.zones import in_zone
from exporter.model import Report, Step, StepKind
from exporter.present.attention import attention
from exporter.present.shared import SharedCondition, SharedProfile, shared_conditions, shared_profiles
from exporter.present.style import PLAIN, Style
from exporter.present.words import (
    VERDICTS,
    count,
    counts,
    listed,
    now_of,
    relative,
    remedy_lines,
    until_of,
    visible,
)

#: How many entries a table shows unless it shows everything. It counts the rest.
MAX_PROFILES, MAX_CONDITIONS, MAX_PLACES, MAX_AGENTS = 40, 20, 20, 3
#: The width of a column where nothing is shortened: a longer name moves the rest of its row.
MAX_COLUMN = 60
_TONES = {0: "ok", 1: "critical", 2: "warning"}


def to_table(report: Report, now: float | None = None, style: Style = PLAIN) -> str:
    """What needs someone and all credentials, by severity and then by deadline; ends with a summary.

    What agents share is shown once, with its agents. Beyond the limits above it only counts, unless ``style`` asks
    for everything. The JSON has all.
    """
    now = now_of(report, now)
    limit = None if style.everything else MAX_CONDITIONS
    conditions = shared_conditions(report)
    blocks = ["\n".join(_condition(shared, now, style)) for shared in conditions[:limit]]
    if len(blocks) < len(conditions):
        rest = Counter(shared.condition.severity.value for shared in conditions[len(blocks) :])
        blocks.append(f"... and {count(sum(rest.values()), 'more condition')}: {listed(rest)} (--all lists them)")
    blocks += filter(None, ["\n".join(_profiles(shared_profiles(report), now, style)), _empty(report, style)])
    found = attention(report, now)
    verdict = "Replies fail now" if report.exit_code == 1 and found.only_recovers else VERDICTS[report.exit_code]
    verdict = style.paint(verdict.capitalize(), _TONES[report.exit_code])
    blocks.append(f"{verdict}: {found.line(now, style.zone)} in {counts(report)} (exit code {report.exit_code}).")
    return "\n\n".join(blocks)


def _condition(shared: SharedCondition, now: float, style: Style) -> Iterator[str]:
    condition = shared.condition
    severity = condition.severity.value
    subject = visible(condition.profile or condition.provider or "", 128)
    place = _place(shared.target, shared.agents, style)
    about = f"{subject} on {place}" if subject else place
    title = f"{severity.upper()} {condition.name.value}: "
    yield style.paint(title.rstrip(), severity) + " " + style.fit(about, style.columns - len(title))
    summary = in_zone(visible(condition.summary, 600), style.zone)
    if shared.checked_at is not None:
        summary += f" (last successful check {relative(shared.checked_at, now)})"
    yield from textwrap.wrap(
        summary,
        style.columns - 2,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    for agents, steps in shared.remedies:
        if len(shared.remedies) > 1:
            yield f"  {', '.join(visible(agent, 60) for agent in agents)}:"
        yield from remedy_lines((_step(step, style) for step in steps), "    ")


def _step(step: Step, style: Style) -> str:
    """A command stays exactly as it is typed."""
    return step.text if step.kind is StepKind.COMMAND else in_zone(step.text, style.zone)


def _profiles(profiles: Sequence[SharedProfile], now: float, style: Style) -> Iterator[str]:
    """A row for each credential, without dates and then with shorter names where a terminal is too narrow."""
    shown = profiles if style.everything else profiles[:MAX_PROFILES]
    if not shown:
        return
    rows = [
        (
            _name(shared),
            visible(shared.profile.unusable.kind if shared.profile.unusable else shared.profile.status.value, 20),
            _place(shared.target, shared.agents, style),
            until_of(shared.profile, now, style.zone),
        )
        for shared in shown
    ]
    if style.width is not None and sum(_widths(rows)) + 8 > style.width:
        # How far away a time is says more than the end of a name does, and than its date.
        rows = [
            (*row[:3], until_of(shared.profile, now, style.zone, short=True))
            for row, shared in zip(rows, shown, strict=True)
        ]
    widths = _widths(rows)
    if style.width is None:
        widths = [min(width, MAX_COLUMN) for width in widths]
    else:
        # Names and places share what the rest leaves; the narrower column keeps its width if it needs less than half.
        room = max(style.width - 8 - widths[1] - widths[3], 16)
        names, places = widths[0], widths[2]
        widths[0] = min(names, max(room - places, room // 2))
        widths[2] = min(places, room - widths[0])
    tones = [shared.severity.value if shared.severity else _TONES[0] for shared in shown]
    for (name, status, place, until), tone in zip(rows, tones, strict=True):
        tone = tone if tone != "ok" or status in ("ok", "static") else "info"
        yield "  " + "  ".join(
            (
                f"{style.fit(name, widths[0]):<{widths[0]}}",
                style.paint(f"{status:<{widths[1]}}", tone),
                f"{style.fit(place, widths[2]):<{widths[2]}}",
                until,
            )
        )
    if len(shown) < len(profiles):
        rest = Counter(shared.profile.status.value for shared in profiles[len(shown) :])
        yield f"  ... and {count(sum(rest.values()), 'more profile')}: {listed(rest)} (--all lists them)"


def _empty(report: Report, style: Style) -> str:
    """The places without a credential, in one line; empty if there are none."""
    places = [
        f"{visible(target.target, 60)}/{visible(agent.agent, 60)}"
        for target in report.targets
        for agent in target.entries
        if not agent.profiles and agent.failure is None
    ]
    lines = [f"{visible(t.target, 60)} ({visible(t.source, 20)}): no agents" for t in report.targets if not t.entries]
    limit = None if style.everything else MAX_PLACES
    if places:
        more = f" and {len(places) - MAX_PLACES} more" if limit and len(places) > limit else ""
        lines.append(f"No profiles: {', '.join(places[:limit])}{more}")
    return "\n".join(lines[:limit] + [f"... and {len(lines) - MAX_PLACES} more"] * bool(limit and len(lines) > limit))


def _name(shared: SharedProfile) -> str:
    profile = shared.profile
    return visible(profile.id) + (f" ({visible(profile.label)})" if profile.label != profile.id else "")


def _place(target: str, agents: Sequence[str], style: Style) -> str:
    names = [visible(agent, 60) for agent in agents]
    if names == ["*"]:
        return visible(target, 60)
    if len(names) == 1:
        return f"{visible(target, 60)}/{names[0]}"
    more = len(names) - MAX_AGENTS
    listed = ", ".join(names if style.everything or more <= 0 else names[:MAX_AGENTS])
    return f"{visible(target, 60)} ({listed}{'' if style.everything or more <= 0 else f' and {more} more'})"


def _widths(rows: Sequence[tuple[str, str, str, str]]) -> list[int]:
    return [max(len(row[column]) for row in rows) for column in range(4)]
