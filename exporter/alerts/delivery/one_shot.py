"""``check --notify``: one evaluation and one delivery, for a timer instead of a daemon."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace

from exporter.alerts.channels.alertmanager import ENDS_AFTER
from exporter.alerts.delivery.delivery import Delivery
from exporter.alerts.delivery.evaluation import Evaluator
from exporter.alerts.delivery.notifier import ReportSource
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.delivery.scheduled_messages import GRACE
from exporter.alerts.delivery.senders import build_senders
from exporter.config import Config


async def notify_once(
    config: Config, outbox: Outbox, reports: ReportSource, now: Callable[[], float] = time.time
) -> bool | None:
    """Evaluate the latest report once and send; returns whether everything was delivered.

    None where another process holds the outbox's lock: then nothing is evaluated. Raises StateError, and
    ConfigError for a channel that cannot be used.
    """
    delivery = Delivery(build_senders(config), outbox, now)
    if not await outbox.run(outbox.acquire_lock, f"process {os.getpid()}"):
        return None
    evaluator = Evaluator(config, outbox, reports.renew)
    await evaluator.load(delivery.channels, now())
    before = evaluator.states
    # The process ends before anything else could join the group, so nothing waits for `group_wait`.
    policy = replace(await evaluator.policy(now()), group_wait=0.0)
    report = reports.latest()
    await evaluator.evaluate(report, policy, now())
    # Firing alerts at an Alertmanager, and scheduled messages, must outlast the time until the next run.
    gap = 2 * max(config.interval_of(target) for target in config.targets)
    delivered = await delivery.flush(before, evaluator.states, max(ENDS_AFTER, gap))
    if reports.as_of is not None:
        await delivery.scheduled.update(evaluator.states, report, reports.as_of, policy, max(GRACE, gap))
    return delivered
