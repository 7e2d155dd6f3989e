"""What receives the messages of a history: channels that may fail, and a phone."""

from __future__ import annotations

from dataclasses import dataclass, field

from exporter.alerts.values import Message


@dataclass
class Channel:
    """How a channel behaves, and what it has not delivered yet."""

    mode: str = "works"  # or "refuses": every message is undeliverable; or "hangs"
    queue: list[Message] = field(default_factory=list)
    last_success: float | None = None


@dataclass
class Phone:
    """One notification per alert, replaced or taken away, by fingerprint. An end is there for an hour at most."""

    shown: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)  # away, without a new notification

    def show(self, message: Message, arrives: bool) -> None:
        """What the delivery takes away, because no alert that fires is on it, needs no message that arrives."""
        if arrives:
            self.shown |= {alert.fingerprint for alert in message.alerts if not alert.reason.ends}
        self.shown -= {alert.fingerprint for alert in message.alerts if alert.reason.ends}
        self.shown -= set(message.withdrawn)
        self.taken = (self.taken - message.fingerprints) | set(message.withdrawn)
