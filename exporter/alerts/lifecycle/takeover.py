"""One cause, one alarm: ``no_usable_profile`` takes over from the alerts about the profiles that it inhibits. Pure.

It goes on with the life of one that was notified before: under its fingerprint, so that a phone shows one notification,
and with what the channels know. If that one still fires when a credential works again, it goes on with its life.
What was held back of those alerts is no longer: the outage says it. Until it is confirmed, further trouble of these
profiles waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from exporter.alerts.lifecycle.agents import known_agents
from exporter.alerts.lifecycle.facts import Fact
from exporter.alerts.values import AlertState, AlertSubject, LastNotification, States, changed
from exporter.model import ConditionName, Family


def take_over(states: States) -> dict[str, AlertState]:
    """The states after lives were taken over or given back. The ends of inhibited alerts wait for the outage's."""
    after = dict(states)
    down = {state.subject: state for state in states.values() if _is_outage(state)}
    for state in states.values():
        if state.took_over is not None and state.subject not in down:
            after |= _given_back(state, after.get(state.took_over))
    for subject, group in _inhibited(states, down).items():
        if not down[subject].notified:
            after |= _taken_over(down[subject], min(group, key=lambda state: (state.started_at, state.key)), group)
    for key, state in after.items():
        if not state.inhibited or not (state.held or not state.firing):
            continue
        is_part = _has_agent_of(state, down.get(_provider(state)))
        if is_part and state.firing:
            after[key] = changed(state, held={})
        elif not is_part and not state.firing:
            after[key] = changed(state, inhibited=False)
    return after


def _is_outage(state: AlertState) -> bool:
    return state.condition is ConditionName.NO_USABLE_PROFILE and state.firing and state.confirmed


def _has_agent_of(state: AlertState, outage: AlertState | None) -> bool:
    """Whether one of the alert's agents is part of the outage."""
    return outage is not None and not outage.facts.keys().isdisjoint(state.facts)


def _provider(state: AlertState) -> AlertSubject:
    return AlertSubject(state.subject.target, state.subject.provider, "", Family.AVAILABILITY)


def _inhibited(states: States, down: Mapping[AlertSubject, AlertState]) -> dict[AlertSubject, list[AlertState]]:
    """The notified alerts that each outage inhibits."""
    found: dict[AlertSubject, list[AlertState]] = {}
    for state in states.values() if down else ():
        if state.subject.profile and state.inhibited and state.firing and state.notified:
            provider = _provider(state)
            if provider in down:
                found.setdefault(provider, []).append(state)
    return found


def _taken_over(outage: AlertState, former: AlertState, group: Iterable[AlertState]) -> dict[str, AlertState]:
    notified = _passed_on(former, outage, group)
    # That it was over for a moment is no news to channels that were not notified of it.
    goes_on = all(last.condition is outage.condition for last in notified.values())
    return {
        outage.key: changed(
            outage,
            fingerprint=former.fingerprint,
            worsened_at=outage.started_at if goes_on else outage.worsened_at,
            notified=notified,
            lost=former.lost,
            pending={},
            took_over=former.key,
        ),
        former.key: changed(former, fingerprint=outage.fingerprint, notified={}, lost={}, pending={}, resolution=None),
    }


def _given_back(outage: AlertState, former: AlertState | None) -> dict[str, AlertState]:
    if former is None or not (former.firing and former.confirmed) or former.inhibited or former.notified:
        return {outage.key: changed(outage, took_over=None)}
    return {
        outage.key: changed(outage, fingerprint=former.fingerprint, notified={}, lost={}, pending={}, took_over=None),
        former.key: changed(
            former, fingerprint=outage.fingerprint, notified=_passed_on(outage, former), lost=outage.lost, pending={}
        ),
    }


def _passed_on(giver: AlertState, taker: AlertState, others: Iterable[AlertState] = ()) -> dict[str, LastNotification]:
    """What the channels were notified of, with the agents of which ``others`` notified them too."""
    passed = {}
    for name, last in giver.notified.items():
        notified = {agent for other in others if name in other.notified for agent in other.notified[name].agents}
        passed[name] = replace(last, agents=known_agents(taker, {*last.agents, *notified}))
    return passed


def without_waiting(
    facts: Iterable[Fact], before: States, outages: Mapping[AlertSubject, AlertState]
) -> Iterator[Fact]:
    """The facts without what waits: until a provider's alert is confirmed, so do the alerts that it inhibits.

    What an agent already has goes on as it is. So does what it had, if its end is still to be sent: it is back.
    """
    known: dict[AlertSubject, set[str]] | None = None
    for fact in facts:
        if not any(finding.inhibited for finding in fact.findings.values()):
            yield fact
            continue
        subject = fact.subject
        outage = outages.get(AlertSubject(subject.target, subject.provider, "", Family.AVAILABILITY))
        waiting = {
            agent
            for agent, finding in fact.findings.items()
            if outage is not None
            and finding.inhibited
            and not (agent in outage.facts and outage.facts[agent].confirmed)
        }
        if waiting and known is None:
            known = _agents_with_trouble(before)
        staying = waiting & known.get(subject, set()) if known else frozenset()
        findings = {agent: found for agent, found in fact.findings.items() if agent not in waiting - staying}
        if findings:
            yield replace(fact, findings=findings, waiting=frozenset(staying))


def _agents_with_trouble(states: States) -> dict[AlertSubject, set[str]]:
    found: dict[AlertSubject, set[str]] = {}
    for state in states.values():
        if state.firing or (state.resolution is not None and state.notified):
            found.setdefault(state.subject, set()).update(state.facts)
    return found
