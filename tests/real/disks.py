"""Disks for tests, which need root: one that is small, so that it can be full, and one that never answers."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PAGE = 4096


def need_root() -> None:
    if os.geteuid() == 0:
        return
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail("mounting a file system needs root")
    pytest.skip("mounting a file system needs root")


@contextmanager
def small(disk: Path) -> Iterator[Path]:
    """A file system of one megabyte at ``disk``."""
    need_root()
    disk.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def fill(disk: Path, pages: int = 0) -> Path:
    """A file that takes all of a disk but for some pages."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (PAGE, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
        file.truncate(max(0, file.tell() - pages * PAGE))
    return filler


@contextmanager
def hanging(folder: Path) -> Iterator[None]:
    """Mounts over ``folder`` a file system whose server never answers: each open and stat hangs until it is unmounted.

    That is a FUSE file system that nobody serves.
    """
    need_root()
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("this kernel has no FUSE")
    libc = ctypes.CDLL(None, use_errno=True)
    server = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0".encode()
    try:
        if libc.mount(b"hanging", os.fsencode(folder), b"fuse", 0, options):
            pytest.skip(f"FUSE cannot be mounted: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            libc.umount2(os.fsencode(folder), 2)  # MNT_DETACH
    finally:
        os.close(server)  # whoever hangs gets an error
