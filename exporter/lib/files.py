"""Reads files that users and other programs name, which may be anything: pipes, devices, directories, huge ones.

Every such file of the exporter is read here. Nothing here waits for another process. A file system that hangs still
does, so the daemon reads in threads with a time limit (``exporter/lib/threads.py``).
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MIB = 1024 * 1024

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class UnusableFileError(OSError):
    """The file is not one that the exporter reads. ``strerror`` says what it is, and what to do."""


class NotRegularError(UnusableFileError):
    """What has the name is no regular file."""

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(errno.EINVAL, f"Is {kind}: put a regular file there", str(path))


class TooLargeError(UnusableFileError):
    """The file is larger than its role allows."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(errno.EFBIG, f"Is larger than {limit / MIB:g} MiB: put the right file there", str(path))


def stat_regular(path: Path, limit: int | None = None) -> os.stat_result:
    """The state of the regular file at ``path``, of at most ``limit`` bytes. Raises OSError like ``read_regular``."""
    try:
        found = os.stat(path)
    except ValueError:  # NUL, or half of a surrogate pair
        raise NotRegularError(path, "no path of a file") from None
    _require_regular(path, found)
    if limit is not None and found.st_size > limit:
        raise TooLargeError(path, limit)
    return found


def read_regular(path: Path, limit: int) -> bytes:
    """The content of the regular file at ``path``, of at most ``limit`` bytes.

    Raises OSError: NotRegularError, TooLargeError, or what the operating system says.
    """
    stat_regular(path, limit)  # before it is opened: opening a device may do something
    # What has taken the place meanwhile must not block either.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        _require_regular(path, os.fstat(fd))
        content = bytearray()
        while len(content) <= limit and (chunk := os.read(fd, min(limit + 1 - len(content), MIB))):
            content += chunk
    finally:
        os.close(fd)
    if len(content) > limit:  # it grows, or its size is not known beforehand, as in /proc
        raise TooLargeError(path, limit)
    return bytes(content)


def text_of(content: bytes) -> str:
    """UTF-8 text without the mark that some editors put in front of it. Raises UnicodeDecodeError."""
    return content.decode().removeprefix("\ufeff")  # the codec utf-8-sig would have to be imported


def why_unusable(error: OSError) -> str:
    """The reason of an error, to follow the path of a file in a sentence."""
    why = error.strerror or "cannot be read"
    return why[:1].lower() + why[1:]


def _require_regular(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) and not _is_null(found):
        raise NotRegularError(path, _KINDS.get(stat.S_IFMT(found.st_mode), "not a file"))


def _is_null(found: os.stat_result) -> bool:
    """Whether it is /dev/null, the customary name of an empty file."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.stat(os.devnull).st_rdev
