"""Publishing to one Alertmanager: the whole state, every minute and whenever it changes.

Each Alertmanager has a publisher, so that none delays another or the lifecycle.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from exporter.alerts.channels import DeliveryError
from exporter.alerts.channels.alertmanager import ENDS_AFTER, PUBLISH_EVERY, AlertmanagerSender
from exporter.alerts.delivery.statistics import ChannelStatistics
from exporter.alerts.lifecycle import firing
from exporter.alerts.lifecycle.compose import alert_of
from exporter.alerts.lifecycle.routing import Route
from exporter.alerts.values import States
from exporter.lib import tasks
from exporter.lib.redact import internal_error
from exporter.lib.supervisor import SupervisedTask, Supervisor

log = logging.getLogger(__name__)

#: How long after a publication that an instance did not accept the next one follows, in seconds; then twice as long
#: each time. An Alertmanager that restarts must not hold an alert back for a minute.
FIRST_RETRY_AFTER = 5.0


class AlertmanagerPublisher:
    """Sends one Alertmanager every firing alert, and the ones that have ended."""

    def __init__(
        self, sender: AlertmanagerSender, now: Callable[[], float], supervisor: Supervisor | None = None
    ) -> None:
        self._sender = sender
        self._now = now
        self._states: States = {}
        self._unassumed: States | None = None  # given to ``start``, until its task has begun
        self._published: frozenset[object] = frozenset()
        self._wake = asyncio.Event()
        self._supervisor = supervisor or Supervisor()
        self._task: SupervisedTask | None = None
        #: Counted since the process started; not stored. One publication waits while no instance accepts the state.
        self.statistics = ChannelStatistics()
        #: The last failure as a sentence, for the status page; None once every instance accepts the state.
        self.problem: str | None = None

    def take_over(self, previous: AlertmanagerPublisher) -> None:
        """Continue after a reload: what ``previous`` published must be ended.

        An instance that is no longer configured is sent nothing more: its alerts end by their ``endsAt``.
        """
        self._states, self._published = previous._states, previous._published
        self._sender.last = previous._sender.last
        self.statistics, self.problem = previous.statistics, previous.problem

    def start(self, states: States) -> None:
        """Begin to publish. Alerts that fired when an earlier process ended are taken as published by it."""
        self.update(states)
        self._unassumed = states
        self._task = self._supervisor.start(f"channel {self._sender.name}", self._run)

    async def stop(self) -> None:
        if self._task is not None:
            await self._task.stop()

    def update(self, states: States) -> None:
        """Take over the present states, and publish at once if something changed that an Alertmanager shows."""
        self._states = states = self._wanted(states)
        published = frozenset(
            (state.key, state.severity, state.condition, state.resolution, *sorted(state.labels.items()))
            for state in states.values()
            if (state.firing and state.confirmed) or state.resolution is not None
        )
        if published != self._published:
            self._published = published
            self._wake.set()

    async def publish_once(self, before: States, after: States, ends_after: float) -> bool:
        """One publication by a process that ends afterwards; returns whether every instance accepted it.

        A firing alert lasts ``ends_after`` seconds, because the next publication is some time away.
        """
        self._assume_published(before)
        self.update(after)
        return await self._publish(ends_after)

    def _assume_published(self, states: States) -> None:
        if not self._sender.last.firing:
            now = self._now()
            self._sender.assume_sent(firing(self._wanted(states), now), now)

    def _wanted(self, states: States) -> States:
        route = Route.of(self._sender.config.match)
        return {key: state for key, state in states.items() if route.fits(state)} if route.matchers else states

    async def _run(self) -> None:
        if self._unassumed is not None:
            self._assume_published(self._unassumed)
            self._unassumed = None
        retry_after = FIRST_RETRY_AFTER
        while True:
            self._wake.clear()
            is_accepted = await self._publish(ENDS_AFTER)
            await tasks.wait_at_most(self._wake, PUBLISH_EVERY if is_accepted else min(retry_after, PUBLISH_EVERY))
            retry_after = FIRST_RETRY_AFTER if is_accepted else min(2 * retry_after, PUBLISH_EVERY)

    async def _publish(self, ends_after: float) -> bool:
        states, now = self._states, self._now()
        try:
            fires = await asyncio.to_thread(firing, states, now)
            ended = [(state, state.resolution) for state in states.values() if state.resolution is not None]
            resolved = [alert_of(state, resolution.reason, now) for state, resolution in ended]
            results = await self._sender.publish(fires, resolved, now, ends_after)
        except Exception as error:  # one bug must not end the publishing
            log.error("channel %s: %s", self._sender.name, internal_error(error, "publishing alerts"))
            return False
        self._count(results, now)
        return not any(results)

    def _count(self, results: Sequence[DeliveryError | None], now: float) -> None:
        """Count the results of all instances; there are none when nothing had to be published."""
        before, errors = self.statistics, [error for error in results if error is not None]
        failures = Counter(before.failures)
        for error in errors:
            failures[error.reason] += 1
            log.warning("channel %s: an instance did not accept the alerts (%s)", self._sender.name, error.reason)
        share = f"{len(errors)} of {len(results)} instances: " if len(results) > 1 else ""
        self.problem = f"{share}{errors[0]}" if errors else None
        none_accepted = bool(errors) and len(errors) == len(results)
        self.statistics = replace(
            before,
            attempts=before.attempts + len(results),
            failures=failures,
            pending=int(none_accepted),
            oldest_pending=(before.oldest_pending or now) if none_accepted else None,
            last_success=now if len(errors) < len(results) else before.last_success,
        )
