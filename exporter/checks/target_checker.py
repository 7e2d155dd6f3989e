"""The check of one target: ask its source, update the credential history, evaluate the verdict."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from exporter.checks.agent_facts import AgentFacts, Evaluated, VerdictBasis
from exporter.checks.limiter import ConcurrencyLimiter
from exporter.checks.off_loop import off_loop
from exporter.checks.schedule import answer_limit, check_limit
from exporter.config import Policy, Target
from exporter.lib import tasks
from exporter.lib.bounds import bounded
from exporter.lib.durations import format_duration, in_words
from exporter.model import (
    SHARED_AGENT,
    AgentCounters,
    AgentReport,
    CheckError,
    Failure,
    FailureReason,
    Observation,
    Step,
    TargetReport,
    failed_report,
)
from exporter.sources import Source
from exporter.state.credentials_db import CredentialDatabase
from exporter.state.history import (
    CredentialHistory,
    SuppliedDate,
    about_present,
    acknowledge_gone,
    dates_for,
    record_observation,
    record_report,
)
from exporter.verdict import Subject, evaluate
from exporter.verdict.failures import listing_failure_steps

log = logging.getLogger(__name__)

#: How often the time without a usable credential is counted between two checks, and how long after a verdict failed it
#: is tried again, in seconds.
COUNT_EVERY, EVALUATE_AGAIN = 60.0, 60.0

T = TypeVar("T")


class CheckerClosedError(Exception):
    """The target is no longer configured, or the exporter stops: there is no check."""


class TargetChecker:
    """Checks one target and keeps its latest report.

    A check asks the source, updates the credential history, evaluates the verdict and stores both. Concurrent callers
    share the check that is under way. Whatever raises or hangs in it becomes a ``Failure``: of that agent, or of all.
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
        self.completed_check_started_at: float | None = None  # start of the last check that has ended
        self.retry_after: float | None = None  # seconds that the target asked us to wait
        self._ledger = ledger
        self._now = now
        self._limiter = limiter
        self._agents: dict[str, AgentFacts] = {}
        self._failure: Failure | None = None  # of listing the agents
        self._listing = AgentCounters()  # of listing the agents, exported as agent "*"
        self._checking: asyncio.Task[TargetReport] | None = None
        self._is_stale = self._is_closed = False
        self._evaluating = asyncio.Lock()

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def is_checking(self) -> bool:
        return self._checking is not None and not self._checking.done()

    @property
    def failed(self) -> bool:
        return self._failure is not None or any(
            agent.failure or (agent.report and agent.report.failure) for agent in self._agents.values()
        )

    @property
    def counters(self) -> Mapping[str, AgentCounters]:
        """By agent; ``*`` stands for listing the agents."""
        return {name: agent.counters for name, agent in self._agents.items()} | {"*": self._listing}

    def expected_counters(self, recorded: Iterable[str]) -> Mapping[str, AgentCounters]:
        """Zeros for the agents that the first check is expected to find. ``recorded`` have a history."""
        agents = self.source.configured_agents()
        return dict.fromkeys((*(recorded if agents is None else agents), "*"), AgentCounters())

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

        ``force`` waits for one that began after this call, for a caller that has changed something. Raises
        CheckerClosedError after ``aclose``.
        """
        if force and self._checking is not None:
            await asyncio.wait([self._checking])
        if self._is_closed:
            raise CheckerClosedError
        if self._checking is None or not self.is_checking:
            self._checking = tasks.begin(self._check(policy), name=f"check {self.name}")
        # Shielded: a caller that stops waiting (a probe out of time) does not cancel it for the others.
        try:
            return await asyncio.shield(self._checking)
        except asyncio.CancelledError:
            if self._is_closed and not tasks.is_cancelled():
                raise CheckerClosedError from None
            raise

    async def _check(self, policy: Policy) -> TargetReport:
        """One check. Whatever happens in it, it ends with a report; only ``aclose`` cancels it."""
        self.check_started_at = started_at = self._now()
        self.retry_after = None
        limit = check_limit(self.target.timeout)
        try:
            async with asyncio.timeout(limit), self._limiter.slot():
                await self._check_agents()
        except TimeoutError:
            message = f"the exporter gave the check up after {format_duration(limit)}: see its log"
            self._fail(Failure(FailureReason.STALE, message, self._now()))
        except asyncio.CancelledError as error:
            if tasks.is_cancelled():
                raise
            self._fail(self._failure_of(error))
        except Exception as error:
            self._fail(self._failure_of(error))
        self._is_stale = False
        self.completed_check_started_at = started_at
        return await self.evaluate(policy, is_check=True)

    async def _check_agents(self) -> None:
        try:
            names = await self._ask(self.source.agents)
            if not names:
                raise CheckError(FailureReason.INVALID_OUTPUT, "no agent was listed, so nothing could be checked")
        except Exception as error:
            self._failure = self._failure_of(error)
            self._listing = _counted(self._listing, self._failure)
            if not self._agents:  # show the facts of an earlier run
                await self._load(await self._ledger.run(self._ledger.agents, self.name))
            for agent in self._agents.values():  # known, but not checked
                agent.failure = self._failure
            return
        self._failure = None
        if self._listing.checks:
            self._listing = _counted(self._listing, None)
        for removed in self._agents.keys() - set(names):
            del self._agents[removed]
            self._ledger.forget(self.name, removed)
        await self._load(names)
        await asyncio.gather(*map(self._check_agent, names))

    async def _ask(self, ask: Callable[..., Coroutine[Any, Any, T]], *args: str) -> T:
        """The source's answer. One that takes too long is given up, whatever the source does."""
        try:
            async with self.source.slot():
                return bounded(await tasks.finish_within(answer_limit(self.target.timeout), ask(*args)))
        except asyncio.CancelledError:
            if tasks.is_cancelled():
                raise
            raise tasks.StrayCancellationError from None

    async def _load(self, names: Iterable[str]) -> None:
        """Read the history of agents that are new here."""
        for name in names:
            if name not in self._agents:
                history, seen = await self._ledger.run(self._ledger.recorded, self.name, name)
                self._agents[name] = AgentFacts(history, seen)

    async def _check_agent(self, name: str) -> None:
        agent = self._agents[name]
        started = time.monotonic()
        try:
            seen = await self._ask(self.source.check, name)
            if await off_loop(len(seen.profiles), partial(agent.says_the_same, seen)):
                agent.take_unchanged(seen)
            else:
                await self._record_observation(agent, seen)
                agent.seen, agent.failure = seen, None
        except Exception as error:
            agent.failure = self._failure_of(error)
        agent.duration = time.monotonic() - started
        agent.counters = _counted(agent.counters, agent.failure)

    async def _record_observation(self, agent: AgentFacts, seen: Observation) -> None:
        while True:
            before = agent.history
            after = await off_loop(len(seen.profiles), partial(self._after, replace(agent), seen))
            if agent.history is before:  # nothing else was recorded meanwhile
                agent.history, agent.is_behind = after, False
                return

    def _after(self, agent: AgentFacts, seen: Observation) -> CredentialHistory:
        """The history of the agent with what it has been seen as since, and then with ``seen``."""
        return self._recorded(self._caught_up(agent), seen, self._now())

    def _caught_up(self, agent: AgentFacts) -> CredentialHistory:
        if agent.seen is None or not agent.is_behind:
            return agent.history
        return self._recorded(agent.history, agent.seen, agent.seen.observed_at)

    def _recorded(self, history: CredentialHistory, seen: Observation, at: float) -> CredentialHistory:
        return record_observation(history, seen, at, self._ledger.sightings(history, seen, at))

    def _fail(self, failure: Failure) -> None:
        """Mark all that is known of the target as not checked."""
        for agent in self._agents.values():
            agent.failure = failure
            agent.counters = _with_failure(agent.counters, failure)
        if not self._agents:
            self._failure = failure
            self._listing = _counted(self._listing, failure)

    def mark_stale(self, overdue: float) -> None:
        """A check has been due for ``overdue`` seconds and none has ended. ``evaluate`` reports it."""
        message = (
            f"a check has been due for {in_words(overdue)} and none has ended: see the exporter's log, and restart "
            "the exporter if this lasts"
        )
        failure = Failure(FailureReason.STALE, message, self._now())
        if self._is_stale:  # count it once
            for agent in self._agents.values():
                agent.failure = failure
            self._failure = self._failure and failure
        else:
            self._fail(failure)
        self._is_stale = True

    def _failure_of(self, error: BaseException) -> Failure:
        if isinstance(error, CheckError):
            if error.retry_after is not None:
                self.retry_after = error.retry_after
            return Failure(error.reason, error.message, self._now(), error.needs_doctor)
        if isinstance(error, TimeoutError):
            limit = format_duration(answer_limit(self.target.timeout))
            return Failure(FailureReason.TIMEOUT, f"the source did not answer within {limit}", self._now())
        # Only the type of the error: its text may quote a secret.
        kind = type(error).__name__
        log.error("target %s: internal error while checking (%s)", self.name, kind, exc_info=_without_message(error))
        return Failure(FailureReason.OTHER, f"internal error while checking ({kind}): please report it", self._now())

    async def evaluate(self, policy: Policy, *, is_check: bool = False) -> TargetReport:
        """The report as of now, from the latest facts. Never raises.

        ``is_check``: a check has just ended, so a verdict that fails counts as a failure of that check.
        """
        async with self._evaluating:
            now, left = self._now(), dict(self._agents)
            while left:
                facts = {name: replace(agent) for name, agent in left.items()}
                size = sum(len(agent.seen.profiles) for agent in facts.values() if agent.seen is not None)
                found: dict[str, Evaluated | Exception]
                try:
                    found = await off_loop(size + len(facts), partial(self._evaluate_all, facts, policy, now))
                except Exception as error:  # it took too long
                    found = dict.fromkeys(facts, error)
                for name, before in facts.items():
                    agent = left[name]
                    if self._agents.get(name) is not agent:  # it was removed meanwhile
                        del left[name]
                    elif before.has_same_facts(agent):  # else it is evaluated again
                        del left[name]
                        self._use(name, agent, found[name], now, is_check)
            self.report = self._report(agent.report for agent in self._agents.values() if agent.report is not None)
            return self.report

    def _evaluate_all(
        self, facts: Mapping[str, AgentFacts], policy: Policy, now: float
    ) -> dict[str, Evaluated | Exception]:
        """The verdicts of agents, or their errors. Changes nothing, so that it can run in a thread."""
        found: dict[str, Evaluated | Exception] = {}
        for name, agent in facts.items():
            try:
                found[name] = self._evaluate_agent(name, agent, policy, now)
            except Exception as error:
                found[name] = error
        return found

    def _use(self, name: str, agent: AgentFacts, found: Evaluated | Exception, now: float, is_check: bool) -> None:
        try:
            if isinstance(found, Exception):
                raise found
            agent.history = found.history
            _count_unusable(agent, found.report, now)
            if found.is_new:
                self._ledger.record(self.name, name, agent.history, agent.seen)
                agent.recorded, agent.recorded_at = (agent.history, agent.seen), now
            agent.report, agent.basis, agent.is_behind = found.report, found.basis, found.is_behind
        except Exception as error:
            report = self._failed_report(name, agent, error, now)
            if is_check and agent.failure is None and report.failure is not None:
                agent.counters = _with_failure(agent.counters, report.failure)
            agent.counted_at, agent.report, agent.basis = now, report, None

    def _failed_report(self, name: str, agent: AgentFacts, error: Exception, now: float) -> AgentReport:
        """The report of an agent whose verdict failed. It is tried again soon, although nothing changes."""
        report = failed_report(self.name, name, self.source.kind, self._failure_of(error), agent.report)
        return report._replace(changes_at=now + EVALUATE_AGAIN)

    def as_of(self, policy: Policy, now: float) -> TargetReport:
        """The report as it would be at ``now`` if no fact changed. Records nothing."""

        def agent_as_of(name: str, agent: AgentFacts) -> AgentReport:
            failure = agent.failure or (agent.report.failure if agent.report else None)
            try:
                return evaluate(self._subject(name), agent.seen, failure, agent.history, policy, now)
            except Exception as error:
                return self._failed_report(name, agent, error, now)

        return self._report(agent_as_of(name, agent) for name, agent in self._agents.items())

    def _report(self, agents: Iterable[AgentReport]) -> TargetReport:
        failure, steps = self._failure, self._listing_steps()
        return TargetReport(self.name, self.source.kind, tuple(agents), failure, steps, self.source.chosen)

    def _listing_steps(self) -> tuple[Step, ...]:
        """What to do about agents that could not be listed. A failure without steps is better than no failure."""
        if self._failure is None:
            return ()
        try:
            return listing_failure_steps(self._failure, self.source.kind, self.source.programs())
        except Exception as error:
            log.error(
                "target %s: internal error (%s)", self.name, type(error).__name__, exc_info=_without_message(error)
            )
            return ()

    def _evaluate_agent(self, name: str, agent: AgentFacts, policy: Policy, now: float) -> Evaluated:
        subject = self._subject(name)
        if (known := agent.unchanged_report(policy, subject, now)) is not None:
            return Evaluated(known, agent.history, is_new=False, is_behind=True, basis=agent.basis)
        before = self._caught_up(agent)
        report = evaluate(subject, agent.seen, agent.failure, before, policy, now, agent.duration)
        history = record_report(before, report)
        if history.changed != before.changed:  # a change that this verdict discovered belongs into it
            report = evaluate(subject, agent.seen, agent.failure, history, policy, now, agent.duration)
            history = record_report(history, report)
        is_new = agent.recorded is None or agent.recorded[1] is not agent.seen or agent.recorded[0] != history
        return Evaluated(report, history, is_new, is_behind=False, basis=VerdictBasis(history, policy, subject))

    def _subject(self, agent: str) -> Subject:
        main = self._agents.get(SHARED_AGENT)
        shared = main.seen.profiles if main is not None and main.seen is not None and agent != SHARED_AGENT else ()
        return Subject(self.name, agent, self.source.kind, self.source.programs(), shared)

    def after_step(self, now: float) -> None:
        """The clock was set to ``now``: no check was made in the future."""
        if self.check_started_at is not None:
            self.check_started_at = min(self.check_started_at, now)
        if self.completed_check_started_at is not None:
            self.completed_check_started_at = min(self.completed_check_started_at, now)

    def take_supplied_dates(self, dates: Mapping[str, SuppliedDate]) -> None:
        """Use the dates that users have supplied, from the next ``evaluate`` on."""
        for name, agent in self._agents.items():
            supplied = about_present(dates_for(dates, self.name, name), agent.history.profiles)
            agent.history = replace(agent.history, supplied=supplied)

    def acknowledge_gone(self, profile: str) -> None:
        """A person knows that the profile is gone: from the next ``evaluate`` on it is not reported."""
        for agent in self._agents.values():
            agent.history = acknowledge_gone(agent.history, profile)

    async def aclose(self) -> None:
        """Cancel the check that is under way, begin none any more, and close the source."""
        self._is_closed = True
        if self._checking is None:
            return  # never asked, so there is nothing to close
        await tasks.end(self._checking)
        try:
            await tasks.finish_within(tasks.CLEAN_UP, self.source.aclose())
        except Exception as error:
            log.error("target %s: the source could not be closed (%s)", self.name, type(error).__name__)


def _counted(counters: AgentCounters, failure: Failure | None) -> AgentCounters:
    counters = counters._replace(checks=counters.checks + 1)
    return counters if failure is None else _with_failure(counters, failure)


def _with_failure(counters: AgentCounters, failure: Failure) -> AgentCounters:
    failures = {**counters.failures, failure.reason: counters.failures.get(failure.reason, 0) + 1}
    return counters._replace(failures=failures)


def _count_unusable(agent: AgentFacts, report: AgentReport, now: float) -> None:
    """Add the time since the last verdict to the providers that were unusable in it."""
    seconds = dict.fromkeys(report.providers_usable, 0.0) | dict(agent.counters.unusable_seconds)
    if agent.report is not None and agent.counted_at is not None and now > agent.counted_at:
        for provider, usable in agent.report.providers_usable.items():
            if not usable:
                seconds[provider] = seconds.get(provider, 0.0) + now - agent.counted_at
    agent.counters = agent.counters._replace(unusable_seconds=seconds)
    agent.counted_at = now


def _without_message(error: BaseException) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """The traceback without the message, which may quote a secret."""
    return (RuntimeError, RuntimeError(type(error).__name__), error.__traceback__)
