"""The credentials that need renewing, worst first, and whether a later check still finds them so: pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from exporter.lib.names import suggestion
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
from exporter.model.renewals import FIXABLE
from exporter.verdict import remedies


@dataclass(frozen=True, slots=True)
class Selection:
    """What the command line asks for; None means everything. ``profile`` is an id or an alias."""

    target: str | None = None
    agent: str | None = None
    profile: str | None = None

    def has_agent(self, agent: AgentReport) -> bool:
        return self.target in (None, agent.target) and self.agent in (None, agent.agent)

    def has_profile(self, profile: ProfileReport) -> bool:
        return self.profile in (None, profile.id, profile.label)

    def agents(self, report: Report) -> list[AgentReport]:
        """The selected agents of ``report``."""
        return [agent for target in report.targets for agent in target.entries if self.has_agent(agent)]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One credential to renew, at the agent where it is renewed first."""

    agent: AgentReport
    profile: str
    provider: str
    kind: str
    before: ProfileReport | None = None  # None: the provider has no credential at all
    conditions: tuple[Condition, ...] = ()  # the worst first; empty: selected by name, nothing is wrong
    agents: tuple[str, ...] = ()  # the selected agents that share it

    @property
    def severity(self) -> Severity:
        return self.conditions[0].severity if self.conditions else Severity.INFO

    @property
    def blocked(self) -> Unusable | None:
        """The cooldown or disable of the credential."""
        return self.before.unusable if self.before else None


def find_candidates(report: Report, selection: Selection) -> list[Candidate]:
    """The selected credentials that need renewing, the worst first.

    A credential selected by name is always among them; otherwise information (an undated token) is not
    enough. Agents that hold the same secret share one candidate.
    """
    found: dict[tuple[str, str, str, str | None], Candidate] = {}
    for candidate in _all_candidates(report, selection):
        secret = candidate.before.secret_hash if candidate.before else None
        key = (candidate.agent.target, candidate.provider, candidate.profile, secret)
        first = found.setdefault(key, candidate)
        found[key] = replace(first, agents=(*first.agents, candidate.agent.agent))
    return sorted(found.values(), key=lambda candidate: _urgency(candidate.conditions))


def _all_candidates(report: Report, selection: Selection) -> Iterator[Candidate]:
    for agent in selection.agents(report):
        for profile in filter(selection.has_profile, agent.profiles):
            fixable = [c for c in agent.conditions if c.name in FIXABLE and _is_about(c, profile)]
            conditions = tuple(sorted(fixable, key=lambda c: _urgency((c,))))
            if selection.profile is not None or (conditions and conditions[0].severity is not Severity.INFO):
                yield Candidate(agent, profile.id, profile.provider, profile.kind, profile, conditions)
        for condition in agent.conditions:
            provider = condition.provider
            name = f"{provider}:default"
            is_missing = condition.name is ConditionName.MISSING and condition.profile is None
            if is_missing and provider is not None and selection.profile in (None, name):
                kind = remedies.first_credential_kind(provider)
                yield Candidate(agent, name, provider, kind, conditions=(condition,))


def _urgency(conditions: tuple[Condition, ...]) -> tuple[int, int]:
    """A sort key: the worst severity first, then the order of FIXABLE."""
    return (-conditions[0].severity.rank, FIXABLE.index(conditions[0].name)) if conditions else (1, 0)


def _is_about(condition: Condition, profile: ProfileReport) -> bool:
    return (condition.provider, condition.profile) == (profile.provider, profile.id)


def selected_conditions(report: Report, selection: Selection) -> list[tuple[AgentReport, Condition]]:
    """The conditions about what was selected: of a profile, also those of its provider and of the check."""
    found = []
    for agent in selection.agents(report):
        profiles = [profile for profile in agent.profiles if selection.has_profile(profile)]
        ids, providers = {profile.id for profile in profiles}, {profile.provider for profile in profiles}
        for condition in agent.conditions:
            is_general = condition.profile is None and condition.provider in (None, *providers)
            if selection.profile is None or condition.profile in ids or is_general:
                found.append((agent, condition))
    return found


def exit_code(report: Report, selection: Selection) -> int:
    """The exit code of ``check``, for what was selected."""
    if selection.agent is None and selection.profile is None:
        return report.exit_code
    return exit_code_of(condition.severity for _, condition in selected_conditions(report, selection))


def other_problems(report: Report, selection: Selection) -> list[Condition]:
    """The selected conditions that renewing does not end: a failed check, a rate limit, a wrong clock."""
    renewable = {(candidate.agent.target, candidate.provider) for candidate in find_candidates(report, selection)}
    return [
        condition
        for agent, condition in selected_conditions(report, selection)
        if condition.severity is not Severity.INFO
        and condition.name not in FIXABLE
        and not (condition.name is ConditionName.NO_USABLE_PROFILE and (agent.target, condition.provider) in renewable)
    ]


def unknown_name(report: Report, selection: Selection) -> str | None:
    """A sentence about a selected agent or profile that does not exist; None if there is no such mistake."""
    everything = Selection(selection.target)
    entries = everything.agents(report)
    agents = {agent.agent for agent in entries if agent.agent != "*"}
    profiles = {profile.id for agent in entries for profile in agent.profiles}
    profiles |= {candidate.profile for candidate in find_candidates(report, everything)}
    is_alias = selection.profile in {profile.label for agent in entries for profile in agent.profiles}
    profile = None if is_alias else selection.profile
    for noun, name, known in (("agent", selection.agent, agents), ("profile", profile, profiles)):
        if name is not None and known and name not in known:
            return f"there is no {noun} named {name!r}{suggestion(name, known)}"
    return None


def latest(report: Report, candidate: Candidate) -> tuple[AgentReport | None, ProfileReport | None]:
    """The candidate's agent and profile in a later report."""
    agent = next(iter(Selection(candidate.agent.target, candidate.agent.agent).agents(report)), None)
    profiles = agent.profiles if agent else ()
    return agent, next((p for p in profiles if (p.provider, p.id) == (candidate.provider, candidate.profile)), None)


def selection_of(candidate: Candidate) -> Selection:
    return Selection(candidate.agent.target, candidate.agent.agent, candidate.profile)


def still_needed(report: Report, candidate: Candidate) -> bool:
    """Whether a later report still has a condition that renewing the candidate ends."""
    found = find_candidates(report, selection_of(candidate))
    return any(c.conditions and c.provider == candidate.provider for c in found)


def has_new_secret(before: ProfileReport | None, after: ProfileReport | None) -> bool | None:
    """Whether the secret is another one than before; None if the source cannot see that."""
    if before is None or after is None:
        return after is not None
    is_visible = before.secret_hash and after.secret_hash
    return before.secret_hash != after.secret_hash if is_visible else None


def has_changed(before: ProfileReport | None, after: ProfileReport | None) -> bool | None:
    """Whether the secret, kind or date of the credential is new; None if the source cannot see that."""
    if before is None or after is None:
        return before is not after
    replaced = has_new_secret(before, after)
    if replaced or before.kind != after.kind:
        return True
    if after.expires_at is not None:
        # An undated token has an assumed date until OpenClaw has a date for it.
        return (before.expires_at, before.basis) != (after.expires_at, after.basis)
    return replaced
