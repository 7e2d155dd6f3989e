"""Settings of the interpreter and of glibc that keep a daemon small and its loop responsive with a large fleet.

Measured by benchmarks/fleet.py and benchmarks/loop.py. Called once, before the daemon starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc

#: A full collection takes 0.2 s with 20,000 profiles. None happens by itself, on the loop: ``collect_regularly`` does.
NEVER = 2**30
#: How often all garbage is collected, in seconds. Hardly any of our objects form cycles.
COLLECT_EVERY = 600.0
#: Blocks of this size and more are mapped, in bytes.
MAPPED = 256 * 1024
#: The number of heaps, and the size of the smallest block that is mapped, as mallopt(3) calls them (malloc.h).
_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3


def prepare() -> None:
    """Make full collections rarer and smaller, and use one heap. Takes a moment, so call it outside of the event loop.

    Threads that share the interpreter's lock gain nothing from heaps of their own, and short-lived reports leave holes
    in each of them (40 MB with 20,000 profiles). Large blocks, such as the text of a status, are mapped, so that each
    is given back when it is freed: glibc itself soon takes them from the heap, where they leave holes, too (10 MB).
    """
    gc.enable()  # commands run without it
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, NEVER)
    gc.collect()
    gc.freeze()  # modules, which live as long as the process
    with contextlib.suppress(AttributeError, OSError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, MAPPED)


async def collect_regularly() -> None:
    """Collect all garbage now and then, in a thread, until cancelled."""
    while True:
        await asyncio.sleep(COLLECT_EVERY)
        await asyncio.to_thread(gc.collect)
