"""How each credential was on each of its last 90 days: a letter a day, in the ledger.

A day (UTC) has the worst state that a check saw. The size is bounded: a row of at most DAYS letters for each of at most
MAX_CREDENTIALS credentials.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Iterable, Iterator

from exporter.lib.printable import without_surrogates
from exporter.lib.sqlite import Database
from exporter.model import ProfileReport, TargetReport
from exporter.state.history import EARLIEST

DAYS = 90
#: How many credentials have a history; those that were seen last.
MAX_CREDENTIALS = 10_000
_DAY = 86400.0

#: Identifies a credential: target, provider, profile.
Key = tuple[str, str, str]


class DayState(enum.StrEnum):
    """The state of a credential on a day, the worst last."""

    NOT_SEEN = "-"
    WORKS = "w"
    COOLING_DOWN = "c"
    UNUSABLE = "u"


_WORST_FIRST = "ucw-"


class DayHistory:
    """The histories in an open ledger. ``note`` is for the event loop, ``save`` for ``ledger.run``, ``read`` blocks."""

    def __init__(self, ledger: Database) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._noted: dict[str, tuple[int, TargetReport]] = {}  # by target
        self._today = 0
        self._written: dict[Key, str] = {}  # what the ledger has for today

    def note(self, report: TargetReport, now: float) -> None:
        """A target has been checked at ``now`` (Unix seconds). ``save`` writes what it shows."""
        if now >= EARLIEST:  # else the clock is wrong
            with self._lock:
                self._noted[report.target] = int(now // _DAY), report

    @property
    def has_noted(self) -> bool:
        """Whether anything was noted since ``save``."""
        return bool(self._noted)

    def save(self) -> None:
        """Write what was noted, where it says more than the ledger does. Raises StateError; then it stays noted."""
        with self._lock:
            noted, self._noted = self._noted, {}
        try:
            for day in sorted({day for day, _ in noted.values()}):
                self._save_day(day, (report for at, report in noted.values() if at == day))
        except BaseException:
            with self._lock:
                self._noted = noted | self._noted
            raise

    def _save_day(self, day: int, reports: Iterable[TargetReport]) -> None:
        if day != self._today:
            self._today, self._written = day, {}
        states: dict[Key, str] = {}
        for key, state in _states(reports):
            states[key] = _worse(states.get(key, DayState.NOT_SEEN), state)
        changed = {
            key: worst
            for key, state in states.items()
            if (worst := _worse(self._written.get(key, DayState.NOT_SEEN), state)) != self._written.get(key)
        }
        if not changed:
            return
        with self._ledger.transaction() as db:
            for key, state in changed.items():
                query = "SELECT last, states FROM day_history WHERE target = ? AND provider = ? AND profile = ?"
                last, letters = db.execute(query, key).fetchone() or (day - 1, "")
                last = min(last, day)  # later only if the clock was set back
                before = letters[-1] if last == day and letters else DayState.NOT_SEEN
                letters = _until(letters, last, day)[:-1] + _worse(before, state)
                db.execute("REPLACE INTO day_history VALUES (?, ?, ?, ?, ?)", (*key, day, letters.lstrip("-")))
            (count,) = db.execute("SELECT count(*) FROM day_history").fetchone()
            if count > MAX_CREDENTIALS:
                db.execute(
                    """DELETE FROM day_history WHERE (target, provider, profile) IN (
                           SELECT target, provider, profile FROM day_history ORDER BY last LIMIT ?)""",
                    (count - MAX_CREDENTIALS,),
                )
        self._written |= changed

    def read(self, keys: Iterable[Key], now: float) -> dict[Key, str]:
        """DAYS letters for each credential that has a history, the last for today. Raises StateError."""
        today, found = int(now // _DAY), {}
        for key in keys:
            query = "SELECT last, states FROM day_history WHERE target = ? AND provider = ? AND profile = ?"
            if rows := self._ledger.read(query, *_storable(key)):
                found[key] = _until(rows[0][1], rows[0][0], today).rjust(DAYS, DayState.NOT_SEEN)
        return found


def _until(letters: str, last: int, day: int) -> str:
    """The letters up to ``day``, at most DAYS."""
    return (letters + DayState.NOT_SEEN * min(max(day - last, 0), DAYS))[-DAYS:]


def _worse(state: str, other: str) -> str:
    return min(state, other, key=_WORST_FIRST.index)


def _states(reports: Iterable[TargetReport]) -> Iterator[tuple[Key, str]]:
    for report in reports:
        for agent in report.agents:
            if agent.failure is None:
                for profile in agent.profiles:
                    yield _storable((report.target, profile.provider, profile.id)), state_of(profile)


def _storable(key: Key) -> Key:
    """The key as SQLite can store it: without lone surrogates."""
    target, provider, profile = map(without_surrogates, key)
    return target, provider, profile


def state_of(profile: ProfileReport) -> DayState:
    if profile.usable:
        return DayState.WORKS
    cools_down = profile.unusable is not None and profile.unusable.kind == "cooldown"
    return DayState.COOLING_DOWN if cools_down else DayState.UNUSABLE
