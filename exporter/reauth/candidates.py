"""What needs a person to sign in again, worst first, and what a look afterwards found: pure.

Called by ``exporter.reauth.guide``. A Need is one credential at the agent where it is renewed first;
where several agents hold the same one, a look afterwards tells which of them still need it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from exporter.model import (
    AgentReport,
    Condition,
    ConditionName,
    ProfileReport,
    Report,
    Severity,
    Unusable,
    exit_code_of,
)
from exporter.verdict import remedies

#: The conditions that signing in again or paying fixes, the most urgent first.
FIXABLE = tuple(
    sorted(
        (name for name in ConditionName if name.definition.renewal_rank),
        key=lambda name: name.definition.renewal_rank,
    )
)


@dataclass(frozen=True, slots=True)
class Selection:
    """What the command line narrows it to; None is everything. ``profile`` is an id or an alias."""

    target: str | None = None
    agent: str | None = None
    profile: str | None = None

    def wants(self, agent: AgentReport) -> bool:
        return self.target in (None, agent.target) and self.agent in (None, agent.agent)

    def is_of(self, profile: ProfileReport) -> bool:
        return self.profile in (None, profile.id, profile.label)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One credential to renew. Without conditions a person asked for it by name."""

    agent: AgentReport
    profile: str
    provider: str
    kind: str
    known: ProfileReport | None = None  # None: the provider has no credential at all
    conditions: tuple[Condition, ...] = ()  # the worst first
    agents: tuple[str, ...] = ()  # all that hold it and were asked for

    @property
    def severity(self) -> Severity:
        return self.conditions[0].severity if self.conditions else Severity.INFO

    @property
    def blocked(self) -> Unusable | None:
        """The cooldown or disable that holds the credential back."""
        return self.known.unusable if self.known else None


def find_candidates(report: Report, asked: Selection) -> list[Candidate]:
    """What needs it, the worst first; what is only worth knowing (an undated token) by name only.

    A profile that was asked for by name is there also when nothing is wrong with it.
    """
    found: dict[tuple[str, str, str, str | None], Candidate] = {}
    for need in _all_needs(report, asked):
        # Agents whose secrets are known to differ hold different credentials.
        secret = need.known.secret_hash if need.known else None
        key = (need.agent.target, need.provider, need.profile, secret)
        first = found.setdefault(key, need)
        found[key] = replace(first, agents=(*first.agents, need.agent.agent))
    return sorted(found.values(), key=lambda need: _urgency(need.conditions))


def _all_needs(report: Report, asked: Selection) -> Iterator[Candidate]:
    for agent in _asked(report, asked):
        for profile in agent.profiles:
            if not asked.is_of(profile):
                continue
            mended = [c for c in agent.conditions if c.name in FIXABLE and _is_about(c, profile)]
            conditions = sorted(mended, key=lambda c: _urgency((c,)))
            if asked.profile is not None or (conditions and conditions[0].severity is not Severity.INFO):
                yield Candidate(agent, profile.id, profile.provider, profile.kind, profile, tuple(conditions))
        for condition in agent.conditions:
            if condition.name is ConditionName.MISSING and condition.profile is None and condition.provider is not None:
                provider = condition.provider
                name, kind = f"{provider}:default", remedies.first_credential_kind(provider)
                if asked.profile in (None, name):
                    yield Candidate(agent, name, provider, kind, None, (condition,))


def _urgency(conditions: tuple[Condition, ...]) -> tuple[int, int]:
    """What comes first: the worst; of equals what has ended, before what is lost, before what is held back."""
    return (-conditions[0].severity.rank, FIXABLE.index(conditions[0].name)) if conditions else (1, 0)


def _is_about(condition: Condition, profile: ProfileReport) -> bool:
    return (condition.provider, condition.profile) == (profile.provider, profile.id)


def _asked(report: Report, asked: Selection) -> Iterator[AgentReport]:
    return (agent for target in report.targets for agent in target.entries if asked.wants(agent))


def in_scope(report: Report, asked: Selection) -> list[tuple[AgentReport, Condition]]:
    """The conditions that are about what was asked for: of one profile also its provider's own."""
    found = []
    for agent in _asked(report, asked):
        mine = [profile for profile in agent.profiles if asked.is_of(profile)]
        ids, providers = {profile.id for profile in mine}, {profile.provider for profile in mine}
        for condition in agent.conditions:
            of_provider = condition.profile is None and condition.provider in providers
            watched = condition.profile is None and condition.provider is None
            if asked.profile is None or condition.profile in ids or of_provider or watched:
                found.append((agent, condition))
    return found


def exit_code(report: Report, asked: Selection) -> int:
    """``check``'s code, for what was asked for."""
    if asked.agent is None and asked.profile is None:
        return report.exit_code
    return exit_code_of(condition.severity for _, condition in in_scope(report, asked))


def troubles(report: Report, asked: Selection) -> list[tuple[AgentReport, Condition]]:
    """What is wrong and no signing in mends: a failed look, a rate limit on all there is, a wrong clock."""
    mended = {(need.agent.target, need.provider) for need in find_candidates(report, asked)}
    return [
        (agent, condition)
        for agent, condition in in_scope(report, asked)
        if condition.severity is not Severity.INFO
        and condition.name not in FIXABLE
        and not (condition.name is ConditionName.NO_USABLE_PROFILE and (agent.target, condition.provider) in mended)
    ]


def names(report: Report, asked: Selection) -> tuple[list[str], list[str]]:
    """The agents and profiles there are to choose from, for who asked for one that is not there."""
    everywhere = Selection(asked.target)
    agents = {agent.agent for agent in _asked(report, everywhere) if agent.agent != "*"}
    profiles = {p.id for agent in _asked(report, everywhere) for p in agent.profiles}
    missing = {need.profile for need in find_candidates(report, everywhere)}
    return sorted(agents), sorted(profiles | missing)


def now_of(report: Report, need: Candidate) -> tuple[AgentReport | None, ProfileReport | None]:
    """The need's agent and profile as a later report has them."""
    for agent in _asked(report, Selection(need.agent.target, need.agent.agent)):
        return agent, next((p for p in agent.profiles if (p.provider, p.id) == (need.provider, need.profile)), None)
    return None, None


def still_needed(report: Report, need: Candidate) -> bool:
    """Whether a later look still finds something about the need's credential at its agent."""
    asked = Selection(need.agent.target, need.agent.agent, need.profile)
    return any(one.conditions and one.provider == need.provider for one in find_candidates(report, asked))


def was_replaced(before: ProfileReport | None, after: ProfileReport | None) -> bool | None:
    """Whether another secret is there than before; None where the source cannot tell."""
    if before is None or after is None:
        return after is not None
    if before.secret_hash and after.secret_hash:
        return before.secret_hash != after.secret_hash
    return None


def was_touched(before: ProfileReport | None, after: ProfileReport | None) -> bool | None:
    """Whether anything about the credential is new: its secret, its kind, its date; None where nothing tells."""
    if before is None or after is None:
        return before is not after
    replaced = was_replaced(before, after)
    if replaced or before.kind != after.kind:
        return True
    if after.expires_at is not None:
        # An undated token has a date of ours until OpenClaw has one.
        return (before.expires_at, before.basis) != (after.expires_at, after.basis)
    return replaced
