"""Notification channels: one module per service, named after the channel's type, behind one small protocol.

A channel sends one message once and reports how that went. ``delivery`` decides when to send, when to try
again and when to stop. A module here needs ``build`` and a config model in ``exporter.config.channels``; it is
found by its name. Modules that start with an underscore are shared by channels.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, runtime_checkable
from zoneinfo import ZoneInfo

from exporter.alerts.message import text
from exporter.alerts.values import Alert, Message, NotificationReason, QueuedMessage
from exporter.config import ChannelBase, ConfigError
from exporter.config.secret_reader import SecretReader
from exporter.lib.known_secrets import KNOWN
from exporter.lib.zones import UTC
from exporter.model import FailureReason, Severity

if TYPE_CHECKING:
    import httpx

Configured = TypeVar("Configured", bound=ChannelBase)

#: Makes the link for one action on one alert, in a message to the channel with that name; None where there is none.
#: For ``acknowledge`` and ``silence`` it is signed and works once. For ``renew`` it is a plain link to a page, which
#: needs a sign-in.
Links = Callable[[str, Alert, str], str | None]

#: How many buttons a phone shows below a notification.
MAX_BUTTONS = 3
#: The actions of a message's buttons, and their labels.
_ACTIONS = {"renew": "Renew", "acknowledge": "Acknowledge", "silence": "Silence"}


class DeliveryError(Exception):
    """A message that was not delivered.

    ``reason`` is a value of the metric's label. ``message`` is one sentence for people and contains no secret and no
    URL. ``retry_after`` is the pause in seconds that the service asked for, if any.
    """

    def __init__(self, reason: str, message: str = "", retry_after: float | None = None) -> None:
        message = KNOWN.redact(message, of_ours=True)
        super().__init__(f"{reason}: {message}" if message else str(reason))
        self.reason = str(reason)
        self.message = message
        self.retry_after = retry_after


class TemporaryError(DeliveryError):
    """Another try may succeed."""


class PermanentError(DeliveryError):
    """Another try would fail too: a person has to change something first."""


class Channel(Protocol):
    """A channel that is notified of changes. ``name`` is the configured one."""

    @property
    def name(self) -> str: ...

    async def send(self, outgoing: QueuedMessage) -> None:
        """Deliver one message, within a bounded time. Raises TemporaryError or PermanentError."""


@dataclass(frozen=True, slots=True)
class ScheduledMessage:
    """An alert for a channel's server to deliver at ``deliver_at`` (Unix seconds), unless it is cancelled before."""

    alert: Alert
    deliver_at: float


@runtime_checkable
class SchedulesMessages(Protocol):
    """A channel whose server accepts messages for later, up to ``max_delay`` seconds from now."""

    @property
    def name(self) -> str: ...

    @property
    def max_delay(self) -> float: ...

    async def can_cancel(self, name: str) -> bool:
        """Whether the server can cancel messages; ``name`` may be used to find out, and is then cancelled."""

    async def schedule(self, name: str, message: ScheduledMessage) -> None:
        """Schedule a message, instead of an earlier one with that name. Raises TemporaryError or PermanentError."""

    async def cancel(self, name: str) -> None:
        """Cancel the message with that name, if it exists. Raises TemporaryError or PermanentError."""


@runtime_checkable
class ReplacesNotifications(Protocol):
    """A channel to a phone: a notification stays there under its name until it is replaced or withdrawn."""

    @property
    def name(self) -> str: ...

    async def show(self, notification: str, message: Message, *, quietly: bool = False) -> None:
        """Show a message instead of what the notification showed. Raises TemporaryError or PermanentError.

        ``quietly``: without a sound, and not at all where it would be one more notification.
        """

    async def withdraw(self, notification: str) -> None:
        """Take a notification away, if it is shown and that is possible. Raises TemporaryError or PermanentError."""


def notification_of(outgoing: QueuedMessage) -> str:
    """The name of the notification that shows a message: that of its only alert, else one of its own."""
    alerts = outgoing.message.alerts
    is_alert = len(alerts) == 1 and alerts[0].reason is not NotificationReason.TEST
    return alerts[0].fingerprint if is_alert else outgoing.id


def no_links(action: str, alert: Alert, channel: str) -> str | None:
    """``Links`` for an exporter without a page that a link could open."""
    return None


@dataclass(frozen=True)
class ChannelContext:
    """What all channels of one exporter share."""

    external_url: str = ""  # web.external_url; empty: there is no page to link to
    links: Links = no_links
    zone: ZoneInfo | None = None  # of times in texts, unless the channel's quiet hours name another; None: UTC
    transport: httpx.AsyncBaseTransport | None = None  # tests pass their own
    environment: Mapping[str, str] | None = None  # of commands; None: the exporter's own
    clock: Callable[[], float] = time.time

    def render(
        self,
        channel: ChannelBase,
        message: Message,
        *,
        with_links: bool = False,
        now: float | None = None,
        limit: int = text.LIMIT,
    ) -> text.Text:
        """Title and body of a message as of ``now``, in the time zone of the channel's quiet hours.

        ``with_links`` adds the links that other channels have as buttons to the body. ``limit`` is the longest body
        that the channel accepts, in bytes.
        """
        zone = channel.quiet_hours.zone(self.zone or UTC) if channel.quiet_hours else self.zone
        links = self.buttons(message, text.WORST) if with_links else ()
        return text.render(message, self.clock() if now is None else now, zone, self.external_url, links, limit)

    def buttons(self, message: Message, most: int = MAX_BUTTONS) -> list[tuple[str, str]]:
        """Label and link of each button, at most ``most``. An alert that ended needs none.

        In a group each critical alert has a button that acknowledges it, or the worst alert if none is critical.
        """
        firing = [alert for alert in text.in_order(message.alerts) if not alert.reason.ends]
        if len(firing) == 1:
            alert = firing[0]
            actions = ["acknowledge"] if alert.reason is NotificationReason.TEST else list(_ACTIONS)
            links = [(_ACTIONS[action], self.links(action, alert, message.channel)) for action in actions]
        else:
            urgent = [alert for alert in firing if alert.severity is Severity.CRITICAL] or firing[:1]
            links = [
                (f"{_ACTIONS['acknowledge']} {text.subject(alert)}", self.links("acknowledge", alert, message.channel))
                for alert in urgent[:most]
            ]
        return [(label, link) for label, link in links if link][:most]


class Sender(Generic[Configured]):
    """What the channels share: the configuration, the context, and the time limit of one request or command."""

    timeout = 15.0  # seconds

    def __init__(self, config: Configured, context: ChannelContext, timeout: float | None = None) -> None:
        self.name = config.name
        self.config = config
        self.context = context
        self.timeout = timeout or self.timeout
        self._secrets = SecretReader(config)

    async def secret(self, name: str) -> str | None:
        """The present value of a secret. Raises TemporaryError where it cannot be read: it may be back soon."""
        try:
            return await self._secrets.read(name)
        except ConfigError as error:
            raise TemporaryError(FailureReason.OTHER, f"the channel's {name} cannot be read: {error}") from None


def as_json(value: object) -> bytes:
    """``value`` as JSON in UTF-8, which cannot carry surrogates."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def build(config: ChannelBase, context: ChannelContext) -> Channel:
    """The channel that ``config`` describes, which is one that is notified of changes (``config.NOTIFIED``).

    Imports the module of its type, and no other. Raises ConfigError where the channel cannot be used: a secret
    that cannot be read, or an apprise URL that no service knows.
    """
    channel: Channel = importlib.import_module(f"{__name__}.{config.type}").build(config, context)
    return channel
