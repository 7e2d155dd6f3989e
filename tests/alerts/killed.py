"""A daemon in small, made to be killed: lifecycle, outbox and delivery of one webhook, over a truth in a file.

Run as a process that forks one such daemon per line on its standard input, so that 200 of them
start in seconds. Each daemon says on standard output which step of the truth it has committed.
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
from exporter.alerts.delivery.worker import DeliveryWorker
from exporter.alerts.lifecycle import advance
from exporter.alerts.values import AlertState, Message, NotificationReason
from exporter.config.channels.webhook import WebhookChannel
from exporter.model import AgentReport, Condition, ConditionName, Report, Severity, TargetReport

ALERTS = 5
PHASES = (None, Severity.WARNING, Severity.CRITICAL)
TOLD = (NotificationReason.RESOLVED, NotificationReason.FIRST, NotificationReason.ESCALATED)


def phase(alert: int, step: int) -> int:
    """How often an alert has changed by ``step``: each step changes one of them."""
    return (step + ALERTS - 1 - alert) // ALERTS


def expected(alert: int, steps: int) -> list[NotificationReason]:
    """What must be told of an alert, in order."""
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
    """States and messages in two transactions: what must not be."""

    def commit(
        self,
        states: Mapping[str, AlertState],
        messages: Iterable[Message],
        now: float,
        tests_sent: Mapping[str, float] | None = None,
    ) -> list[str]:
        super().commit(states, [], now, tests_sent)
        time.sleep(0.02)
        return super().commit(states, messages, now)


async def daemon(path: Path, truth: Path, url: str, taken_apart: bool) -> None:
    outbox = TakenApart(path) if taken_apart else Outbox(path)
    while not outbox.acquire_lock(f"pid {os.getpid()}"):  # noqa: ASYNC110 - the one before is being killed
        await asyncio.sleep(0.005)
    channel = build(WebhookChannel.model_validate({"name": "hook", "type": "webhook", "url": url}), ChannelContext())
    deliverer = DeliveryWorker(outbox, {"hook": channel}, spread=lambda: 0.002)
    deliverer.start()
    states, rules, said = outbox.states(), policy(), -1
    while True:
        step, now = int(truth.read_text()), time.time()  # noqa: ASYNC240 - a byte or two
        states, messages = advance(states, report(step, now), rules, now)
        outbox.commit(states, messages, now)
        if messages:
            deliverer.wake()
        if step != said:
            said = step
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
