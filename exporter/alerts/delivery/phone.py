"""What a phone shows: which alerts are in which notification, so that none stays there that is no longer true.

A notification is recorded before it is shown and forgotten after it was withdrawn. So, whatever is killed when,
everything that may be on the phone is recorded. ``shown_by`` and ``left_of`` decide (pure), ``PhoneRecord`` has the
queries, ``Phone`` shows and withdraws.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from exporter.alerts.channels import ReplacesNotifications, notification_of
from exporter.alerts.delivery.outbox import Outbox
from exporter.alerts.delivery.scheduled_messages import name_of
from exporter.alerts.values import Alert, Message, NotificationReason, QueuedMessage
from exporter.lib.sqlite import StateError
from exporter.lib.typed_json import dump, load

#: Seconds for which an end stays on the phone, and a summary or a test: nothing in them holds.
END_STAYS, SUMMARY_STAYS = 3600.0, 12 * 3600.0


@dataclass(frozen=True, slots=True)
class Shown:
    """One notification. The phone shows something else if it ``is_stale``."""

    message: Message
    is_stale: bool = False
    withdraw_at: float | None = None  # Unix seconds

    @property
    def fires(self) -> bool:
        """Whether it shows an alert that may still hold."""
        return any(map(fires, self.message.alerts))


def fires(alert: Alert) -> bool:
    """Whether an alert in a message may still hold."""
    return not alert.reason.ends and alert.reason is not NotificationReason.TEST


def shown_by(message: Message, now: float) -> Shown | None:
    """The notification of a message; None for a message that only withdraws."""
    if not message.alerts and not message.suppressed:
        return None
    shown = Shown(replace(message, withdrawn=()))
    if shown.fires:
        return shown
    is_end = any(alert.reason.ends for alert in message.alerts) and not message.suppressed
    return replace(shown, withdraw_at=now + (END_STAYS if is_end else SUMMARY_STAYS))


def left_of(shown: Shown, moved: frozenset[str]) -> Shown:
    """A notification without the alerts that a later message is about or withdraws, by fingerprint."""
    left = tuple(alert for alert in shown.message.alerts if alert.fingerprint not in moved)
    if len(left) == len(shown.message.alerts):
        return shown
    return replace(shown, message=replace(shown.message, alerts=left), is_stale=True)


class PhoneRecord:
    """The notifications of one channel in the outbox. Every method raises StateError."""

    def __init__(self, outbox: Outbox, channel: str) -> None:
        self._outbox = outbox
        self._channel = channel

    def note(self, name: str, shown: Shown) -> None:
        """Record what a notification is about to show."""
        with self._outbox.transaction() as db:
            self._write(db, name, shown)

    def settle(self, outgoing: QueuedMessage, now: float) -> None:
        """Take what a delivered message is about, or withdraws, out of all other notifications."""
        own, moved = notification_of(outgoing), outgoing.message.fingerprints | set(outgoing.message.withdrawn)
        with self._outbox.transaction() as db:
            for name in sorted(self._names(db, moved) - {own}):
                if (shown := self._read(db, name)) is not None:
                    self._write(db, name, left_of(shown, moved))
            for fingerprint in sorted(moved):
                self._take_over_scheduled(db, name_of(fingerprint), now)

    def due(self, now: float) -> dict[str, Shown]:
        """The notifications that must change: stale ones, ended ones, and those about alerts that are gone."""
        with self._outbox.transaction() as db:
            for name, gone in self._gone(db).items():
                if (shown := self._read(db, name)) is not None:
                    self._write(db, name, left_of(shown, frozenset(gone)))
            rows = db.execute(
                """SELECT name FROM phone_notification WHERE channel = ? AND (is_stale OR withdraw_at <= ?)
                   ORDER BY name""",
                (self._channel, now),
            ).fetchall()
            found = {name: self._read(db, name) for (name,) in rows}
        return {name: shown for name, shown in found.items() if shown is not None}

    def corrected(self, name: str, shown: Shown | None) -> None:
        """Record that the phone shows this, and is no longer stale; None: it was withdrawn."""
        with self._outbox.transaction() as db:
            if shown is None:
                self._delete(db, name)
            else:
                self._write(db, name, replace(shown, is_stale=False))

    def _names(self, db: sqlite3.Connection, fingerprints: Iterable[str]) -> set[str]:
        query = "SELECT name FROM phone_alert WHERE channel = ? AND fingerprint = ?"
        return {name for one in fingerprints for (name,) in db.execute(query, (self._channel, one))}

    def _gone(self, db: sqlite3.Connection) -> dict[str, set[str]]:
        """Alerts that are shown as firing although they have no state and no message is waiting, by notification."""
        found: dict[str, set[str]] = {}
        rows = db.execute(
            """SELECT name, fingerprint FROM phone_alert WHERE channel = ? AND fires
               AND NOT EXISTS (SELECT 1 FROM state WHERE state.fingerprint = phone_alert.fingerprint)
               AND NOT EXISTS (
                   SELECT 1 FROM about JOIN message USING (sequence)
                   WHERE about.fingerprint = phone_alert.fingerprint
                   AND message.channel = phone_alert.channel AND message.state = 'pending')""",
            (self._channel,),
        )
        for name, fingerprint in rows:
            found.setdefault(name, set()).add(fingerprint)
        return found

    def _take_over_scheduled(self, db: sqlite3.Connection, name: str, now: float) -> None:
        """A scheduled message that the server has delivered is a notification like others, which is now stale."""
        deleted = db.execute(
            "DELETE FROM scheduled_message WHERE channel = ? AND name = ? AND deliver_at > 0 AND deliver_at <= ?",
            (self._channel, name, now),
        )
        if deleted.rowcount:
            self._write(db, name, Shown(Message(self._channel, now), is_stale=True))

    def _read(self, db: sqlite3.Connection, name: str) -> Shown | None:
        """A notification; one that cannot be read is to be withdrawn."""
        row = db.execute(
            "SELECT body, is_stale, withdraw_at FROM phone_notification WHERE channel = ? AND name = ?",
            (self._channel, name),
        ).fetchone()
        if row is None:
            return None
        with suppress(ValueError):
            return Shown(load(Message, row[0]), bool(row[1]), row[2])
        return Shown(Message(self._channel, 0.0), is_stale=True)

    def _write(self, db: sqlite3.Connection, name: str, shown: Shown) -> None:
        self._delete(db, name)
        db.execute(
            "INSERT INTO phone_notification VALUES (?, ?, ?, ?, ?)",
            (self._channel, name, dump(shown.message), shown.is_stale, shown.withdraw_at),
        )
        db.executemany(
            "INSERT OR REPLACE INTO phone_alert VALUES (?, ?, ?, ?)",
            sorted((self._channel, alert.fingerprint, name, fires(alert)) for alert in shown.message.alerts),
        )

    def _delete(self, db: sqlite3.Connection, name: str) -> None:
        for table in ("phone_notification", "phone_alert"):
            db.execute(f"DELETE FROM {table} WHERE channel = ? AND name = ?", (self._channel, name))


class Phone:
    """Shows messages on a phone, and keeps its notifications true."""

    def __init__(self, outbox: Outbox, channel: ReplacesNotifications, now: Callable[[], float]) -> None:
        self._outbox = outbox
        self._channel = channel
        self._now = now
        self._record = PhoneRecord(outbox, channel.name)

    async def send(self, outgoing: QueuedMessage) -> None:
        """Show a message; one that only withdraws shows nothing. Raises DeliveryError."""
        shown, name = shown_by(outgoing.message, self._now()), notification_of(outgoing)
        if shown is None:
            return
        with suppress(StateError):  # a full disk must not delay a notification
            await self._outbox.run(self._record.note, name, shown)
        await self._channel.show(name, shown.message)

    def settle(self, outgoing: QueuedMessage) -> None:
        """Note what a message that was sent makes stale. Not for the event loop. Raises StateError."""
        self._record.settle(outgoing, self._now())

    async def correct(self) -> None:
        """Withdraw what no longer holds, and show again quietly what has lost alerts.

        Raises DeliveryError and StateError; another call continues where this one stopped.
        """
        now = self._now()
        for name, shown in (await self._outbox.run(self._record.due, now)).items():
            stays = shown.fires
            if stays:
                await self._channel.show(name, shown.message, quietly=True)
            else:
                await self._channel.withdraw(name)
            await self._outbox.run(self._record.corrected, name, shown if stays else None)
