"""The notifier: reports in, messages out. It runs the lifecycle, commits, and wakes those who tell.

The daemon pokes it after each look; by time alone it wakes itself. ``check --notify`` runs it once.
One process at a time holds the lease; whoever does not only looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from exporter.alerts import lifecycle
from exporter.alerts.channels import Channel, ChannelContext, DeliveryError, Links, build, build_publisher, no_links
from exporter.alerts.channels import alertmanager as am
from exporter.alerts.delivery import scheduled_messages
from exporter.alerts.delivery.alertmanager_publisher import AlertmanagerPublisher
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.delivery.statistics import ChannelStatistics
from exporter.alerts.delivery.worker import DeliveryWorker
from exporter.alerts.lifecycle.policy import AlertPolicy, Renew, no_commands
from exporter.alerts.lifecycle.test_notifications import due_tests, next_test_at
from exporter.alerts.message import text
from exporter.alerts.values import AlertState, Message, QueuedMessage, fingerprint_of_test
from exporter.config import Config, ConfigError
from exporter.lib.sqlite import StateError, UnwritableError
from exporter.model import Report

log = logging.getLogger(__name__)

FILE = "alerts.sqlite"
#: The clock may be set in the meantime, so nothing sleeps longer than this, in seconds.
NAP = 30.0
#: How long others let a turn, and then the handing over of what it decided, go first, in seconds.
LONGEST_TURN, LONGEST_HANDOVER = 5.0, 2.0
#: How often it is tried whether a disk that took nothing takes something again, in seconds.
RETURN_EVERY = 10.0
#: How often a second process looks whether the lease is free now, in seconds.
LOCK_EVERY = 30.0
#: After a turn, this many times as long as it took, and at most so many seconds, is left to others: a thousand
#: targets that finish one by one are not a thousand turns over all of them.
BREATHER, LONGEST_BREATHER = 2.0, 10.0
#: How many titles of messages are kept at hand.
TITLES = 1000


def channels_of(config: Config, links: Links = no_links) -> tuple[dict[str, Channel], dict[str, am.AlertmanagerSender]]:
    """The configured channels by name: those that are told news, and Alertmanagers, that want the state.

    Raises ConfigError where one cannot be used.
    """
    context = ChannelContext(external_url=config.web.external_url, links=links)
    news: dict[str, Channel] = {}
    state: dict[str, am.AlertmanagerSender] = {}
    for channel in config.channels:
        try:
            if channel.NOTIFIED:
                news[channel.name] = build(channel, context)
            else:
                state[channel.name] = build_publisher(channel, context)
        except ConfigError as error:
            raise ConfigError(f"channel {channel.name}", error.problems) from None
    return news, state


class Notifier:
    """Alerts of one configuration. ``report`` gives the latest report whenever the lifecycle runs."""

    def __init__(
        self,
        config: Config,
        directory: Path | None,
        report: Callable[[], Report],
        now: Callable[[], float] = time.time,
        links: Links = no_links,
        as_of: scheduled_messages.AsOf | None = None,
        goes_on: bool = False,
        renew: Renew = no_commands,
    ) -> None:
        """``renew`` gives the commands that renew a profile, for reminders.

        ``as_of`` judges a target as of a later moment; without it nothing is planted ahead.

        With ``goes_on`` it tells whatever its state is like: where that cannot be used it is kept in
        memory, and ``problem`` says so. Raises ConfigError for a channel that cannot be used, StateError
        for a state that cannot.
        """
        self._report = report
        self._now = now
        self._links = links
        self._as_of = as_of
        self._renew = renew
        self._config = config
        self._news, managers = channels_of(config, links)
        self.outbox = Outbox(directory / FILE if directory is not None else None, now, or_memory=goes_on)
        self._deliverer = DeliveryWorker(self.outbox, self._news, now)
        self._publisher = AlertmanagerPublisher(managers, now)
        self._planter = scheduled_messages.ScheduledMessages(self.outbox, self._news, now)
        self._planted_at: float | None = None
        self._states: dict[str, AlertState] = {}
        self._proofs: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._aside: set[asyncio.Task[None]] = set()
        self._poke = asyncio.Event()
        self._turning = asyncio.Lock()
        self._outbox_version = self._tries = 0
        self._statistics: dict[str, ChannelStatistics] = {}
        with contextlib.suppress(StateError):  # another process may hold the file for a moment
            self._statistics = self.outbox.statistics(self._news)  # each series is there from the start
        self._silences = 0
        self._titles: dict[str, str | None] = {}  # of messages that were asked for: one may be megabytes
        self.holds_lock = False
        self._in_memory_since: float | None = None  # monotonic; in memory, since or last tried
        #: Why nothing is told at present, as a sentence; None while all is well.
        self.problem: str | None = self.outbox.problem

    # --- the daemon's way ------------------------------------------------------------------

    def start(self) -> None:
        """Begin to run the lifecycle and to deliver."""
        self._task = asyncio.create_task(self._run(), name="notifier")

    def wake(self) -> None:
        """There is a new report, or a person said something."""
        self._poke.set()

    async def stop(self) -> None:
        tasks = [*([self._task] if self._task else []), *self._aside]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(self._deliverer.stop(), self._publisher.stop())
        self.outbox.close()

    async def reconfigure(self, config: Config) -> None:
        """Take over another configuration. Raises ConfigError, and then everything stays as it is."""
        news, managers = channels_of(config, self._links)
        async with self._turning:  # a turn on its way would tell channels that are gone
            await asyncio.gather(self._deliverer.stop(), self._publisher.stop())
            before, self._config, self._news = self._config, config, news
            publisher = AlertmanagerPublisher(managers, self._now)
            publisher.take_over(self._publisher)
            self._publisher = publisher
            self._deliverer = DeliveryWorker(self.outbox, news, self._now)
            if self.holds_lock:
                self._deliverer.start()
                self._publisher.start(self._states)
                self._uproot(before)
                try:
                    await asyncio.to_thread(self.outbox.retire, news, self._now())
                except StateError as error:  # they wait until the next start
                    log.error("%s", error)
            self._planter = scheduled_messages.ScheduledMessages(self.outbox, news, self._now)
            self._planted_at = None
        self.wake()

    def _uproot(self, before: Config) -> None:
        """Take back, as far as that can be done, what was planted through channels that changed or are gone."""
        known = {channel.name: channel for channel in self._config.channels}
        changed = [channel.name for channel in before.channels if known.get(channel.name) != channel]
        if changed and self._planter.max_delay:
            self._spawn(self._planter.withdraw(changed))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    async def settled(self) -> None:
        """Until the turn that a poke set off is over and its messages were tried; at once where there is neither.

        A channel that hangs is not waited for long.
        """
        await asyncio.sleep(0)  # it begins
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_TURN), self._turning:
                pass
            async with asyncio.timeout(LONGEST_HANDOVER):
                await self._deliverer.rested()

    async def _run(self) -> None:
        while True:
            began, pause = time.monotonic(), NAP
            try:
                async with self._turning:
                    pause = await self._turn()
                self.problem = self.outbox.problem
            except UnwritableError as error:
                await self._fall_back_to_memory(str(error))
                pause = 0.05 if self._in_memory_since is not None else NAP
            except StateError as error:
                self.problem = str(error)
                log.error("%s", error)
            except Exception as error:  # the alarm must not end with one fault; its text may quote anything
                self.problem = f"an error of the exporter's own: {type(error).__name__}"
                log.error("alerts: %s", self.problem)
            await asyncio.sleep(min(BREATHER * (time.monotonic() - began), LONGEST_BREATHER))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._poke.wait()
            self._poke.clear()

    async def _fall_back_to_memory(self, why: str) -> None:
        """An alarm must not wait for room on a disk."""
        self.problem = why
        try:
            await asyncio.to_thread(self.outbox.fall_back_to_memory, why)
            self._in_memory_since = time.monotonic()
        except StateError as error:
            log.error("%s", error)

    async def _restore_to_disk(self) -> None:
        try:
            await asyncio.to_thread(self.outbox.restore_to_disk)
            self._in_memory_since = None
        except StateError:  # it still takes nothing
            self._in_memory_since = time.monotonic()

    async def _turn(self) -> float:
        """What is to be done now; seconds until it is to be done again."""
        pause = LOCK_EVERY
        if self._in_memory_since is not None and time.monotonic() - self._in_memory_since >= RETURN_EVERY:
            await self._restore_to_disk()
        # Read first: what another process writes meanwhile is seen as new.
        version = self.outbox.changes()
        if await self._acquire_lock():
            policy = self.policy()
            ahead = await self._advance(policy)
            self._publisher.show(self._states)
            self._plant_aside(policy)
            pause = max(0.05, min(NAP, ahead - self._now())) if ahead is not None else NAP
        await self._count()
        self._outbox_version = version
        return pause if self._in_memory_since is None else min(pause, RETURN_EVERY)

    async def _acquire_lock(self) -> bool:
        if not self.holds_lock:
            owner = f"process {os.getpid()}"
            if not await asyncio.to_thread(self.outbox.acquire_lock, owner):
                log.warning("another process (%s) tells of alerts: this one only looks", self.outbox.lock_holder)
                return False
            await asyncio.to_thread(self._recall)
            self.holds_lock = True
            self._deliverer.start()
            self._publisher.start(self._states)
        return True

    def _recall(self) -> None:
        """What the process before us left."""
        self._states, self._proofs = self.outbox.states(), self.outbox.tests_sent()
        self.outbox.retire(self._news, self._now())

    def policy(self) -> AlertPolicy:
        """What the lifecycle goes by now. Raises StateError."""
        now = self._now()
        silences = self.outbox.silences(now)
        self._silences = len(silences)
        return AlertPolicy.of(self._config, silences, self.outbox.acknowledged(now), self._renew)

    async def _advance(self, policy: AlertPolicy) -> float | None:
        """One turn of the lifecycle, committed; when time alone makes the next."""
        now, report = self._now(), self._report()

        def turn() -> tuple[dict[str, AlertState], dict[str, float], list[str], float | None]:
            with _uncollected():
                states, messages = lifecycle.advance(self._states, report, policy, now)
                proofs, proven = due_tests(self._proofs, states, report, policy, now)
                ids = self.outbox.commit(states, (*messages, *proven), now, proofs if proofs != self._proofs else None)
                times = lifecycle.next_event(states, report, policy, now), next_test_at(proofs, report, policy, now)
                return states, proofs, ids, min((at for at in times if at is not None), default=None)

        self._states, self._proofs, ids, ahead = await asyncio.to_thread(turn)
        if ids:
            self._deliverer.wake()
        return ahead

    def _plant_aside(self, policy: AlertPolicy) -> None:
        """Plant now and then, beside everything else."""
        now = self._now()
        if self._aside or (self._planted_at is not None and 0 <= now - self._planted_at < scheduled_messages.EVERY):
            return
        if (work := self._planting(policy)) is not None:
            self._planted_at = now
            self._spawn(work)

    def _planting(
        self, policy: AlertPolicy, grace: float = scheduled_messages.GRACE
    ) -> Coroutine[Any, Any, None] | None:
        """What keeps the channels' servers as planned; None where none can, or not all is known yet."""
        report = self._report()
        if self._as_of is None or not self._planter.max_delay or not policy.is_complete(report):
            return None
        return self._planter.keep(self._states, report, self._as_of, policy, grace)

    async def _count(self) -> None:
        self._tries = self.outbox.attempts_recorded
        self._statistics = await asyncio.to_thread(self.outbox.statistics, self._news)

    def look_for_others(self) -> None:
        """Poke where another process wrote to the outbox: a silence from the command line. Count what was tried."""
        with contextlib.suppress(StateError):
            if self.outbox.changes() != self._outbox_version:
                self.wake()
        if self.outbox.attempts_recorded != self._tries:
            self._spawn(self._count())

    async def acknowledge(self, fingerprint: str, through: str | None = None) -> bool:
        """A person has seen an alert, or a channel's test; ``through`` a channel where that is known.

        False for an unknown one. Raises StateError.
        """
        tested, now = self.tested(fingerprint), self._now()
        if tested is not None:
            await asyncio.to_thread(self.outbox.acknowledge_test, tested, now)
        else:
            known = await asyncio.to_thread(self.outbox.acknowledge, fingerprint, now, through)
        self.wake()
        return tested is not None or known

    def tested(self, fingerprint: str) -> str | None:
        """The configured channel whose test has this fingerprint; None where none has."""
        return next((c.name for c in self._config.channels if fingerprint_of_test(c.name) == fingerprint), None)

    # --- what is shown ---------------------------------------------------------------------

    def statistics(self) -> dict[str, ChannelStatistics]:
        """Per channel, as of the last turn: what the metrics show."""
        acknowledged = {name: counts.last_acknowledged for name, counts in self._statistics.items()}
        counted = {
            name: replace(counts, last_acknowledged=acknowledged.get(name))
            for name, counts in self._publisher.counted.items()
        }
        return {**self._statistics, **counted}

    @property
    def silences(self) -> int:
        return self._silences

    def problems(self) -> dict[str, str]:
        """The last trouble of each channel that has not delivered since, as a sentence."""
        return {**self._deliverer.problems, **self._publisher.problems}

    def channel_types(self) -> dict[str, str]:
        """The configured channels: name to type."""
        return {channel.name: channel.type for channel in self._config.channels}

    def what(self, id: str) -> str | None:
        """What a message in the outbox says, in its title; None where it cannot be read. Raises StateError."""
        if id not in self._titles:
            if len(self._titles) > TITLES:
                self._titles.clear()
            message = self.outbox.message(id)
            self._titles[id] = text.render(message, message.at).title if message is not None else None
        return self._titles[id]

    def states(self) -> dict[str, AlertState]:
        """Where each alert is in its life, for ``explain`` and the status page."""
        return dict(self._states)

    # --- the one-shot's way ----------------------------------------------------------------

    async def once(self) -> bool | None:
        """One turn for a timer's ``check --notify``: whether everything was handed over.

        None where a daemon holds the lease: then this process only looks. Raises StateError.
        """
        if not self.outbox.acquire_lock(f"process {os.getpid()}"):
            return None
        self._recall()
        before = self._states
        # Nothing of a one-shot can be waited for to happen together: it is told at once.
        policy = replace(self.policy(), group_wait=0.0)
        await self._advance(policy)
        # What fires at an Alertmanager, and what is planted, must outlive the time to the next run.
        gap = 2 * max(self._config.interval_of(target) for target in self._config.targets)
        delivered, published = await asyncio.gather(
            self._deliverer.flush(), self._publisher.once(before, self._states, max(am.ENDS_AFTER, gap))
        )
        if (work := self._planting(policy, max(scheduled_messages.GRACE, gap))) is not None:
            await work
        return delivered and published


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's collector: a turn over ten thousand alerts makes no cycles, and would be searched for some
    again and again, which takes as long as the turn itself."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


async def send_test(
    config: Config, names: Iterable[str], now: float, links: Links = no_links
) -> list[tuple[str, str | None]]:
    """One real test notification to each named channel: its name, and why it failed or None.

    Raises ConfigError for a channel that cannot be used.
    """
    from exporter.alerts.delivery.ulid import next_ulid

    news, managers = channels_of(config, links)

    async def one(name: str) -> tuple[str, str | None]:
        message: Message = lifecycle.test_message(name, now)
        try:
            if name in managers:
                for error in await managers[name].test(message.alerts[0], now):
                    if error is not None:
                        raise error
            else:
                async with asyncio.timeout(120):
                    await news[name].send(QueuedMessage(next_ulid(now, None), message))
        except DeliveryError as error:
            return name, str(error)
        except TimeoutError:
            return name, "timeout: it took longer than 120 s"
        except Exception as error:
            return name, f"an error of the exporter's own: {type(error).__name__}"
        return name, None

    return list(await asyncio.gather(*map(one, names)))
