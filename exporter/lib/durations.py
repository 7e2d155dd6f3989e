"""Durations and dates: from text to seconds, and from seconds to text."""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_DURATION = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)(ms|s|m|h|d|w|y)")
#: The longest duration, in seconds. Added to the present it is still a year of four digits.
MAX_DURATION = 1000 * _UNITS["y"]

#: The last second of the year 9999, in Unix seconds. JSON and ``datetime`` have no later dates.
END_OF_DATES = 253402300799.0


def parse_duration(text: str) -> float:
    """Seconds in ``"90s"``, ``"5m"``, ``"1h30m"``, ``"14d"``, ``"1y"`` (365 days).

    Raises ValueError with a sentence.
    """
    whole = text.strip()
    parts = _DURATION.findall(whole)
    if not parts or "".join(number + unit for number, unit in parts) != whole:
        raise ValueError(f'{text[:40]!r} is no duration: write a number and a unit, like "90s", "5m", "24h" or "14d"')
    seconds = float(sum(float(number) * _UNITS[unit] for number, unit in parts))
    if seconds > MAX_DURATION:
        raise ValueError(f"{text[:40]!r} is too long: write at most 1000y")
    return seconds


def format_duration(seconds: float) -> str:
    """A duration in the largest unit that is exact: 300 is ``5m``."""
    for unit in ("d", "h", "m", "s"):
        if seconds >= _UNITS[unit] and seconds % _UNITS[unit] == 0:
            return f"{int(seconds // _UNITS[unit])}{unit}"
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def parse_date(text: str) -> float:
    """Unix seconds of an ISO 8601 date or time. The default zone is UTC, the default time midnight.

    Raises ValueError with a sentence, also for a date before 1970.
    """
    try:
        moment = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f'{text[:40]!r} is no date: write it like "2026-03-01" or "2026-03-01T12:00:00Z"') from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    if moment.timestamp() < 0:
        raise ValueError(f"{text[:40]!r} is before 1970, so it cannot be the date of a credential")
    return moment.timestamp()


@lru_cache(maxsize=8192)  # one date is formatted many times: as evidence, in summaries, in messages
def iso(seconds: float | None) -> str | None:
    """ISO 8601 in UTC with a Z, to the second; None for None and for dates outside of 1970 to 9999."""
    if seconds is None or not 0 <= seconds <= END_OF_DATES:
        return None
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_words(seconds: float) -> str:
    """A duration in at most two units: ``3 days 4 h``, ``12 min``, ``45 s``. The sign is ignored."""
    left = max(0, int(abs(seconds)))
    days, left = divmod(left, 86400)
    hours, left = divmod(left, 3600)
    minutes, secs = divmod(left, 60)
    if days >= 14:
        return f"{days} days"
    if days:
        return f"{days} day{'s' if days > 1 else ''}" + (f" {hours} h" if hours else "")
    if hours:
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    return f"{minutes} min" if minutes else f"{secs} s"
