"""A release of OpenClaw, as its version names it: which of two is newer, and which are known."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_VERSION = re.compile(r"v?(\d{1,5})\.(\d{1,5})\.(\d{1,5})(?:([-+.])([0-9A-Za-z.-]{1,40}))?")


class Release(NamedTuple):
    """Year, month and number of a release. Compare with ``<``: a pre-release is older than its release."""

    year: int
    month: int
    number: int
    is_final: bool = True

    @classmethod
    def of(cls, version: str | None) -> Release | None:
        """The release of a version like ``2026.9.6``, ``v2026.1.24-3`` or ``2026.9.6-beta.1``; None for others.

        ``-3`` is the third edition of a release and counts as that release.
        """
        return _release(version) if version else None


@lru_cache(maxsize=256)
def _release(version: str) -> Release | None:
    found = _VERSION.fullmatch(version.strip())
    if found is None:
        return None
    year, month, number, separator, rest = found.groups()
    is_final = separator != "-" or rest.isdigit()
    return Release(int(year), int(month), int(number), is_final)


#: The first release whose ``models status`` takes ``--agent``, and whose status of a login knows its refresh token.
FIRST_WITH_AGENT_OPTION = Release(2026, 1, 30)
#: The last release whose status of a login knows its refresh token: the later ones go by the date alone.
LAST_WITH_REFRESH_STATUS = Release(2026, 4, 15)
#: The newest month of releases that this exporter was tried on.
NEWEST_KNOWN = (2026, 9)


def newer_than_known(version: str | None) -> tuple[str, ...]:
    """A note if the release came after all that this exporter was tried on."""
    release = Release.of(version)
    if release is None or release[:2] <= NEWEST_KNOWN:
        return ()
    return (f"OpenClaw {version} is newer than this exporter knows: its output is read by its fields",)
