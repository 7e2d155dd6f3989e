"""Turns earlier alert states and the facts of a report into the next states. It knows nothing of channels.

Here alerts begin, change, are confirmed, inhibited and resolved. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from exporter.alerts.lifecycle.agents import (
    agent_fact,
    confirmed_together,
    has_same_part,
    known_agents,
    new_agents,
    shown_facts,
    worst_agent,
)
from exporter.alerts.lifecycle.clock_steps import not_in_the_future
from exporter.alerts.lifecycle.endings import has_same_deadline, resolution, together
from exporter.alerts.lifecycle.facts import SAME_DATE, Fact, ReportIndex, gather, rank
from exporter.alerts.lifecycle.matching import match
from exporter.alerts.lifecycle.merging import merge, merged_into
from exporter.alerts.lifecycle.policy import AlertPolicy, passed_step
from exporter.alerts.lifecycle.renewal import (
    end_by_renewal,
    is_past_acknowledged_step,
    is_renewed_to_near_date,
    is_undated_again,
)
from exporter.alerts.lifecycle.routing import labelled
from exporter.alerts.lifecycle.takeover import take_over, without_waiting
from exporter.alerts.values import (
    AgentFact,
    AlertState,
    LastNotification,
    ResolutionCause,
    States,
    changed,
    identity,
    new_state,
)
from exporter.model import ConditionName, Family, Report

DAY = 86400.0
#: The acknowledged step of a renewal before the first reminder step (JSON has no infinity).
_BEFORE_FIRST_STEP = 1e12

Facts = Mapping[str, AgentFact]


def update_states(states: States, report: Report, policy: AlertPolicy, now: float) -> dict[str, AlertState]:
    """The states as of ``now``. Resolved ones stay for the channels that have yet to be notified of it, and for a day.

    That day shows whether they flap.
    """
    index, facts = ReportIndex.of(report), gather(report, policy, now)
    before = {key: not_in_the_future(state, now) for key, state in states.items()}
    after: dict[str, AlertState] = {}

    def go_on(facts: Iterable[Fact]) -> None:
        for fact, key, parent in match(before, facts):
            after[key] = _next(before.get(key), before.get(parent or ""), key, fact, index, policy, now)

    go_on(fact for fact in facts if not fact.subject.profile)
    outages = {state.subject: state for state in after.values()}
    go_on(without_waiting([fact for fact in facts if fact.subject.profile], before, outages))
    gone = {key: state for key, state in before.items() if key not in after}
    merged = merged_into(gone, after)
    for key, state in gone.items():
        if key in merged:
            after[key] = merge(state, now)
        elif (remaining := _without_fact(state, index, policy, now)) is not None:
            after[key] = remaining
    return labelled(take_over(_with_fingerprints_of_their_own(after, before)), policy.labels_of)


def _with_fingerprints_of_their_own(after: States, before: States) -> States:
    """An outage that began again must not get the fingerprint that it left to the alert whose life it took over."""
    begun = [key for key in after if key not in before]
    if not begun:
        return after
    used = {state.fingerprint for key, state in after.items() if key in before}
    result = dict(after)
    for key in begun:
        fingerprint = first = after[key].fingerprint
        while fingerprint in used:
            fingerprint = identity(fingerprint, key)
        if fingerprint != first:
            result[key] = changed(after[key], fingerprint=fingerprint)
    return result


def begin_states(states: States, report: Report, policy: AlertPolicy, now: float) -> list[AlertState]:
    """The facts of ``report`` as states that begin at ``now``, with the keys of the states they would continue."""
    return [_begin(key, fact, policy, now) for fact, key, _ in match(states, gather(report, policy, now))]


def _next(
    state: AlertState | None,
    parent: AlertState | None,
    key: str,
    fact: Fact,
    index: ReportIndex,
    policy: AlertPolicy,
    now: float,
) -> AlertState:
    if state is not None:
        return _continue(state, fact, index, policy, now)
    return _fork(parent, key, fact, policy, now) if parent is not None else _begin(key, fact, policy, now)


def _begin(key: str, fact: Fact, policy: AlertPolicy, now: float) -> AlertState:
    facts: Facts = {agent: agent_fact(finding, None, policy, now) for agent, finding in fact.findings.items()}
    facts = confirmed_together(facts)
    shown = _shown(facts, fact, None, now)
    return new_state(
        key=key,
        fingerprint=identity(policy.exporter, key),
        exporter=policy.exporter,
        subject=fact.subject,
        started_at=now,
        worsened_at=now,
        secret=fact.secret,
        begun_at=(now,) if shown["confirmed"] else (),
        **shown,
    )


def _fork(parent: AlertState, key: str, fact: Fact, policy: AlertPolicy, now: float) -> AlertState:
    """An alert about a credential that an agent took for itself.

    Where the trouble is the one that the agent had before, it goes on: it is no news.
    """
    begun = _begin(key, fact, policy, now)
    same = {
        agent: parent.facts[agent]
        for agent, own in begun.facts.items()
        if agent in parent.facts and has_same_part(own, parent.facts[agent])
    }
    if not same or len(same) < len(begun.facts):
        return begun
    facts = {
        agent: replace(
            begun.facts[agent], began_at=old.began_at, confirmed=old.confirmed or begun.facts[agent].confirmed
        )
        for agent, old in same.items()
    }
    # Milder trouble than the others' is not what the channels were notified of.
    is_known = begun.severity is parent.severity
    notified = {}
    for name, last in parent.notified.items():
        named = tuple(agent for agent in last.agents if agent in facts and agent not in last.joined)
        if is_known and named:
            notified[name] = replace(last, agents=named, joined=(), is_inherited=True, before=None)
    is_known = is_known and (bool(notified) or not parent.notified)
    return changed(
        _as_shown(changed(begun, confirmed=parent.confirmed, begun_at=parent.begun_at), facts, fact, now),
        started_at=parent.started_at,
        worsened_at=parent.worsened_at,
        forked_from=parent.fingerprint if is_known else None,
        notified=notified,
        flapped=parent.flapped,
        lost=parent.lost,
        acknowledged_step=parent.acknowledged_step,
    )


def _as_shown(state: AlertState, facts: Facts, fact: Fact | None, now: float) -> AlertState:
    """``state`` with these facts, and with what follows from them. ``fact`` has the texts."""
    changes = _shown(facts, fact, state, now)
    if fact is not None and fact.secret:
        changes["secret"] = fact.secret
    if changes["confirmed"] and (not state.confirmed or not state.begun_at):
        changes["begun_at"] = (*(at for at in state.begun_at if at > now - DAY), now)[-100:]
    return changed(state, **changes)


def _shown(facts: Facts, fact: Fact | None, before: AlertState | None, now: float) -> dict[str, Any]:
    """The fields of a state that follow from its facts."""
    if len(facts) == 1:
        ((agent, worst),) = facts.items()
        alike: tuple[str, ...] = (agent,)
        shown, self_healing, confirmed = facts, worst.self_healing, worst.confirmed
        since = worst.since
    else:
        shown = shown_facts(facts)
        agent = worst_agent(shown)
        worst = shown[agent]
        alike = tuple(a for a, f in shown.items() if f.condition is worst.condition and _is_as_soon(f, worst))
        self_healing = all(one.self_healing for one in shown.values())
        confirmed = any(one.confirmed for one in facts.values())
        since = min((at for name in alike if (at := shown[name].since) is not None), default=None)
    if since is None:
        since = _since(facts, alike, before, worst.condition, now)
    changes: dict[str, Any] = {
        "facts": facts,
        "condition": worst.condition,
        "severity": worst.severity,
        "agents": alike,
        "since": min(since, now),
        "cause": worst.cause,
        "deadline": worst.deadline,
        "until": worst.until,
        "is_assumed": worst.is_assumed,
        "seen_at": worst.seen_at,
        "self_healing": self_healing,
        "inhibited": worst.inhibited,
        "confirmed": confirmed,
    }
    if any(one.credentials for one in shown.values()) or (before is not None and before.credentials):
        credentials = {credential for one in shown.values() for credential in one.credentials}
        ordered = sorted(credentials, key=lambda c: (c.profile, c.secret or "", c.deadline or 0.0))
        changes["credentials"] = tuple(ordered)
    return changes | _texts(fact, agent, alike) if fact is not None else changes


def _since(facts: Facts, agents: tuple[str, ...], before: AlertState | None, name: ConditionName, now: float) -> float:
    """Since when these agents have a condition of which the report does not say it."""
    if before is None or before.condition is not name:
        return now
    if before.firing and set(before.agents).isdisjoint(agents):  # those who had it lost it
        return min(facts[agent].began_at for agent in agents)
    return before.since


def _is_as_soon(fact: AgentFact, worst: AgentFact) -> bool:
    """Whether an agent's date is the worst one. Other dates are notes."""
    if fact.deadline is None or worst.deadline is None:
        return True
    return abs(fact.deadline - worst.deadline) < SAME_DATE


