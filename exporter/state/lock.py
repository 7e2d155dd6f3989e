"""One writer: the daemon holds a lock that the kernel gives back when its process is gone, however it went."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path


class FileLock:
    """An advisory lock beside the state file. Without a file (in memory) it is always had."""

    def __init__(self, path: Path | None) -> None:
        self._path = path.with_name(f"{path.name}.lock") if path is not None else None
        self._fd: int | None = None

    def acquire(self, owner: str) -> bool:
        """Take it, or keep it; False where another process has it. ``owner`` is written down for people."""
        if self._path is None or self._fd is not None:
            return True
        fd = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except OSError:
            os.close(fd)
            raise
        self._fd = fd
        with contextlib.suppress(OSError):  # a full disk: the lock holds without the word about who has it
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
        """Who holds it, in its own words; None where nobody said so."""
        if self._path is None:
            return None
        try:
            return self._path.read_bytes()[:200].decode("utf-8", "replace") or None
        except OSError:
            return None
