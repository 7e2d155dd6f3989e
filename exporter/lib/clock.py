"""Our clock: the default wherever ``now`` is an argument.

A function of our own looks ``time.time`` up at each call, so who replaces that one, as tests do,
replaces it everywhere; a default of ``time.time`` itself is bound once for all.
"""

import time


def now() -> float:
    """Unix seconds."""
    return time.time()
