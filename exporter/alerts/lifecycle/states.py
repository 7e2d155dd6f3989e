"""Turns earlier alert states and the facts of a report into the next states. It knows nothing of channels.

Here alerts begin, change, are confirmed, inhibited and resolved. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from exporter.alerts.lifecycle.facts import SAME_DATE, Fact, ReportIndex, gather, is_renewed, rank
from exporter.alerts.lifecycle.policy import AlertPolicy
from exporter.alerts.values import (
    AlertState,
    AlertSubject,
    Credential,
    LastNotification,
    NotificationReason,
    Resolution,
    ResolutionCause,
    States,
    changed,
    fingerprint,
)
from exporter.model import Condition, ConditionName, Family, ProfileReport, Report, Severity, Status

#: The acknowledged step of a renewal before the first reminder step (JSON has no infinity).
_BEFORE_FIRST_STEP = 1e12

#: Whether a state and a fact about the same subject are about the same credential, the surest sign first.
_MATCHES: tuple[Callable[[AlertState, Fact], bool], ...] = (
    lambda state, fact: state.secret is not None and state.secret == fact.secret,
    lambda state, fact: not set(state.agents).isdisjoint(fact.agents),
    lambda state, fact: state.secret is None or fact.secret is None,
)

#: An alert's profiles as they are now, each with its agent.
_Profiles = list[tuple[str, ProfileReport]]


def update_states(states: States, report: Report, policy: AlertPolicy, now: float) -> dict[str, AlertState]:
    """The states as of ``now``. Resolved ones stay for the channels that have yet to be notified of it."""
    index, facts = ReportIndex.of(report), gather(report, policy, now)
    before = {key: _not_in_the_future(state, now) for key, state in states.items()}
    after: dict[str, AlertState] = {}
    providers: dict[AlertSubject, AlertState] = {}
    for fact, key in _match(before, facts):
        state = before.get(key)
        provider = providers.get(AlertSubject(fact.subject.target, fact.subject.provider, "", Family.AVAILABILITY))
        if fact.inhibited and provider is not None and not provider.confirmed:
            # While the provider's alert waits to be confirmed, so do the alerts that it inhibits.
            if state is not None:
                after[key] = changed(state, inhibited=True)
            continue
        state = _continue(state, fact, index, policy, now) if state else _begin(key, fact, now)
        after[key] = state = _confirm(state, fact, policy, now)
        if not fact.subject.profile:
            providers[fact.subject] = state
    for key, state in before.items():
        if key not in after and (remaining := _without_fact(state, index, policy, now)) is not None:
            after[key] = remaining
    return after


def begin_states(states: States, report: Report, policy: AlertPolicy, now: float) -> list[AlertState]:
    """The facts of ``report`` as states that begin at ``now``, with the keys of the states they would continue."""
    return [_begin(key, fact, now) for fact, key in _match(states, gather(report, policy, now))]


def _not_in_the_future(state: AlertState, now: float) -> AlertState:
    """After the clock was set back, nothing may wait until the recorded time comes again."""
    notified_at = (last.at for last in state.notified.values())
    if max(state.started_at, state.worsened_at, *notified_at, *state.pending.values()) <= now:
        return state
    return changed(
        state,
        started_at=min(state.started_at, now),
        since=min(state.since, now),
        worsened_at=min(state.worsened_at, now),
        notified={name: replace(last, at=min(last.at, now)) for name, last in state.notified.items()},
        pending={name: min(at, now) for name, at in state.pending.items()},
    )


def _match(states: States, facts: Iterable[Fact]) -> list[tuple[Fact, str]]:
    """Each fact with the key of the state that it continues or begins.

    A state and a fact about the same subject match if they have the same secret; else if they share
    an agent; else if the secret of one is unknown.
    """
    by_subject: dict[AlertSubject, list[AlertState]] = {}
    for state in states.values():
        by_subject.setdefault(state.subject, []).append(state)
    groups: dict[AlertSubject, list[Fact]] = {}
    for fact in facts:
        groups.setdefault(fact.subject, []).append(fact)
    result = []
    for subject, group in groups.items():
        free = sorted(by_subject.get(subject, ()), key=lambda state: state.key)
        keys: dict[int, str] = {}
        for is_same in _MATCHES:
            for position, fact in enumerate(group):
                found = None if position in keys else next((state for state in free if is_same(state, fact)), None)
                if found is not None:
                    free.remove(found)
                    keys[position] = found.key
        taken = {state.key for state in by_subject.get(subject, ())}
        for position, fact in enumerate(group):
            if position not in keys:
                keys[position] = _new_key(fact, taken)
                taken.add(keys[position])
            result.append((fact, keys[position]))
    return result


def _new_key(fact: Fact, taken: set[str]) -> str:
    """The alert's identity as text. An agent's name is added if another credential has the same profile name."""
    subject = fact.subject
    base = "\x1f".join((subject.target, subject.provider, subject.profile, subject.topic))
    candidates = [base, *(f"{base}\x1f{agent}" for agent in fact.agents)]
    free = [key for key in candidates if key not in taken]
    return free[0] if free else f"{base}\x1f{fact.agents[0]}\x1f{len(taken)}"


def _begin(key: str, fact: Fact, now: float) -> AlertState:
    state = AlertState(
        key=key,
        fingerprint=fingerprint(key),
        subject=fact.subject,
        condition=fact.worst.name,
        severity=fact.worst.severity,
        agents=fact.agents,
        started_at=now,
        since=_since(fact, now, now),
        worsened_at=now,
    )
    return changed(state, **_fact_fields(state, fact, {agent: (1, at) for agent, at in fact.checks.items()}))


def _since(fact: Fact, otherwise: float, now: float) -> float:
    return min(fact.since, now) if fact.since is not None else otherwise


def _fact_fields(state: AlertState, fact: Fact, checks: Mapping[str, tuple[int, float]]) -> dict[str, Any]:
    """The fields that a state copies from its fact."""
    return {
        "condition": fact.worst.name,
        "severity": fact.worst.severity,
        "summary": fact.worst.summary,
        "remedy": fact.worst.remedy,
        "cause": fact.worst.reason,
        "deadline": fact.worst.deadline,
        "seen_at": fact.worst.seen_at,
        "secret": fact.secret or state.secret,
        "credentials": fact.credentials,
        "self_healing": fact.self_healing,
        "checks": checks,
    }


def _continue(state: AlertState, fact: Fact, index: ReportIndex, policy: AlertPolicy, now: float) -> AlertState:
    """A state whose fact is still there, or is back after the alert ended."""
    unknown = tuple(agent for agent in state.agents if agent not in fact.agents and index.is_unknown(state, agent))
    agents = tuple(dict.fromkeys((*fact.agents, *unknown)))
    worst = fact.worst
    badness, was = rank(worst.severity, worst.name), rank(state.severity, state.condition)
    if state.firing and unknown and badness < was:
        return changed(state, agents=agents)  # the worse part belongs to an agent whose checks fail
    if state.firing and _is_renewed_to_near_date(state, fact, policy, now):
        return _begin_renewed(state, fact, policy, now)
    begins_again = not state.firing
    got_worse = begins_again or badness > was or _has_spread(state, fact)
    return changed(
        state,
        firing=True,
        agents=agents,
        since=_since(fact, now if begins_again else state.since, now),
        started_at=now if begins_again else state.started_at,
        worsened_at=now if got_worse else state.worsened_at,
        confirmed=state.confirmed and not begins_again,
        acknowledged_step=None
        if begins_again or _is_past_acknowledged_step(state, fact, policy, now)
        else state.acknowledged_step,
        notified=_with_steps_of_later_date(state, fact, policy, now),
        **_fact_fields(state, fact, _count_checks(state.checks if state.firing else {}, fact.checks)),
    )


def _is_past_acknowledged_step(state: AlertState, fact: Fact, policy: AlertPolicy, now: float) -> bool:
    """Whether the deadline has come closer than the step that a renewal acknowledged, or the verdict now warns."""
    if fact.worst.severity is not Severity.INFO:
        return True
    return state.acknowledged_step is not None and _stage(fact.worst, policy, now) > (1, -state.acknowledged_step)


def _with_steps_of_later_date(
    state: AlertState, fact: Fact, policy: AlertPolicy, now: float
) -> Mapping[str, LastNotification]:
    """The notifications; if the date moved later, only those of its steps that have passed count as notified."""
    before, deadline = state.deadline, fact.worst.deadline
    if before is None or deadline is None or deadline <= before + SAME_DATE:
        return state.notified
    step = policy.step_at(deadline, now)
    return {name: replace(last, step=step) for name, last in state.notified.items()}


def _count_checks(before: Mapping[str, tuple[int, float]], now: Mapping[str, float]) -> dict[str, tuple[int, float]]:
    """Checks in a row per agent. Evaluating the same check again counts nothing."""
    result = {}
    for agent, at in now.items():
        count, last = before.get(agent, (0, None))
        result[agent] = (count, at) if at == last else (count + 1, at)
    return result


def _has_spread(state: AlertState, fact: Fact) -> bool:
    """Whether a provider went down at more agents, and these have other credentials."""
    known = {(credential.profile, credential.secret) for credential in state.credentials}
    new = {(credential.profile, credential.secret) for credential in fact.credentials}
    return state.firing and bool(known) and not set(fact.agents) <= set(state.agents) and not new <= known


def _stage(of: AlertState | Condition, policy: AlertPolicy, now: float) -> tuple[int, float]:
    """How near a deadline is, as a sort key: undated, then step by step, then expired."""
    name = of.condition if isinstance(of, AlertState) else of.name
    if name is ConditionName.EXPIRING:
        step = policy.step_at(of.deadline, now) if of.deadline is not None else None
        return (1, -step if step is not None else float("-inf"))
    return (0, 0.0) if name is ConditionName.UNDATED else (2, 0.0)


def _is_renewed_to_near_date(state: AlertState, fact: Fact, policy: AlertPolicy, now: float) -> bool:
    """Whether the credential was renewed, but to a date that is itself within the reminders."""
    worst = fact.worst
    if worst.name is not ConditionName.EXPIRING or worst.severity is not Severity.INFO:
        return False
    was_undated = state.condition is ConditionName.UNDATED
    if fact.secret is None or state.secret is None or fact.secret == state.secret:
        if worst.deadline is None:
            return False
        moved = worst.deadline - state.deadline if state.deadline is not None else float("inf")
        # The assumed date of an undated token may come near without a renewal.
        if not (abs(moved) > SAME_DATE if was_undated else moved > SAME_DATE):
            return False
    return was_undated or _stage(worst, policy, now) < _stage(state, policy, now)


def _begin_renewed(state: AlertState, fact: Fact, policy: AlertPolicy, now: float) -> AlertState:
    """Ends the alert as renewed and begins it again, silent until the next reminder step of the new date."""
    deadline = fact.worst.deadline
    step = policy.step_at(deadline, now) if deadline is not None else None
    return changed(
        state,
        agents=fact.agents,
        started_at=now,
        since=_since(fact, now, now),
        worsened_at=now,
        acknowledged_step=step if step is not None else _BEFORE_FIRST_STEP,
        resolution=Resolution(now, NotificationReason.RENEWED, until=deadline) if state.notified else None,
        **_fact_fields(state, fact, {}) | {"secret": fact.secret},
    )


def _confirm(state: AlertState, fact: Fact, policy: AlertPolicy, now: float) -> AlertState:
    """The state with what follows from its fact: whether it is inhibited, and whether it is confirmed.

    An alert that is confirmed again before a channel was notified of its resolution has not ended.
    """
    confirmed = state.confirmed or _is_confirmed(state, policy, now)
    resolution = None if confirmed and state.acknowledged_step is None else state.resolution
    if (state.inhibited, state.confirmed, state.resolution) == (fact.inhibited, confirmed, resolution):
        return state
    return changed(state, inhibited=fact.inhibited, confirmed=confirmed, resolution=resolution)


def _is_confirmed(state: AlertState, policy: AlertPolicy, now: float) -> bool:
    if state.condition.definition.confirmed_by_checks:
        return any(count >= policy.confirm_checks for count, _ in state.checks.values())
    if state.self_healing:
        return now - min(state.since, state.started_at) >= policy.cooldown_after
    return True


def _without_fact(state: AlertState, index: ReportIndex, policy: AlertPolicy, now: float) -> AlertState | None:
    """A state that no fact continues: kept while its agents are unknown, else resolved; None if never confirmed."""
    if not state.firing:
        return state
    if state.subject.target not in policy.targets:
        return _resolve(state, Resolution(now, NotificationReason.RESOLVED, ResolutionCause.TARGET_REMOVED))
    unknown = tuple(agent for agent in state.agents if index.is_unknown(state, agent))
    if unknown:
        return changed(state, agents=unknown)
    profiles = list(index.profiles(state)) if state.subject.provider else []
    if _has_same_deadline(state, profiles, policy, now):
        return state
    return _resolve(state, _resolution(state, index, profiles, policy, now))


def _resolve(state: AlertState, resolution: Resolution) -> AlertState | None:
    if state.confirmed:
        return changed(state, firing=False, inhibited=False, resolution=resolution, acknowledged_step=None)
    # It was never confirmed. The resolution of its earlier life may still have to be sent.
    return changed(state, firing=False, inhibited=False, confirmed=True) if state.resolution else None


def _has_same_deadline(state: AlertState, profiles: _Profiles, policy: AlertPolicy, now: float) -> bool:
    """Whether an expiring credential is unchanged, so that only edited steps or the clock moved it out of reach."""
    if state.condition is not ConditionName.EXPIRING or state.deadline is None or state.deadline <= now:
        return False
    before = Credential(state.subject.profile, state.secret, state.deadline)
    return any(
        profile.expires_at is not None
        and not is_renewed(before, profile)
        and not policy.verdict.of(state.subject.target, agent, profile.id).ignore
        for agent, profile in profiles
    )


def _resolution(
    state: AlertState, index: ReportIndex, profiles: _Profiles, policy: AlertPolicy, now: float
) -> Resolution:
    """How the alert ended: renewed only if a different, working credential ended it."""
    if (cause := _removed_or_ignored(state, index, profiles, policy)) is not None:
        return Resolution(now, NotificationReason.RESOLVED, cause)
    if state.family not in (Family.DEADLINE, Family.AVAILABILITY):
        return Resolution(now, NotificationReason.RESOLVED)
    replaced = [profile for _, profile in profiles if _is_replaced(state, profile)]
    recovered = not state.subject.profile and any(p.usable and not _is_replaced(state, p) for _, p in profiles)
    if replaced and not recovered:
        dates = [profile.expires_at for profile in replaced if profile.expires_at is not None]
        return Resolution(now, NotificationReason.RENEWED, until=max(dates, default=None))
    return Resolution(now, NotificationReason.RESOLVED, _resolution_cause(state, index, profiles))


def _removed_or_ignored(
    state: AlertState, index: ReportIndex, profiles: _Profiles, policy: AlertPolicy
) -> ResolutionCause | None:
    subject = state.subject
    ignored = [policy.verdict.of(subject.target, agent, profile.id).ignore for agent, profile in profiles]
    if subject.profile and ignored and all(ignored):
        return ResolutionCause.IGNORED
    agents = [agent for agent in state.agents if agent != "*"]
    if agents and not any((subject.target, agent) in index.agents for agent in agents):
        return ResolutionCause.PROFILE_REMOVED
    if subject.profile and not profiles and state.family is not Family.NOTICE:
        return ResolutionCause.PROFILE_REMOVED
    return None


def _resolution_cause(state: AlertState, index: ReportIndex, profiles: _Profiles) -> ResolutionCause:
    """Says ``OVER`` only if the profile or the provider works: no message may claim that without evidence."""
    if state.subject.profile:
        works = any(profile.usable for _, profile in profiles)
        return ResolutionCause.OVER if works else ResolutionCause.OTHER_PROBLEM
    reports = (index.agents.get((state.subject.target, agent)) for agent in state.agents)
    works = any(report is not None and bool(report.providers_usable.get(state.subject.provider)) for report in reports)
    return ResolutionCause.OVER if works else ResolutionCause.NOT_NEEDED


def _is_replaced(state: AlertState, profile: ProfileReport) -> bool:
    """Whether the profile now has another credential than the alert is about, and that one is good."""
    if profile.status in (Status.EXPIRED, Status.MISSING):
        return False
    if not profile.usable and state.family is not Family.DEADLINE:
        return False  # a cooldown does not affect the date of a credential
    if state.subject.profile:
        before = Credential(state.subject.profile, state.secret, state.deadline)
        return is_renewed(before, profile, undated=state.condition is ConditionName.UNDATED)
    return all(is_renewed(known, profile) for known in state.credentials if known.profile == profile.id)
