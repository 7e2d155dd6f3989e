"""Delivery to one channel: a worker takes messages out of the outbox, sends them and marks them.

At least once: a message is marked after it was sent, so that a message that was sent by a process which died
before marking it is sent again, with the same id. Each channel has a worker, so that none delays another.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable

from exporter.alerts.channels import Channel, DeliveryError, PermanentError, ReplacesNotifications, TemporaryError
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.delivery.phone import Phone
from exporter.alerts.values import QueuedMessage
from exporter.lib import tasks
from exporter.lib.redact import internal_error
from exporter.lib.sqlite import StateError
from exporter.lib.supervisor import SupervisedTask, Supervisor
from exporter.model import FailureReason

log = logging.getLogger(__name__)

#: Pauses between tries in seconds: the first, and the longest.
FIRST_PAUSE, MAX_PAUSE = 2.0, 600.0
#: The longest pause that a server can ask for, in seconds.
MAX_ASKED_PAUSE = 86400.0
#: The longest time that sending one message may take, in seconds. Channels have tighter limits of their own.
SEND_TIMEOUT = 120.0
#: The longest sleep of a worker in seconds, because the clock may be set meanwhile.
MAX_SLEEP = 30.0


def pause_after(attempts: int, asked: float | None, spread: float = 1.0) -> float:
    """Seconds until the next try after ``attempts`` failures: doubling, and at least what the server ``asked`` for."""
    grown = min(FIRST_PAUSE * 2.0 ** min(attempts - 1, 30), MAX_PAUSE) * spread
    return max(grown, min(asked, MAX_ASKED_PAUSE)) if asked is not None else grown


async def attempt(sending: Awaitable[None]) -> DeliveryError | None:
    """Await one attempt to send a message; returns the error, None if it was delivered. Raises StateError."""
    try:
        async with asyncio.timeout(SEND_TIMEOUT):
            await sending
    except DeliveryError as error:
        return error
    except TimeoutError:
        return TemporaryError(FailureReason.TIMEOUT, f"it took longer than {SEND_TIMEOUT:g} s")
    except StateError:
        raise
    except Exception as error:
        return TemporaryError(FailureReason.OTHER, internal_error(error, "sending a message"))
    return None


class ChannelWorker:
    """Delivers the messages that an outbox holds for one channel."""

    def __init__(
        self,
        outbox: Outbox,
        channel: Channel,
        now: Callable[[], float] = time.time,
        spread: Callable[[], float] = lambda: random.uniform(0.8, 1.2),
        supervisor: Supervisor | None = None,
    ) -> None:
        self._outbox = outbox
        self._channel = channel
        self._phone = Phone(outbox, channel, now) if isinstance(channel, ReplacesNotifications) else None
        self._now = now
        self._spread = spread
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._supervisor = supervisor or Supervisor()
        self._task: SupervisedTask | None = None
        self._stopping = False
        self._pause = 0.0, 0.0  # that the channel asked for: from, until
        self._corrections_failed = 0  # in a row
        self._correction_pause = 0.0, 0.0  # after a failed one: from, until
        self._unmarked: dict[str, QueuedMessage] = {}  # sent, but the outbox could not be written
        #: The last failure as a sentence, for the status page; None once a message is delivered.
        self.problem: str | None = None

    def start(self) -> None:
        """Begin to deliver, first what an earlier process left."""
        self._stopping = False
        self._task = self._supervisor.start(f"channel {self._channel.name}", self._run)

    def wake(self) -> None:
        """Look for new messages in the outbox now."""
        self._wake.set()
        self._idle.clear()

    async def wait_until_idle(self) -> None:
        """Return when every message that was in the outbox at the last ``wake`` has been tried."""
        await self._idle.wait()

    async def stop(self, grace: float = 5.0) -> None:
        """End the worker. A message that is being sent has ``grace`` seconds; after that it is sent again next time."""
        self._stopping = True
        self.wake()
        if self._task is not None:
            await self._task.stop(grace)
        with contextlib.suppress(StateError):  # there may be room by now
            for outgoing in list(self._unmarked.values()):
                await self._mark(outgoing)

    async def flush(self) -> bool:
        """Try the messages that are due; returns whether none failed and none is left. Raises StateError."""
        all_sent = await self._send_due()
        await self._correct()
        return all_sent and await self._outbox.run(self._outbox.next_due, self._channel.name) is None

    async def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            pause = MAX_SLEEP
            try:
                await self._send_due()
                await self._correct()
                pause = await self._time_to_next()
            except StateError as error:
                log.error("channel %s: %s", self._channel.name, error)
            if not self._wake.is_set():
                self._idle.set()
            if not self._stopping:
                await tasks.wait_at_most(self._wake, pause)

    async def _time_to_next(self) -> float:
        at = await self._outbox.run(self._outbox.next_due, self._channel.name)
        if at is None:
            return MAX_SLEEP
        return min(max(max(at, self._until(self._pause)) - self._now(), 0.05), MAX_SLEEP)

    def _until(self, pause: tuple[float, float]) -> float:
        """When a pause ends. One that begins in the future is from before a clock change."""
        since, until = pause
        return until if since <= self._now() else 0.0

    async def _send_due(self) -> bool:
        """Send until nothing is due; returns False when a message could not be sent."""
        all_sent = True
        while self._until(self._pause) <= self._now():
            batch = await self._outbox.run(self._outbox.due, self._channel.name, self._now())
            if not batch:
                return all_sent
            batch.reverse()
            while batch:
                all_sent = await self._send(batch[-1]) and all_sent
                await asyncio.to_thread(batch.pop)  # freeing a message about ten thousand alerts takes a while
                if self._stopping or self._until(self._pause) > self._now():
                    return all_sent
        return False

    async def _send(self, outgoing: QueuedMessage) -> bool:
        """One try of one message, and its mark in the outbox."""
        if outgoing.id not in self._unmarked:
            error = await attempt((self._phone or self._channel).send(outgoing))
            if error is not None:
                await self._mark_failed(outgoing, error)
                return False
            self._unmarked[outgoing.id] = outgoing
        # On a full disk this raises StateError. The message is then marked, not sent, when it is due again.
        await self._mark(outgoing)
        self.problem = None
        return True

    async def _mark(self, outgoing: QueuedMessage) -> None:
        await self._outbox.run(self._mark_sent, outgoing)
        self._unmarked.pop(outgoing.id, None)

    def _mark_sent(self, outgoing: QueuedMessage) -> None:
        if self._phone is not None:
            self._phone.settle(outgoing)
        self._outbox.sent(outgoing.id, self._now())

    async def _correct(self) -> None:
        """Correct what a phone shows. A failure is counted, and tried again later."""
        now = self._now()
        if self._phone is None or self._stopping or max(map(self._until, (self._pause, self._correction_pause))) > now:
            return
        error = await attempt(self._phone.correct())
        if error is None:
            self._corrections_failed = 0
            return
        self._corrections_failed += 1
        pause = pause_after(self._corrections_failed, error.retry_after, self._spread())
        self._correction_pause = now, now + pause
        if error.retry_after:
            self._pause = self._correction_pause
        level = logging.WARNING if self._corrections_failed == 1 else logging.DEBUG
        log.log(level, "channel %s: a notification could not be withdrawn (%s)", self._channel.name, error)
        await self._outbox.run(self._outbox.count_failure, self._channel.name, error.reason)

    async def _mark_failed(self, outgoing: QueuedMessage, error: DeliveryError) -> None:
        now, asked = self._now(), error.retry_after
        if asked:
            self._pause = now, now + min(asked, MAX_ASKED_PAUSE)
        pause = pause_after(outgoing.attempts + 1, asked, self._spread())
        is_permanent = isinstance(error, PermanentError)
        is_retried = await self._outbox.run(
            lambda: self._outbox.failed(outgoing.id, now, error.reason, now + pause, permanent=is_permanent)
        )
        self.problem = str(error)
        level = logging.WARNING if is_retried else logging.ERROR
        what = f"next try in {pause:.0f} s" if is_retried else "undeliverable"
        log.log(level, "channel %s: message %s not sent (%s), %s", self._channel.name, outgoing.id, error.reason, what)
