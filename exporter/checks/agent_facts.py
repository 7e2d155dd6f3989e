"""The latest facts about one agent of a target, and whether its last report still holds for them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from exporter.config import Policy
from exporter.model import AgentCounters, AgentReport, Failure, Observation
from exporter.state.history import CredentialHistory
from exporter.verdict import Subject, still_holds

#: An agent of which nothing changes is recorded this often all the same, in seconds: when it was last seen.
RECORD_EVERY = 900.0


class VerdictBasis(NamedTuple):
    """What a report was evaluated from, beside the observation."""

    history: CredentialHistory
    policy: Policy
    subject: Subject


@dataclass
class AgentFacts:
    """The latest facts about one agent."""

    history: CredentialHistory
    seen: Observation | None = None  # the last successful observation
    failure: Failure | None = None
    duration: float | None = None  # of the last check, in seconds
    counters: AgentCounters = field(default_factory=AgentCounters)
    counted_at: float | None = None  # until when the time without a usable credential is counted
    report: AgentReport | None = None
    basis: VerdictBasis | None = None  # of ``report``
    recorded: tuple[CredentialHistory, Observation | None] | None = None  # what the ledger was given
    recorded_at: float | None = None
    is_behind: bool = False  # ``history`` lacks ``seen``, which says the same as the observation before it

    def has_same_facts(self, other: AgentFacts) -> bool:
        """Whether an evaluation of the one is one of the other."""
        names = ("seen", "failure", "history", "counters")
        return all(getattr(self, name) is getattr(other, name) for name in names)

    def says_the_same(self, seen: Observation) -> bool:
        """Whether ``seen`` differs from the last observation only in its time. Slow if there are many profiles."""
        known = self.seen
        return known is not None and self.failure is None and replace(seen, observed_at=known.observed_at) == known

    def take_unchanged(self, seen: Observation) -> None:
        """What was seen last was seen again in ``seen``, which says the same."""
        assert self.seen is not None
        self.seen, self.is_behind = replace(self.seen, observed_at=seen.observed_at), True

    def unchanged_report(self, policy: Policy, subject: Subject, now: float) -> AgentReport | None:
        """The report as of ``now`` if an evaluation would find nothing else than the last one; else None."""
        report, seen = self.report, self.seen
        if report is None or seen is None or self.basis is None or not self.is_behind or self.failure is not None:
            return None
        if self.basis.history is not self.history or self.basis.policy is not policy or self.basis.subject != subject:
            return None
        if self.recorded_at is None or not 0 <= now - self.recorded_at < RECORD_EVERY:
            return None
        if not still_holds(report, seen, now):
            return None
        return report._replace(evaluated_at=now, checked_at=seen.observed_at, duration=self.duration)


class Evaluated(NamedTuple):
    """A verdict, what the history is with it, and whether the ledger lacks that."""

    report: AgentReport
    history: CredentialHistory
    is_new: bool
    is_behind: bool
    basis: VerdictBasis | None
