"""Reads the store on this host for another source, and adds what that source did not see."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from exporter.lib.durations import format_duration
from exporter.lib.env_file import read_env_file
from exporter.lib.loose_json import mapping
from exporter.lib.threads import IsolatedThread
from exporter.model import CheckError, FailureReason, Observation, ObservedProfile
from exporter.sources import Fingerprint, SourceContext
from exporter.sources.store.config import is_filled, roster
from exporter.sources.store.paths import StorePaths

if TYPE_CHECKING:
    from exporter.sources.store.facts import StoreFacts
    from exporter.sources.store.reader import StoreReader

#: For reading one store, in seconds. It takes a second at most where the disk is healthy.
PATIENCE = 10.0
T = TypeVar("T")


class LocalStore:
    """The stores of one OpenClaw on this host, by agent."""

    def __init__(self, context: SourceContext, env_file: str | None = None) -> None:
        self._context = context
        self._env_file = env_file
        self._paths: dict[str, StorePaths] = {}
        self._thread = IsolatedThread("store")

    @cached_property
    def _reader(self) -> StoreReader:
        # Imported when there is a store to read: SQLite costs start-up time.
        from exporter.sources.store.reader import StoreReader

        return StoreReader(self._context.keyed_hash, self._context.now)

    async def _in_thread(self, read: Callable[[], T]) -> T:
        try:
            return await self._thread.run(read, PATIENCE)
        except TimeoutError:
            took = format_duration(PATIENCE)
            raise CheckError(FailureReason.TIMEOUT, f"its file system did not answer within {took}") from None

    async def locate(self, environ: Mapping[str, str], state_dir: str, agent: str) -> StorePaths | None:
        """The places of an agent's store under ``state_dir``; None if its file system does not answer."""
        try:
            return await self._in_thread(lambda: StorePaths.from_environment(environ, state_dir, agent))
        except CheckError:
            return None

    async def complete(
        self, observation: Observation, paths: StorePaths, *, must_be_readable: bool = False
    ) -> Observation:
        """``observation`` with what the store at ``paths`` adds. A store that cannot be read costs a note.

        With ``must_be_readable``, a store that this user may not read is the reason why nothing was observed there:
        that raises CheckError PERMISSION.
        """
        from exporter.sources.store.complete import complete

        self._paths[observation.agent] = paths
        try:
            facts, only_here = await self._in_thread(lambda: self._read(paths, observation))
        except CheckError as error:
            is_empty = all(profile.id.startswith("env:") for profile in observation.profiles)
            if must_be_readable and is_empty and error.reason is FailureReason.PERMISSION:
                raise CheckError(error.reason, f"{error.message}, so OpenClaw sees no credentials there") from None
            note = f"the store could not be read: {error.message}"
            return replace(observation, notes=(*observation.notes, note))
        return replace(complete(observation, facts), only_here=only_here)

    def _read(self, paths: StorePaths, observation: Observation) -> tuple[StoreFacts, tuple[str, ...]]:
        """The facts, and the variables with credentials that OpenClaw's service does not have."""
        service = read_env_file(self._env_file) if self._env_file else None
        facts = self._reader.read(paths, observation.agent, service, observation.openclaw_version)
        own = self._context.environ or os.environ
        names = [name for profile in observation.profiles if (name := _variable(profile)) and is_filled(own.get(name))]
        if not names:
            return facts, ()
        from exporter.sources.store import gateway_unit  # few have a key in the environment
        from exporter.sources.store.environment import only_here

        env = self._reader.environment(paths, service)
        return facts, only_here(names, env, gateway_unit.variables(paths.state_dir))

    async def config(self, paths: StorePaths) -> Mapping[str, Any] | None:
        """``openclaw.json`` as an object; None if there is none or it cannot be read."""
        try:
            return await self._in_thread(lambda: self._reader.config(paths))
        except CheckError:
            return None

    def fingerprint(
        self, environ: Mapping[str, str], state_dir: str | None, agents: Sequence[str] | None
    ) -> Fingerprint | None:
        """Of the stores completed from so far; before the first, of those that ``agents`` will likely have.

        The latter may not be all that matter, so that fingerprint is not complete. Its hash is the same if they are.
        ``agents`` are by default those in OpenClaw's configuration.
        """
        if self._paths:
            return self._reader.fingerprint(list(self._paths.values()))
        found = self._reader.fingerprint(self._likely_paths(environ, state_dir, agents))
        return found and found._replace(is_complete=False)

    def _likely_paths(
        self, environ: Mapping[str, str], state_dir: str | None, agents: Sequence[str] | None
    ) -> list[StorePaths]:
        main = StorePaths.from_environment(environ, state_dir, "main")
        try:
            entries = roster(self._reader.config(main)) or {}
        except CheckError:
            entries = {}
        folders = {agent: mapping(entries, agent).get("agentDir") for agent in agents or entries or ("main",)}
        return [
            StorePaths.from_environment(environ, state_dir, agent, folder if is_filled(folder) else None)
            for agent, folder in folders.items()
        ]


def _variable(profile: ObservedProfile) -> str:
    """The variable that holds the credential; empty if none does."""
    return profile.id.removeprefix("env:") if profile.id.startswith("env:") else ""
