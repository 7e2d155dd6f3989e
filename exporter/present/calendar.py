"""Report → iCalendar (RFC 5545): the deadlines as events with alarms, for a phone's calendar.

A phone that has read it still rings when the exporter is down. Pure.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Sequence

from exporter.lib.durations import END_OF_DATES
from exporter.model import AgentReport, ProfileReport, Report, Step

#: Returns the steps that renew a profile.
Renew = Callable[[AgentReport, ProfileReport], Sequence[Step]]
#: Returns the seconds before a profile's deadline at which the calendar rings.
Alarms = Callable[[AgentReport, ProfileReport], Sequence[float]]


def calendar(report: Report, alarms: Alarms, now: float, renew: Renew = lambda agent, profile: ()) -> str:
    """All known deadlines as events, each with its steps from ``renew``, and its ``alarms``."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//openclaw-auth-exporter//deadlines//EN",
        "X-WR-CALNAME:OpenClaw credentials",
        "REFRESH-INTERVAL;VALUE=DURATION:PT1H",
        *_events(report, alarms, now, renew),
        "END:VCALENDAR",
    ]
    return "".join(f"{folded}\r\n" for line in lines for folded in _fold(line))


def _events(report: Report, alarms: Alarms, now: float, renew: Renew) -> Iterator[str]:
    seen: set[str] = set()
    for agent, profile in report.profiles:
        deadline = profile.expires_at
        if profile.ignored or deadline is None or not 0 <= deadline <= END_OF_DATES:
            continue
        # A credential that agents share is one event. Its id stays, so that a renewal moves the event.
        identity = f"{agent.target}|{profile.provider}|{profile.id}|{profile.secret_hash or agent.agent}"
        uid = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        if uid in seen:
            continue
        seen.add(uid)
        summary = f"{profile.label} expires on {agent.target}"
        description = [f"{profile.provider} for agent {agent.agent}", *(step.text for step in renew(agent, profile))]
        yield from (
            "BEGIN:VEVENT",
            f"UID:{uid}@openclaw-auth-exporter",
            f"DTSTAMP:{_utc(now)}",
            f"DTSTART:{_utc(deadline)}",
            f"DTEND:{_utc(deadline + 900)}",
            f"SUMMARY:{_text(summary)}",
            "DESCRIPTION:" + "\\n".join(map(_text, description)),
        )
        for before in alarms(agent, profile):
            yield from (
                "BEGIN:VALARM",
                "ACTION:DISPLAY",
                f"TRIGGER:-PT{int(before)}S",
                f"DESCRIPTION:{_text(summary)}",
                "END:VALARM",
            )
        yield "END:VEVENT"


def _utc(seconds: float) -> str:
    return dt.datetime.fromtimestamp(min(seconds, END_OF_DATES), dt.UTC).strftime("%Y%m%dT%H%M%SZ")


def _text(text: str) -> str:
    clean = "".join(char if char.isprintable() else " " for char in text)
    return clean.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")


def _fold(line: str) -> Iterator[str]:
    """The line in parts of at most 75 bytes, as the format requires, cut between characters."""
    part, size = "", 0
    for char in line:
        length = len(char.encode())
        if size + length > (75 if not part.startswith(" ") else 74):
            yield part
            part, size = " ", 0
        part, size = part + char, size + length
    yield part
