"""The outbox: alert states and the messages made from them, committed together in SQLite.

Whatever is killed when, either the new states and their messages are both there or neither is. A message is sent at
least once, under an id that never changes. The delivery worker takes messages out of the outbox.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from exporter.alerts.delivery import queue, settings
from exporter.alerts.delivery.statistics import OutboxStatistics, count
from exporter.alerts.lifecycle.arrivals import Outcome
from exporter.alerts.lifecycle.policy import Silence
from exporter.alerts.values import AlertState, Message, QueuedMessage, differ_only_in_wording
from exporter.lib import clock
from exporter.lib.sqlite import StateError
from exporter.lib.typed_json import dump, load
from exporter.state.alerts_db import SCHEMA
from exporter.state.lock import FileLock

FILE = "alerts.sqlite"  # in a state directory
DAY = 86400.0
#: How long delivery of a message is attempted, in seconds.
UNDELIVERABLE_AFTER = 3 * DAY
#: How long delivered and undeliverable messages and expired silences are kept, in seconds.
KEEP = 30 * DAY
#: How many new messages stay in memory, so that a first attempt need not parse ten thousand alerts again.
FRESH = 16


class Outbox(OutboxStatistics):
    """An open outbox. Every method is one short transaction; call them from an event loop through ``run``.

    Opening and every method raise StateError if the file cannot be read or written.
    """

    def __init__(self, path: Path | None, now: Callable[[], float] = clock.now, *, or_memory: bool = False) -> None:
        """Open ``path``; None keeps everything in memory, ``or_memory`` does so if the file cannot be used."""
        super().__init__(SCHEMA, path, now(), or_memory=or_memory)
        self._file_lock = FileLock(path if self.not_durable is None else None)
        self._written: dict[str, AlertState] | None = None
        self._fresh: dict[str, Message] = {}  # by id, until the first attempt
        self._pruned_at: float | None = None
        #: How many delivery attempts this process has recorded: once it differs, statistics are out of date.
        self.attempts_recorded = 0

    def close(self) -> None:
        super().close()
        self._file_lock.release()

    @property
    def problem(self) -> str | None:
        """That the file was damaged or is not written, as a sentence; None if all is well."""
        return self.not_durable or self.damage

    # --- one writer ------------------------------------------------------------------------

    def acquire_lock(self, owner: str) -> bool:
        """Become the only process that runs the lifecycle on this file; False if another process is.

        Held until ``release_lock`` or the end of the process, however it ends.
        """
        try:
            return self._file_lock.acquire(owner)
        except OSError as error:
            reason = (error.strerror or "error").lower()
            raise StateError(f"the alert state cannot be locked for writing: {reason}") from None

    def release_lock(self) -> None:
        self._file_lock.release()

    @property
    def lock_holder(self) -> str | None:
        """The owner that last acquired the lock, for messages."""
        return self._file_lock.holder()

    # --- states and messages ---------------------------------------------------------------

    def states(self) -> dict[str, AlertState]:
        """The alert states as last committed. A damaged one is left out, so its alert is sent again."""
        with self.transaction() as db:
            if self._written is None:
                self._written = _read_states(db)
            return dict(self._written)

    def commit(
        self,
        states: Mapping[str, AlertState],
        messages: Iterable[Message],
        now: float,
        tests_sent: Mapping[str, float] | None = None,
        noted: Iterable[int] = (),
    ) -> list[str]:
        """Write the new states, when test notifications were sent, and new messages: all or nothing.

        ``noted`` are the outcomes that the states follow. Returns the ids of the messages that were queued.
        """
        with self.transaction() as db:
            before = self._written if self._written is not None else _read_states(db)
            after = _write_states(db, before, states)
            db.executemany("REPLACE INTO test_notification VALUES (?, ?)", (tests_sent or {}).items())
            queue.note(db, noted)
            sent_before = (
                {state.fingerprint: state for state in before.values()} if (messages := list(messages)) else {}
            )
            queued = [one for m in messages if (one := queue.enqueue(db, m, sent_before, now)) is not None]
            pruned_at = self._pruned_at
            if pruned_at is None or abs(now - pruned_at) > DAY:
                _prune(db, now)
                pruned_at = now
            self._fresh |= queued
            for id in list(self._fresh)[:-FRESH]:
                del self._fresh[id]
        self._written, self._pruned_at = after, pruned_at
        return [id for id, _ in queued]

    def outcomes(self) -> dict[int, Outcome]:
        """What became of the messages that were finished since the last commit that noted it, by sequence."""
        with self.transaction() as db:
            return queue.outcomes(db)

    # --- the queue -------------------------------------------------------------------------

    def due(self, channel: str, now: float, limit: int = 20) -> list[QueuedMessage]:
        """The messages to send to a channel now, oldest first, no two about the same alert.

        A message waits for earlier ones about any of its alerts, and for no others.
        """
        with self.transaction() as db:
            # An attempt in the future means that the clock was set back: nothing waits for that.
            ready = (m for m in queue.unblocked(db, channel) if m.retry_at <= now or (m.tried_at or 0.0) > now)
            result = []
            for message in itertools.islice(ready, limit):
                query = "SELECT id, body, attempts FROM message WHERE sequence = ?"
                ((id, body, attempts),) = db.execute(query, (message.sequence,)).fetchall()
                try:
                    content = self._fresh.pop(id) if id in self._fresh else load(Message, body)
                    result.append(QueuedMessage(id, content, attempts))
                except ValueError:
                    self._finish(db, id, "dead", now, "unreadable")
        return result

    def next_due(self, channel: str) -> float | None:
        """When the next message to a channel may be sent, in Unix seconds; None if none is waiting."""
        with self.transaction() as db:
            return min((message.retry_at for message in queue.unblocked(db, channel)), default=None)

    def sent(self, id: str, now: float) -> None:
        """Record that a message was delivered."""
        self.attempts_recorded += 1
        with self.transaction() as db:
            channel = self._finish(db, id, "delivered", now)
            if channel is not None:
                count(db, channel, attempts=1)

    def failed(self, id: str, now: float, reason: str, retry_at: float, *, permanent: bool = False) -> bool:
        """Record a failed attempt. False if the message is now undeliverable: ``permanent``, or too old to retry."""
        self.attempts_recorded += 1
        with self.transaction() as db:
            row = db.execute("SELECT channel, made_at, state FROM message WHERE id = ?", (id,)).fetchone()
            if row is None:
                return False
            channel, made_at, state = row
            count(db, channel, attempts=1, failure=reason)
            if state != "pending":
                return False
            if permanent or now - made_at >= UNDELIVERABLE_AFTER:
                self._finish(db, id, "dead", now, reason)
                return False
            db.execute(
                "UPDATE message SET attempts = attempts + 1, reason = ?, tried_at = ?, retry_at = ? WHERE id = ?",
                (reason, now, min(retry_at, max(made_at + UNDELIVERABLE_AFTER, now)), id),
            )
            return True

    def _finish(
        self,
        db: sqlite3.Connection,
        id: str,
        state: Literal["delivered", "dead"],
        now: float,
        reason: str | None = None,
    ) -> str | None:
        if state == "dead":
            self._fresh.clear()  # an end that waited for this message may change
        return queue.finish(db, id, state, now, reason)

    def use_channels(self, channels: Mapping[str, str], now: float) -> int:
        """Note the channels there are, with their settings; returns how many messages wait for others.

        These become undeliverable. What a channel lost is tried again at once if its settings are new.
        """
        with self.transaction() as db:
            waiting = db.execute("SELECT id, channel FROM message WHERE state = 'pending'").fetchall()
            removed = [id for id, channel in waiting if channel not in channels]
            for id in removed:
                self._finish(db, id, "dead", now, "channel_removed")
            settings.note_settings(db, channels, now)
        return len(removed)

    def last_usable(self) -> dict[str, float | None]:
        """When each channel last delivered a message or got new settings, the later of the two, in Unix seconds."""
        with self.transaction() as db:
            return settings.last_usable(db)

    def exporter_name(self, configured: str) -> str:
        """Who this exporter is in alerts. ``configured`` wins; the default is kept from the first call on."""
        with self.transaction() as db:
            return settings.exporter_name(db, configured)

    # --- metrics and pages -----------------------------------------------------------------

    def message(self, id: str) -> Message | None:
        """The message with this id; None if there is none, or it is damaged."""
        rows = self.read("SELECT body FROM message WHERE id = ?", id)
        with suppress(ValueError):
            return load(Message, rows[0][0]) if rows else None
        return None

    def count_failure(self, channel: str, reason: str) -> None:
        """Count a failed use of a channel that was no attempt to deliver a message."""
        with self.transaction() as db:
            count(db, channel, attempts=1, failure=reason)

    # --- test notifications and scheduled messages -----------------------------------------

    def tests_sent(self) -> dict[str, float]:
        """When each channel was last sent its test notification, in Unix seconds."""
        return dict(self.read("SELECT channel, sent_at FROM test_notification ORDER BY channel"))

    def scheduled(self, channel: str) -> dict[str, float]:
        """The messages scheduled on a channel's server: name to when it delivers them, 0 if that is not known."""
        query = "SELECT name, deliver_at FROM scheduled_message WHERE channel = ? ORDER BY name"
        return dict(self.read(query, channel))

    def schedule(self, channel: str, name: str, deliver_at: float | None) -> None:
        """Record a message that is scheduled on a channel's server; None: it no longer is."""
        with self.transaction() as db:
            if deliver_at is None:
                db.execute("DELETE FROM scheduled_message WHERE channel = ? AND name = ?", (channel, name))
            else:
                db.execute("REPLACE INTO scheduled_message VALUES (?, ?, ?)", (channel, name, deliver_at))

    # --- silences and acknowledgements -----------------------------------------------------

    def add_silence(self, matchers: Mapping[str, str], until: float, reason: str, now: float) -> Silence:
        """Silence matching alerts until ``until``."""
        with self.transaction() as db:
            silence = Silence(queue.next_id(db, "silence", now), dict(matchers), until, reason, now)
            db.execute(
                "INSERT INTO silence VALUES (?, ?, ?, ?, ?)",
                (silence.id, json.dumps(silence.matchers, sort_keys=True), until, reason, now),
            )
        return silence

    def remove_silence(self, id: str) -> bool:
        """End a silence early; False if there is none with this id."""
        with self.transaction() as db:
            return db.execute("DELETE FROM silence WHERE id = ?", (id,)).rowcount > 0

    def silences(self, now: float) -> tuple[Silence, ...]:
        """The silences in effect."""
        rows = self.read("SELECT id, matchers, until, reason, created_at FROM silence WHERE until > ? ORDER BY id", now)
        return tuple(Silence(id, json.loads(matchers), *rest) for id, matchers, *rest in rows)

    def acknowledge(self, fingerprint: str, now: float, channel: str | None = None) -> bool:
        """Acknowledge an alert, through ``channel`` if that is known; False if no such alert fires."""
        with self.transaction() as db:
            rows = db.execute("SELECT key, body FROM state WHERE fingerprint = ?", (fingerprint,))
            known = any(state.firing for state in _load_states(rows).values())
            if known:
                db.execute("REPLACE INTO acknowledgement VALUES (?, ?)", (fingerprint, now))
            if channel is not None:
                _note_acknowledged(db, channel, now)
        return known

    def acknowledge_test(self, channel: str, now: float) -> None:
        """Record that a user acknowledged the test notification of a channel."""
        with self.transaction() as db:
            _note_acknowledged(db, channel, now)

    def acknowledged(self, now: float | None = None) -> dict[str, float]:
        """Fingerprint to when it was acknowledged, in Unix seconds.

        ``now`` limits these times after the clock was set back: what gets worse from now on got worse after the
        acknowledgement.
        """
        with self.transaction() as db:
            if now is not None:
                db.execute("UPDATE acknowledgement SET at = ? WHERE at > ?", (now, now))
            return dict(db.execute("SELECT fingerprint, at FROM acknowledgement ORDER BY fingerprint").fetchall())


