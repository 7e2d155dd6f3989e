"""How long the turns of the event loop take: while one runs, nothing else does, no scrape either."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable

from exporter.lib.lookups import Loop


class Turns(selectors.DefaultSelector):
    """The selector of an event loop. A turn lasts from the end of one wait for events to the start of the next."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._woke: float | None = None
        self._longest = 0.0

    def new_loop(self) -> Loop:
        """An event loop whose turns are measured here."""
        return Loop(self)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._end_turn()
        found: list[tuple[selectors.SelectorKey, int]] = super().select(timeout)
        self._woke = self._clock()
        return found

    def take_longest(self) -> float:
        """The longest turn in seconds since this was last called, the present one included."""
        self._end_turn()
        longest, self._longest = self._longest, 0.0
        return longest

    def _end_turn(self) -> None:
        now = self._clock()
        if self._woke is not None:
            self._longest, self._woke = max(self._longest, now - self._woke), now
