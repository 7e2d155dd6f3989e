"""Notifications go on in memory while the alert state on disk cannot be used: an alert must not wait for disk space."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from exporter.alerts.delivery.outbox import Outbox
from exporter.lib import clock
from exporter.lib.sqlite import StateError

log = logging.getLogger(__name__)

FILE = "alerts.sqlite"
#: Seconds between two attempts to write to the disk again.
RESTORE_EVERY = 10.0


def open_outbox(directory: Path | None, now: Callable[[], float] = clock.now, *, or_memory: bool = False) -> Outbox:
    """The outbox in a state directory, or in memory without a directory.

    Raises StateError where the file cannot be used; with ``or_memory`` the outbox is in memory then, and its
    ``problem`` says so.
    """
    return Outbox(directory / FILE if directory is not None else None, now, or_memory=or_memory)


class MemoryFallback:
    """Moves an open outbox to memory when its file cannot be written, and back when it can."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._tried_at: float | None = None  # by the monotonic clock; None: on disk

    @property
    def is_active(self) -> bool:
        return self._tried_at is not None

    async def begin(self, why: str) -> bool:
        """Continue in memory; returns whether that worked."""
        try:
            await self._outbox.run(self._outbox.fall_back_to_memory, why)
        except StateError as error:
            log.error("%s", error)
        else:
            self._tried_at = time.monotonic()
        return self.is_active

    async def try_restore(self) -> None:
        """Return to the disk if it can be written again; tried at most every ``RESTORE_EVERY`` seconds."""
        if self._tried_at is None or time.monotonic() - self._tried_at < RESTORE_EVERY:
            return
        try:
            await self._outbox.run(self._outbox.restore_to_disk)
            self._tried_at = None
        except StateError:  # it still cannot be written
            self._tried_at = time.monotonic()
