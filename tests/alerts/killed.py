"""A small daemon to be killed: lifecycle, outbox and delivery to one webhook. A file holds the world's present step.

The world's clock moves with its steps; messages are delivered by the real one.

Run as a process that forks one such daemon per line on its standard input, so that 200 of them
start in seconds. Each daemon writes to standard output which step it has committed.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from alerts.worlds import policy
from exporter.alerts.channels import ChannelContext, build
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.delivery.worker import ChannelWorker
from exporter.alerts.lifecycle import advance
from exporter.alerts.lifecycle.arrivals import settle
from exporter.alerts.values import AlertState, Message, NotificationReason
from exporter.config.channels.webhook import WebhookChannel
from exporter.model import AgentReport, Condition, ConditionName, Report, Severity, TargetReport

ALERTS = 5
PHASES = (None, Severity.WARNING, Severity.CRITICAL)
#: The first step is at this time of the world, and so many seconds are between two steps. An alert begins every 15
#: steps: less than three times a day, so that it does not flap. It is critical for 5 steps, so that it is not repeated.
START, SECONDS_PER_STEP = 4e9, 3600.0
TOLD = (NotificationReason.RESOLVED, NotificationReason.FIRST, NotificationReason.ESCALATED)


def phase(alert: int, step: int) -> int:
    """How often an alert has changed by ``step``: each step changes one of them."""
    return (step + ALERTS - 1 - alert) // ALERTS


def expected(alert: int, steps: int) -> list[NotificationReason]:
    """The reasons that must be notified for an alert, in order."""
    return [TOLD[count % len(PHASES)] for count in range(1, phase(alert, steps) + 1)]


def report(step: int, now: float) -> Report:
    conditions = []
    for alert in range(ALERTS):
        severity = PHASES[phase(alert, step) % len(PHASES)]
        if severity is not None:
            conditions.append(
                Condition(
                    ConditionName.EXPIRED,
                    severity,
                    provider="anthropic",
                    profile=f"anthropic:{alert}",
                    summary="expired",
                )
            )
    agent = AgentReport("home", "main", "openclaw", now, now, 0, conditions=tuple(conditions))
    return Report(now, (TargetReport("home", "openclaw", (agent,)),))


class TakenApart(Outbox):
    """Commits states and messages in two transactions, which is the mistake to detect."""

    def commit(
        self,
        states: Mapping[str, AlertState],
        messages: Iterable[Message],
        now: float,
        tests_sent: Mapping[str, float] | None = None,
        noted: Iterable[int] = (),
    ) -> list[str]:
        super().commit(states, [], now, tests_sent, noted)
        time.sleep(0.02)
        return super().commit(states, messages, now)


async def daemon(path: Path, truth: Path, url: str, taken_apart: bool) -> None:
    outbox = TakenApart(path) if taken_apart else Outbox(path)
    while not outbox.acquire_lock(f"pid {os.getpid()}"):  # noqa: ASYNC110 - the previous daemon is being killed
        await asyncio.sleep(0.005)
    channel = build(WebhookChannel.model_validate({"name": "hook", "type": "webhook", "url": url}), ChannelContext())
    worker = ChannelWorker(outbox, channel, spread=lambda: 0.002)
    worker.start()
    states, rules, written = outbox.states(), policy(), -1
    while True:
        step = int(truth.read_text())  # noqa: ASYNC240 - a byte or two
        now = START + step * SECONDS_PER_STEP
        outcomes = outbox.outcomes()
        states = settle(states, outcomes.values(), now)
        states, messages = advance(states, report(step, now), rules, now)
        outbox.commit(states, messages, time.time(), noted=list(outcomes))
        if messages:
            worker.wake()
        if step != written:
            written = step
            os.write(1, f"{step}\n".encode())
        await asyncio.sleep(0.002)


def main() -> None:
    path, truth, url, taken_apart = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4] == "apart"
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(daemon(path, truth, url, taken_apart))
        os.write(1, f"pid {child}\n".encode())
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
