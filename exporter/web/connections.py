"""Decides which connection makes room for a new one, and which has taken too long. No I/O: time is an argument.

The rule must hold against a thousand clients that do everything to stay. So a connection is worth the less the longer
it keeps the server waiting, and what it has sent before buys it nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from enum import Enum
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Phase(Enum):
    """What a connection is doing. The value is how many seconds it may take, if there is a limit."""

    #: The client has not sent its whole request: the TLS handshake, the headers or the body.
    REQUEST = 15.0
    #: The client has not read its answer.
    READING = 120.0
    #: Nothing, between two requests. Longer than the usual scrape interval, so that Prometheus keeps its connection.
    IDLE = 75.0
    #: The exporter works on the answer, and limits the time itself.
    ANSWER = None


#: Phases in which the server waits for the client.
_WAITING = (Phase.REQUEST, Phase.READING)
#: Who has kept the server waiting for so long makes room first, in seconds. Honest clients take less.
PATIENCE = 2.0
#: How many connections there may be.
FEWEST, MOST = 8, 512


def limit(descriptors: int, used: int) -> int:
    """How many connections a process with ``descriptors`` may hold, of which it uses some for other purposes.

    Half of those that are free: the other half is for checks, notifications and files.
    """
    return max(FEWEST, min(MOST, (descriptors - used) // 2))


class Connections(Generic[K]):
    """The connections that are open, by phase, each with the time at which it entered the phase.

    Times never decrease, so each phase is in the order of these times and every question takes constant time.
    """

    def __init__(self) -> None:
        self._phase: dict[K, Phase] = {}
        self._since: dict[Phase, OrderedDict[K, float]] = {phase: OrderedDict() for phase in Phase}

    def __len__(self) -> int:
        return len(self._phase)

    def __contains__(self, key: K) -> bool:
        return key in self._phase

    def add(self, key: K, now: float) -> None:
        """A new connection. It begins with a request, of which nothing has arrived."""
        self._phase[key] = Phase.REQUEST
        self._since[Phase.REQUEST][key] = now

    def move(self, key: K, phase: Phase, now: float) -> None:
        """The connection is in ``phase``. Its time begins only if that is another one than before."""
        before = self._phase.get(key)
        if before is None or before is phase:
            return
        del self._since[before][key]
        self._phase[key] = phase
        self._since[phase][key] = now

    def remove(self, key: K) -> None:
        phase = self._phase.pop(key, None)
        if phase is not None:
            del self._since[phase][key]

    def to_end(self, now: float) -> K | None:
        """The connection that makes room for another one. None if there is none.

        First whoever has kept the server waiting longest, if for longer than ``PATIENCE``. Otherwise the phase with
        the most connections loses its oldest one: no crowd in one phase can push out those in another, nor a new one.
        """
        oldest = [(phase, *next(iter(self._since[phase].items()))) for phase in Phase if self._since[phase]]
        late = [(since, key) for phase, key, since in oldest if phase in _WAITING and now - since > PATIENCE]
        if late:
            return min(late, key=lambda entry: entry[0])[1]
        crowded = max(oldest, key=lambda entry: len(self._since[entry[0]]), default=None)
        return None if crowded is None else crowded[1]

    def overdue(self, now: float) -> list[K]:
        """The connections that have been in their phase for longer than it may take."""
        found: list[K] = []
        for phase, connections in self._since.items():
            for key, since in connections.items():
                if phase.value is None or now - since <= phase.value:
                    break
                found.append(key)
        return found
