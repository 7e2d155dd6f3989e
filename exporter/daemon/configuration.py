"""Reads the configuration and its lists of targets again, in a thread with a time limit.

The configuration is read at a reload, the lists whenever they change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from exporter.config import Config, ConfigError
from exporter.config.target_lists import TargetLists
from exporter.daemon import preflight
from exporter.lib.threads import IsolatedThread

log = logging.getLogger(__name__)

#: How long reading the configuration and the files that it names may take, in seconds.
READ_LIMIT = 30.0


class Loaded(NamedTuple):
    """A configuration that can be used."""

    written: Config  # as a person wrote it
    config: Config  # with the targets of its lists


class ConfigurationReader:
    """The configuration of one daemon, and the state of its lists of targets."""

    def __init__(self, written: Config, reread: Callable[[], Config], directory: Path | None) -> None:
        """Reads the lists, so call it outside of the event loop. ``directory`` is that of the state, if any."""
        self._reread = reread
        self._lists = TargetLists(directory)
        self._thread = IsolatedThread("configuration")
        self._written = written
        self._is_unused = False  # lists were read that are not in use yet
        self._hangs = False
        self._logged: list[str] = []
        #: The configuration to start with.
        self.first = self._lists.apply(written)
        self._log_problems()

    @property
    def lists_ok(self) -> bool | None:
        """Whether every list can be used as it is; None without lists."""
        return not self._logged if self._written.targets_from else None

    @property
    def is_busy(self) -> bool:
        """Whether something is being read, perhaps something that was given up."""
        return self._thread.is_busy

    async def reread(self) -> Loaded:
        """The configuration and its lists as they are now. Raises ConfigError."""

        def read() -> Loaded:
            written = self._reread()
            preflight.require_usable(written)
            return Loaded(written, self._lists.apply(written))

        self._is_unused = True
        try:
            return await self._thread.run(read, READ_LIMIT)
        except TimeoutError:
            why = f"the file system of one of its files did not answer within {READ_LIMIT:g} s"
            raise ConfigError("the configuration", [why]) from None

    async def poll_lists(self) -> Loaded | None:
        """The configuration in use with its lists as they are now; None if the targets are the same."""
        written, lists = self._written, self._lists
        if not written.targets_from:
            return None
        read = partial(lists.apply, written, again=False) if self._is_unused else partial(lists.poll, written)
        try:
            config = await self._thread.run(read, READ_LIMIT)
            self._hangs = False
        except TimeoutError:
            config, self._hangs = None, True
        self._log_problems()
        if config is None or written is not self._written:
            return None
        self._is_unused = True
        return Loaded(written, config)

    def use(self, loaded: Loaded) -> None:
        """``loaded`` is in use now."""
        self._written, self._is_unused = loaded.written, False
        self._log_problems()

    def is_outdated(self, loaded: Loaded) -> bool:
        """Whether another configuration came into use since the lists of ``loaded`` were read."""
        return loaded.written is not self._written

    def _log_problems(self) -> None:
        """Log what is new. Also called while a thread reads: the sentences are those of the last complete read."""
        problems = [*self._lists.problems]
        if self._hangs:
            problems.append(f"targets_from: a file system did not answer within {READ_LIMIT:g} s: nothing was read")
        for problem in problems:
            if problem not in self._logged:
                log.error("%s", problem)
        if self._logged and not problems:
            log.info("every list of targets can be used")
        self._logged = problems