def _texts(fact: Fact, agent: str, agents: tuple[str, ...]) -> dict[str, Any]:
    """The summary of the worst, and the steps of every agent: each with a store of its own needs its own."""
    if agent not in fact.findings:
        return {}
    condition = fact.findings[agent].condition
    if len(agents) == 1 or condition.family not in (Family.DEADLINE, Family.AVAILABILITY):
        return {"summary": condition.summary, "remedy": condition.remedy}
    found = (fact.findings[name].condition for name in agents if name in fact.findings)
    steps = dict.fromkeys(step.text for one in found for step in one.steps)
    return {"summary": condition.summary, "remedy": tuple(steps)}


def _continue(state: AlertState, fact: Fact, index: ReportIndex, policy: AlertPolicy, now: float) -> AlertState:
    """A state whose fact is still there, or is back after the alert ended."""
    begins_again = not state.firing
    if not begins_again and is_renewed_to_near_date(state, fact, policy, now) and not _goes_on(state, fact, index):
        return _begin_renewed(state, fact, index, policy, now)
    before: Facts = {} if begins_again else state.facts
    # An end that is still to be sent is about the agents of the earlier life, also those that were well before it.
    is_owed = not begins_again or (state.resolution is not None and bool(state.notified))
    earlier: Facts = {**state.ended, **state.facts} if is_owed and (begins_again or state.ended) else {}
    facts: dict[str, AgentFact] = {
        agent: replace(before[agent], inhibited=True)
        if agent in fact.waiting and agent in before
        else agent_fact(finding, before.get(agent), policy, now, earlier.get(agent))
        for agent, finding in fact.findings.items()
    }
    gone: dict[str, AgentFact] = {}
    if len(before) != len(facts) or before.keys() != facts.keys():
        for agent, old in before.items():
            if agent not in facts:
                (facts if _may_have_it(state, agent, index) else gone)[agent] = old
    if len(facts) > 1:
        facts = dict(confirmed_together(facts))
    is_same = not begins_again and not gone and fact.secret in (None, state.secret)
    if is_same and _is_settled(state) and facts == state.facts:
        return _with_texts(state, fact)
    new = _as_shown(changed(state, confirmed=False, since=now) if begins_again else state, facts, fact, now)
    changes: dict[str, Any] = {"dormant": False, "firing": True, "merged": False}
    if begins_again:
        changes |= {"started_at": now, "worsened_at": now, "acknowledged_step": None}
        changes["ended"] = {agent: old for agent, old in earlier.items() if agent not in facts}
        changes |= {"held": {}, "lost": {}, "exporter": policy.exporter}
        if not is_owed:
            changes["resolution"] = None
        if not new.confirmed:
            changes["begun_at"] = state.begun_at
    else:
        worse = rank(new.severity, new.condition) > rank(state.severity, state.condition) and not new.inhibited
        # Whoever was not notified of an end has seen the trouble, confirmed or not.
        begins = new.confirmed and not state.confirmed and state.resolution is None
        if worse or begins or (state.confirmed and new_agents(new, _confirmed_agents(state))):
            changes["worsened_at"] = now
        if state.acknowledged_step is not None and is_past_acknowledged_step(state, new, policy, now):
            changes["acknowledged_step"] = None
    if gone or not state.ended.keys().isdisjoint(facts):
        ended = {**state.ended, **gone}
        changes.setdefault("ended", {agent: old for agent, old in ended.items() if agent not in facts})
    notified = _still_true(state, new, policy, now)
    if notified is not state.notified:
        changes["notified"] = notified
    new = changed(new, **changes)
    if new.resolution is not None and new.confirmed and new.acknowledged_step is None:
        # What is confirmed again before a channel was notified of its resolution has not ended.
        new = changed(new, resolution=None)
    return _while_renewal_waits(new, fact, index, policy)


