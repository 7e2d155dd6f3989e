"""Prometheus' multi-target way: ``/sd`` lists the targets, and ``/probe`` checks one on request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from exporter.checks.monitor import Monitor
from exporter.checks.target_checker import CheckerClosedError, TargetChecker
from exporter.metrics.definitions import TEXT
from exporter.metrics.render import Fragment, gauges, one_shot
from exporter.model import Failure, FailureReason, Report, TargetReport, failed_report

#: A report younger than this answers a probe, in seconds.
PROBE_FRESH = 30.0


def discovery_labels(checker: TargetChecker) -> dict[str, str]:
    """What ``/sd`` says of a target. As with Prometheus' own service discovery, relabelling decides what is kept."""
    labels = {f"__meta_openclaw_auth_label_{name}": text for name, text in checker.target.labels.items()}
    return {"__meta_openclaw_auth_source": checker.source.kind, **labels}


async def probe(
    monitor: Monitor,
    target: str,
    agent: str | None,
    timeout: float,
    now: Callable[[], float],
    checked: Callable[[TargetChecker], None],
    rendered: Callable[[TargetChecker, TargetReport], Coroutine[Any, Any, Fragment]],
) -> tuple[bytes, str]:
    """The exposition after a check of at most ``timeout`` seconds, and its Content-Type.

    ``checked`` is called after a check in time, and ``rendered`` returns the sample lines of a report. Raises KeyError
    for an unknown target or agent.
    """
    checker = monitor.checkers[target]
    checked_at = checker.completed_check_started_at
    report = checker.report if checked_at is not None and now() - checked_at <= PROBE_FRESH else None
    if report is None:
        try:
            report = await asyncio.wait_for(checker.check(monitor.config.policy), timeout)
        except CheckerClosedError:  # a reload removed the target meanwhile
            raise KeyError(target) from None
        except TimeoutError:  # the check goes on: the next probe gets its result
            return await asyncio.to_thread(lambda: _answer(monitor, _timed_out(checker, agent, timeout, now()), now()))
        checked(checker)
    if agent is None:
        return gauges(await rendered(checker, report)), TEXT
    chosen = tuple(entry for entry in report.agents if entry.agent == agent)
    if not chosen and report.failure is None:
        raise KeyError(agent)
    return await asyncio.to_thread(_answer, monitor, report._replace(agents=chosen), now())


def _answer(monitor: Monitor, report: TargetReport, now: float) -> tuple[bytes, str]:
    return one_shot(Report(now, (report,)), labels_of=monitor.metric_labels), TEXT


def _timed_out(checker: TargetChecker, agent: str | None, timeout: float, now: float) -> TargetReport:
    """The known facts, marked as failed."""
    failure = Failure(FailureReason.TIMEOUT, f"no answer within the scrape timeout, {timeout:g} s", now)
    kind, before = checker.source.kind, checker.report.agents if checker.report else ()
    known = tuple(
        failed_report(checker.name, found.agent, kind, failure, found)
        for found in before
        if agent in (None, found.agent)
    )
    return TargetReport(checker.name, kind, known, None if known else failure)
