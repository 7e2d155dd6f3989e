"""What the outbox has counted, for metrics and pages: per channel, and what was given up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """What metrics say of one channel. Counts are over the life of the state file; times Unix seconds."""

    attempts: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)  # by reason
    undeliverable: int = 0
    pending: int = 0
    oldest_pending: float | None = None  # when the oldest that waits was made
    last_success: float | None = None
    last_acknowledged: float | None = None  # when a person last acknowledged through it


@dataclass(frozen=True, slots=True)
class UndeliverableMessage:
    """A message that was given up, for the status page."""

    id: str
    channel: str
    made_at: float
    given_up_at: float
    reason: str
    alerts: int


def read_statistics(db: sqlite3.Connection, channels: Iterable[str]) -> dict[str, ChannelStatistics]:
    """Per channel, those named (with zeros) and those ever used."""
    kept = {row[0]: row[1:] for row in db.execute("SELECT name, attempts, dead, last_success, proven FROM channel")}
    failures: dict[str, dict[str, int]] = {}
    for name, reason, count in db.execute("SELECT channel, reason, count FROM failure ORDER BY reason"):
        failures.setdefault(name, {})[reason] = count
    waiting = {
        name: (count, oldest)
        for name, count, oldest in db.execute(
            "SELECT channel, count(*), min(made_at) FROM message WHERE state = 'pending' GROUP BY channel"
        )
    }
    result = {}
    for name in dict.fromkeys((*channels, *kept, *waiting)):
        attempts, dead, success, proven = kept.get(name, (0, 0, None, None))
        pending, oldest = waiting.get(name, (0, None))
        result[name] = ChannelStatistics(attempts, failures.get(name, {}), dead, pending, oldest, success, proven)
    return result


def read_undeliverable(db: sqlite3.Connection, limit: int) -> list[UndeliverableMessage]:
    """What was given up, the latest first."""
    rows = db.execute(
        """SELECT id, channel, made_at, done_at, reason,
                  (SELECT count(*) FROM about WHERE about.sequence = message.sequence)
           FROM message WHERE state = 'dead' ORDER BY done_at DESC, sequence DESC LIMIT ?""",
        (limit,),
    ).fetchall()
    return [UndeliverableMessage(row[0], row[1], row[2], row[3], row[4] or "unknown", row[5]) for row in rows]


def read_undelivered(db: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """Of each alert whose latest message to a channel did not arrive: (channel, fingerprint) to pending or dead."""
    rows = db.execute(
        """SELECT message.channel, fingerprint, message.state, max(message.sequence)
           FROM about JOIN message USING (sequence) WHERE message.state != 'superseded'
           GROUP BY message.channel, fingerprint"""
    )
    return {(channel, fingerprint): state for channel, fingerprint, state, _ in rows if state != "delivered"}


def count(db: sqlite3.Connection, channel: str, attempts: int = 0, dead: int = 0, failure: str | None = None) -> None:
    """Add to a channel's counts."""
    db.execute("INSERT OR IGNORE INTO channel (name) VALUES (?)", (channel,))
    db.execute("UPDATE channel SET attempts = attempts + ?, dead = dead + ? WHERE name = ?", (attempts, dead, channel))
    if failure is not None:
        db.execute(
            "INSERT INTO failure VALUES (?, ?, 1) ON CONFLICT (channel, reason) DO UPDATE SET count = count + 1",
            (channel, failure),
        )
