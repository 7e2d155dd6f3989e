"""A file in effect: read again when it has changed, in a thread that requests share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from exporter.config import ConfigError
from exporter.config.reading import read_text
from exporter.lib import tasks
from exporter.lib.threads import IsolatedThread

MAX_FILE = 1  # MiB
#: How long a request waits for the comparison of the file, in seconds: once while its file system hangs.
PATIENCE = 2.0

#: Of a file that is the same as before: when it was changed, its size, its inode.
_Signature = tuple[int, int, int]
_T = TypeVar("_T")


class CurrentFile(Generic[_T]):
    """The content of a file that a person wrote as ``role``; ``parse`` makes it of the text and of what to call it.

    ``parse`` may raise ConfigError, and while the file cannot be used, so does every reading. ``value`` is what was
    read last; None before, and while the file cannot be used.
    """

    def __init__(self, path: Path | str, role: str, parse: Callable[[str, str], _T]) -> None:
        self.path = Path(path)
        self.value: _T | None = None
        self._role = role
        self._parse = parse
        self._signature: _Signature | None = None
        self._thread = IsolatedThread(role)
        self._reading: asyncio.Task[_T] | None = None

    def load(self) -> _T:
        """The content now. Blocks. Raises ConfigError."""
        return self._use(*self._read(self.value, self._signature))

    async def refresh(self) -> _T:
        """Like ``load``, without blocking. While the file system hangs, the content stays as it was."""
        if self._reading is None:
            self._reading = tasks.begin(self._reload())
            self._reading.add_done_callback(self._forget)
        return await asyncio.shield(self._reading)

    def _forget(self, reading: asyncio.Task[_T]) -> None:
        self._reading = None
        if not reading.cancelled():
            reading.exception()  # whoever still waited has it

    async def _reload(self) -> _T:
        known = self.value
        try:
            return self._use(*await self._thread.run(partial(self._read, known, self._signature), PATIENCE))
        except TimeoutError:
            if known is None:
                why = f"its file system did not answer within {PATIENCE:g} s"
                raise ConfigError(str(self.path), [why]) from None
            return known
        except ConfigError:
            self.value, self._signature = None, None
            raise

    def _read(self, value: _T | None, known: _Signature | None) -> tuple[_T, _Signature | None]:
        try:
            stat = os.stat(self.path)
            signature: _Signature | None = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except OSError:
            signature = None  # reading the file reports why
        if value is not None and signature is not None and signature == known:
            return value, signature
        return self._parse(read_text(self.path, MAX_FILE, self._role), str(self.path)), signature

    def _use(self, value: _T, signature: _Signature | None) -> _T:
        self.value, self._signature = value, signature
        return value
