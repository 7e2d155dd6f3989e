"""Publishing: the Alertmanagers are told the state, each minute and when it changed, each on its own.

What one of them does delays neither the others nor the lifecycle.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from exporter.alerts.channels import DeliveryError
from exporter.alerts.channels.alertmanager import ENDS_AFTER, PUBLISH_EVERY, AlertmanagerSender
from exporter.alerts.delivery.statistics import ChannelStatistics
from exporter.alerts.lifecycle import firing
from exporter.alerts.lifecycle.compose import alert_of
from exporter.alerts.values import AlertState

log = logging.getLogger(__name__)


class AlertmanagerPublisher:
    """Tells every configured Alertmanager what fires and what has ended."""

    def __init__(self, managers: Mapping[str, AlertmanagerSender], now: Callable[[], float]) -> None:
        self._managers = dict(managers)
        self._now = now
        self._states: Mapping[str, AlertState] = {}
        self._shown: frozenset[object] = frozenset()
        self._wake = {name: asyncio.Event() for name in self._managers}
        self._workers: list[asyncio.Task[None]] = []
        #: What was counted of each since we started: nothing of it is written down. While no instance takes the
        #: state, that waits.
        self.counted = {name: ChannelStatistics() for name in self._managers}
        #: The trouble of each that had any the last time, as a sentence, for the status page.
        self.problems: dict[str, str] = {}

    def take_over(self, before: AlertmanagerPublisher) -> None:
        """Go on where the one before a reload stopped: what an Alertmanager was told must be ended there.

        An instance that is no longer configured is told nothing more: what fires there ends by its ``endsAt``.
        """
        self._states, self._shown = before._states, before._shown
        for name, manager in self._managers.items():
            if name in before._managers:
                manager.last = before._managers[name].last
                self.counted[name] = before.counted[name]
                if name in before.problems:
                    self.problems[name] = before.problems[name]

    def start(self, states: Mapping[str, AlertState]) -> None:
        """Begin. What fired when the process before us ended was told, as far as anybody knows."""
        self._prime(states)
        self._workers = [asyncio.create_task(self._work(name), name=f"publish to {name}") for name in self._managers]

    def _prime(self, states: Mapping[str, AlertState]) -> None:
        self.show(states)
        told = firing(states, self._now()) if self._managers else ()
        for manager in self._managers.values():
            if not manager.last.firing:
                manager.assume_sent(told)

    def show(self, states: Mapping[str, AlertState]) -> None:
        """The state as it is now."""
        self._states = states
        shown = frozenset(
            (state.key, state.severity, state.condition, state.resolution)
            for state in (states.values() if self._managers else ())
            if (state.firing and state.confirmed) or state.resolution is not None
        )
        if shown != self._shown:
            self._shown = shown
            for event in self._wake.values():
                event.set()

    async def stop(self) -> None:
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers = []

    async def once(self, before: Mapping[str, AlertState], after: Mapping[str, AlertState], ahead: float) -> bool:
        """One publication of a one-shot, of which nobody knows when the next comes: whether all instances took it."""
        self._prime(before)
        self.show(after)
        return all(await asyncio.gather(*(self._publish(name, ahead) for name in self._managers)))

    async def _work(self, name: str) -> None:
        while True:
            self._wake[name].clear()
            await self._publish(name, ENDS_AFTER)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PUBLISH_EVERY):
                    await self._wake[name].wait()

    async def _publish(self, name: str, ahead: float) -> bool:
        states, now = self._states, self._now()
        try:
            fires = await asyncio.to_thread(firing, states, now)
            over = [
                alert_of(state, state.resolution.reason, now)
                for state in states.values()
                if state.resolution is not None
            ]
            results = await self._managers[name].publish(fires, over, now, ahead)
        except Exception as error:  # its text may hold a URL that is a secret
            log.error("channel %s: an error of the exporter's own: %s", name, type(error).__name__)
            return False
        self._count(name, results, now)
        return not any(results)

    def _count(self, name: str, results: Sequence[DeliveryError | None], now: float) -> None:
        """``results`` of all instances; none where there was nothing to tell."""
        before, errors = self.counted[name], [error for error in results if error is not None]
        failures = dict(before.failures)
        for error in errors:
            failures[error.reason] = failures.get(error.reason, 0) + 1
            log.warning("channel %s: an instance was not told (%s)", name, error.reason)
        if errors:
            of = f"{len(errors)} of {len(results)} instances: " if len(results) > 1 else ""
            self.problems[name] = f"{of}{errors[0]}"
        else:
            self.problems.pop(name, None)
        nobody = bool(errors) and len(errors) == len(results)
        self.counted[name] = replace(
            before,
            attempts=before.attempts + len(results),
            failures=failures,
            pending=int(nobody),
            oldest_pending=(before.oldest_pending or now) if nobody else None,
            last_success=now if len(errors) < len(results) else before.last_success,
        )
