"""The notifier: reports in, messages out. It runs the lifecycle, commits, and wakes the deliverer.

The daemon pokes it after each look; by time alone it wakes itself. ``check --notify`` runs it once.
One process at a time holds the lease; whoever does not only looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from exporter.alerts import lifecycle
from exporter.alerts.channels import Channel, Context, DeliveryError, Links, build, no_links
from exporter.alerts.channels import alertmanager as am
from exporter.alerts.delivery import Deliverer
from exporter.alerts.outbox import ChannelStatistics, Outbox, OutboxError
from exporter.alerts.policy import AlertPolicy, commands_of
from exporter.alerts.telling import alert_of
from exporter.alerts.values import AlertState, Message, Outgoing
from exporter.config import Config, ConfigError
from exporter.config.models import AlertmanagerChannel
from exporter.model import Report

log = logging.getLogger(__name__)

FILE = "alerts.sqlite"
#: The clock may be set in the meantime, so nothing sleeps longer than this, in seconds.
NAP = 30.0
#: How often a second process looks whether the lease is free now, in seconds.
LEASE_EVERY = 30.0


def channels_of(
    config: Config, links: Links = no_links
) -> tuple[dict[str, Channel], dict[str, am.AlertmanagerChannel]]:
    """The configured channels by name: those that are told news, and Alertmanagers, that want the state.

    Raises ConfigError where one cannot be used.
    """
    context = Context(external_url=config.web.external_url, links=links)
    news: dict[str, Channel] = {}
    state: dict[str, am.AlertmanagerChannel] = {}
    for channel in config.channels:
        try:
            if isinstance(channel, AlertmanagerChannel):
                state[channel.name] = am.build(channel, context)
            else:
                news[channel.name] = build(channel, context)
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
    ) -> None:
        """Raises ConfigError for a channel that cannot be used, OutboxError for a state that cannot."""
        self._report = report
        self._now = now
        self._links = links
        self._config = config
        self._news, self._managers = channels_of(config, links)
        self.outbox = Outbox(directory / FILE if directory is not None else None, now)
        self._deliverer = Deliverer(self.outbox, self._news, now)
        self._counted: dict[str, ChannelStatistics] = {name: ChannelStatistics() for name in self._managers}
        self._states: dict[str, AlertState] = {}
        self._task: asyncio.Task[None] | None = None
        self._poke = asyncio.Event()
        self._published_at = float("-inf")
        self._outbox_version = 0
        self._statistics: dict[str, ChannelStatistics] = {}
        self._silences = 0
        self.holds_lease = False
        #: Why nothing is told at present, as a sentence; None while all is well.
        self.problem: str | None = self.outbox.problem

    # --- the daemon's way ------------------------------------------------------------------

    def start(self) -> None:
        """Begin to run the lifecycle and to deliver."""
        self._task = asyncio.create_task(self._run(), name="notifier")

    def poke(self) -> None:
        """There is a new report, or a person said something."""
        self._poke.set()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._deliverer.stop()
        self.outbox.close()

    async def reconfigure(self, config: Config) -> None:
        """Take over another configuration. Raises ConfigError, and then everything stays as it is."""
        news, managers = channels_of(config, self._links)
        await self._deliverer.stop()
        self._config, self._news = config, news
        # What an Alertmanager was told is kept, so that what fires there can be ended.
        self._managers = {name: self._managers.get(name, channel) for name, channel in managers.items()}
        self._counted = {name: self._counted.get(name, ChannelStatistics()) for name in managers}
        self._deliverer = Deliverer(self.outbox, news, self._now)
        if self.holds_lease:
            await asyncio.to_thread(self.outbox.retire, news, self._now())
            self._deliverer.start()
        self.poke()

    async def _run(self) -> None:
        while True:
            pause = NAP
            try:
                if await self._take_lease():
                    ahead = await self._advance(self._policy())
                    await self._publish()
                    pause = self._pause(ahead)
                else:
                    pause = LEASE_EVERY
                await self._count()
                self.problem = self.outbox.problem
            except OutboxError as error:
                self.problem = str(error)
                log.error("%s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._poke.wait()
            self._poke.clear()

    def _pause(self, ahead: float | None) -> float:
        pauses = [NAP]
        if ahead is not None:
            pauses.append(ahead - self._now())
        if self._managers:
            pauses.append(self._published_at + am.EVERY - self._now())
        return max(0.05, min(pauses))

    async def _take_lease(self) -> bool:
        if not self.holds_lease:
            owner = f"process {os.getpid()}"
            if not await asyncio.to_thread(self.outbox.acquire_lease, owner):
                log.warning("another process (%s) tells of alerts: this one only looks", self.outbox.lease_holder)
                return False
            self._states = await asyncio.to_thread(self.outbox.states)
            await asyncio.to_thread(self.outbox.retire, self._news, self._now())
            self.holds_lease = True
            self._deliverer.start()
        return True

    def _policy(self) -> AlertPolicy:
        silences = self.outbox.silences(self._now())
        self._silences = len(silences)
        return AlertPolicy.of(self._config, silences, self.outbox.acknowledged(), commands_of(self._config))

    async def _advance(self, policy: AlertPolicy) -> float | None:
        """One turn of the lifecycle, committed; when time alone makes the next."""
        now, report = self._now(), self._report()

        def turn() -> tuple[dict[str, AlertState], list[str], float | None]:
            states, messages = lifecycle.advance(self._states, report, policy, now)
            ids = self.outbox.commit(states, messages, now)
            return states, ids, lifecycle.next_event(states, report, policy, now)

        self._states, ids, ahead = await asyncio.to_thread(turn)
        if ids:
            self._deliverer.wake()
        return ahead

    async def _publish(self) -> None:
        """Tell the Alertmanagers the state, each minute and when it changed."""
        if not self._managers:
            return
        now = self._now()
        firing = lifecycle.firing(self._states, now)
        over = [
            alert_of(state, state.ending.reason, now) for state in self._states.values() if state.ending is not None
        ]
        self._published_at = now
        for name, manager in self._managers.items():
            for error in await manager.publish(firing, over, now):
                self._count_manager(name, error, now)

    def _count_manager(self, name: str, error: DeliveryError | None, now: float) -> None:
        before = self._counted[name]
        if error is None:
            self._counted[name] = replace(before, attempts=before.attempts + 1, last_success=now)
            return
        failures = {**before.failures, error.reason: before.failures.get(error.reason, 0) + 1}
        self._counted[name] = replace(before, attempts=before.attempts + 1, failures=failures)
        log.warning("channel %s: an instance was not told (%s)", name, error.reason)

    async def _count(self) -> None:
        self._outbox_version = self.outbox.changes()
        self._statistics = await asyncio.to_thread(self.outbox.statistics, self._news)

    def look_for_others(self) -> None:
        """Poke where another process wrote to the outbox: a silence from the command line."""
        with contextlib.suppress(OutboxError):
            if self.outbox.changes() != self._outbox_version:
                self.poke()

    async def acknowledge(self, fingerprint: str, through: str | None = None) -> bool:
        """A person has seen an alert, ``through`` a channel where that is known. False for an unknown one."""
        known = await asyncio.to_thread(self.outbox.acknowledge, fingerprint, self._now(), through)
        self.poke()
        return known

    # --- what is shown ---------------------------------------------------------------------

    def statistics(self) -> dict[str, ChannelStatistics]:
        """Per channel, as of the last turn: what the metrics show."""
        return {**self._statistics, **self._counted}

    @property
    def silences(self) -> int:
        return self._silences

    async def refresh(self) -> None:
        """Count anew: deliveries happen between turns."""
        with contextlib.suppress(OutboxError):
            await self._count()

    def states(self) -> dict[str, AlertState]:
        """Where each alert is in its life, for ``explain`` and the status page."""
        return dict(self._states)

    # --- the one-shot's way ----------------------------------------------------------------

    async def once(self) -> bool | None:
        """One turn for a timer's ``check --notify``: whether everything was handed over.

        None where a daemon holds the lease: then this process only looks. Raises OutboxError.
        """
        if not self.outbox.acquire_lease(f"process {os.getpid()}"):
            return None
        self._states = self.outbox.states()
        self.outbox.retire(self._news, self._now())
        # Nothing of a one-shot can be waited for to happen together: it is told at once.
        await self._advance(replace(self._policy(), group_wait=0.0))
        delivered = await self._deliverer.flush()
        await self._publish()
        return delivered and not any(counted.failures for counted in self._counted.values())


async def send_test(config: Config, names: Iterable[str], now: float) -> list[tuple[str, str | None]]:
    """One real test notification to each named channel: its name, and why it failed or None.

    Raises ConfigError for a channel that cannot be used.
    """
    from exporter.alerts.ulid import next_ulid

    news, managers = channels_of(config)

    async def one(name: str) -> tuple[str, str | None]:
        message: Message = lifecycle.test_message(name, now)
        try:
            if name in managers:
                for error in await managers[name].test(message.alerts[0], now):
                    if error is not None:
                        raise error
            else:
                async with asyncio.timeout(120):
                    await news[name].send(Outgoing(next_ulid(now, None), message))
        except DeliveryError as error:
            return name, str(error)
        except TimeoutError:
            return name, "timeout: it took longer than 120 s"
        except Exception as error:
            return name, f"an error of the exporter's own: {type(error).__name__}"
        return name, None

    return list(await asyncio.gather(*map(one, names)))
