"""The daemon's notifications: a loop that evaluates each new report, and sends what that decides.

The daemon wakes the loop after each check; by time alone it wakes itself. Only one process at a time may hold the
outbox's lock and notify; the others wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from exporter.alerts.channels import Links, no_links
from exporter.alerts.delivery.about import MessageFilter, SentAlert, expected_about, sent_about
from exporter.alerts.delivery.delivery import Delivery, build_senders
from exporter.alerts.delivery.evaluation import Evaluator
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.delivery.overview import NotifierStatus, UndeliverableMessages
from exporter.alerts.delivery.scheduled_messages import AsOf
from exporter.alerts.delivery.statistics import ChannelStatistics
from exporter.alerts.lifecycle.policy import Renew, no_steps
from exporter.alerts.values import AlertState, fingerprint_of_test
from exporter.config import Config, ConfigError
from exporter.lib import tasks
from exporter.lib.durations import in_words
from exporter.lib.redact import internal_error
from exporter.lib.sqlite import StateError, UnwritableError
from exporter.lib.supervisor import SupervisedTask, Supervisor
from exporter.model import Report

log = logging.getLogger(__name__)

#: The longest sleep of the loop in seconds, because the clock may be set meanwhile.
MAX_SLEEP = 30.0
#: How long a caller waits for a running turn, and then for its messages to be tried, in seconds.
MAX_WAIT_FOR_TURN, MAX_WAIT_FOR_DELIVERY = 5.0, 2.0
#: Seconds between two attempts to get the lock that another process holds.
LOCK_EVERY = 30.0
#: Seconds between two attempts to write to the disk again.
RESTORE_EVERY = 10.0
#: The pause after a turn is this many times the turn's duration, and at most so many seconds: a thousand targets
#: whose checks end one after another must not cause a thousand turns over all of them.
TURN_GAP, MAX_TURN_GAP = 2.0, 10.0
#: A turn that takes longer than this hangs, in seconds.
TURN_HANGS = 60.0


@dataclass(frozen=True)
class ReportSource:
    """Where notifications get their facts. Without ``as_of`` no messages are scheduled in advance."""

    latest: Callable[[], Report]
    as_of: AsOf | None = None  # the report of one target as of a later moment
    renew: Renew = no_steps  # the steps in reminders that renew a profile


class Notifier:
    """Notifies the channels of one configuration after another, until it is stopped."""

    def __init__(
        self,
        config: Config,
        outbox: Outbox,
        reports: ReportSource,
        now: Callable[[], float] = time.time,
        links: Links = no_links,
        supervisor: Supervisor | None = None,
    ) -> None:
        """Takes over ``outbox`` and closes it in the end. Raises ConfigError for a channel that cannot be used.

        Reads the outbox and secrets, so call it outside of the event loop.
        """
        try:
            senders = build_senders(config, links)
        except ConfigError:
            outbox.close()
            raise
        self.outbox = outbox
        self._config = config
        self._reports = reports
        self._now = now
        self._links = links
        self._supervisor = supervisor or Supervisor()
        self._delivery = Delivery(senders, outbox, now, self._supervisor)
        self._evaluator = Evaluator(config, outbox, reports.renew)
        self._fallback = MemoryFallback(outbox)
        self._undeliverable = UndeliverableMessages(outbox)
        self._task: SupervisedTask | None = None
        self._polling: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._turn_lock = asyncio.Lock()
        self._seen_changes = self._seen_attempts = 0
        self._statistics: dict[str, ChannelStatistics] = {}
        with contextlib.suppress(StateError):  # another process may hold the file for a moment
            self._statistics = outbox.statistics(self._delivery.channels)  # every series exists from the start
        #: Whether this process notifies; False while another one does.
        self.holds_lock = False
        self._waits_for_lock = False
        self._problem: str | None = outbox.problem
        self._turn_began: float | None = None  # by the monotonic clock, while a turn runs

    @property
    def problem(self) -> str | None:
        """Why no notifications are sent at present, as a sentence; None while all is well."""
        began = self._turn_began
        if began is not None and (seconds := time.monotonic() - began) > TURN_HANGS:
            return f"evaluating alerts has not ended for {in_words(seconds)}"
        return self._problem

    # --- running ---------------------------------------------------------------------------

    def start(self) -> None:
        self._task = self._supervisor.start("notifier", self._run)

    def wake(self) -> None:
        """Evaluate soon: there is a new report, a silence or an acknowledgement."""
        self._wake.set()

    async def wait_until_idle(self) -> None:
        """Return when the turn that ``wake`` caused is over and its messages were tried.

        A channel that hangs is only waited for a moment.
        """
        await asyncio.sleep(0)  # let the turn begin
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MAX_WAIT_FOR_TURN), self._turn_lock:
                pass
            async with asyncio.timeout(MAX_WAIT_FOR_DELIVERY):
                await self._delivery.wait_until_idle()

    async def stop(self) -> None:
        if self._task is not None:
            await self._task.stop()
        await tasks.end(self._polling)
        await asyncio.gather(self._delivery.stop(), self._delivery.scheduled.stop())
        await self.outbox.run(self.outbox.close)

    async def reconfigure(self, config: Config) -> None:
        """Continue with another configuration. Raises ConfigError, and then everything stays as it is."""
        senders = await asyncio.to_thread(build_senders, config, self._links)  # it reads secrets
        delivery = Delivery(senders, self.outbox, self._now, self._supervisor)
        async with self._turn_lock:  # a running turn would use channels that are gone
            previous, before = self._delivery, self._config
            await previous.stop()
            delivery.take_over(previous)
            self._delivery, self._config, self._evaluator.config = delivery, config, config
            if self.holds_lock:
                delivery.start(self._evaluator.states)
                kept = {channel.name: channel for channel in config.channels}
                changed = [channel.name for channel in before.channels if kept.get(channel.name) != channel]
                delivery.scheduled.take_over(previous.scheduled, changed, done=self.wake)
                try:
                    await self.outbox.run(self.outbox.use_channels, delivery.channels, self._now())
                except StateError as error:  # their messages wait until the next start
                    log.error("%s", error)
        self.wake()

    def poll_outbox(self) -> None:
        """Wake if another process wrote to the outbox, as ``silence add`` does; refresh the statistics after tries."""
        if self._polling is None or self._polling.done():
            self._polling = self._supervisor.begin("looking at the outbox", self._poll())

    async def _poll(self) -> None:
        with contextlib.suppress(StateError):
            if await self.outbox.run(self.outbox.changes) != self._seen_changes:
                self.wake()
            if self.outbox.attempts_recorded != self._seen_attempts:
                await self._refresh_statistics()

    async def _run(self) -> None:
        while True:
            began, pause = time.monotonic(), MAX_SLEEP
            try:
                async with self._turn_lock:
                    self._turn_began = time.monotonic()
                    pause = await self._turn()
                self._problem = self.outbox.problem
            except StateError as error:
                self._problem = str(error)
                if not isinstance(error, UnwritableError):
                    log.error("%s", error)
                elif await self._fallback.begin(str(error)):
                    pause = 0.05
            except (Exception, asyncio.CancelledError) as error:
                if not tasks.is_cancelled():
                    self._problem = internal_error(error, "evaluating alerts")
                raise
            finally:
                self._turn_began = None
            await asyncio.sleep(min(TURN_GAP * (time.monotonic() - began), MAX_TURN_GAP))
            await tasks.wait_at_most(self._wake, pause)
            self._wake.clear()

    async def _turn(self) -> float:
        """One evaluation, if this process holds the lock; returns the seconds until the next turn."""
        pause = LOCK_EVERY
        await self._fallback.try_restore()
        # Read first, so that a change that another process makes meanwhile counts as new.
        changes = await self.outbox.run(self.outbox.changes)
        if await self._acquire_lock():
            pause = await self._evaluate()
        await self._refresh_statistics()
        self._seen_changes = changes
        return min(pause, RESTORE_EVERY) if self._fallback.is_active else pause

    async def _acquire_lock(self) -> bool:
        if self.holds_lock:
            return True
        if not await self.outbox.run(self.outbox.acquire_lock, f"process {os.getpid()}"):
            holder = await self.outbox.run(lambda: self.outbox.lock_holder)
            if not self._waits_for_lock:  # say it once, not at every turn
                log.warning("another process (%s) sends the notifications; this one waits", holder)
            self._waits_for_lock = True
            return False
        await self._evaluator.load(self._delivery.channels, self._now())
        self.holds_lock = True
        if self._waits_for_lock:
            log.warning("the other process has ended; this one sends the notifications from now on")
        self._waits_for_lock = False
        self._delivery.start(self._evaluator.states)
        return True

    async def _evaluate(self) -> float:
        report, now = self._reports.latest(), self._now()
        policy = await self._evaluator.policy(now)
        has_messages, next_at = await self._evaluator.evaluate(report, policy, now)
        if has_messages:
            self._delivery.wake()
        self._delivery.update(self._evaluator.states)
        if self._reports.as_of is not None:
            self._delivery.scheduled.update_in_background(self._evaluator.states, report, self._reports.as_of, policy)
        return max(0.05, min(MAX_SLEEP, next_at - self._now())) if next_at is not None else MAX_SLEEP

    async def _refresh_statistics(self) -> None:
        self._seen_attempts = self.outbox.attempts_recorded
        self._statistics = await self.outbox.run(self.outbox.statistics, self._delivery.channels)

    # --- acknowledging ---------------------------------------------------------------------

    async def acknowledge(self, fingerprint: str, channel: str | None = None) -> bool:
        """Record that a person has seen an alert, or a channel's test; ``channel`` is where, if that is known.

        Returns False for an unknown fingerprint. Raises StateError.
        """
        tested, now = self.tested_channel(fingerprint), self._now()
        if tested is not None:
            await self.outbox.run(self.outbox.acknowledge_test, tested, now)
        else:
            known = await self.outbox.run(self.outbox.acknowledge, fingerprint, now, channel)
        self.wake()
        return tested is not None or known

    def tested_channel(self, fingerprint: str) -> str | None:
        """The configured channel whose test notification has this fingerprint, if any."""
        return next((c.name for c in self._config.channels if fingerprint_of_test(c.name) == fingerprint), None)

    # --- what is shown ---------------------------------------------------------------------

    def states(self) -> dict[str, AlertState]:
        """The state of each alert, by key."""
        return dict(self._evaluator.states)

    @property
    def silences(self) -> int:
        """How many silences are active."""
        return self._evaluator.silences

    def statistics(self) -> dict[str, ChannelStatistics]:
        """The statistics of each channel, as of the last turn."""
        return self._delivery.statistics(self._statistics)

    async def messages_about(self, wanted: MessageFilter) -> tuple[list[SentAlert], list[str]]:
        """What was sent about a credential or target, and what will be, as lines. Raises StateError."""
        sent = await self.outbox.run(sent_about, self.outbox, wanted)
        as_of, now = self._reports.as_of, self._now()
        if as_of is None:
            return sent, []
        policy, tests = await self._evaluator.policy(now), await self.outbox.run(self.outbox.tests_sent)
        of_target = partial(as_of, wanted.target)
        return sent, await asyncio.to_thread(expected_about, wanted, self.states(), policy, of_target, now, tests)

    async def status(self) -> NotifierStatus:
        """What the status page and the API show. Raises StateError."""
        policy = await self._evaluator.policy(self._now())
        return NotifierStatus(
            states=self.states(),
            policy=policy,
            channel_types={channel.name: channel.type for channel in self._config.channels},
            statistics=self.statistics(),
            problem=self.problem,
            channel_problems=self._delivery.problems(),
            undelivered=await self.outbox.run(self.outbox.undelivered),
            undeliverable=await self.outbox.run(self._undeliverable.latest),
        )


class MemoryFallback:
    """Moves an open outbox to memory when its file cannot be written, and back when it can.

    So no alert waits for disk space.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._tried_at: float | None = None  # by the monotonic clock; None: on disk

    @property
    def is_active(self) -> bool:
        return self._tried_at is not None

    async def begin(self, why: str) -> bool:
        """Continue in memory; returns whether that worked."""
        try:
            await self._outbox.run(self._outbox.fall_back_to_memory, why)
        except StateError as error:
            log.error("%s", error)
        else:
            self._tried_at = time.monotonic()
        return self.is_active

    async def try_restore(self) -> None:
        """Return to the disk if it can be written again; tried at most every ``RESTORE_EVERY`` seconds."""
        if self._tried_at is None or time.monotonic() - self._tried_at < RESTORE_EVERY:
            return
        try:
            await self._outbox.run(self._outbox.restore_to_disk)
            self._tried_at = None
        except StateError:  # it still cannot be written
            self._tried_at = time.monotonic()
