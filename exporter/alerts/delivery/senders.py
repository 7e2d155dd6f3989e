"""The channels of one configuration, ready to send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.alerts.channels import Channel, ChannelContext, Links, alertmanager, build, no_links
from exporter.alerts.channels.alertmanager import AlertmanagerSender
from exporter.config import Config, ConfigError
from exporter.config.channels.alertmanager import AlertmanagerChannel


@dataclass(frozen=True)
class Senders:
    """Channels by name: those that are notified of changes, and the Alertmanagers, which are sent the state."""

    channels: Mapping[str, Channel]
    alertmanagers: Mapping[str, AlertmanagerSender]


def build_senders(config: Config, links: Links = no_links) -> Senders:
    """The channels of ``config``. Raises ConfigError where one cannot be used."""
    context = ChannelContext(external_url=config.web.external_url, links=links)
    channels: dict[str, Channel] = {}
    alertmanagers: dict[str, AlertmanagerSender] = {}
    for channel in config.channels:
        try:
            if isinstance(channel, AlertmanagerChannel):
                alertmanagers[channel.name] = alertmanager.build(channel, context)
            else:
                channels[channel.name] = build(channel, context)
        except ConfigError as error:
            raise ConfigError(f"channel {channel.name}", error.problems) from None
    return Senders(channels, alertmanagers)