def _goes_on(state: AlertState, fact: Fact, index: ReportIndex) -> bool:
    """Whether an agent that cannot be checked may still have the trouble."""
    return any(_may_have_it(state, agent, index) for agent in state.facts.keys() - fact.findings.keys())


def _may_have_it(state: AlertState, agent: str, index: ReportIndex) -> bool:
    """Whether an agent cannot be checked, and had the trouble when it was seen last."""
    return index.is_unknown(state, agent) and not index.is_last_seen_without(state, agent)


def _while_renewal_waits(state: AlertState, fact: Fact, index: ReportIndex, policy: AlertPolicy) -> AlertState:
    """The state with the end by renewal as it is now: the date may have moved since, or the new credential failed."""
    if state.resolution is None or state.acknowledged_step is None:
        return state
    if state.confirmed and is_undated_again(state):
        return changed(state, resolution=None, acknowledged_step=None)
    return changed(state, resolution=end_by_renewal(state, fact, index, policy, state.resolution.at))


def _is_settled(state: AlertState) -> bool:
    """Whether only new facts can change the state."""
    return not state.dormant and state.acknowledged_step is None and state.resolution is None and bool(state.begun_at)


def _with_texts(state: AlertState, fact: Fact) -> AlertState:
    agent = state.agents[0] if len(state.agents) == 1 else worst_agent(shown_facts(state.facts))
    texts = _texts(fact, agent, state.agents)
    if texts.get("summary", state.summary) == state.summary and texts.get("remedy", state.remedy) == state.remedy:
        return state
    return changed(state, **texts)


