"""What one agent contributes to an alert: when its part is confirmed, and whether it is news. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from exporter.alerts.lifecycle.facts import (
    SAME_DATE,
    Finding,
    checked_at,
    failing_credentials,
    is_self_healing,
    rank,
)
from exporter.alerts.lifecycle.policy import AlertPolicy
from exporter.alerts.values import AgentFact, AlertState, Credential
from exporter.model import ConditionName, Family, Severity

#: Checks that begin to fail within so many seconds of each other fail for one reason, and are confirmed together.
SAME_FAILURE = 300.0


def agent_fact(
    finding: Finding, before: AgentFact | None, policy: AlertPolicy, now: float, earlier: AgentFact | None = None
) -> AgentFact:
    """The agent's fact as of ``now``; ``before`` is its earlier one in the same alert.

    ``earlier`` is what it had before it lost the trouble for a while of whose end nobody was notified.
    """
    condition, profile = finding.condition, finding.profile
    at = checked_at(finding)
    checks = 0 if at is None else 1
    if before is not None and at is not None:
        checks = before.checks if at == before.checked_at else before.checks + 1
    began_at = before.began_at if before is not None else now
    since = condition.since if condition.since is None or condition.since <= now else now
    self_healing = is_self_healing(finding)
    confirmed = before is not None and before.confirmed
    if not confirmed:
        ready_at = _ready_at(condition.name, checks, began_at, since, self_healing, policy)
        confirmed = ready_at is not None and ready_at <= now
    return AgentFact(
        condition=condition.name,
        severity=condition.severity,
        began_at=began_at,
        since=since,
        deadline=condition.deadline,
        until=profile.unusable.until if profile is not None and profile.unusable is not None else None,
        cause=condition.reason,
        owner=profile.owner if profile is not None else None,
        seen_at=condition.seen_at,
        self_healing=self_healing,
        inhibited=finding.inhibited,
        confirmed=confirmed,
        checks=checks,
        checked_at=at,
        is_assumed=profile.assumed if profile is not None else False,
        credentials=_with_latest_dates(failing_credentials(finding), before or earlier),
    )


def _with_latest_dates(credentials: tuple[Credential, ...], before: AgentFact | None) -> tuple[Credential, ...]:
    """A credential that fails is not renewed by a date that goes and comes back."""
    if before is None or credentials == before.credentials:
        return credentials
    dates = {(known.profile, known.secret): known.deadline for known in before.credentials}
    return tuple(
        replace(c, deadline=_later(c.deadline, dates.get((c.profile, c.secret)))) if c.secret is not None else c
        for c in credentials
    )


def _later(date: float | None, other: float | None) -> float | None:
    return max((at for at in (date, other) if at is not None), default=None)


def confirmed_at(fact: AgentFact, policy: AlertPolicy) -> float | None:
    """When time alone confirms the fact (Unix seconds), which may be past; None if it needs another check."""
    return _ready_at(fact.condition, fact.checks, fact.began_at, fact.since, fact.self_healing, policy)


def _ready_at(
    name: ConditionName,
    checks: int,
    began_at: float,
    since: float | None,
    self_healing: bool,
    policy: AlertPolicy,
) -> float | None:
    if name.definition.confirmed_by_checks:
        if checks < policy.confirm_checks:
            return None
        return began_at + (policy.check_failed_after if name is ConditionName.CHECK_FAILED else 0.0)
    if self_healing:
        return min(began_at, since if since is not None else began_at) + policy.cooldown_after
    return began_at


def confirmed_together(facts: Mapping[str, AgentFact]) -> Mapping[str, AgentFact]:
    """Confirms the failing checks that began with one that is confirmed: one cause is one notification."""
    if len(facts) < 2:
        return facts
    failing = {agent: fact for agent, fact in facts.items() if fact.condition is ConditionName.CHECK_FAILED}
    began = [fact.began_at for fact in failing.values() if fact.confirmed]
    late = {
        agent: replace(fact, confirmed=True)
        for agent, fact in failing.items()
        if not fact.confirmed and any(abs(fact.began_at - at) <= SAME_FAILURE for at in began)
    }
    return {**facts, **late} if late else facts


def shown_facts(facts: Mapping[str, AgentFact]) -> Mapping[str, AgentFact]:
    """The facts that an alert is about: the confirmed ones that no provider's alert inhibits; else what there is."""
    if len(facts) == 1:
        return facts
    confirmed = {agent: fact for agent, fact in facts.items() if fact.confirmed} or facts
    return {agent: fact for agent, fact in confirmed.items() if not fact.inhibited} or confirmed


def worst_agent(facts: Mapping[str, AgentFact]) -> str:
    """The agent with the worst fact; among equals the one with the earliest date, then the one that was seen."""

    def weight(agent: str) -> tuple[tuple[int, int], float, bool]:
        fact = facts[agent]
        earliest = -fact.deadline if fact.deadline is not None else float("-inf")
        return rank(fact.severity, fact.condition), earliest, fact.seen_at is None

    return max(facts, key=weight)


def has_same_part(fact: AgentFact, other: AgentFact) -> bool:
    """Whether one sentence is true of both: the same condition, for the same reason, with the same dates.

    The deadline of a credential that is down is another trouble.
    """
    return (
        fact.condition is other.condition
        and fact.cause == other.cause
        and (fact.condition.family is not Family.DEADLINE or _same_date(fact.deadline, other.deadline))
        and _same_date(fact.until, other.until)
    )


def _same_date(one: float | None, other: float | None) -> bool:
    return one is other if one is None or other is None else abs(one - other) < SAME_DATE


def new_agents(state: AlertState, known: Iterable[str]) -> tuple[str, ...]:
    """The agents that the trouble has reached and that are not among ``known``, unless it is nothing new there.

    One credential in many agents is one fact: its date, or a cooldown of the store that they inherit. What an agent
    has for itself is news. Notices of severity info are none.
    """
    known = tuple(known)
    if len(state.facts) == len(known) == 1 and known[0] in state.facts:
        return ()
    known_facts = [state.facts[agent] for agent in known if agent in state.facts]
    return tuple(
        agent
        for agent, fact in state.facts.items()
        if fact.confirmed
        and not fact.inhibited
        and fact.severity is not Severity.INFO
        and agent not in known
        and not any(_is_shared(state, fact, other) for other in known_facts)
    )


def known_agents(state: AlertState, known: Iterable[str]) -> tuple[str, ...]:
    """The agents of the state whose trouble is no news to who knows ``known``."""
    known = tuple(known)
    fresh = new_agents(state, known)
    return tuple(a for a, fact in state.facts.items() if a in known or (fact.confirmed and a not in fresh))


def _is_shared(state: AlertState, fact: AgentFact, other: AgentFact) -> bool:
    if not state.subject.profile:
        secrets = {(credential.profile, credential.secret) for credential in other.credentials}
        mine = {(credential.profile, credential.secret) for credential in fact.credentials}
        return bool(mine) and mine <= secrets
    is_one = state.secret is not None or (fact.owner is not None and fact.owner == other.owner)
    return is_one and state.family in (Family.DEADLINE, Family.AVAILABILITY) and has_same_part(fact, other)
