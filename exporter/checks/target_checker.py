"""The check of one target: ask its source, update the credential history, evaluate the verdict."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType

from exporter.checks.limiter import ConcurrencyLimiter
from exporter.config import Policy, Target
from exporter.model import AgentCounters, AgentReport, CheckError, Failure, FailureReason, Observation, TargetReport
from exporter.sources import Source
from exporter.state.credentials_db import CredentialDatabase
from exporter.state.history import (
    CredentialHistory,
    SuppliedDate,
    about_present,
    dates_for,
    record_observation,
    record_report,
)
from exporter.verdict import Subject, evaluate

log = logging.getLogger(__name__)

#: How often the time without a usable credential is counted between two checks, in seconds.
COUNT_EVERY = 60.0


@dataclass
class _Agent:
    """The latest facts about one agent."""

    history: CredentialHistory
    seen: Observation | None = None  # the last successful observation
    failure: Failure | None = None
    duration: float | None = None  # of the last check, in seconds
    counters: AgentCounters = field(default_factory=AgentCounters)
    counted_at: float | None = None  # until when the time without a usable credential is counted
    report: AgentReport | None = None
    recorded: tuple[CredentialHistory, Observation | None] | None = None  # what the ledger was given


class TargetChecker:
    """Checks one target and keeps its latest report.

    A check asks the source, updates the credential history, evaluates the verdict and stores both. Concurrent callers
    share the check that is under way. Whatever a source raises becomes a ``Failure`` of that agent.
    """

    def __init__(
        self,
        target: Target,
        source: Source,
        ledger: CredentialDatabase,
        now: Callable[[], float],
        limiter: ConcurrencyLimiter,
    ) -> None:
        self.target = target
        self.source = source
        self.report: TargetReport | None = None
        self.check_started_at: float | None = None  # start of the last check
        self.retry_after: float | None = None  # seconds that the target asked us to wait
        self._ledger = ledger
        self._now = now
        self._limiter = limiter
        self._agents: dict[str, _Agent] = {}
        self._failure: Failure | None = None  # of listing the agents
        self._listing = AgentCounters()  # of listing the agents, exported as agent "*"
        self._checking: asyncio.Task[TargetReport] | None = None

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def is_checking(self) -> bool:
        return self._checking is not None and not self._checking.done()

    @property
    def failed(self) -> bool:
        return self._failure is not None or any(agent.failure for agent in self._agents.values())

    @property
    def counters(self) -> Mapping[str, AgentCounters]:
        """By agent; ``*`` stands for listing the agents."""
        return {name: agent.counters for name, agent in self._agents.items()} | {"*": self._listing}

    async def expected_counters(self) -> Mapping[str, AgentCounters]:
        """Zeros for the agents that the first check is expected to find, so that their series start at 0."""
        agents = self.source.configured_agents()
        if agents is None:
            agents = await self._ledger.run(self._ledger.agents, self.name)
        return dict.fromkeys((*agents, "*"), AgentCounters())

    @property
    def check_at(self) -> float | None:
        """When the next deadline or cooldown of any agent ends."""
        return min((a.report.check_at for a in self._agents.values() if a.report and a.report.check_at), default=None)

    @property
    def changes_at(self) -> float | None:
        """When time alone next changes what is exported: a verdict, or how long a provider has been unusable."""
        times = [a.report.changes_at for a in self._agents.values() if a.report and a.report.changes_at]
        unusable = [a for a in self._agents.values() if a.report and not all(a.report.providers_usable.values())]
        times += [agent.counted_at + COUNT_EVERY for agent in unusable if agent.counted_at is not None]
        return min(times, default=None)

    async def check(self, policy: Policy, *, force: bool = False) -> TargetReport:
        """Check every agent, or wait for the check that is under way.

        ``force`` waits for one that began after this call, for a caller that has changed something.
        """
        if force and self._checking is not None:
            await asyncio.wait([self._checking])
        if self._checking is None or not self.is_checking:
            self._checking = asyncio.create_task(self._check_in_slot(policy), name=f"check {self.name}")
        # Shielded: a caller that stops waiting (a probe out of time) does not cancel it for the others.
        return await asyncio.shield(self._checking)

    async def _check_in_slot(self, policy: Policy) -> TargetReport:
        async with self._limiter.slot():
            await self._check_agents()
            return self.evaluate(policy)

    async def _check_agents(self) -> None:
        self.check_started_at = self._now()
        self.retry_after = None
        try:
            names = await self.source.agents()
        except Exception as error:
            self._failure = self._failure_of(error)
            self._listing = _counted(self._listing, self._failure)
            if not self._agents:  # show the facts of an earlier run
                await self._load(await self._ledger.run(self._ledger.agents, self.name))
            return
        self._failure = None
        if self._listing.checks:
            self._listing = _counted(self._listing, None)
        for removed in self._agents.keys() - set(names):
            del self._agents[removed]
            self._ledger.forget(self.name, removed)
        await self._load(names)
        await asyncio.gather(*map(self._check_agent, names))

    async def _load(self, names: Iterable[str]) -> None:
        """Read the history of agents that are new here."""
        for name in names:
            if name not in self._agents:
                history, seen = await self._ledger.run(self._ledger.recorded, self.name, name)
                self._agents[name] = _Agent(history, seen)

    async def _check_agent(self, name: str) -> None:
        agent = self._agents[name]
        started = time.monotonic()
        try:
            seen = await self.source.check(name)
        except Exception as error:
            agent.failure = self._failure_of(error)
        else:
            agent.seen, agent.failure = seen, None
        agent.duration = time.monotonic() - started
        agent.counters = _counted(agent.counters, agent.failure)
        if agent.failure is None and agent.seen is not None:
            agent.history = record_observation(agent.history, agent.seen, self._now())

    def _failure_of(self, error: Exception) -> Failure:
        if isinstance(error, CheckError):
            if error.retry_after is not None:
                self.retry_after = error.retry_after
            return Failure(error.reason, error.message, self._now(), error.needs_doctor)
        # Only the type of the error: its text may quote a secret.
        kind = type(error).__name__
        log.error("target %s: internal error while checking (%s)", self.name, kind, exc_info=_without_message(error))
        return Failure(FailureReason.OTHER, f"internal error while checking ({kind}): please report it", self._now())

    def evaluate(self, policy: Policy) -> TargetReport:
        """The report as of now, from the latest facts."""
        now = self._now()
        for name, agent in self._agents.items():
            report = self._evaluate_agent(name, agent, policy, now)
            _count_unusable(agent, report, now)
            agent.report = report
            if agent.recorded is None or agent.recorded[1] is not agent.seen or agent.recorded[0] != agent.history:
                agent.recorded = agent.history, agent.seen
                self._ledger.record(self.name, name, agent.history, agent.seen)
        self.report = self._report(agent.report for agent in self._agents.values() if agent.report is not None)
        return self.report

    def as_of(self, policy: Policy, now: float) -> TargetReport:
        """The report as it would be at ``now`` if no fact changed. Records nothing."""
        return self._report(
            evaluate(self._subject(name), agent.seen, agent.failure, agent.history, policy, now)
            for name, agent in self._agents.items()
        )

    def _report(self, agents: Iterable[AgentReport]) -> TargetReport:
        return TargetReport(self.name, self.source.kind, tuple(agents), self._failure, self.source.chosen)

    def _evaluate_agent(self, name: str, agent: _Agent, policy: Policy, now: float) -> AgentReport:
        changed_before = agent.history.changed
        subject = self._subject(name)
        report = evaluate(subject, agent.seen, agent.failure, agent.history, policy, now, agent.duration)
        agent.history = record_report(agent.history, report)
        if agent.history.changed != changed_before:  # a change that this verdict discovered belongs into it
            report = evaluate(subject, agent.seen, agent.failure, agent.history, policy, now, agent.duration)
            agent.history = record_report(agent.history, report)
        return report

    def _subject(self, agent: str) -> Subject:
        return Subject(self.name, agent, self.source.kind, self.source.programs())

    def take_supplied_dates(self, dates: Mapping[str, SuppliedDate]) -> None:
        """Use the dates that users have supplied, from the next ``evaluate`` on."""
        for name, agent in self._agents.items():
            supplied = about_present(dates_for(dates, self.name, name), agent.history.profiles)
            agent.history = replace(agent.history, supplied=supplied)

    async def aclose(self) -> None:
        """Cancel the check that is under way and close the source."""
        if self._checking is not None and self.is_checking:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)
        await self.source.aclose()


def _counted(counters: AgentCounters, failure: Failure | None) -> AgentCounters:
    failures = dict(counters.failures)
    if failure is not None:
        failures[failure.reason] = failures.get(failure.reason, 0) + 1
    return replace(counters, checks=counters.checks + 1, failures=failures)


def _count_unusable(agent: _Agent, report: AgentReport, now: float) -> None:
    """Add the time since the last verdict to the providers that were unusable in it."""
    seconds = dict.fromkeys(report.providers_usable, 0.0) | dict(agent.counters.unusable_seconds)
    if agent.report is not None and agent.counted_at is not None and now > agent.counted_at:
        for provider, usable in agent.report.providers_usable.items():
            if not usable:
                seconds[provider] = seconds.get(provider, 0.0) + now - agent.counted_at
    agent.counters = replace(agent.counters, unusable_seconds=seconds)
    agent.counted_at = now


def _without_message(error: Exception) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """The traceback without the message, which may quote a secret."""
    return (RuntimeError, RuntimeError(type(error).__name__), error.__traceback__)
