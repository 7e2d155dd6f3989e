"""What keeps the daemon small and its loop quick with a fleet to watch: settings of the interpreter and of glibc.

Measured by benchmarks/fleet.py. Called once, before anything else of the daemon.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc

#: So many collections of young objects go before one of all; Python's own is 10. One of all stops the loop, for
#: 0.2 s with 20,000 profiles, and each sweep would bring two; hardly anything of ours ends in a cycle.
FULL_COLLECTION_EVERY = 1000
#: glibc's name for how many heaps there are (malloc.h).
_M_ARENA_MAX = -8


def prepare() -> None:
    """Fewer full collections, and one heap: threads that share the interpreter's lock gain nothing by heaps
    of their own, and reports that come and go leave holes in each of them (40 MB with 20,000 profiles)."""
    gc.enable()  # commands do without
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, FULL_COLLECTION_EVERY)
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
