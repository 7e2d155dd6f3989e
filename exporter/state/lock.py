"""An exclusive lock beside a state file. The kernel releases it when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from exporter.lib.files import MIB, read_regular


class FileLock:
    """An advisory lock on ``FILE.lock``. Without a file (state in memory) it is always acquired."""

    def __init__(self, path: Path | None) -> None:
        self._path = path.with_name(f"{path.name}.lock") if path is not None else None
        self._fd: int | None = None

    def acquire(self, owner: str) -> bool:
        """Acquire the lock, or keep it. False if another process holds it.

        ``owner`` is written to the file, for messages. Raises OSError if the file cannot be locked.
        """
        if self._path is None or self._fd is not None:
            return True
        fd = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if isinstance(error, BlockingIOError):
                return False
            raise
        self._fd = fd
        with contextlib.suppress(OSError):  # on a full disk the lock holds without its owner's name
            os.ftruncate(fd, 0)
            os.pwrite(fd, owner.encode()[:200], 0)
        return True

    def release(self) -> None:
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    def holder(self) -> str | None:
        """The ``owner`` that holds the lock; None if it is unknown."""
        if self._path is None:
            return None
        try:
            return read_regular(self._path, MIB)[:200].decode("utf-8", "replace") or None
        except OSError:
            return None
