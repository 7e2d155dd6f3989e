"""Forks that end because their agents have the credential of others again, with the same trouble. Pure."""

from __future__ import annotations

from exporter.alerts.lifecycle.agents import has_same_part
from exporter.alerts.values import (
    AlertState,
    AlertSubject,
    NotificationReason,
    Resolution,
    ResolutionCause,
    States,
    changed,
)


def merged_into(gone: States, after: States) -> set[str]:
    """The keys of firing states whose agents all have the same trouble in the alert of another credential now."""
    several = {state.subject for state in gone.values() if state.firing and state.subject.profile}
    if not several:
        return set()
    by_subject: dict[AlertSubject, list[AlertState]] = {}
    for state in after.values():
        if state.firing and state.subject in several:
            by_subject.setdefault(state.subject, []).append(state)
    return {
        key
        for key, state in gone.items()
        if state.firing
        and any(
            all(agent in other.facts and has_same_part(fact, other.facts[agent]) for agent, fact in state.facts.items())
            for other in by_subject.get(state.subject, ())
        )
    }


def merge(state: AlertState, now: float) -> AlertState:
    """A fork that ends because its agents lost their own credential: for people nothing has changed."""
    end = Resolution(now, NotificationReason.RESOLVED, ResolutionCause.PROFILE_REMOVED, agents=tuple(state.facts))
    return changed(state, firing=False, merged=True, resolution=end, acknowledged_step=None, dormant=False)
