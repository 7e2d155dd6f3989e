"""Everything that sends notifications for one configuration; a reload replaces it as a whole.

``build_senders`` makes its channels, ``Delivery`` runs them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from exporter.alerts.channels import Channel, ChannelContext, Links, alertmanager, build, no_links, webhook
from exporter.alerts.delivery.alertmanager_publisher import AlertmanagerPublisher
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.delivery.scheduled_messages import ScheduledMessages
from exporter.alerts.delivery.statistics import ChannelStatistics
from exporter.alerts.delivery.worker import ChannelWorker
from exporter.alerts.values import States
from exporter.config import Config, ConfigError
from exporter.config.channels import ChannelBase
from exporter.config.channels.alertmanager import AlertmanagerChannel
from exporter.config.channels.webhook import WebhookChannel
from exporter.lib.supervisor import Supervisor


@dataclass(frozen=True)
class Senders:
    """Channels by name: those that are notified of changes, and the Alertmanagers, which are sent the state."""

    channels: Mapping[str, Channel]
    alertmanagers: Mapping[str, alertmanager.AlertmanagerSender]
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)  # by channel; with the secrets


def build_senders(config: Config, links: Links = no_links) -> Senders:
    """The channels of ``config``. Raises ConfigError with every problem of those that cannot be used."""
    context = ChannelContext(external_url=config.web.external_url, links=links, zone=config.zone())
    channels: dict[str, Channel] = {}
    alertmanagers: dict[str, alertmanager.AlertmanagerSender] = {}
    problems: list[str] = []
    for channel in config.channels:
        try:
            if isinstance(channel, AlertmanagerChannel):
                alertmanagers[channel.name] = alertmanager.build(channel, context)
            else:
                channels[channel.name] = build(channel, context)
        except ConfigError as error:
            problems += [f"channel {channel.name}: {problem}" for problem in error.problems]
    if problems:
        raise ConfigError("", problems)
    return Senders(channels, alertmanagers, {c.name: settings_of(c) for c in config.channels if c.name in channels})


def settings_of(channel: ChannelBase) -> str:
    """All settings of a channel as one text, to notice a change. Raises ConfigError."""
    secrets = [channel.read_secret(name) for name in channel.secrets()]
    return json.dumps([channel.model_dump_json(), *secrets])


def warnings(config: Config) -> list[str]:
    """A sentence for each channel whose messages its service will refuse."""
    found = []
    for channel in config.channels:
        if isinstance(channel, WebhookChannel):
            with contextlib.suppress(ConfigError):
                advice = webhook.advice(channel.read_secret("url") or "")
                found += [f"channel {channel.name}: {advice}"] if advice else []
    return found


class Delivery:
    """A worker per channel, a publisher per Alertmanager, and the scheduled messages."""

    def __init__(
        self, senders: Senders, outbox: Outbox, now: Callable[[], float], supervisor: Supervisor | None = None
    ) -> None:
        supervisor = supervisor or Supervisor()
        self._workers = {
            name: ChannelWorker(outbox, channel, now, supervisor=supervisor)
            for name, channel in senders.channels.items()
        }
        self._publishers = {
            name: AlertmanagerPublisher(sender, now, supervisor) for name, sender in senders.alertmanagers.items()
        }
        self.scheduled = ScheduledMessages(outbox, senders.channels, now, supervisor)
        #: The channels that are notified of changes, with their settings.
        self.channels = {name: senders.settings.get(name, "") for name in senders.channels}

    def take_over(self, previous: Delivery) -> None:
        """Continue what the Alertmanagers of ``previous`` were sent."""
        for name, publisher in self._publishers.items():
            if name in previous._publishers:
                publisher.take_over(previous._publishers[name])

    def start(self, states: States) -> None:
        for worker in self._workers.values():
            worker.start()
        for publisher in self._publishers.values():
            publisher.start(states)

    async def stop(self, grace: float = 5.0) -> None:
        """End workers and publishers. A message that is being sent has ``grace`` seconds to arrive."""
        await asyncio.gather(
            *(worker.stop(grace) for worker in self._workers.values()),
            *(publisher.stop() for publisher in self._publishers.values()),
        )

    def wake(self) -> None:
        """Send the new messages in the outbox."""
        for worker in self._workers.values():
            worker.wake()

    def update(self, states: States) -> None:
        """Publish the present states to the Alertmanagers."""
        for publisher in self._publishers.values():
            publisher.update(states)

    async def wait_until_idle(self) -> None:
        """Return when every message that was in the outbox at the last ``wake`` has been tried."""
        for worker in self._workers.values():
            await worker.wait_until_idle()

    async def flush(self, before: States, after: States, ends_after: float) -> bool:
        """Send and publish once, without ``start``; returns whether nothing failed and nothing is left.

        Raises StateError.
        """
        delivered = await asyncio.gather(
            *(worker.flush() for worker in self._workers.values()),
            *(publisher.publish_once(before, after, ends_after) for publisher in self._publishers.values()),
        )
        return all(delivered)

    def statistics(self, stored: Mapping[str, ChannelStatistics]) -> dict[str, ChannelStatistics]:
        """The statistics of every channel: those ``stored`` in the outbox, and those of the Alertmanagers."""
        found = dict(stored)
        for name, publisher in self._publishers.items():
            acknowledged = stored[name].last_acknowledged if name in stored else None
            found[name] = replace(publisher.statistics, last_acknowledged=acknowledged)
        return found

    def problems(self) -> dict[str, str]:
        """The last failure of each channel that has not delivered since, as a sentence."""
        workers = {name: worker.problem for name, worker in self._workers.items()}
        publishers = {name: publisher.problem for name, publisher in self._publishers.items()}
        return {name: problem for name, problem in (workers | publishers).items() if problem is not None}
