"""Notifications of a command that ends: ``check --notify``, for a timer instead of a daemon, and ``notify test``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from exporter.alerts.channels import DeliveryError, Links, no_links
from exporter.alerts.channels.alertmanager import ENDS_AFTER
from exporter.alerts.delivery.delivery import Delivery, Senders, build_senders
from exporter.alerts.delivery.evaluation import Evaluator
from exporter.alerts.delivery.notifier import ReportSource
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.delivery.scheduled_messages import GRACE
from exporter.alerts.delivery.ulid import next_ulid
from exporter.alerts.delivery.worker import attempt
from exporter.alerts.lifecycle import test_message
from exporter.alerts.values import Message, QueuedMessage
from exporter.config import Config

#: The button of the notification that rings a phone. How often the server is asked for it, and the pause in seconds.
BUTTON, PRESS_TRIES, PRESS_PAUSE = "I see it", 20, 3.0


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


async def send_tests(
    config: Config, names: Iterable[str], now: float, links: Links = no_links, exporter: str = ""
) -> list[tuple[str, str | None]]:
    """Send a test notification to each named channel: its name, and None or why it failed.

    ``exporter`` is our name. Raises ConfigError for a channel that cannot be used.
    """
    senders = build_senders(config, links)
    return list(await asyncio.gather(*(_test(senders, test_message(name, now, exporter)) for name in names)))


async def ring(config: Config, name: str, now: float, rung: Callable[[], None]) -> tuple[str | None, bool]:
    """Send a test notification to an ntfy channel, and wait until its button is pressed.

    Returns why it was not delivered, and whether the button was pressed. ``rung`` is called once the server has it.
    Raises ConfigError for a channel that cannot be used.
    """
    from exporter.alerts.channels.ntfy import NtfySender

    channel = build_senders(config).channels[name]
    assert isinstance(channel, NtfySender)
    outgoing = QueuedMessage(next_ulid(now, None), test_message(name, now, ""))
    if error := await attempt(channel.ask(outgoing, BUTTON)):
        return str(error), False
    rung()
    for _ in range(PRESS_TRIES):
        await asyncio.sleep(PRESS_PAUSE)
        with contextlib.suppress(DeliveryError):  # the next try may succeed
            if await channel.was_pressed(outgoing):
                return None, True
    return None, False


async def _test(senders: Senders, message: Message) -> tuple[str, str | None]:
    name, now = message.channel, message.at
    if name in senders.channels:
        error = await attempt(senders.channels[name].send(QueuedMessage(next_ulid(now, None), message)))
    else:
        error = await attempt(senders.alertmanagers[name].test(message.alerts[0], now))
    return name, None if error is None else str(error)
