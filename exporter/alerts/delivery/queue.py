"""The queue of messages in an outbox: into it, out of it, and what became of each. Inside an open transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Literal, NamedTuple

from exporter.alerts.delivery.statistics import count
from exporter.alerts.delivery.ulid import next_ulid
from exporter.alerts.lifecycle.arrivals import Outcome, entries
from exporter.alerts.values import AlertState, Message, NotificationReason
from exporter.lib.typed_json import dump, load

#: Superseded by any newer message about the same alert. (A test is about its channel.)
SUPERSEDED = frozenset({NotificationReason.REMINDER, NotificationReason.REPEAT, NotificationReason.TEST})
#: Whether a message that ends an alert is sent in any case, or only if something about the alert arrives before it.
CERTAIN, CONDITIONAL = "certain", "conditional"
#: Marks an alert whose notification a message only takes away.
WITHDRAWN = "withdrawn"


class Waiting(NamedTuple):
    sequence: int
    retry_at: float
    tried_at: float | None


def unblocked(db: sqlite3.Connection, channel: str) -> Iterator[Waiting]:
    """Pending messages that wait for no earlier message about one of their alerts, oldest first."""
    blocked: set[str] = set()
    rows = db.execute(
        "SELECT sequence, retry_at, tried_at FROM message WHERE channel = ? AND state = 'pending' ORDER BY sequence",
        (channel,),
    ).fetchall()
    for message in map(Waiting._make, rows):
        about = _about(db, message.sequence)
        if about.isdisjoint(blocked):
            yield message
        blocked |= about


def next_id(db: sqlite3.Connection, table: Literal["message", "silence"], now: float) -> str:
    (last,) = db.execute(f"SELECT max(id) FROM {table}").fetchone()
    return next_ulid(now, last)


def enqueue(
    db: sqlite3.Connection, message: Message, states: Mapping[str, AlertState], now: float
) -> tuple[str, Message] | None:
    """Queue a message; returns its id, and the message as it was queued.

    ``states`` by fingerprint say what of its alerts has arrived. The end of an alert of which nothing has arrived,
    and nothing is on its way, is left out. None if nothing is left.
    """
    ends = {
        alert.fingerprint: _end(db, message.channel, states.get(alert.fingerprint))
        for alert in message.alerts
        if alert.reason.ends
    }
    if None in ends.values():
        alerts = tuple(alert for alert in message.alerts if ends.get(alert.fingerprint, CERTAIN) is not None)
        message = replace(message, alerts=alerts)
        if not (alerts or message.suppressed or message.withdrawn):
            return None
    id = next_id(db, "message", now)
    sequence = db.execute(
        "INSERT INTO message (id, channel, body, made_at, retry_at, has_suppressed) VALUES (?, ?, ?, ?, ?, ?)",
        (id, message.channel, dump(message), message.at, now, bool(message.suppressed)),
    ).lastrowid
    count(db, message.channel)
    _supersede(db, message)
    rows = [
        (sequence, alert.fingerprint, alert.reason in SUPERSEDED, ends.get(alert.fingerprint) or "")
        for alert in message.alerts
    ]
    shown = message.fingerprints
    rows += [(sequence, fingerprint, True, WITHDRAWN) for fingerprint in message.withdrawn if fingerprint not in shown]
    db.executemany(
        "INSERT OR REPLACE INTO about (sequence, fingerprint, droppable, superseded, ends) VALUES (?, ?, ?, 0, ?)",
        # In the order of the index: ten thousand then take half the time.
        sorted(rows),
    )
    return id, message


def _end(db: sqlite3.Connection, channel: str, state: AlertState | None) -> str | None:
    """Whether the end of an alert is sent: in any case, if something arrives before it, or not at all."""
    chain = entries(state.notified.get(channel)) if state is not None else []
    if not chain or any(entry.has_arrived for entry in chain):
        return CERTAIN
    query = "SELECT state FROM message WHERE channel = ? AND made_at = ? AND state IN ('pending', 'delivered')"
    found = {row for entry in chain for (row,) in db.execute(query, (channel, entry.at))}
    if "delivered" in found:
        return CERTAIN
    return CONDITIONAL if found else None


def _supersede(db: sqlite3.Connection, message: Message) -> None:
    """Drop waiting reminders, repeats, tests and withdrawals about alerts that ``message`` is newer about.

    Only whole messages are dropped: the content behind an id never changes.
    """
    waiting = db.execute(
        "SELECT sequence FROM message WHERE channel = ? AND state = 'pending' AND NOT has_suppressed",
        (message.channel,),
    ).fetchall()
    fingerprints = message.fingerprints.union(message.withdrawn)
    for (sequence,) in waiting:
        rows = db.execute(
            "SELECT fingerprint, droppable, superseded FROM about WHERE sequence = ?", (sequence,)
        ).fetchall()
        if not any(droppable for _, droppable, _ in rows):
            continue
        newly = [(sequence, row[0]) for row in rows if row[0] in fingerprints]
        db.executemany("UPDATE about SET superseded = 1 WHERE sequence = ? AND fingerprint = ?", newly)
        if all(droppable and (superseded or row in fingerprints) for row, droppable, superseded in rows):
            _drop(db, sequence, message.at)


def _drop(db: sqlite3.Connection, sequence: int, now: float) -> None:
    db.execute("UPDATE message SET state = 'superseded', done_at = ? WHERE sequence = ?", (now, sequence))


def finish(
    db: sqlite3.Connection, id: str, state: Literal["delivered", "dead"], now: float, reason: str | None = None
) -> str | None:
    """Take a message out of the queue. Returns its channel, or None if there is no such message."""
    row = db.execute(
        """UPDATE message SET state = ?, done_at = ?, attempts = attempts + 1, reason = coalesce(?, reason)
           WHERE id = ? RETURNING channel, sequence""",
        (state, now, reason, id),
    ).fetchone()
    if row is None:
        return None
    channel, sequence = str(row[0]), int(row[1])
    if state == "delivered":
        db.execute("UPDATE channel SET last_success = ? WHERE name = ?", (now, channel))
    else:
        count(db, channel, undeliverable=1)
        # After the clock was set back, an earlier success must not seem to follow this loss.
        db.execute(
            "UPDATE channel SET last_success = min(last_success, ?), changed_at = min(changed_at, ?) WHERE name = ?",
            (now, now, channel),
        )
    for fingerprint in _about(db, sequence):
        _decide_end(db, channel, sequence, fingerprint, state == "delivered", now)
    return channel


def _decide_end(
    db: sqlite3.Connection, channel: str, sequence: int, fingerprint: str, has_arrived: bool, now: float
) -> None:
    """Decide about the end that waits for a message about its alert, once that has arrived or died."""
    later = db.execute(
        """SELECT sequence, ends FROM about JOIN message USING (sequence)
           WHERE fingerprint = ? AND sequence > ? AND channel = ? AND state = 'pending' ORDER BY sequence""",
        (fingerprint, sequence, channel),
    ).fetchall()
    place = next((place for place, (_, ends) in enumerate(later) if ends in (CERTAIN, CONDITIONAL)), None)
    if place is None or later[place][1] == CERTAIN:
        return
    if has_arrived:
        db.execute(
            "UPDATE about SET ends = ? WHERE sequence = ? AND fingerprint = ?",
            (CERTAIN, later[place][0], fingerprint),
        )
    elif place == 0:  # nothing else about the alert is on its way
        _take_out(db, later[place][0], fingerprint, now)


def _take_out(db: sqlite3.Connection, sequence: int, fingerprint: str, now: float) -> None:
    """Remove an alert from a message. It waited for an earlier one, so it has never been tried."""
    ((body,),) = db.execute("SELECT body FROM message WHERE sequence = ?", (sequence,)).fetchall()
    with suppress(ValueError):
        message = load(Message, body)
        left = replace(message, alerts=tuple(a for a in message.alerts if a.fingerprint != fingerprint))
        db.execute("DELETE FROM about WHERE sequence = ? AND fingerprint = ?", (sequence, fingerprint))
        if left.alerts or left.suppressed or left.withdrawn:
            db.execute("UPDATE message SET body = ? WHERE sequence = ?", (dump(left), sequence))
        else:
            _drop(db, sequence, now)


def outcomes(db: sqlite3.Connection) -> dict[int, Outcome]:
    """What became of the messages that were finished and are not noted yet, by sequence."""
    rows = db.execute(
        """SELECT sequence, channel, made_at, state, done_at FROM message
           WHERE state != 'pending' AND NOT noted ORDER BY sequence"""
    ).fetchall()
    return {
        sequence: Outcome(channel, at, frozenset(_about(db, sequence)), state, done_at)
        for sequence, channel, at, state, done_at in rows
    }


def note(db: sqlite3.Connection, sequences: Iterable[int]) -> None:
    """Record that the states follow what became of these messages."""
    db.executemany("UPDATE message SET noted = 1 WHERE sequence = ?", [(sequence,) for sequence in sequences])


def _about(db: sqlite3.Connection, sequence: int) -> set[str]:
    """The fingerprints of the alerts in a message."""
    return {one for (one,) in db.execute("SELECT fingerprint FROM about WHERE sequence = ?", (sequence,))}
