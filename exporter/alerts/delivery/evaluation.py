"""One evaluation: runs the lifecycle on the alert states in the outbox, and commits new states and messages there."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Mapping

from exporter.alerts import lifecycle
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.lifecycle.arrivals import settle
from exporter.alerts.lifecycle.invariants import doubts
from exporter.alerts.lifecycle.policy import AlertPolicy, Renew, no_steps
from exporter.alerts.lifecycle.test_notifications import due_tests, next_test_at
from exporter.alerts.message.places import with_places
from exporter.alerts.values import AlertState, Message
from exporter.config import Config
from exporter.model import Report

log = logging.getLogger(__name__)


class Evaluator:
    """Holds the alert states of one outbox and evaluates reports against them.

    The process must hold the outbox's lock. Every method raises StateError.
    """

    def __init__(self, config: Config, outbox: Outbox, renew: Renew = no_steps) -> None:
        self.config = config
        self._renew = renew
        self._outbox = outbox
        self._tests_sent: dict[str, float] = {}
        self.states: dict[str, AlertState] = {}
        #: How many silences were active at the last evaluation.
        self.silences = 0

    async def load(self, channels: Mapping[str, str], now: float) -> None:
        """Take over the states that an earlier process left. ``channels`` have their settings, see the outbox."""

        def load() -> None:
            self.states, self._tests_sent = self._outbox.states(), self._outbox.tests_sent()
            self._outbox.use_channels(channels, now)

        await self._outbox.run(load)

    async def policy(self, now: float) -> AlertPolicy:
        """The alert policy as of ``now``, with the silences and acknowledgements of the outbox."""

        policy = await self._outbox.run(policy_of, self.config, self._outbox, now, self._renew)
        self.silences = len(policy.silences)
        return policy

    async def evaluate(self, report: Report, policy: AlertPolicy, now: float) -> tuple[bool, float | None]:
        """One evaluation, committed. Returns whether there are new messages, and when time alone makes the next."""

        outcomes = await self._outbox.run(self._outbox.outcomes)

        def advance() -> tuple[dict[str, AlertState], dict[str, float], list[Message], float | None]:
            before = settle(self.states, outcomes.values(), now) if outcomes else self.states
            states, messages = lifecycle.advance(before, report, policy, now)
            if log.isEnabledFor(logging.DEBUG):
                for sentence in doubts(messages, before, report, policy):
                    log.warning("a message cannot be believed, please report it: %s", sentence)
            sent, tests = due_tests(self._tests_sent, states, report, policy, now)
            times = lifecycle.next_event(states, report, policy, now), next_test_at(sent, report, policy, now)
            return (
                states,
                sent,
                [*with_places(messages, report), *tests],
                min((at for at in times if at is not None), default=None),
            )

        async with _without_garbage_collection():
            states, sent, messages, next_at = await asyncio.to_thread(advance)
            tests_sent = sent if sent != self._tests_sent else None
            await self._outbox.run(self._outbox.commit, states, messages, now, tests_sent, list(outcomes))
        self.states, self._tests_sent = states, sent
        return bool(messages), next_at


def policy_of(config: Config, outbox: Outbox, now: float, renew: Renew = no_steps) -> AlertPolicy:
    """The alert policy as of ``now``, with what ``outbox`` knows. Raises StateError."""
    return AlertPolicy.of(
        config,
        outbox.silences(now),
        outbox.acknowledged(now),
        renew,
        exporter=outbox.exporter_name(config.name),
        last_success=outbox.last_usable(),
    )


@contextlib.asynccontextmanager
async def _without_garbage_collection() -> AsyncIterator[None]:
    """An evaluation of ten thousand alerts makes no cycles, and searching it for some takes as long as itself.

    What it made is searched once, in a thread: otherwise the event loop would do that.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        try:
            await asyncio.to_thread(gc.collect, 1)  # also if the outbox could not be written
        finally:
            gc.enable()
