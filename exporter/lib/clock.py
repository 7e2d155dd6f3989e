"""The wall clock: the default wherever ``now`` is an argument.

``time.time`` as a default would be bound once. This function looks it up at each call, so that a test that replaces
``time.time`` replaces it everywhere.
"""

import time


def now() -> float:
    """Unix seconds."""
    return time.time()
