"""The daemon's pulse: a beat every second that waits for nothing, so nothing that hangs stops it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

#: How often it beats, in seconds.
PULSE = 1.0
#: Without a beat for this long the daemon is unhealthy, in seconds.
PULSE_LOST = 30.0

#: What a beat does: with the time, how far the wall clock has advanced since the last beat, and how long ago that was.
Beat = Callable[[float, float, float], None]


class Pulse:
    """Measures time from beat to beat, also across a restart of its task."""

    def __init__(self, now: Callable[[], float], beat: Beat) -> None:
        self._now = now
        self._beat = beat
        self._last: tuple[float, float] | None = None  # wall clock, monotonic clock
        self._beat_at = time.monotonic()
        #: How late the last beat was, in seconds: the lag of the event loop.
        self.lag = 0.0

    @property
    def is_lost(self) -> bool:
        """Whether there was no beat for too long."""
        return time.monotonic() - self._beat_at >= PULSE_LOST

    async def run(self) -> None:
        """Beat until cancelled. The first beat only takes the time."""
        while True:
            self._step(self._now(), time.monotonic())
            await asyncio.sleep(PULSE)

    def _step(self, wall: float, steady: float) -> None:
        last, self._last = self._last, (wall, steady)
        if last is not None:
            elapsed = steady - last[1]
            self.lag = max(0.0, elapsed - PULSE)
            self._beat(wall, wall - last[0], elapsed)
        self._beat_at = steady
