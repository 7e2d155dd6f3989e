"""A person's labels of alerts, and which alerts a channel wants by the facts and labels that its ``match`` names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from exporter.alerts.values import AlertState, changed
from exporter.lib.user_pattern import MAX_LENGTH, UserPattern, user_pattern


@dataclass(frozen=True, slots=True)
class Route:
    """Regular expressions by name, all of which must match. As in Alertmanager, they match the whole value.

    What an alert does not have is empty text: one about a target's check has no provider.
    """

    matchers: tuple[tuple[str, UserPattern], ...] = ()

    @classmethod
    def of(cls, match: Mapping[str, str]) -> Route:
        return cls(tuple((name, user_pattern(expression)) for name, expression in match.items()))

    def fits(self, state: AlertState) -> bool:
        # Of a value that is too long to match, the beginning: nobody is to miss an alert for a long name.
        return all(
            any(pattern.matches(value[:MAX_LENGTH]) for value in _values(state, name))
            for name, pattern in self.matchers
        )


def _values(state: AlertState, name: str) -> Iterable[str]:
    """The values of a fact or label. Of several agents, or of an outage's profiles, one that matches is enough."""
    subject = state.subject
    match name:
        case "target":
            return (subject.target,)
        case "provider":
            return (subject.provider,)
        case "profile":
            return [credential.profile for credential in state.credentials] or (subject.profile,)
        case "agent":
            return state.agents or tuple(state.facts)
        case "condition":
            return (state.condition.value,)
    return (state.labels.get(name, ""),)


def labelled(
    states: dict[str, AlertState], labels_of: Callable[[AlertState], Mapping[str, str]]
) -> dict[str, AlertState]:
    """The states with a person's labels of today. One that has ended keeps those that it had."""
    for key, state in states.items():
        labels = labels_of(state)
        if state.labels != labels and state.firing:
            states[key] = changed(state, labels=labels)
    return states
