"""Which alerts a channel wants, by the facts and labels that its ``match`` names. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exporter.alerts.values import AlertState


@dataclass(frozen=True, slots=True)
class Route:
    """Regular expressions by name, all of which must match. As in Alertmanager, they match the whole value.

    What an alert does not have is empty text: one about a target's check has no provider.
    """

    matchers: tuple[tuple[str, re.Pattern[str]], ...] = ()

    @classmethod
    def of(cls, match: Mapping[str, str]) -> Route:
        return cls(tuple((name, re.compile(expression)) for name, expression in match.items()))

    def fits(self, state: AlertState) -> bool:
        return all(any(map(expression.fullmatch, _values(state, name))) for name, expression in self.matchers)


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