def _confirmed_agents(state: AlertState) -> tuple[str, ...]:
    return tuple(agent for agent, fact in state.facts.items() if fact.confirmed)


def _still_true(state: AlertState, new: AlertState, policy: AlertPolicy, now: float) -> Mapping[str, LastNotification]:
    """What the channels were notified of, without what is no longer so.

    An agent that lost the trouble would be news again; one that came to share the credential is not. If the date
    moved later, only those of its steps that have passed count as notified.
    """
    if not state.notified:
        return state.notified
    result = state.notified
    if len(new.facts) > 1 or len(state.facts) > 1:
        known = {}
        for name, last in result.items():
            agents = known_agents(new, last.agents)
            joined = tuple(a for a in agents if a in last.joined or a not in last.agents)
            known[name] = last if agents == last.agents else replace(last, agents=agents, joined=joined)
        result = known
    before, deadline = state.deadline, new.deadline
    if before is not None and deadline is not None and deadline > before + SAME_DATE:
        step = passed_step(policy.steps_of(new), deadline, now)
        result = {name: replace(last, step=step) for name, last in result.items()}
    return result


def _begin_renewed(state: AlertState, fact: Fact, index: ReportIndex, policy: AlertPolicy, now: float) -> AlertState:
    """Ends the alert as renewed and begins it again, silent until the next reminder step of the new date."""
    begun = _begin(state.key, fact, policy, now)
    step = passed_step(policy.steps_of(begun), begun.deadline, now) if begun.deadline is not None else None
    begun = changed(
        begun,
        fingerprint=state.fingerprint,
        acknowledged_step=step if step is not None else _BEFORE_FIRST_STEP,
        ended={agent: old for agent, old in {**state.ended, **state.facts}.items() if agent not in begun.facts},
        notified=_still_true(state, begun, policy, now),
        pending=state.pending,
        suppressed=state.suppressed,
        begun_at=state.begun_at,
        flapped=state.flapped,
        lost=state.lost,
        forked_from=state.forked_from,
    )
    if not state.notified:
        return begun
    end = end_by_renewal(begun, fact, index, policy, now)
    return _while_renewal_waits(changed(begun, resolution=end), fact, index, policy)


