"""Notices that a store on this host, or the program that a target asks, is no longer what the last check read.

A store that cannot be compared is unknown: it may have changed, so its target is checked every ``interval``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from exporter.checks.limiter import ConcurrencyLimiter
from exporter.checks.schedule import CheckTrigger
from exporter.checks.target_checker import TargetChecker
from exporter.lib.threads import IsolatedThread
from exporter.model import CheckError
from exporter.sources import Fingerprint, Source

log = logging.getLogger(__name__)

#: How long a fingerprint may take before it counts as unknown, in seconds.
FINGERPRINT_LIMIT = 1.0
#: How long to wait after a store changed before checking it: OpenClaw writes in several steps. In seconds.
SETTLE = 0.7


@dataclass(slots=True)
class _Store:
    """What is known about the store of one target."""

    thread: IsolatedThread
    seen: Fingerprint | None = None  # at the last check, or when it could be read again after it
    is_as_checked: bool = False  # the last check read what ``seen`` stands for
    is_unknown: bool = False  # the last attempt to read it failed
    changed_at: float | None = None  # when it was found changed, until the next check


class StoreWatch:
    """The stores of a daemon's targets, by target. To be used from its event loop.

    Each store is read in a thread of its own: one on a file system that hangs delays no other.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._stores: dict[str, _Store] = {}
        self._limiter = ConcurrencyLimiter()

    def is_comparable(self, target: str) -> bool:
        """Whether every change of the target's store is noticed, so that checks may be rare."""
        store = self._stores.get(target)
        if store is None or store.seen is None or store.is_unknown:
            return False
        return store.seen.is_complete and store.is_as_checked

    def changed_at(self, target: str) -> float | None:
        """When the target's store was found changed since its last check."""
        store = self._stores.get(target)
        return store.changed_at if store is not None else None

    def remove(self, target: str) -> None:
        self._stores.pop(target, None)

    def after_step(self, now: float) -> None:
        """The clock was set to ``now``: nothing has changed in the future."""
        for store in self._stores.values():
            if store.changed_at is not None:
                store.changed_at = min(store.changed_at, now)

    async def before_check(self, checker: TargetChecker) -> Fingerprint | None:
        """The fingerprint that ``after_check`` needs. Raises nothing."""
        store = self._store(checker)
        store.changed_at = None
        try:
            return await _read(checker, store)
        except Exception as error:
            _note_unknown(checker, store, error)
            return None

    async def after_check(self, checker: TargetChecker, before: Fingerprint | None) -> None:
        """Remember what the check read: only a check finds out where the store is. Raises nothing.

        A store that changed during the check has changed.
        """
        store = self._store(checker)
        try:
            store.seen = await _read(checker, store)
        except Exception as error:
            store.seen = None
            _note_unknown(checker, store, error)
            return
        store.is_unknown = False
        store.is_as_checked = before is not None and store.seen is not None and before.hash == store.seen.hash
        if before is not None and before.is_complete and not store.is_as_checked:
            store.changed_at = self._now()

    async def compare(self, checkers: Iterable[TargetChecker], changed: Callable[[TargetChecker], None]) -> None:
        """Compare the stores of the targets with what their last checks read.

        Calls ``changed`` for each target whose next check that moves, at once.
        """

        async def compare(checker: TargetChecker) -> None:
            async with self._limiter.slot():
                if await self._has_news(checker):
                    changed(checker)

        await asyncio.gather(*(compare(checker) for checker in checkers if self._is_compared(checker)))

    def _store(self, checker: TargetChecker) -> _Store:
        return self._stores.setdefault(checker.name, _Store(IsolatedThread(f"store of {checker.name}")))

    def _is_compared(self, checker: TargetChecker) -> bool:
        store = self._stores.get(checker.name)
        if store is None or store.changed_at is not None or checker.is_checking:
            return False
        return store.seen is not None or store.is_unknown

    async def _has_news(self, checker: TargetChecker) -> bool:
        """Whether the store has changed, or can be compared again, or no longer."""
        store, check = self._store(checker), checker.check_started_at
        try:
            current = await _read(checker, store)
        except Exception as error:
            return _note_unknown(checker, store, error)
        if checker.check_started_at != check:  # that check reads the same or more
            return False
        was_unknown, store.is_unknown = store.is_unknown, False
        if store.seen is None:  # what the last check read is not known, so the next one comes after ``interval``
            store.seen, store.is_as_checked = current, False
        if was_unknown:
            log.info("%s: the store can be compared again", checker.name)
        if current == store.seen:
            return was_unknown
        await asyncio.sleep(SETTLE)
        store.changed_at = self._now()
        log.debug("%s: %s", checker.name, CheckTrigger.STORE_CHANGED)
        return True


async def _read(checker: TargetChecker, store: _Store) -> Fingerprint | None:
    """The fingerprint now. Raises whatever the source raises, and TimeoutError."""
    source = checker.source
    if type(source).fingerprint is Source.fingerprint:
        return None
    return await store.thread.run(source.fingerprint, FINGERPRINT_LIMIT)


def _note_unknown(checker: TargetChecker, store: _Store, error: Exception) -> bool:
    """The store could not be read. Returns whether that is new; logs it then."""
    if store.is_unknown:
        return False
    store.is_unknown = True
    # Of other errors only the type: the message may quote a secret.
    why = error.message if isinstance(error, CheckError) else type(error).__name__
    log.warning(
        "%s: the store cannot be compared (%s): it is checked at every interval until it can be", checker.name, why
    )
    return True
