"""The monitor looks and judges: one Watched per target ties source, ledger and verdict together.

``check`` calls it once; the daemon (exporter/daemon.py) decides when. Trouble of one target stays
its own: whatever a source raises becomes a Failure of that agent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType

from exporter.checks.limiter import ConcurrencyLimiter
from exporter.config import Config, Policy, Target, TargetBase
from exporter.lib import clock
from exporter.lib.durations import format_duration
from exporter.lib.sqlite import StateError
from exporter.model import (
    AgentCounters,
    AgentReport,
    CheckError,
    Failure,
    FailureReason,
    Observation,
    ProfileReport,
    Report,
    TargetReport,
)
from exporter.sources import Source, SourceContext, build
from exporter.state.credentials_db import CredentialDatabase
from exporter.state.history import CredentialHistory, record_observation, record_report
from exporter.verdict import Subject, evaluate, remedies

log = logging.getLogger(__name__)

#: How often the seconds of a provider without a usable credential are counted while nothing is looked at, seconds.
COUNT_EVERY = 60.0


@dataclass
class _Agent:
    """What the monitor holds of one agent."""

    history: CredentialHistory
    seen: Observation | None = None
    failure: Failure | None = None
    duration: float | None = None
    counters: AgentCounters = field(default_factory=AgentCounters)
    counted_at: float | None = None
    report: AgentReport | None = None
    written: Observation | None = None  # what the ledger holds
    written_history: CredentialHistory | None = None


class TargetChecker:
    """One target: looks at all its agents and keeps the latest report."""

    def __init__(
        self,
        target: TargetBase,
        source: Source,
        ledger: CredentialDatabase,
        now: Callable[[], float],
        turns: ConcurrencyLimiter,
    ) -> None:
        self.target = target
        self.source = source
        self.report: TargetReport | None = None
        self.check_started_at: float | None = None  # when the last look began
        self.retry_after: float | None = None
        self._ledger = ledger
        self._now = now
        self._turns = turns
        self._agents: dict[str, _Agent] = {}
        self._failure: Failure | None = None
        self._listing = AgentCounters()  # of the agents' list, shown as agent "*"
        self._checking: asyncio.Task[TargetReport] | None = None

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def is_checking(self) -> bool:
        return self._checking is not None and not self._checking.done()

    @property
    def counters(self) -> Mapping[str, AgentCounters]:
        """By agent; before the first look those that are to be expected, so that they begin with 0."""
        expected = dict.fromkeys(self._expected() if self.report is None else (), AgentCounters())
        return expected | {name: agent.counters for name, agent in self._agents.items()} | {"*": self._listing}

    def _expected(self) -> list[str]:
        configured = self.source.configured_agents()
        return self._ledger.agents(self.name) if configured is None else list(configured)

    @property
    def failed(self) -> bool:
        return self._failure is not None or any(agent.failure for agent in self._agents.values())

    @property
    def check_at(self) -> float | None:
        """When a deadline or cooldown ends, over all agents."""
        return min((a.report.check_at for a in self._agents.values() if a.report and a.report.check_at), default=None)

    @property
    def changes_at(self) -> float | None:
        """When time alone changes what is to be shown, over all agents: a verdict, or how long a provider is down."""
        ends = [a.report.changes_at for a in self._agents.values() if a.report and a.report.changes_at]
        down = [a for a in self._agents.values() if a.report and not all(a.report.providers_usable.values())]
        ends += [agent.counted_at + COUNT_EVERY for agent in down if agent.counted_at is not None]
        return min(ends, default=None)

    async def check(self, policy: Policy, *, force: bool = False) -> TargetReport:
        """One look at every agent; whoever asks while one is under way gets its result.

        ``anew``: one that begins now or later, for who has changed something.
        """
        if force and self._checking is not None:
            await asyncio.wait([self._checking])
        if self._checking is None or not self.is_checking:
            self._checking = asyncio.create_task(self._check_in_slot(policy), name=f"look at {self.name}")
        # Shielded: who no longer waits (a probe out of time) does not end it for the others.
        return await asyncio.shield(self._checking)

    async def _check_in_slot(self, policy: Policy) -> TargetReport:
        async with self._turns.turn():
            return await self._look(policy)

    async def _look(self, policy: Policy) -> TargetReport:
        self.check_started_at = self._now()
        self.retry_after = None
        try:
            names = await self.source.agents()
        except Exception as error:
            self._failure = self._failed(error)
            self._listing = _counted(self._listing, self._failure)
            for name in self._ledger.agents(self.name) if not self._agents else ():
                self._of(name)  # known from an earlier run: known facts stay
        else:
            self._failure = None
            if self._listing.checks:
                self._listing = _counted(self._listing, None)
            for gone in self._agents.keys() - set(names):
                del self._agents[gone]
                try:
                    self._ledger.forget(self.name, gone)
                except StateError as error:
                    log.error("target %s: %s", self.name, error)
            for name in names:
                self._of(name)
            await asyncio.gather(*(self._check_agent(name, policy) for name in names))
        return self.evaluate(policy)

    async def _check_agent(self, name: str, policy: Policy) -> None:
        agent = self._of(name)
        began = time.monotonic()
        seen: Observation | None = None
        try:
            seen = await self.source.check(name)
        except Exception as error:
            agent.failure = self._failed(error)
        else:
            agent.seen, agent.failure = seen, None
        agent.duration = time.monotonic() - began
        agent.counters = _counted(agent.counters, agent.failure)
        if seen is not None:
            agent.history = record_observation(agent.history, seen, self._now())

    def _of(self, name: str) -> _Agent:
        if name not in self._agents:
            history, seen = self._ledger.recorded(self.name, name)
            self._agents[name] = _Agent(history, seen)
        return self._agents[name]

    def _failed(self, error: Exception) -> Failure:
        if isinstance(error, CheckError):
            if error.retry_after is not None:
                self.retry_after = error.retry_after
            return Failure(error.reason, error.message, self._now())
        # Only the kind of the error: its text may quote what it choked on.
        log.error("target %s: an error of ours, %s", self.name, type(error).__name__, exc_info=_frames(error))
        return Failure(FailureReason.OTHER, f"an error of the exporter's own: {type(error).__name__}", self._now())

    def evaluate(self, policy: Policy) -> TargetReport:
        """The report as of now, from what was last seen."""
        now = self._now()
        reports = tuple(self._evaluate(name, policy, now) for name in self._agents)
        self.report = TargetReport(self.name, self.source.kind, reports, self._failure, self.source.chosen)
        return self.report

    def as_of(self, policy: Policy, now: float) -> TargetReport:
        """The report as it would be at ``now`` on today's facts; remembers and writes nothing."""
        reports = tuple(
            evaluate(self._subject(name), agent.seen, agent.failure, agent.history, policy, now)
            for name, agent in self._agents.items()
        )
        return TargetReport(self.name, self.source.kind, reports, self._failure, self.source.chosen)

    def _evaluate(self, name: str, policy: Policy, now: float) -> AgentReport:
        agent = self._agents[name]
        subject = self._subject(name)
        report = evaluate(subject, agent.seen, agent.failure, agent.history, policy, now, agent.duration)
        before, agent.history = agent.history, record_report(agent.history, report)
        if agent.history.changed != before.changed:  # what this verdict found out is told in it
            report = evaluate(subject, agent.seen, agent.failure, agent.history, policy, now, agent.duration)
            agent.history = record_report(agent.history, report)
        _count_unusable(agent, report, now)
        if agent.written is not agent.seen or agent.history != agent.written_history:
            try:
                self._ledger.record(self.name, name, agent.history, agent.seen)
                agent.written, agent.written_history = agent.seen, agent.history
            except StateError as error:
                log.error("target %s: %s", self.name, error)
        agent.report = report
        return report

    def _subject(self, agent: str) -> Subject:
        return Subject(self.name, agent, self.source.kind, self.source.programs())

    def told(self, policy: Policy) -> TargetReport:
        """Judge again after a person told a date."""
        for name, agent in self._agents.items():
            agent.history = replace(agent.history, supplied=self._ledger.recorded(self.name, name)[0].supplied)
        return self.evaluate(policy)

    async def aclose(self) -> None:
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
    """Add the time since the last verdict to providers that had nothing usable then."""
    since, before = agent.counted_at, agent.report
    if since is not None and before is not None and now > since:
        seconds = dict(agent.counters.unusable_seconds)
        for provider, usable in before.providers_usable.items():
            seconds[provider] = seconds.get(provider, 0.0) + (0.0 if usable else now - since)
        agent.counters = replace(agent.counters, unusable_seconds=seconds)
    known = dict.fromkeys(report.providers_usable, 0.0) | dict(agent.counters.unusable_seconds)
    agent.counters = replace(agent.counters, unusable_seconds=known)
    agent.counted_at = now


