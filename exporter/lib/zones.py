"""Time zones: this host's own, and times in a zone."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import os
import re
import warnings
from zoneinfo import ZoneInfo

UTC = ZoneInfo("UTC")
#: A time as our sentences and our JSON have it, in UTC.
TIME_IN_UTC = re.compile(r"\b(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d)(?::\d\d)?(?: UTC\b|Z\b)")


@functools.cache
def host_zone() -> ZoneInfo:
    """The time zone of this host; UTC if it has none that can be read."""
    # Almost every host names its zone here, and tzlocal, which knows all other places, is slow to import.
    name = os.environ.get("TZ") or os.path.realpath("/etc/localtime").partition("/zoneinfo/")[2]
    with contextlib.suppress(OSError, ValueError, LookupError):
        return ZoneInfo(name.removeprefix(":"))
    import tzlocal

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nothing is configured
        try:
            zone = tzlocal.reload_localzone()
        except (OSError, ValueError, LookupError):
            return UTC
    return zone if isinstance(zone, ZoneInfo) else UTC


def in_zone(text: str, zone: dt.tzinfo) -> str:
    """``text`` with the times that it has in UTC as times in ``zone``, to the minute."""

    def local(found: re.Match[str]) -> str:
        try:
            moment = dt.datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00").astimezone(zone)
        except (ValueError, OverflowError):
            return found[0]
        return moment.strftime("%Y-%m-%d %H:%M %Z")

    return TIME_IN_UTC.sub(local, text)
