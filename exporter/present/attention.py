"""Report → what needs someone, and when: a case per credential, provider or target, the most urgent first."""

from __future__ import annotations

import datetime as dt
import enum
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from exporter.lib.durations import END_OF_DATES
from exporter.model import Condition, ConditionName, ProfileReport, Report, Severity, Step, StepAction, StepKind
from exporter.present.shared import SharedCondition, SharedProfile, shared_conditions, shared_profiles
from exporter.present.words import absolute

#: A deadline that is nearer than this needs someone soon, in seconds.
WEEK = 7 * 86400.0


class Urgency(enum.IntEnum):
    """When a case needs someone."""

    NOW = 0
    RECOVERS = 1  # nothing serves the provider now, but it recovers on its own
    WEEK = 2  # within a week


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that needs someone: the conditions of one credential, provider or target."""

    urgency: Urgency
    target: str
    agents: tuple[str, ...]
    provider: str | None
    credential: SharedProfile | None  # None: it is about a provider, an agent or a target
    conditions: tuple[SharedCondition, ...]  # the worst first; none: only its date is near
    deadline: float  # Unix seconds; infinity if there is none
    recovers_at: float | None = None

    @property
    def severity(self) -> Severity:
        return self.conditions[0].condition.severity if self.conditions else Severity.INFO

    @property
    def profile(self) -> ProfileReport | None:
        return self.credential.profile if self.credential else None

    @property
    def subject(self) -> str:
        """The name of the credential or provider; empty if it is about the whole agent or target."""
        worst = self.conditions[0].condition if self.conditions else None
        return self.profile.id if self.profile else (worst and (worst.profile or worst.provider)) or ""


@dataclass(frozen=True, slots=True)
class Attention:
    """All cases, and all other credentials."""

    cases: tuple[Case, ...]
    fine: tuple[SharedProfile, ...]  # need nobody: those with a condition first, then by deadline
    unseen: tuple[SharedProfile, ...]  # needed nobody when they were last seen: their checks fail
    credentials: tuple[SharedProfile, ...]  # all of them

    @property
    def urgencies(self) -> Counter[Urgency]:
        return Counter(case.urgency for case in self.cases)

    @property
    def recovers_at(self) -> float | None:
        """When everything that recovers on its own has recovered; None if that is unknown or nothing does."""
        ends = [case.recovers_at for case in self.cases if case.urgency is Urgency.RECOVERS]
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else None

    @property
    def only_recovers(self) -> bool:
        """Whether nothing needs someone now, although something fails: all of that recovers on its own."""
        return Urgency.RECOVERS in self.urgencies and Urgency.NOW not in self.urgencies

    def parts(self) -> list[tuple[str, float | None]]:
        """The first line in parts: ``1 now``, ``1 recovers at``, ``2 this week``, ``180 fine``.

        Each with the time that follows it, in Unix seconds, if there is one.
        """
        found, end = self.urgencies, self.recovers_at
        recovering = found[Urgency.RECOVERS]
        recovers = f"{recovering} recover{'s' if recovering == 1 else ''}"
        parts: list[tuple[str, float | None]] = [
            (f"{found[Urgency.NOW]} now" if found[Urgency.NOW] else "", None),
            ("" if not recovering else f"{recovers} at" if end is not None else f"{recovers} without you", end),
            (f"{found[Urgency.WEEK]} this week" if found[Urgency.WEEK] else "", None),
            (f"{len(self.unseen)} not seen now" if self.unseen else "", None),
            (f"{len(self.fine)} fine", None),
        ]
        return [(text, moment) for text, moment in parts if text]

    def line(self, now: float, zone: dt.tzinfo) -> str:
        """The first line, with times in ``zone``."""
        return " · ".join(text if end is None else f"{text} {clock(end, now, zone)}" for text, end in self.parts())


def clock(moment: float, now: float, zone: dt.tzinfo) -> str:
    """``14:40``, with the date if that is not today; ``an unknown time`` for a moment that no calendar has."""
    if not (full := absolute(moment, zone)):
        return "an unknown time"
    date, time, _ = full.split(" ", 2)
    return time if absolute(now, zone).startswith(date) else f"{date} {time}"


def attention(report: Report, now: float) -> Attention:
    """What needs someone in a report, by urgency, severity and then deadline."""
    profiles = shared_profiles(report)
    by_profile: dict[tuple[str, str, str], list[SharedProfile]] = defaultdict(list)
    by_provider: dict[tuple[str, str], list[SharedProfile]] = defaultdict(list)
    for shared in profiles:
        by_profile[shared.target, shared.profile.provider, shared.profile.id].append(shared)
        by_provider[shared.target, shared.profile.provider].append(shared)
    groups: dict[tuple[object, ...], list[SharedCondition]] = defaultdict(list)
    owners: dict[tuple[object, ...], SharedProfile] = {}
    claimed: set[int] = set()  # profiles that a case is about, by identity
    for found in (*shared_conditions(report), *_unexplained(report)):
        condition = found.condition
        if condition.severity is Severity.INFO:
            continue
        about = by_profile.get((found.target, condition.provider or "", condition.profile or ""), [])
        owner = next((one for one in about if set(one.agents) & set(found.agents)), None)
        key: tuple[object, ...] = found.target, condition.name, condition.provider, condition.profile, found.agents
        if owner is not None:
            key = (id(owner),)
            owners[key] = owner
            claimed.add(id(owner))
        groups[key].append(found)
        if condition.name is ConditionName.NO_USABLE_PROFILE:  # which is about each of its profiles
            claimed |= {id(one) for one in by_provider[found.target, condition.provider or ""] if _is_out(one, found)}
    cases = [_case(conditions, owners.get(key), by_provider) for key, conditions in groups.items()]
    for shared in profiles:
        if id(shared) not in claimed and _ends_soon(shared.profile, now):
            claimed.add(id(shared))
            deadline = shared.profile.expires_at or math.inf
            provider = shared.profile.provider
            cases.append(Case(Urgency.WEEK, shared.target, shared.agents, provider, shared, (), deadline))
    failing = {(agent.target, agent.agent) for target in report.targets for agent in target.entries if agent.failure}
    rest = [shared for shared in profiles if id(shared) not in claimed]
    unseen = [one for one in rest if all((one.target, agent) in failing for agent in one.agents)]
    lost = {id(shared) for shared in unseen}
    fine = tuple(shared for shared in rest if id(shared) not in lost)
    return Attention(tuple(sorted(cases, key=_rank)), fine, tuple(unseen), tuple(profiles))


def _rank(case: Case) -> tuple[int, int, float, str, str]:
    return (case.urgency, -case.severity.rank, case.deadline, case.target, case.subject)


def _is_out(shared: SharedProfile, outage: SharedCondition) -> bool:
    return not shared.profile.usable and bool(set(shared.agents) & set(outage.agents))


def _ends_soon(profile: ProfileReport, now: float) -> bool:
    """Whether someone must renew it within a week although it has no condition yet."""
    date = profile.expires_at
    is_needed = profile.in_use is not False and not profile.ignored and profile.usable
    return is_needed and date is not None and now < date < now + WEEK and not profile.refreshable


def _case(
    conditions: list[SharedCondition],
    owner: SharedProfile | None,
    by_provider: dict[tuple[str, str], list[SharedProfile]],
) -> Case:
    conditions = sorted(conditions, key=lambda one: (-one.condition.severity.rank, one.deadline))
    worst = conditions[0]
    provider = worst.condition.provider
    profile = owner.profile if owner is not None else None
    recovers_at = None
    urgency = Urgency.NOW if worst.condition.severity is Severity.CRITICAL else Urgency.WEEK
    steps = [step for one in conditions for _, remedy in one.remedies for step in remedy]
    if all(map(_asks_nothing, steps)) and any(step.kind is StepKind.WAIT for step in steps):
        urgency = Urgency.RECOVERS
        down = [profile] if profile else [one.profile for one in by_provider[worst.target, provider or ""]]
        ends = [one.unusable.until for one in down if one.unusable is not None and one.unusable.until is not None]
        recovers_at = min((end for end in ends if 0 <= end <= END_OF_DATES), default=None)
    agents = tuple(dict.fromkeys(agent for one in conditions for agent in one.agents))
    return Case(urgency, worst.target, agents, provider, owner, tuple(conditions), worst.deadline, recovers_at)


def _asks_nothing(step: Step) -> bool:
    """Whether a step asks nothing of a person but to wait."""
    return step.kind is StepKind.WAIT or (step.kind is StepKind.NOTE and step.action is StepAction.READ)


def _unexplained(report: Report) -> Iterator[SharedCondition]:
    """A condition for each agent whose exit code no condition explains: the exporter never claims that all is well."""
    for target in report.targets:
        for agent in target.entries:
            serious = any(condition.severity is not Severity.INFO for condition in agent.conditions)
            if agent.exit_code != 0 and not serious:
                severity = Severity.CRITICAL if agent.exit_code == 1 else Severity.WARNING
                summary = f"The exit code of {agent.agent} is {agent.exit_code}, and no condition explains it."
                condition = Condition(ConditionName.REPORTED, severity, summary=summary)
                yield SharedCondition(condition, agent.target, (agent.agent,), math.inf, None, ())