def _frames(error: Exception) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """The traceback without the message, which may hold what must not be logged."""
    return (RuntimeError, RuntimeError(type(error).__name__), error.__traceback__)


class Monitor:
    """All targets of one configuration."""

    def __init__(
        self,
        config: Config,
        ledger: CredentialDatabase,
        now: Callable[[], float] = clock.now,
        make: Callable[[Target, SourceContext], Source] = build,
    ) -> None:
        self._ledger = ledger
        self._now = now
        self._turns = ConcurrencyLimiter()
        self._make = make
        self._context = SourceContext(ledger.keyed_hash, ledger, now)
        self.config = config
        self.checkers: dict[str, TargetChecker] = {}
        self.configure(config)

    def configure(self, config: Config) -> list[TargetChecker]:
        """Take over a configuration; returns what is no longer checker, for the caller to close.

        A target that is configured as before keeps what is known of it.
        """
        before, self.config, self.checkers = self.checkers, config, {}
        for target in config.targets:
            known = before.get(target.name)
            if known is not None and known.target == target:
                self.checkers[target.name] = before.pop(target.name)
            else:
                source = self._make(target, self._context)
                self.checkers[target.name] = TargetChecker(target, source, self._ledger, self._now, self._turns)
        return list(before.values())

    async def check(self, names: list[str] | None = None) -> Report:
        """One look at the named targets, or at all that are scheduled."""
        chosen = [w for w in self.checkers.values() if (w.name in names if names is not None else w.target.schedule)]
        await asyncio.gather(*(checker.check(self.config.policy) for checker in chosen))
        return self.report([checker.name for checker in chosen])

    def report(self, names: list[str] | None = None) -> Report:
        """The latest reports, of the named targets or of all that were looked at."""
        reports = [w.report for w in self.checkers.values() if w.report and (names is None or w.name in names)]
        return Report(self._now(), tuple(reports))

    def scheduled(self) -> Report:
        """The latest reports of the targets that are looked at without being asked for: what alarms."""
        return self.report([w.name for w in self.checkers.values() if w.target.schedule])

    def board(self) -> Report:
        """What is known of all targets: one that is still to be looked at for the first time is not fine."""
        shown = (
            w.report or (TargetReport(w.name, w.source.kind) if w.target.schedule else None)
            for w in self.checkers.values()
        )
        return Report(self._now(), tuple(one for one in shown if one is not None))

    def renewal_commands(self, agent: AgentReport, profile: ProfileReport) -> tuple[str, ...]:
        """The commands that renew a profile before anything is wrong with it."""
        checker = self.checkers.get(agent.target)
        if checker is None:
            return ()
        lifetime = format_duration(self.config.policy.setup_token_lifetime)
        context = remedies.CommandContext.of(agent, checker.source.programs(), lifetime)
        return remedies.renewal_commands(profile.id, profile.provider, profile.kind, context)

    def as_of(self, now: float) -> Report:
        """What the report would be at ``now`` on today's facts; remembers and writes nothing."""
        return Report(now, tuple(w.as_of(self.config.policy, now) for w in self.checkers.values() if w.report))

    def target_as_of(self, name: str, now: float) -> Report:
        """``as_of`` of one target; nothing of one that is not checker."""
        checker = self.checkers.get(name)
        return Report(now, (checker.as_of(self.config.policy, now),) if checker and checker.report else ())

    async def aclose(self) -> None:
        await asyncio.gather(*(checker.aclose() for checker in self.checkers.values()))
