"""The monitor: one ``TargetChecker`` for each configured target, and reports over all of them.

The ``check`` command runs it once; the daemon decides when each target is checked. A failing target never affects
another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterable

from exporter.checks.limiter import ConcurrencyLimiter
from exporter.checks.target_checker import TargetChecker
from exporter.config import Config, Target
from exporter.lib import clock
from exporter.lib.durations import format_duration
from exporter.model import AgentReport, ProfileReport, Report, Step, TargetReport
from exporter.sources import Source, SourceContext, build
from exporter.state.credentials_db import CredentialDatabase
from exporter.verdict import remedies


class Monitor:
    """All targets of one configuration."""

    def __init__(
        self,
        config: Config,
        ledger: CredentialDatabase,
        now: Callable[[], float] = clock.now,
        make: Callable[[Target, SourceContext], Source] = build,
    ) -> None:
        """``make`` creates the source of a target."""
        self._ledger = ledger
        self._now = now
        self._limiter = ConcurrencyLimiter()
        self._make = make
        self._context = SourceContext(ledger.keyed_hash, ledger, now)
        self._unused: list[TargetChecker] = []  # not closed yet
        self.config = config
        self.checkers: dict[str, TargetChecker] = {}
        self.configure(config)

    def configure(self, config: Config, checkers: dict[str, TargetChecker] | None = None) -> list[TargetChecker]:
        """Use another configuration. Returns the checkers that are no longer used, for ``close_unused``.

        ``checkers`` are those that ``prepare`` returned for it.
        """
        used = checkers if checkers is not None else self.prepare(config)
        unused = [checker for name, checker in self.checkers.items() if used.get(name) is not checker]
        self.config, self.checkers = config, used
        self._unused += unused
        return unused

    def prepare(self, config: Config) -> dict[str, TargetChecker]:
        """The checkers for another configuration, which are not used yet: if a source cannot be made, nothing changed.

        A target whose configuration is unchanged keeps its checker and all facts.
        """
        checkers: dict[str, TargetChecker] = {}
        for target in config.targets:
            known = self.checkers.get(target.name)
            if known is None or known.target != target:
                source = self._make(target, self._context)
                known = TargetChecker(target, source, self._ledger, self._now, self._limiter)
            checkers[target.name] = known
        return checkers

    def remind_before(self, agent: AgentReport, profile: ProfileReport) -> list[float]:
        """The reminders of a profile, in seconds before its deadline."""
        own = self.config.policy.remind_before_of(agent.target, agent.agent, profile.provider, profile.id)
        return self.config.alerts.remind_before if own is None else own

    def metric_labels(self, name: str) -> dict[str, str]:
        """The further labels of a target's series."""
        checker = self.checkers.get(name)
        return self.config.metric_labels(checker.target) if checker is not None else {}

    async def close_unused(self) -> None:
        """Cancel the checks of what is no longer configured, and close its sources."""
        await asyncio.gather(*(checker.aclose() for checker in self._unused))
        self._unused.clear()

    def is_current(self, checker: TargetChecker) -> bool:
        """Whether this checker is still in use."""
        return self.checkers.get(checker.name) is checker

    async def check(self, names: list[str] | None = None) -> Report:
        """Check the named targets once, or all that have a schedule."""
        chosen = [
            checker
            for checker in self.checkers.values()
            if (checker.name in names if names is not None else checker.target.schedule)
        ]
        return self._report(await asyncio.gather(*(checker.check(self.config.policy) for checker in chosen)))

    def report(self) -> Report:
        """The latest reports of the targets that have been checked."""
        return self._report(checker.report for checker in self.checkers.values())

    def scheduled(self) -> Report:
        """The latest reports of the targets that are checked on a schedule. Only these raise alerts."""
        return self._report(checker.report for checker in self.checkers.values() if checker.target.schedule)

    def full_report(self) -> Report:
        """The latest reports, with an empty one for a scheduled target before its first check: that is not healthy."""
        return self._report(
            checker.report or (TargetReport(checker.name, checker.source.kind) if checker.target.schedule else None)
            for checker in self.checkers.values()
        )

    def _report(self, reports: Iterable[TargetReport | None]) -> Report:
        return Report(self._now(), tuple(report for report in reports if report is not None))

    def renewal_steps(self, agent: AgentReport, profile: ProfileReport) -> tuple[Step, ...]:
        """The steps that renew a profile before anything is wrong with it."""
        checker = self.checkers.get(agent.target)
        if checker is None:
            return ()
        lifetime = format_duration(self.config.policy.setup_token_lifetime)
        context = remedies.CommandContext.of(agent, checker.source.programs(), lifetime)
        return remedies.renewal_steps(remedies.StoredCredential.of(profile), context)

    def as_of(self, now: float, names: Container[str] | None = None) -> Report:
        """The report as it would be at ``now`` if no fact changed, of all targets or of some. Records nothing."""
        checked = [c for c in self.checkers.values() if c.report is not None and (names is None or c.name in names)]
        return Report(now, tuple(checker.as_of(self.config.policy, now) for checker in checked))

    def target_as_of(self, name: str, now: float) -> Report:
        """``as_of`` for one target; empty if the target is unknown or has not been checked."""
        return self.as_of(now, (name,))

    async def aclose(self) -> None:
        """Cancel the checks that are under way and close all sources."""
        await self.close_unused()
        await asyncio.gather(*(checker.aclose() for checker in self.checkers.values()))
