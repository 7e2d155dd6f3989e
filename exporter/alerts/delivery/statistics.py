"""What the outbox counts, for metrics and pages: per channel, and undeliverable messages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from exporter.lib.sqlite import Database


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """Counts of one channel over the life of the state file. Times are Unix seconds."""

    attempts: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)  # by reason
    undeliverable: int = 0
    pending: int = 0
    oldest_pending: float | None = None  # when the oldest pending message was made
    last_success: float | None = None
    last_acknowledged: float | None = None  # when a user last acknowledged through this channel


@dataclass(frozen=True, slots=True)
class UndeliverableMessage:
    """A message that is no longer retried, for the status page. Times are Unix seconds."""

    id: str
    channel: str
    made_at: float
    given_up_at: float
    reason: str
    alerts: int


class OutboxStatistics(Database):
    """The queries of an outbox for metrics and pages."""

    def statistics(self, channels: Iterable[str] = ()) -> dict[str, ChannelStatistics]:
        """By channel: those named, with zeros from the start, and all that were ever used."""
        failures: dict[str, dict[str, int]] = {}
        with self.transaction() as db:
            for name, reason, number in db.execute("SELECT channel, reason, count FROM failure ORDER BY reason"):
                failures.setdefault(name, {})[reason] = number
            rows = db.execute(
                """SELECT name, channel.attempts, undeliverable,
                          count(sequence), min(made_at), last_success, last_acknowledged
                   FROM channel LEFT JOIN message ON message.channel = name AND message.state = 'pending'
                   GROUP BY name"""
            )
            used = {name: ChannelStatistics(attempts, failures.get(name, {}), *rest) for name, attempts, *rest in rows}
        return {name: used.get(name, ChannelStatistics()) for name in dict.fromkeys((*channels, *used))}

    def undeliverable(self, limit: int = 100) -> list[UndeliverableMessage]:
        """Messages that became undeliverable in the last 30 days, the latest first."""
        rows = self.read(
            """SELECT id, channel, made_at, done_at, coalesce(reason, 'unknown'),
                      (SELECT count(*) FROM about WHERE about.sequence = message.sequence AND ends != 'withdrawn')
               FROM message WHERE state = 'dead' ORDER BY done_at DESC, sequence DESC LIMIT ?""",
            limit,
        )
        return [UndeliverableMessage(*row) for row in rows]

    def undelivered(self) -> dict[tuple[str, str], str]:
        """``pending`` or ``dead`` by channel and fingerprint, if the latest message about the alert did not arrive."""
        rows = self.read(
            """SELECT message.channel, fingerprint, message.state, max(message.sequence)
               FROM about JOIN message USING (sequence) WHERE message.state != 'superseded' AND ends != 'withdrawn'
               GROUP BY message.channel, fingerprint"""
        )
        return {(channel, fingerprint): state for channel, fingerprint, state, _ in rows if state != "delivered"}


def count(
    db: sqlite3.Connection, channel: str, attempts: int = 0, undeliverable: int = 0, failure: str | None = None
) -> None:
    """Add to a channel's counts; ``failure`` is the reason of a failed attempt."""
    db.execute("INSERT OR IGNORE INTO channel (name) VALUES (?)", (channel,))
    db.execute(
        "UPDATE channel SET attempts = attempts + ?, undeliverable = undeliverable + ? WHERE name = ?",
        (attempts, undeliverable, channel),
    )
    if failure is not None:
        db.execute(
            "INSERT INTO failure VALUES (?, ?, 1) ON CONFLICT (channel, reason) DO UPDATE SET count = count + 1",
            (channel, failure),
        )
