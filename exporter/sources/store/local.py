"""Reads the store on this host for another source, and adds what that source did not see."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from exporter.model import CheckError, Observation
from exporter.sources import SourceContext
from exporter.sources.store.paths import StorePaths

if TYPE_CHECKING:
    from exporter.sources.store.reader import StoreReader


class LocalStore:
    """The stores of one OpenClaw on this host, by agent."""

    def __init__(self, context: SourceContext) -> None:
        self._context = context
        self._paths: dict[str, StorePaths] = {}

    @cached_property
    def _reader(self) -> StoreReader:
        # Imported when there is a store to read: SQLite costs start-up time.
        from exporter.sources.store.reader import StoreReader

        return StoreReader(self._context.keyed_hash, self._context.now)

    async def complete(self, observation: Observation, paths: StorePaths) -> Observation:
        """``observation`` with what the store at ``paths`` adds. A store that cannot be read costs a note."""
        from exporter.sources.store.complete import complete

        self._paths[observation.agent] = paths
        try:
            facts = await asyncio.to_thread(self._reader.read, paths, observation.agent)
        except CheckError as error:
            note = f"the store could not be read: {error.message}"
            return replace(observation, notes=(*observation.notes, note))
        return complete(observation, facts)

    async def config(self, paths: StorePaths) -> Mapping[str, Any] | None:
        """``openclaw.json`` as an object; None if there is none or it cannot be read."""
        try:
            return await asyncio.to_thread(self._reader.config, paths)
        except CheckError:
            return None

    def fingerprint(self) -> str | None:
        """A keyed hash of the stores completed from so far; None before the first."""
        return self._reader.fingerprint(list(self._paths.values())) if self._paths else None
