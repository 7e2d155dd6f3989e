"""Delivery: one worker per channel takes messages out of the outbox, sends them, and marks them.

At least once: a message is marked after it was handed over, so one that was sent by a process that
died before marking is sent again, under the same id. What one channel does never delays another.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Mapping

from exporter.alerts.channels import Channel, DeliveryError, TemporaryError
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.values import QueuedMessage
from exporter.lib.sqlite import StateError
from exporter.model import FailureReason

log = logging.getLogger(__name__)

#: Pauses between tries in seconds: the first, and the longest.
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 600.0
#: Longer than this no server is left alone, whatever its ``Retry-After``.
LONGEST_ASKED = 86400.0
#: Around whatever a channel does; its own bounds are tighter.
SEND_TIMEOUT = 120.0
#: How long a worker sleeps at the most: the clock may have been set in the meantime.
MAX_SLEEP = 30.0


def pause_after(attempts: int, asked: float | None, spread: float = 1.0) -> float:
    """Seconds until the next try after ``attempts`` that failed: doubling, never less than was ``asked`` for."""
    grown = min(FIRST_PAUSE * 2.0 ** min(attempts - 1, 30), LONGEST_PAUSE) * spread
    return max(grown, min(asked, LONGEST_ASKED)) if asked is not None else grown


class DeliveryWorker:
    """Delivers what is in an outbox to the channels it knows."""

    def __init__(
        self,
        outbox: Outbox,
        channels: Mapping[str, Channel],
        now: Callable[[], float] = time.time,
        spread: Callable[[], float] = lambda: random.uniform(0.8, 1.2),
    ) -> None:
        self._outbox = outbox
        self._channels = dict(channels)
        self._now = now
        self._spread = spread
        self._wake: dict[str, asyncio.Event] = {name: asyncio.Event() for name in self._channels}
        self._rested: dict[str, asyncio.Event] = {name: asyncio.Event() for name in self._channels}
        for rested in self._rested.values():
            rested.set()
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._asked: dict[str, tuple[float, float]] = {}  # channel -> it asked for a pause of everything: from, until
        self._unmarked: set[str] = set()  # handed over, but the outbox could not be written
        self._stopping = False
        #: The last trouble of each channel as a sentence, for the status page; gone when it delivers.
        self.problems: dict[str, str] = {}

    def start(self) -> None:
        """Begin to deliver, what an earlier run left first."""
        self._stopping = False
        for name in self._channels:
            self._workers[name] = asyncio.create_task(self._work(name), name=f"deliver to {name}")

    def wake(self) -> None:
        """There is something new in the outbox."""
        for name, event in self._wake.items():
            event.set()
            self._rested[name].clear()

    async def rested(self) -> None:
        """Until every channel has tried what there was when it was last woken."""
        for rested in self._rested.values():
            await rested.wait()

    async def stop(self, grace: float = 5.0) -> None:
        """End the workers; what is on its way has ``grace`` seconds to arrive, then it is sent again next time."""
        self._stopping = True
        workers = list(self._workers.values())
        self._workers.clear()
        self.wake()
        if workers:
            _, late = await asyncio.wait(workers, timeout=grace)
            for worker in late:
                worker.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def flush(self) -> bool:
        """Try what is due, all channels side by side; whether nothing failed and nothing waits any more.

        For a one-shot ``check --notify``. Raises StateError.
        """
        results = await asyncio.gather(*(self._round(name) for name in self._channels))
        waiting = [await asyncio.to_thread(self._outbox.next_due, name) for name in self._channels]
        return all(results) and all(at is None for at in waiting)

    async def _work(self, name: str) -> None:
        event = self._wake[name]
        while not self._stopping:
            event.clear()
            try:
                await self._round(name)
                nap = await self._nap(name)
            except StateError as error:
                log.error("channel %s: %s", name, error)
                nap = MAX_SLEEP
            except Exception as error:  # one fault must not end what is told here; its text may quote anything
                log.error("channel %s: an error of the exporter's own: %s", name, type(error).__name__)
                nap = MAX_SLEEP
            if not event.is_set():
                self._rested[name].set()
            if not self._stopping:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(nap):
                        await event.wait()

    async def _nap(self, name: str) -> float:
        at = await asyncio.to_thread(self._outbox.next_due, name)
        if at is None:
            return MAX_SLEEP
        return min(max(max(at, self._held_until(name)) - self._now(), 0.05), MAX_SLEEP)

    def _held_until(self, name: str) -> float:
        """When a channel may be tried again; one that asked for a pause before the clock was set back, at once."""
        since, until = self._asked.get(name, (0.0, 0.0))
        return until if since <= self._now() else 0.0

    async def _round(self, name: str) -> bool:
        """Send what is due, until nothing is; False when something could not be handed over."""
        all_sent = True
        while self._held_until(name) <= self._now():
            batch = await asyncio.to_thread(self._outbox.due, name, self._now())
            for outgoing in batch:
                all_sent = await self._send(self._channels[name], outgoing) and all_sent
                if self._stopping or self._held_until(name) > self._now():
                    return all_sent
            if not batch:
                return all_sent
        return False

    async def _send(self, channel: Channel, outgoing: QueuedMessage) -> bool:
        """One try of one message, marked as it went."""
        asked: float | None = None
        if outgoing.id in self._unmarked:
            await self._mark(channel, outgoing)
            return True
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await channel.send(outgoing)
        except DeliveryError as error:
            reason, message = error.reason, error.message
            permanent = not isinstance(error, TemporaryError)
            asked = error.retry_after if isinstance(error, TemporaryError) else None
        except TimeoutError:
            reason, message, permanent = FailureReason.TIMEOUT, f"it took longer than {SEND_TIMEOUT:g} s", False
        except Exception as error:
            # Only the kind of the error: its text may hold a URL that is a secret.
            reason, message, permanent = (
                FailureReason.OTHER,
                f"an error of the exporter's own: {type(error).__name__}",
                False,
            )
        else:
            self._unmarked.add(outgoing.id)
            await self._mark(channel, outgoing)
            return True
        now = self._now()
        if asked:
            self._asked[channel.name] = now, now + min(asked, LONGEST_ASKED)
        pause = pause_after(outgoing.attempts + 1, asked, self._spread())
        goes_on = await asyncio.to_thread(
            lambda: self._outbox.failed(outgoing.id, now, str(reason), now + pause, permanent=permanent)
        )
        self.problems[channel.name] = f"{reason}: {message}" if message else str(reason)
        level = logging.WARNING if goes_on else logging.ERROR
        what = f"tried again in {pause:.0f} s" if goes_on else "given up"
        log.log(level, "channel %s: message %s not delivered (%s), %s", channel.name, outgoing.id, reason, what)
        return False

    async def _mark(self, channel: Channel, outgoing: QueuedMessage) -> None:
        """Raises StateError on a full disk; then it is marked, not sent, when its turn comes again."""
        await asyncio.to_thread(self._outbox.sent, outgoing.id, self._now())
        self._unmarked.discard(outgoing.id)
        self.problems.pop(channel.name, None)
