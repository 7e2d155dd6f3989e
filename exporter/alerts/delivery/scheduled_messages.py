"""Planting: deadlines that a channel's server tells by itself should we be dead when they pass.

``passed`` and ``plan`` decide (pure), ``ScheduledMessages`` keeps the servers as planned. What goes wrong here
is counted and logged, and never in the way of a message.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field

from exporter.alerts.channels import Channel, DeliveryError, ScheduledMessage, SchedulesMessages, TemporaryError
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.lifecycle.compose import alert_of
from exporter.alerts.lifecycle.policy import EPSILON, AlertPolicy, ChannelPolicy
from exporter.alerts.lifecycle.states import begin_states
from exporter.alerts.values import AlertState, NotificationReason
from exporter.lib.sqlite import StateError
from exporter.model import ConditionName, Report, Severity
from exporter.model import FailureReason as Why

log = logging.getLogger(__name__)

#: The report of one target as it would be at a later moment, judged from today's facts.
AsOf = Callable[[str, float], Report]

#: How many deadlines are planted on one channel, the soonest: a server has only so much patience, and
#: whoever comes for the first finds the others.
MOST = 20
#: How long after a deadline a planted message rings: we tell it ourselves at once, if we live. Seconds.
GRACE = 900.0
#: How often the plan is made anew, seconds: less than ``GRACE``, so that what is renewed does not ring.
EVERY = 300.0
#: How long a server that refused is left alone, and how long it may take at all, seconds.
PAUSE, TIMEOUT = 600.0, 120.0


def passed(
    states: Mapping[str, AlertState], report: Report, as_of: AsOf, policy: AlertPolicy, now: float, reach: float
) -> list[AlertState]:
    """What the lifecycle will have of the soonest deadlines within ``reach`` seconds when they have passed."""
    ends = {
        (profile.expires_at, target.target)
        for target in report.targets
        for agent in target.agents
        for profile in agent.profiles
        if not profile.ignored and profile.expires_at is not None and now < profile.expires_at <= now + reach
    }
    found: list[AlertState] = []
    for deadline, target in sorted(ends)[:MOST]:
        at = deadline + EPSILON
        theirs = {key: state for key, state in states.items() if state.subject.target == target}
        ended = begin_states(theirs, as_of(target, at), policy, at)
        found += (state for state in ended if state.condition is ConditionName.EXPIRED and state.deadline == deadline)
    return found[:MOST]


def plan(
    ended: Iterable[AlertState], policy: AlertPolicy, channel: ChannelPolicy, now: float, reach: float, grace: float
) -> list[ScheduledMessage]:
    """What of ``ended`` a channel would be told of, and when its server is to ring."""
    planned = []
    for state in ended:
        assert state.deadline is not None
        deliver_at = state.deadline + grace
        if policy.escalate_after is not None and state.severity is Severity.CRITICAL:
            deliver_at += channel.step * policy.escalate_after
        if state.severity.rank < channel.min_severity.rank or policy.is_silenced(state, deliver_at):
            continue
        deliver_at = channel.next_allowed(state.severity, deliver_at)
        if deliver_at <= now + reach:
            planned.append(ScheduledMessage(alert_of(state, NotificationReason.FIRST, deliver_at), deliver_at))
    return planned


@dataclass
class _WrittenDown(MutableMapping[str, float]):
    """What is planted on one channel, each change written down before the next call: we may be killed between."""

    outbox: Outbox
    channel: str
    known: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        self.known = self.outbox.scheduled(self.channel)

    def __getitem__(self, name: str) -> float:
        return self.known[name]

    def __setitem__(self, name: str, deliver_at: float) -> None:
        self.outbox.schedule(self.channel, name, deliver_at)
        self.known[name] = deliver_at

    def __delitem__(self, name: str) -> None:
        self.outbox.schedule(self.channel, name, None)
        del self.known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)


class ScheduledMessages:
    """Keeps what is planted as planned, on the channels that can."""

    def __init__(self, outbox: Outbox, channels: Mapping[str, Channel], now: Callable[[], float]) -> None:
        self._outbox = outbox
        self._channels = {name: channel for name, channel in channels.items() if isinstance(channel, SchedulesMessages)}
        self._now = now
        self._again: dict[str, float] = {}  # channel -> when it may be tried again

    @property
    def max_delay(self) -> float:
        """Seconds ahead that can be planted anywhere; 0 where nowhere."""
        return max((channel.max_delay for channel in self._channels.values()), default=0.0)

    async def keep(
        self,
        states: Mapping[str, AlertState],
        report: Report,
        as_of: AsOf,
        policy: AlertPolicy,
        grace: float = GRACE,
    ) -> None:
        """Plant what is new, replace what moved, take back what is over."""
        now = self._now()
        ended = await asyncio.to_thread(passed, states, report, as_of, policy, now, self.max_delay)
        due = [
            (self._channels[one.name], plan(ended, policy, one, now, self._channels[one.name].max_delay, grace))
            for one in policy.channels
            if one.name in self._channels and not now < self._again.get(one.name, 0.0) <= now + PAUSE
        ]
        await asyncio.gather(*(self._plant(channel, planned, now) for channel, planned in due))

    async def withdraw(self, names: Iterable[str]) -> None:
        """Take back all that is planted on channels that are no longer configured as they were."""
        there = [self._channels[name] for name in names if name in self._channels]
        await asyncio.gather(*(self._plant(channel, [], self._now()) for channel in there))

    async def _plant(self, channel: SchedulesMessages, planned: list[ScheduledMessage], now: float) -> None:
        reason = Why.OTHER.value
        try:
            async with asyncio.timeout(TIMEOUT):
                await channel.schedule(planned, now, _WrittenDown(self._outbox, channel.name))
            return
        except DeliveryError as error:
            reason, why = error.reason, str(error)
            asked = error.retry_after if isinstance(error, TemporaryError) else None
            self._again[channel.name] = now + min(max(asked or 0.0, PAUSE / 10), PAUSE)
        except TimeoutError:
            reason = Why.TIMEOUT.value
            why = f"it took longer than {TIMEOUT:g} s"
        except StateError as error:
            why = str(error)
        except Exception as error:  # its text may hold a URL that is a secret
            why = f"an error of the exporter's own: {type(error).__name__}"
        log.warning("channel %s: a deadline could not be planted or taken back (%s)", channel.name, why)
        try:
            await asyncio.to_thread(self._outbox.count_failure, channel.name, reason)
        except StateError as error:
            log.error("%s", error)
