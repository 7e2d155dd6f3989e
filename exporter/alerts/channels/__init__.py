"""Channels: one file per service that can tell somebody, behind one small protocol.

A channel sends what it is given, once, and says how that went; when to send, what to try again and
what to give up is ``delivery``'s business. Adding one is a file here, its config model, a line in
``build``, and its test.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from exporter.alerts.message import text
from exporter.alerts.values import Alert, Message, QueuedMessage
from exporter.alerts.values import NotificationReason as Why
from exporter.config import ConfigError
from exporter.config import channels as configured
from exporter.model import FailureReason

if TYPE_CHECKING:
    import httpx

#: The signed single-use link for one action (``acknowledge``, ``silence``) on one alert, in a message to the
#: channel of that name; None: there is none.
Links = Callable[[str, Alert, str], str | None]

#: What a person can do at a button, and what the button says.
_ACTIONS = {"acknowledge": "Acknowledge", "silence": "Silence"}


class DeliveryError(Exception):
    """A message that was not handed over. ``reason`` is a word for the metric's label; ``message`` is
    one sentence for a person and holds no secret and no URL."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(f"{reason}: {message}" if message else str(reason))
        self.reason = str(reason)
        self.message = message


class TemporaryError(DeliveryError):
    """It is worth trying again; ``retry_after`` is in seconds, where a pause was asked for."""

    def __init__(self, reason: str, retry_after: float | None = None, message: str = "") -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


class PermanentError(DeliveryError):
    """Trying again changes nothing: a person has to change something first."""


class Channel(Protocol):
    """One way to tell somebody. ``name`` is the configured one."""

    @property
    def name(self) -> str: ...

    async def send(self, outgoing: QueuedMessage) -> None:
        """Hand one message over, within a bounded time. Raises TemporaryError or PermanentError."""


@dataclass(frozen=True, slots=True)
class ScheduledMessage:
    """An alert for a channel's server to tell by itself at ``deliver_at`` (Unix seconds), unless it is taken back."""

    alert: Alert
    deliver_at: float


@runtime_checkable
class SchedulesMessages(Protocol):
    """A channel whose server can be given messages for later. ``reach``: for how much later, in seconds."""

    @property
    def name(self) -> str: ...

    @property
    def max_delay(self) -> float: ...

    async def schedule(
        self, planned: Iterable[ScheduledMessage], now: float, planted: MutableMapping[str, float]
    ) -> None:
        """Make ``planned`` all that the server holds. ``planted`` is what it holds already, kept by the caller
        across restarts: name to when it rings, 0 where that is not known; it is updated before and after each
        call. Raises TemporaryError or PermanentError; calling again goes on where it stopped."""


def no_links(action: str, alert: Alert, channel: str) -> str | None:
    """Links where nobody could follow one."""
    return None


@dataclass(frozen=True)
class ChannelContext:
    """What channels are made with beside their own configuration."""

    external_url: str = ""  # web.external_url; empty: there is no page to link to
    links: Links = no_links
    zone: ZoneInfo | None = None  # of times in texts, where the channel's quiet hours name none; None: UTC
    transport: httpx.AsyncBaseTransport | None = None  # tests put theirs here
    environment: Mapping[str, str] | None = None  # of commands; None: our own
    clock: Callable[[], float] = time.time

    def words(self, channel: configured.ChannelBase, message: Message, *, with_links: bool = False) -> text.Text:
        """A message in words, as of now, in the time zone of the person at that channel.

        ``with_links``: what other channels have buttons for is links in the text.
        """
        zone = ZoneInfo(channel.quiet_hours.timezone) if channel.quiet_hours else self.zone
        links = self.buttons(message) if with_links else ()
        return text.render(message, self.clock(), zone, self.external_url, links)

    def buttons(self, message: Message) -> list[tuple[str, str]]:
        """Label and link of each button: for one alert that somebody can still do something about."""
        if len(message.alerts) != 1 or message.alerts[0].reason.ends:
            return []
        alert = message.alerts[0]
        actions = [action for action in _ACTIONS if action == "acknowledge" or alert.reason is not Why.TEST]
        links = [(_ACTIONS[action], self.links(action, alert, message.channel)) for action in actions]
        return [(label, link) for label, link in links if link]


def secret(config: configured.ChannelBase, name: str) -> str | None:
    """A secret as it is now. TemporaryError where it cannot be read: a rotated file may be back soon."""
    try:
        return config.secret(name)
    except ConfigError as error:
        raise TemporaryError(FailureReason.OTHER, None, f"the channel's {name} cannot be read: {error}") from None


def build(config: configured.Channel, context: ChannelContext) -> Channel:
    """The channel that ``config`` describes. Imports what it needs, and nothing else.

    Raises ConfigError where what is configured cannot be used (a secret that cannot be read, an
    apprise URL that no service knows). An Alertmanager is none: it wants the state, see ``alertmanager``.
    """
    match config:
        case configured.NtfyChannel():
            from exporter.alerts.channels import ntfy

            return ntfy.build(config, context)
        case configured.WebhookChannel():
            from exporter.alerts.channels import webhook

            return webhook.build(config, context)
        case configured.AppriseChannel():
            from exporter.alerts.channels import apprise

            return apprise.build(config, context)
        case configured.OpenClawChannel():
            from exporter.alerts.channels import openclaw

            return openclaw.build(config, context)
        case configured.TermuxChannel():
            from exporter.alerts.channels import termux

            return termux.build(config, context)
        case configured.CommandChannel():
            from exporter.alerts.channels import command

            return command.build(config, context)
        case _:
            raise ValueError(f"a channel of type {config.type} is sent no messages")


__all__ = [
    "Channel",
    "ChannelContext",
    "DeliveryError",
    "FailureReason",
    "Links",
    "PermanentError",
    "ScheduledMessage",
    "SchedulesMessages",
    "TemporaryError",
    "build",
    "no_links",
    "secret",
]
