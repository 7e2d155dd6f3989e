"""Settings of the interpreter and of glibc that keep a daemon small and its loop responsive with a large fleet.

Measured by benchmarks/fleet.py. Called once, before the daemon starts.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc

#: How many collections of young objects happen before a full one; Python's default is 10. A full one stops the loop,
#: for 0.2 s with 20,000 profiles, and each sweep would cause two. Hardly any of our objects form cycles.
FULL_COLLECTION_EVERY = 1000
#: The number of heaps, as mallopt(3) calls it (malloc.h).
_M_ARENA_MAX = -8


def prepare() -> None:
    """Make full collections rarer, and use one heap.

    Threads that share the interpreter's lock gain nothing from heaps of their own, and short-lived reports leave holes
    in each of them (40 MB with 20,000 profiles).
    """
    gc.enable()  # commands run without it
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, FULL_COLLECTION_EVERY)
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
