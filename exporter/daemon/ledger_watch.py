"""Saves what checks recorded, and finds the dates that users supplied through other processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

from exporter.lib.sqlite import StateError
from exporter.state.credentials_db import CredentialDatabase
from exporter.state.day_history import DayHistory
from exporter.state.history import SuppliedDate

#: How long a ledger that cannot be written is left alone, in seconds.
SAVE_RETRY = 10.0


class LedgerWatch:
    """``use`` is given the dates by ``profile``, ``target/profile`` or ``target/agent/profile`` when they change."""

    def __init__(
        self,
        ledger: CredentialDatabase,
        days: DayHistory,
        use: Callable[[Mapping[str, SuppliedDate]], Awaitable[None]],
    ) -> None:
        self._ledger = ledger
        self._days = days
        self._use = use
        self._version: int | None = None

    async def sync(self) -> None:
        """Save what checks recorded, and use dates that have changed."""
        version = await self._ledger.run(self._ledger.sync)
        if version != self._version:
            self._version = version
            await self._use(await self._ledger.run(self._ledger.supplied_dates))

    async def round(self) -> None:
        """``sync``, and save the history of the days."""
        await self.sync()
        if self._days.has_noted:
            with contextlib.suppress(StateError):  # the problem of the ledger
                await self._ledger.run(self._days.save)
        if self._ledger.problem is not None:
            await asyncio.sleep(SAVE_RETRY)
