"""Scheduled messages: a channel's server delivers a deadline's alert on its own, in case the exporter is down then.

``passed_deadlines`` and ``plan`` decide (pure), ``ScheduledMessages`` keeps the servers as planned. A failure here
is counted and logged, and never delays a message.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping
from typing import Any

from exporter.alerts.channels import Channel, DeliveryError, ScheduledMessage, SchedulesMessages
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.lifecycle.compose import alert_of
from exporter.alerts.lifecycle.policy import EPSILON, AlertPolicy, ChannelPolicy
from exporter.alerts.lifecycle.states import begin_states
from exporter.alerts.values import AlertState, NotificationReason, States
from exporter.lib import tasks
from exporter.lib.redact import internal_error
from exporter.lib.sqlite import StateError
from exporter.lib.supervisor import Supervisor
from exporter.model import ConditionName, FailureReason, Report, Severity

log = logging.getLogger(__name__)

#: The report of one target as of a later moment, evaluated from today's facts.
AsOf = Callable[[str, float], Report]

#: How many deadlines are scheduled on one channel, the soonest ones. A server accepts only so many, and a person
#: who comes for the first sees the others.
MAX_SCHEDULED = 20
#: Seconds after a deadline at which its message is delivered. A running exporter notifies at once, and cancels it.
GRACE = 900.0
#: Seconds between two updates of the schedule: less than ``GRACE``, so that a renewed credential is cancelled in time.
UPDATE_EVERY = 300.0
#: Seconds until a server that failed is tried again, and the longest time that one update may take.
PAUSE, TIMEOUT = 600.0, 120.0


def passed_deadlines(
    states: States, report: Report, as_of: AsOf, policy: AlertPolicy, now: float, max_delay: float
) -> list[AlertState]:
    """The alert states of the soonest deadlines within ``max_delay`` seconds, as of when these have passed."""
    deadlines = {
        (profile.expires_at, agent.target)
        for agent, profile in report.profiles
        if not profile.ignored and profile.expires_at is not None and now < profile.expires_at <= now + max_delay
    }
    found: list[AlertState] = []
    for deadline, target in sorted(deadlines)[:MAX_SCHEDULED]:
        at = deadline + EPSILON
        of_target = {key: state for key, state in states.items() if state.subject.target == target}
        passed = begin_states(of_target, as_of(target, at), policy, at)
        found += (state for state in passed if state.condition is ConditionName.EXPIRED and state.deadline == deadline)
    return found[:MAX_SCHEDULED]


def plan(
    passed: Iterable[AlertState],
    policy: AlertPolicy,
    channel: ChannelPolicy,
    now: float,
    max_delay: float,
    grace: float,
) -> list[ScheduledMessage]:
    """The messages of ``passed`` that a channel would be sent, and when its server must deliver them."""
    planned = []
    for state in passed:
        assert state.deadline is not None
        deliver_at = state.deadline + grace
        if policy.escalate_after is not None and state.severity is Severity.CRITICAL:
            deliver_at += channel.step * policy.escalate_after
        is_wanted = channel.accepts(state.severity) and channel.route.fits(state)
        if not is_wanted or policy.is_silenced(state, deliver_at):
            continue
        deliver_at = channel.next_allowed(state.severity, deliver_at)
        if deliver_at <= now + max_delay:
            planned.append(ScheduledMessage(alert_of(state, NotificationReason.FIRST, deliver_at), deliver_at))
    return planned


def name_of(fingerprint: str) -> str:
    """The name of the scheduled message about an alert. The fingerprint differs between exporters."""
    return f"d-{fingerprint}"


def needed_later(states: States, policy: AlertPolicy, channel: ChannelPolicy, now: float) -> frozenset[str]:
    """The names of the scheduled messages that are needed even after they were delivered.

    Those are about alerts that hold, are not silenced, and of whose condition the channel has not been notified.
    """
    return frozenset(
        name_of(state.fingerprint)
        for state in states.values()
        if state.firing
        and ((last := state.notified.get(channel.name)) is None or last.condition is not state.condition)
        and not policy.is_silenced(state, now)
    )


async def synchronize(
    channel: SchedulesMessages,
    planned: Iterable[ScheduledMessage],
    needed: Collection[str],
    scheduled: Mapping[str, float],
    record: Callable[[str, float | None], Awaitable[None]],
    now: float,
) -> None:
    """Make ``planned`` all that the channel's server has scheduled: replace what moved, cancel the rest.

    What was delivered is cancelled too, which takes it off the phones, except where it is ``needed``: then the next
    message about its alert does that. ``scheduled`` is what the server has: name to delivery time, 0 where that is
    not known. ``record`` stores a change (None: cancelled) before and after each request, because the process may
    be killed in between. A server that cannot cancel is sent nothing. Raises DeliveryError; another call continues
    where this one stopped.
    """
    by_name = {name_of(message.alert.fingerprint): message for message in planned}
    for name, at in scheduled.items():
        was_delivered = 0.0 < at <= now
        if name not in (needed if was_delivered else by_name):
            await channel.cancel(name)
            await record(name, None)
    for name, message in by_name.items():
        if scheduled.get(name) == message.deliver_at:
            continue
        if not await channel.can_cancel(name):
            return
        await record(name, 0.0)
        await channel.schedule(name, message)
        await record(name, message.deliver_at)


class ScheduledMessages:
    """Keeps the messages that the channels' servers have scheduled as planned."""

    def __init__(
        self,
        outbox: Outbox,
        channels: Mapping[str, Channel],
        now: Callable[[], float],
        supervisor: Supervisor | None = None,
    ) -> None:
        self._outbox = outbox
        self._channels = {name: channel for name, channel in channels.items() if isinstance(channel, SchedulesMessages)}
        self._now = now
        self._retry_at: dict[str, float] = {}  # by channel
        self._supervisor = supervisor or Supervisor()
        self._task: asyncio.Task[None] | None = None
        self._updated_at: float | None = None

    @property
    def max_delay(self) -> float:
        """The longest time ahead that any channel accepts, in seconds; 0 if none schedules messages."""
        return max((channel.max_delay for channel in self._channels.values()), default=0.0)

    def update_in_background(self, states: States, report: Report, as_of: AsOf, policy: AlertPolicy) -> None:
        """Start an update, unless one is running or the last one is less than ``UPDATE_EVERY`` seconds ago."""
        now = self._now()
        is_recent = self._updated_at is not None and 0 <= now - self._updated_at < UPDATE_EVERY
        if self.is_busy or is_recent or not self._can_update(report, policy):
            return
        self._updated_at = now
        self._start(self.update(states, report, as_of, policy))

    def take_over(self, previous: ScheduledMessages, changed: Iterable[str], done: Callable[[], None]) -> None:
        """Start to cancel what ``previous`` scheduled on channels that have ``changed``, and call ``done`` afterwards.

        No update starts meanwhile.
        """
        channels = [previous._channels[name] for name in changed if name in previous._channels]
        if channels or previous.is_busy:
            self._start(previous._finish(channels))
            if self._task is not None:
                self._task.add_done_callback(lambda _: done())

    @property
    def is_busy(self) -> bool:
        return self._task is not None and not self._task.done()

    async def stop(self, grace: float = 5.0) -> None:
        """End a running update, which has ``grace`` seconds to complete, so that what it did is recorded."""
        await tasks.end(self._task, grace=grace)

    async def update(
        self, states: States, report: Report, as_of: AsOf, policy: AlertPolicy, grace: float = GRACE
    ) -> None:
        """Bring every channel's server in line with the deadlines of ``report``.

        Does nothing while the report is incomplete: a deadline that is not known yet would be cancelled.
        """
        if not self._can_update(report, policy):
            return
        now = self._now()
        passed = await asyncio.to_thread(passed_deadlines, states, report, as_of, policy, now, self.max_delay)
        due = [
            (
                self._channels[rules.name],
                plan(passed, policy, rules, now, self._channels[rules.name].max_delay, grace),
                needed_later(states, policy, rules, now),
            )
            for rules in policy.channels
            if rules.name in self._channels and not now < self._retry_at.get(rules.name, 0.0) <= now + PAUSE
        ]
        await asyncio.gather(*(self._synchronize(*work, now) for work in due))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = self._supervisor.begin("updating the scheduled messages", work)

    def _can_update(self, report: Report, policy: AlertPolicy) -> bool:
        return self.max_delay > 0 and policy.is_complete(report)

    async def _finish(self, cancelled: Iterable[SchedulesMessages]) -> None:
        """End a running update, then cancel everything on the channels that are gone."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*(self._synchronize(channel, [], (), self._now()) for channel in cancelled))

    async def _synchronize(
        self, channel: SchedulesMessages, planned: list[ScheduledMessage], needed: Collection[str], now: float
    ) -> None:
        async def record(name: str, deliver_at: float | None) -> None:
            await self._outbox.run(self._outbox.schedule, channel.name, name, deliver_at)

        reason = FailureReason.OTHER.value
        try:
            async with asyncio.timeout(TIMEOUT):
                scheduled = await self._outbox.run(self._outbox.scheduled, channel.name)
                await synchronize(channel, planned, needed, scheduled, record, now)
            return
        except DeliveryError as error:
            reason, why = error.reason, str(error)
            self._retry_at[channel.name] = now + min(max(error.retry_after or 0.0, PAUSE / 10), PAUSE)
        except TimeoutError:
            reason, why = FailureReason.TIMEOUT.value, f"it took longer than {TIMEOUT:g} s"
        except StateError as error:
            why = str(error)
        except Exception as error:
            why = internal_error(error, "scheduling messages")
        log.warning("channel %s: a message could not be scheduled or cancelled (%s)", channel.name, why)
        try:
            await self._outbox.run(self._outbox.count_failure, channel.name, reason)
        except StateError as error:
            log.error("%s", error)
