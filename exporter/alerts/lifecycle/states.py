"""From the states there were and the facts there are to the states there are. No channel is known here.

What begins, changes, is confirmed, held, inhibited by its cause, ends. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    changed,
)
from exporter.model import ConditionName, Family, ProfileReport, Report, Severity, Status

#: Stands for a reminder step that is not reached yet (JSON knows no infinity).
_LONG_BEFORE = 1e12


def track(states: Mapping[str, AlertState], report: Report, policy: AlertPolicy, now: float) -> dict[str, AlertState]:
    """The states as of ``now``; ended ones stay for those who were told of them."""
    view, facts = ReportIndex.of(report), gather(report, policy, now)
    before = {key: _not_from_the_future(state, now) for key, state in states.items()}
    matched = _match(before, facts)
    after: dict[str, AlertState] = {}
    parents: dict[AlertSubject, AlertState] = {}
    for fact, key in matched:
        state = before.get(key)
        parent = parents.get(AlertSubject(fact.subject.target, fact.subject.provider, "", Family.AVAILABILITY))
        if fact.inhibited and parent is not None and not parent.confirmed:
            # What the cause waits for, its parts wait for.
            if state is not None:
                after[key] = changed(state, inhibited=True)
            continue
        state = _continued(state, fact, view, policy, now) if state else _begun(key, fact, now)
        confirmed = state.confirmed or _is_confirmed(state, policy, now)
        # One that is back before anybody was told that it was over is not over.
        ending = None if confirmed and state.acknowledged_step is None else state.resolution
        if (state.inhibited, state.confirmed, state.resolution) != (fact.inhibited, confirmed, ending):
            state = changed(state, inhibited=fact.inhibited, confirmed=confirmed, resolution=ending)
        after[key] = state
        if not fact.subject.profile:
            parents[fact.subject] = state
    for key, state in before.items():
        if key not in after and (left := _unseen(state, view, policy, now)) is not None:
            after[key] = left
    return after


def _not_from_the_future(state: AlertState, now: float) -> AlertState:
    """After the clock was set back, nothing may wait for the hour that comes again."""
    if (
        max(state.started_at, state.worsened_at, *(t.at for t in state.notified.values()), *state.pending.values(), 0)
        <= now
    ):
        return state
    return changed(
        state,
        started_at=min(state.started_at, now),
        since=min(state.since, now),
        worsened_at=min(state.worsened_at, now),
        notified={name: replace(told, at=min(told.at, now)) for name, told in state.notified.items()},
        pending={name: min(at, now) for name, at in state.pending.items()},
    )


def _match(states: Mapping[str, AlertState], facts: Iterable[Fact]) -> list[tuple[Fact, str]]:
    """Each fact with the key of the state it continues, or of the one it begins.

    The same secret is the same credential; else an agent in common is; else, where a secret is not
    known, the profile's name is.
    """
    by_subject: dict[AlertSubject, list[AlertState]] = {}
    for state in states.values():
        by_subject.setdefault(state.subject, []).append(state)
    groups: dict[AlertSubject, list[Fact]] = {}
    for fact in facts:
        groups.setdefault(fact.subject, []).append(fact)
    result = []
    for slot, group in groups.items():
        free = sorted(by_subject.get(slot, ()), key=lambda state: state.key)
        keys: dict[int, str] = {}
        for is_same in (_same_secret, _shared_agent, _unknown_secret):
            for index, fact in enumerate(group):
                found = None if index in keys else next((s for s in free if is_same(s, fact)), None)
                if found is not None:
                    free.remove(found)
                    keys[index] = found.key
        taken = {state.key for state in by_subject.get(slot, ())}
        for index, fact in enumerate(group):
            if index not in keys:
                keys[index] = _new_key(fact, taken)
                taken.add(keys[index])
            result.append((fact, keys[index]))
    return result


def _same_secret(state: AlertState, fact: Fact) -> bool:
    return state.secret is not None and state.secret == fact.secret


def _shared_agent(state: AlertState, fact: Fact) -> bool:
    return bool(set(state.agents) & set(fact.agents))


def _unknown_secret(state: AlertState, fact: Fact) -> bool:
    return state.secret is None or fact.secret is None


def _new_key(fact: Fact, taken: set[str]) -> str:
    """The identity as text. Where agents hold different credentials by one name, an agent tells them apart."""
    slot = fact.subject
    base = "\x1f".join((slot.target, slot.provider, slot.profile, slot.topic))
    candidates = [base, *(f"{base}\x1f{agent}" for agent in fact.agents)]
    free = [key for key in candidates if key not in taken]
    return free[0] if free else f"{base}\x1f{fact.agents[0]}\x1f{len(taken)}"


def begun(states: Mapping[str, AlertState], report: Report, policy: AlertPolicy, now: float) -> list[AlertState]:
    """The facts of ``report`` as states that begin at ``now``, under the keys of those they would continue."""
    return [_begun(key, fact, now) for fact, key in _match(states, gather(report, policy, now))]


def _begun(key: str, fact: Fact, now: float) -> AlertState:
    since = min(fact.since, now) if fact.since is not None else now
    state = AlertState(
        key=key,
        subject=fact.subject,
        condition=fact.worst.name,
        severity=fact.worst.severity,
        agents=fact.agents,
        started_at=now,
        since=since,
        worsened_at=now,
    )
    return changed(state, **_content(state, fact, {agent: (1, at) for agent, at in fact.checks.items()}))


def _content(state: AlertState, fact: Fact, looks: Mapping[str, tuple[int, float]]) -> dict[str, Any]:
    """What a state takes over from the fact as it is."""
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
        "checks": looks,
    }


def _continued(state: AlertState, fact: Fact, view: ReportIndex, policy: AlertPolicy, now: float) -> AlertState:
    held = tuple(agent for agent in state.agents if agent not in fact.agents and view.holds(state, agent))
    agents = tuple(dict.fromkeys((*fact.agents, *held)))
    worst = fact.worst
    if state.firing and held and rank(worst.severity, worst.name) < rank(state.severity, state.condition):
        return changed(state, agents=agents)  # the worse is at an agent that cannot be looked at
    if state.firing and (renewed := _renewed_within(state, fact, policy, now)) is not None:
        return renewed
    worse = rank(worst.severity, worst.name) > rank(state.severity, state.condition)
    closer = state.acknowledged_step is not None and _stage(fact, policy, now) > (1, -state.acknowledged_step)
    spread = state.firing and _has_spread(state, fact)
    began_again = not state.firing
    louder = closer or worst.severity is not Severity.INFO
    since = min(fact.since, now) if fact.since is not None else (now if began_again else state.since)
    return changed(
        state,
        firing=True,
        agents=agents,
        since=since,
        started_at=now if began_again else state.started_at,
        worsened_at=now if worse or spread or began_again else state.worsened_at,
        confirmed=state.confirmed and not began_again,
        acknowledged_step=None if began_again or louder else state.acknowledged_step,
        notified=_as_of_the_date(state, fact, policy, now),
        **_content(state, fact, _counted(state.checks if state.firing else {}, fact.checks)),
    )


def _as_of_the_date(state: AlertState, fact: Fact, policy: AlertPolicy, now: float) -> Mapping[str, LastNotification]:
    """What was told; of a later date no reminder step is behind us but those that passed before it was there."""
    before, ends = state.deadline, fact.worst.deadline
    if before is None or ends is None or ends <= before + SAME_DATE:
        return state.notified
    step = policy.step_at(ends, now)
    return {name: replace(told, step=step) for name, told in state.notified.items()}


def _counted(before: Mapping[str, tuple[int, float]], now: Mapping[str, float]) -> dict[str, tuple[int, float]]:
    """Looks in a row, per agent; judging the same look again counts nothing."""
    result = {}
    for agent, at in now.items():
        count, last = before.get(agent, (0, None))
        result[agent] = (count, at) if at == last else (count + 1, at)
    return result


def _has_spread(state: AlertState, fact: Fact) -> bool:
    """A provider went down at further agents that have credentials of their own."""
    known = {(one.profile, one.secret) for one in state.credentials}
    new = {(one.profile, one.secret) for one in fact.credentials}
    return bool(state.credentials) and not set(fact.agents) <= set(state.agents) and not new <= known


def _stage(fact: Fact, policy: AlertPolicy, now: float) -> tuple[int, float]:
    return _stage_of(fact.worst.name, fact.worst.deadline, policy, now)


def _stage_of(name: ConditionName, deadline: float | None, policy: AlertPolicy, now: float) -> tuple[int, float]:
    """How far a deadline has come, to compare: undated, then step by step, then expired."""
    if name is ConditionName.EXPIRING:
        step = policy.step_at(deadline, now) if deadline is not None else None
        return (1, -step if step is not None else float("-inf"))
    return (0, 0.0) if name is ConditionName.UNDATED else (2, 0.0)


def _renewed_within(state: AlertState, fact: Fact, policy: AlertPolicy, now: float) -> AlertState | None:
    """A credential renewed to a date that is itself within the reminders: over, and quietly begun anew."""
    worst = fact.worst
    if (
        fact.subject.topic != Family.DEADLINE
        or worst.name is not ConditionName.EXPIRING
        or worst.severity is not Severity.INFO
    ):
        return None
    another = fact.secret is not None and state.secret is not None and fact.secret != state.secret
    later = worst.deadline is not None and (
        state.deadline is None
        or worst.deadline > state.deadline + SAME_DATE
        or state.condition is ConditionName.UNDATED
    )
    if state.condition is ConditionName.UNDATED and not another:
        # The date we assumed has come near, nobody renewed anything.
        later = later and (state.deadline is None or abs((worst.deadline or 0) - state.deadline) > SAME_DATE)
    better = _stage(fact, policy, now) < _stage_of(state.condition, state.deadline, policy, now)
    if not (another or later) or not (better or state.condition is ConditionName.UNDATED):
        return None
    step = policy.step_at(worst.deadline, now) if worst.deadline is not None else None
    step = step if step is not None else _LONG_BEFORE
    content = _content(state, fact, {}) | {"secret": fact.secret}
    return changed(
        state,
        agents=fact.agents,
        started_at=now,
        since=min(fact.since, now) if fact.since is not None else now,
        worsened_at=now,
        acknowledged_step=step,
        resolution=Resolution(now, NotificationReason.RENEWED, until=worst.deadline) if state.notified else None,
        **content,
    )


def _is_confirmed(state: AlertState, policy: AlertPolicy, now: float) -> bool:
    if state.condition.definition.confirmed_by_checks:
        return any(count >= policy.confirm_checks for count, _ in state.checks.values())
    if state.self_healing:
        return now - min(state.since, state.started_at) >= policy.cooldown_after
    return True


def _unseen(state: AlertState, view: ReportIndex, policy: AlertPolicy, now: float) -> AlertState | None:
    """A state that no fact continues: held, ended, or (never confirmed) forgotten."""
    if not state.firing:
        return state
    if state.subject.target not in policy.targets:
        return _ended(state, Resolution(now, NotificationReason.RESOLVED, ResolutionCause.UNWATCHED))
    held = tuple(agent for agent in state.agents if view.holds(state, agent))
    if held:
        return changed(state, agents=held)
    theirs = list(view.profiles(state)) if state.subject.provider else []
    if _still_ahead(state, theirs, policy, now):
        return state
    return _ended(state, _ending(state, view, theirs, policy, now))


def _ended(state: AlertState, ending: Resolution) -> AlertState | None:
    if not state.confirmed:  # a moment's trouble; that an earlier one is over may still have to be told
        return changed(state, firing=False, inhibited=False, confirmed=True) if state.resolution else None
    return changed(state, firing=False, inhibited=False, resolution=ending, acknowledged_step=None)


def _still_ahead(state: AlertState, profiles: list[tuple[str, ProfileReport]], policy: AlertPolicy, now: float) -> bool:
    """The same date as ever, only that edited steps (or a clock set back) no longer reach it."""
    if state.condition is not ConditionName.EXPIRING or state.deadline is None or state.deadline <= now:
        return False
    before = Credential(state.subject.profile, state.secret, state.deadline)
    return any(
        profile.expires_at is not None
        and not is_renewed(before, profile)
        and not policy.verdict.of(state.subject.target, agent, profile.id).ignore
        for agent, profile in profiles
    )


def _ending(
    state: AlertState, view: ReportIndex, theirs: list[tuple[str, ProfileReport]], policy: AlertPolicy, now: float
) -> Resolution:
    slot = state.subject
    ignored = [policy.verdict.of(slot.target, agent, profile.id).ignore for agent, profile in theirs]
    if slot.profile and ignored and all(ignored):
        return Resolution(now, NotificationReason.RESOLVED, ResolutionCause.IGNORED)
    if all((slot.target, agent) not in view.agents for agent in state.agents if agent != "*") and state.agents != (
        "*",
    ):
        return Resolution(now, NotificationReason.RESOLVED, ResolutionCause.GONE)
    if slot.profile and not theirs and state.family is not Family.NOTICE:
        return Resolution(now, NotificationReason.RESOLVED, ResolutionCause.GONE)
    if state.family in (Family.DEADLINE, Family.AVAILABILITY):
        renewed = [profile for _, profile in theirs if _is_other(state, profile)]
        healed = [p for _, p in theirs if p.usable and not _is_other(state, p)] if not slot.profile else []
        if renewed and not healed:
            dates = [profile.expires_at for profile in renewed if profile.expires_at is not None]
            return Resolution(now, NotificationReason.RENEWED, until=max(dates, default=None))
        return Resolution(now, NotificationReason.RESOLVED, _why_not_well(state, view, theirs))
    return Resolution(now, NotificationReason.RESOLVED)


def _why_not_well(state: AlertState, view: ReportIndex, theirs: list[tuple[str, ProfileReport]]) -> ResolutionCause:
    """What keeps an end from being good news; nobody is told that something works which does not."""
    if state.subject.profile:
        return ResolutionCause.OVER if any(profile.usable for _, profile in theirs) else ResolutionCause.OTHER
    reports = (view.agents.get((state.subject.target, agent)) for agent in state.agents)
    works = any(report is not None and report.providers_usable.get(state.subject.provider) for report in reports)
    return ResolutionCause.OVER if works else ResolutionCause.UNNEEDED


def _is_other(state: AlertState, profile: ProfileReport) -> bool:
    """Whether a profile's credential is another than the one that was in trouble, and good."""
    if profile.status in (Status.EXPIRED, Status.MISSING):
        return False
    if not profile.usable and state.family is not Family.DEADLINE:
        return False  # a cooldown takes nothing from its date
    if state.subject.profile:
        before = Credential(state.subject.profile, state.secret, state.deadline)
        return is_renewed(before, profile, undated=state.condition is ConditionName.UNDATED)
    known = [one for one in state.credentials if one.profile == profile.id]
    return all(is_renewed(one, profile) for one in known)