def _without_fact(state: AlertState, index: ReportIndex, policy: AlertPolicy, now: float) -> AlertState | None:
    """A state that no fact continues: kept while its agents are unknown, else resolved; None if it leaves nothing."""
    is_removed = state.subject.target not in policy.targets
    unknown = () if is_removed else tuple(agent for agent in state.facts if index.is_unknown(state, agent))
    if not state.firing:
        return _as_it_is_now(state, index, policy, now)
    if unknown:
        may_have_it = tuple(agent for agent in unknown if not index.is_last_seen_without(state, agent))
        is_dormant = state.dormant or not may_have_it
        staying = unknown if is_dormant else may_have_it
        if len(staying) == len(state.facts):
            return state if is_dormant == state.dormant else changed(state, dormant=True)
        gone = {agent: fact for agent, fact in state.facts.items() if agent not in staying}
        facts = {agent: state.facts[agent] for agent in staying}
        new = changed(_as_shown(state, facts, None, now), ended={**state.ended, **gone}, dormant=is_dormant)
        return changed(new, notified=_still_true(state, new, policy, now))
    if not is_removed and has_same_deadline(state, index, policy, now):
        return state if state.dormant else changed(state, dormant=True)
    if not state.confirmed and (state.resolution is not None or not state.notified):
        # It was never confirmed. The resolution of its earlier life may still have to be sent.
        earlier = state.resolution
        if earlier is None and not state.begun_at:
            return None
        # Whoever that one names had the trouble for certain.
        known = {**state.ended, **{agent: replace(fact, confirmed=True) for agent, fact in state.facts.items()}}
        facts = {agent: fact for agent, fact in known.items() if earlier is not None and agent in earlier.agents}
        since = min((last.since for last in state.notified.values() if last.since is not None), default=state.since)
        over = changed(state, firing=False, inhibited=False, confirmed=earlier is not None, facts=facts, ended={})
        return _as_it_is_now(changed(over, since=min(since, state.since)), index, policy, now)
    end = resolution(state, index, policy, now)
    return changed(state, firing=False, resolution=end, acknowledged_step=None, dormant=False)


def _as_it_is_now(state: AlertState, index: ReportIndex, policy: AlertPolicy, now: float) -> AlertState | None:
    """An ended alert. While its end waits to be sent, it is what the report shows now, or showed last."""
    end = state.resolution
    if end is None or not state.notified or state.merged or end.cause is ResolutionCause.TARGET_REMOVED:
        return state
    facts = {agent: fact for agent, fact in state.facts.items() if index.has_seen(state, agent)}
    if not facts:
        return state
    present = replace(resolution(changed(state, facts=facts), index, policy, now), at=end.at)
    if unseen := tuple(agent for agent in end.agents if not index.has_seen(state, agent)):
        present = together([replace(end, agents=unseen), present], end.at)
    return state if present == end else changed(state, resolution=present)
