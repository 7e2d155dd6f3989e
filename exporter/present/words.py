"""Pieces of text that several outputs share: printable ids, times, headings, commands."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterable, Iterator

from exporter.lib.durations import END_OF_DATES, in_words
from exporter.lib.printable import one_line
from exporter.model import AgentReport, ProfileReport, Report

#: The meaning of each exit code.
VERDICTS = {0: "nothing to do", 1: "act now", 2: "act soon"}


def visible(text: str, limit: int = 128) -> str:
    """``text`` on one line, cut to ``limit`` characters, with unprintable characters escaped."""
    if len(text) > limit:
        text = text[: limit - 3] + "..."
    return one_line(text)


def now_of(report: Report, now: float | None) -> float:
    """The time from which time left is counted, in Unix seconds."""
    moment = report.checked_at if now is None else now
    return moment if 0 <= moment <= END_OF_DATES else 0.0


def relative(moment: float | None, now: float) -> str:
    """``in 3 days 4 h`` or ``2 h ago``; empty without a moment."""
    if moment is None or not 0 <= moment < math.inf:
        return ""
    if moment > END_OF_DATES:
        return "beyond the year 9999"
    return f"in {in_words(moment - now)}" if moment > now else f"{in_words(now - moment)} ago"


def absolute(moment: float | None, zone: dt.tzinfo) -> str:
    """``2026-11-22 08:00 CET``; empty without a moment, and for one that no calendar has."""
    if moment is None or not 0 <= moment <= END_OF_DATES - 86400:
        return ""
    return dt.datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%d %H:%M %Z")


def in_full(moment: float | None, now: float, zone: dt.tzinfo) -> str:
    """``moment`` relative to ``now`` and as an absolute time in ``zone``."""
    return "  ".join(filter(None, [relative(moment, now), absolute(moment, zone)]))


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def counts(report: Report) -> str:
    """The numbers of targets, agents and profiles. A profile that agents share counts once."""
    agents = [agent for target in report.targets for agent in target.entries]
    profiles = {(agent.target, profile.provider, profile.id) for agent in agents for profile in agent.profiles}
    numbers = (len(report.targets), "target"), (len(agents), "agent"), (len(profiles), "profile")
    return ", ".join(count(number, noun) for number, noun in numbers)


def listed(counted: Counter[str]) -> str:
    return ", ".join(f"{number} {word}" for word, number in counted.items())


def heading(agent: AgentReport, now: float) -> str:
    """The agent, its source, and the age of the facts if the last check failed."""
    about = visible(agent.source, 20)
    if agent.openclaw_version:
        about += f", OpenClaw {visible(agent.openclaw_version, 40)}"
    if agent.checked_at is None:
        about += ", no successful check yet"
    elif agent.failure is not None:
        about += f", last successful check {relative(agent.checked_at, now)}"
    return f"{visible(agent.target, 60)}/{visible(agent.agent, 60)} ({about})"


def until_of(profile: ProfileReport, now: float, zone: dt.tzinfo, *, short: bool = False) -> str:
    """When a profile stops working, or when it works again; in ``short`` only how far away that is."""

    def when(moment: float | None) -> str:
        return relative(moment, now) if short else in_full(moment, now, zone)

    unusable = profile.unusable
    if unusable is not None:
        ends = when(unusable.until)
        if unusable.until is not None and unusable.until > now:
            ends = f"ends {ends}"
        return ", ".join(filter(None, [ends, visible(unusable.reason or "", 40)])) or "-"
    if profile.expires_at is not None:
        return when(profile.expires_at) or "no date"
    return "refreshes itself" if profile.refreshable else "no date"


def remedy_lines(commands: Iterable[str], indent: str) -> Iterator[str]:
    """Each command whole and on its own line, to be copied."""
    for number, command in enumerate(commands):
        yield f"{indent}{'   ' if number else 'do:'} {visible(command, 2000)}"
