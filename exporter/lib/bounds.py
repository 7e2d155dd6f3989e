"""How much of what another program lists is read: more would cost memory and time for nothing that is real."""

from __future__ import annotations

from typing import TypeVar

from exporter.model import CheckError, FailureReason, Observation

T = TypeVar("T")

#: Of profiles, agents, models and the like, in one answer.
MAX_LISTED = 50_000


def require_bounded(count: int, what: str) -> None:
    """Raises CheckError INVALID_OUTPUT if an answer lists too many of ``what``. A part of it could hide a problem."""
    if count > MAX_LISTED:
        raise CheckError(
            FailureReason.INVALID_OUTPUT, f"{count:,} {what} are listed; at most {MAX_LISTED:,} are read, so none was"
        )


def bounded(answer: T) -> T:
    """The ``answer`` of a source: an observation or the names of agents. Raises CheckError like ``require_bounded``."""
    if isinstance(answer, Observation):
        require_bounded(len(answer.profiles), "profiles")
        require_bounded(len(answer.uses) + len(answer.providers_in_use or ()), "models and providers in use")
        require_bounded(sum(map(len, answer.order.values())) + len(answer.order), "entries of orders")
    elif isinstance(answer, list):
        require_bounded(len(answer), "agents")
    return answer
