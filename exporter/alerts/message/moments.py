"""Times as messages show them: each has its zone, and a date that is near has its time of day. Pure."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from exporter.lib.durations import END_OF_DATES, in_words

#: The time of day matters for dates that are less than this many seconds away.
_NEAR = 2 * 86400.0
_BEYOND = "beyond the year 9999"


def absolute(moment: float, zone: ZoneInfo) -> str:
    """An absolute time: ``Sun 2026-11-22 08:00 CET``."""
    return _formatted(moment, zone, "%a %Y-%m-%d %H:%M %Z")


def in_full(moment: float, now: float, zone: ZoneInfo) -> str:
    """An absolute time with its zone, and how far away it is."""
    words = f"in {in_words(moment - now)}" if moment > now else f"{in_words(now - moment)} ago"
    return f"{absolute(moment, zone)} ({words})"


def date(moment: float, now: float, zone: ZoneInfo) -> str:
    """A date for a title; with the time of day if it is less than two days away."""
    return _formatted(moment, zone, "%Y-%m-%d %H:%M %Z" if abs(moment - now) < _NEAR else "%Y-%m-%d")


def _formatted(moment: float, zone: ZoneInfo, form: str) -> str:
    if not 0 <= moment <= END_OF_DATES - 86400:
        return _BEYOND
    return dt.datetime.fromtimestamp(moment, zone).strftime(form)
