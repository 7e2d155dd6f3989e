"""Reads an SQLite file's version without SQLite, which would change the file, its -wal or its -shm by opening it.

https://www.sqlite.org/fileformat2.html has the format.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_PAGE_START = 100  # bytes of the first page: the file's header
_WAL_HEADER, _FRAME_HEADER = 32, 24  # bytes
_WAL_MAGIC = (0x377F0682, 0x377F0683)


def read(path: Path) -> tuple[int, int]:
    """``PRAGMA user_version`` and ``application_id`` of a file; zeros if it has none. Raises OSError.

    A first page in the -wal, which the next process to open the file uses, counts instead of the file's.
    """
    header = _newest_in_wal(path.with_name(path.name + "-wal"))
    if header is None:
        with path.open("rb") as file:
            header = file.read(_PAGE_START)
    if len(header) < _PAGE_START or not header.startswith(b"SQLite format 3\0"):
        return 0, 0
    (version,) = struct.unpack_from(">i", header, 60)
    (application_id,) = struct.unpack_from(">i", header, 68)
    return version, application_id


def _newest_in_wal(path: Path) -> bytes | None:
    """The start of the last committed first page in a -wal; None if it has none."""
    try:
        with path.open("rb") as wal:
            return _first_page(wal)
    except FileNotFoundError:
        return None


def _first_page(wal: BinaryIO) -> bytes | None:
    start = wal.read(_WAL_HEADER)
    if len(start) < _WAL_HEADER:
        return None
    magic, _, page_size, _, *salts = struct.unpack_from(">6I", start)
    if magic not in _WAL_MAGIC:
        return None
    committed = uncommitted = None
    while len(header := wal.read(_FRAME_HEADER)) == _FRAME_HEADER:
        page, is_commit, *its_salts = struct.unpack_from(">4I", header)
        if its_salts != salts:  # left from before the -wal was last emptied
            break
        if page == 1:
            uncommitted = wal.read(_PAGE_START)
            wal.seek(page_size - len(uncommitted), 1)
        else:
            wal.seek(page_size, 1)
        if is_commit:
            committed = uncommitted
    return committed
