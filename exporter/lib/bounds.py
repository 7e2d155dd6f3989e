"""How much of what another program lists is read: more would cost memory and time for nothing that is real."""

from __future__ import annotations

from exporter.model import CheckError, FailureReason, Observation

#: Of profiles, agents, models and the like, in one answer.
MAX_LISTED = 50_000


def require_bounded(count: int, what: str) -> None:
    """Raises CheckError INVALID_OUTPUT if an answer lists too many of ``what``. A part of it could hide a problem."""
    if count > MAX_LISTED:
        raise CheckError(
            FailureReason.INVALID_OUTPUT, f"{count:,} {what} are listed; at most {MAX_LISTED:,} are read, so none was"
        )


def bounded(seen: Observation) -> Observation:
    """``seen``, whatever the source is that made it. Raises CheckError like ``require_bounded``."""
    require_bounded(len(seen.profiles), "profiles")
    require_bounded(len(seen.uses) + len(seen.providers_in_use or ()), "models and providers in use")
    require_bounded(sum(map(len, seen.order.values())) + len(seen.order), "entries of orders")
    return seen