def open_outbox(directory: Path | None, now: Callable[[], float] = clock.now, *, or_memory: bool = False) -> Outbox:
    """The outbox in a state directory, or in memory without a directory.

    Raises StateError where the file cannot be used; with ``or_memory`` the outbox is in memory then, and its
    ``problem`` says so.
    """
    return Outbox(directory / FILE if directory is not None else None, now, or_memory=or_memory)


def _read_states(db: sqlite3.Connection) -> dict[str, AlertState]:
    return _load_states(db.execute("SELECT key, body FROM state ORDER BY key"))


def _load_states(rows: Iterable[tuple[str, str]]) -> dict[str, AlertState]:
    """States by key; a damaged one is left out."""
    states = {}
    for key, body in rows:
        with suppress(ValueError):
            states[key] = load(AlertState, body)
    return states


def _write_states(
    db: sqlite3.Connection, before: Mapping[str, AlertState], states: Mapping[str, AlertState]
) -> dict[str, AlertState]:
    """Write what changed. Returns the states as stored: one that differs in wording only is not written again."""
    stored = {
        key: old if (old := before.get(key)) is not None and differ_only_in_wording(old, state) else state
        for key, state in states.items()
    }
    db.executemany("DELETE FROM state WHERE key = ?", [(key,) for key in before.keys() - stored.keys()])
    db.executemany(
        "INSERT INTO state VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body",
        [(s.key, s.fingerprint, dump(s)) for key, s in stored.items() if before.get(key) is not s],
    )
    return stored


def _note_acknowledged(db: sqlite3.Connection, channel: str, now: float) -> None:
    count(db, channel)
    db.execute("UPDATE channel SET last_acknowledged = ? WHERE name = ?", (now, channel))


def _prune(db: sqlite3.Connection, now: float) -> None:
    """Delete what was finished long ago, except what is about an alert that still fires."""
    db.execute(
        """DELETE FROM message WHERE state != 'pending' AND done_at < ? AND NOT EXISTS (
               SELECT 1 FROM about JOIN state ON state.fingerprint = about.fingerprint
               WHERE about.sequence = message.sequence)""",
        (now - KEEP,),
    )
    db.execute("DELETE FROM about WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.sequence = about.sequence)")
    db.execute("DELETE FROM silence WHERE until < ?", (now - KEEP,))
    db.execute(
        """DELETE FROM acknowledgement WHERE at < ? AND NOT EXISTS (
               SELECT 1 FROM state WHERE state.fingerprint = acknowledgement.fingerprint)""",
        (now - KEEP,),
    )
