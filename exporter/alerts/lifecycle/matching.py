"""Finds the alert that each fact continues, begins, or forks from. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from exporter.alerts.lifecycle.facts import Fact
from exporter.alerts.values import AlertState, AlertSubject, States

#: Whether a state and a fact about the same subject are about the same credential, the surest sign first.
_MATCHES: tuple[Callable[[AlertState, Fact], bool], ...] = (
    lambda state, fact: state.secret is not None and state.secret == fact.secret,
    lambda state, fact: not state.facts.keys().isdisjoint(fact.findings),
    lambda state, fact: state.secret is None or fact.secret is None,
)


class Match(NamedTuple):
    """A fact, the key of the state that it continues or begins, and the key of the state that it forks from."""

    fact: Fact
    key: str
    parent: str | None = None


def match(states: States, facts: Iterable[Fact]) -> list[Match]:
    """Each fact with its state.

    A state and a fact about the same subject match if they have the same secret; else if they share an agent; else
    if the secret of one is unknown. A fact that matches none, at an agent that has the state of another credential,
    is a fork: the agent took a credential of its own.
    """
    by_subject: dict[AlertSubject, list[AlertState]] = {}
    for state in states.values():
        by_subject.setdefault(state.subject, []).append(state)
    groups: dict[AlertSubject, list[Fact]] = {}
    for fact in facts:
        groups.setdefault(fact.subject, []).append(fact)
    result = []
    for subject, group in groups.items():
        known = sorted(by_subject.get(subject, ()), key=lambda state: (not state.firing, state.key))
        result += _match_one(known, group)
    return result


def _match_one(known: list[AlertState], group: list[Fact]) -> list[Match]:
    """The matches of the facts about one subject; firing states come first in ``known``."""
    if len(group) == 1:
        if not known:
            return [Match(group[0], _key(group[0].subject))]
        if len(known) == 1 and any(is_same(known[0], group[0]) for is_same in _MATCHES):
            return [Match(group[0], known[0].key)]
    free = list(known)
    keys: dict[int, str] = {}
    for is_same in _MATCHES:
        for position, fact in enumerate(group):
            found = None if position in keys else next((state for state in free if is_same(state, fact)), None)
            if found is not None:
                free.remove(found)
                keys[position] = found.key
    taken = {state.key for state in known}
    result = []
    for position, fact in enumerate(group):
        if position in keys:
            result.append(Match(fact, keys[position]))
            continue
        key = _new_key(fact, taken)
        taken.add(key)
        parents = (state for state in known if state.firing and not state.facts.keys().isdisjoint(fact.findings))
        result.append(Match(fact, key, next((parent.key for parent in parents), None)))
    return result


def _new_key(fact: Fact, taken: set[str]) -> str:
    """The alert's identity as text. An agent's name is added if another credential has the same profile name."""
    base = _key(fact.subject)
    candidates = [base, *(f"{base}\x1f{agent}" for agent in fact.findings)]
    free = [key for key in candidates if key not in taken]
    return free[0] if free else f"{base}\x1f{next(iter(fact.findings))}\x1f{len(taken)}"


def _key(subject: AlertSubject) -> str:
    return "\x1f".join((subject.target, subject.provider, subject.profile, subject.topic))
