"""The outbox: alert states and the messages made of them, committed together in SQLite.

Whatever is killed when, either both the new states and their messages are there or neither is: what
was decided is sent, at least once, under an id that stays the same. ``delivery`` takes messages out.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from exporter.alerts.delivery.statistics import (
    ChannelStatistics,
    UndeliverableMessage,
    count,
    read_statistics,
    read_undeliverable,
    read_undelivered,
)
from exporter.alerts.delivery.ulid import next_ulid
from exporter.alerts.lifecycle.policy import Silence
from exporter.alerts.values import (
    AlertState,
    Message,
    NotificationReason,
    QueuedMessage,
    differ_in_words_only,
    dump,
    load_message,
    load_state,
)
from exporter.lib.sqlite import StateError
from exporter.state.alerts_db import AlertDatabase, transaction
from exporter.state.lock import FileLock

__all__ = ["UNDELIVERABLE_AFTER", "ChannelStatistics", "Outbox", "UndeliverableMessage"]

DAY = 86400.0
#: How long a message is tried, in seconds.
UNDELIVERABLE_AFTER = 3 * DAY
#: How long what is done with is kept, in seconds.
KEEP = 30 * DAY
#: So many messages are kept at hand as they were made: a first try need not read ten thousand alerts back.
FRESH = 16
#: What nobody needs any more once something newer is said of the same alert (a test: of the same channel).
SUPERSEDED = frozenset({NotificationReason.REMINDER, NotificationReason.REPEAT, NotificationReason.TEST})


class Outbox:
    """An open outbox. Usable from several threads; every method is one short transaction.

    Raises StateError, on opening and from every method, where the disk is full or cannot be written.
    """

    def __init__(self, path: Path | None, now: Callable[[], float] = time.time) -> None:
        self._lock = threading.RLock()
        self._database = AlertDatabase.open(path, now())
        self.lost: str | None = None  # why there is no file, for who meant there to be one
        self._file_lock = FileLock(path)
        self._written: dict[str, AlertState] | None = None
        self._fresh: dict[str, Message] = {}  # by id, until it is tried
        self._pruned_at: float | None = None
        #: How often a try to deliver was written down, by us: what is counted is older where this is another.
        self.tries = 0

    def close(self) -> None:
        with self._lock:  # a transaction on its way ends first
            self._database.close()
            self._file_lock.release()

    @property
    def problem(self) -> str | None:
        """That a file was set aside, or cannot be written, as a sentence; None while all is well."""
        return self.lost or self._database.problem

    @property
    def _db(self) -> sqlite3.Connection:
        return self._database.connection

    def fall_back_to_memory(self, why: str) -> None:
        """See Database: no alarm waits for room on a disk."""
        with self._lock:
            self._database.fall_back_to_memory(why)

    def restore_to_disk(self) -> None:
        with self._lock:
            self._database.restore_to_disk()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, transaction(self._db, self._lock) as db:
            yield db

    # --- one writer ------------------------------------------------------------------------

    def acquire_lock(self, owner: str) -> bool:
        """Become the one process that runs the lifecycle on this file; False where another is.

        Held until ``release_lock`` or the end of the process, however it ends.
        """
        try:
            return self._file_lock.acquire(owner)
        except OSError as error:
            why = (error.strerror or "error").lower()
            raise StateError(f"the alert state cannot be locked for writing: {why}") from None

    def release_lock(self) -> None:
        self._file_lock.release()

    @property
    def lock_holder(self) -> str | None:
        """Who last took the lease, for a person."""
        return self._file_lock.holder()

    # --- states and messages ---------------------------------------------------------------

    def states(self) -> dict[str, AlertState]:
        """The alert states as last committed. One that cannot be read is left out: its alert is told anew."""
        with self._transaction() as db:
            if self._written is None:
                self._written = _read_states(db)
            return dict(self._written)

    def commit(
        self,
        states: Mapping[str, AlertState],
        messages: Iterable[Message],
        now: float,
        tests_sent: Mapping[str, float] | None = None,
    ) -> list[str]:
        """Write the new states (and when proofs were told) and enqueue ``messages``, all or nothing.

        Returns the messages' ids.
        """
        messages = list(messages)
        with self._transaction() as db:
            before = self._written if self._written is not None else _read_states(db)
            after = _difference(before, states)
            _write_states(db, before, after)
            db.executemany("REPLACE INTO proof VALUES (?, ?)", (tests_sent or {}).items())
            ids = [self._enqueue(db, message, now) for message in messages]
            pruned_at = self._pruned_at
            if pruned_at is None or abs(now - pruned_at) > DAY:
                _prune(db, now)
                pruned_at = now
            for id, message in zip(ids, messages, strict=True):
                self._fresh[id] = message
            for id in list(self._fresh)[:-FRESH]:
                del self._fresh[id]
        self._written, self._pruned_at = after, pruned_at
        return ids

    def _enqueue(self, db: sqlite3.Connection, message: Message, now: float) -> str:
        (last,) = db.execute("SELECT max(id) FROM message").fetchone()
        ulid = next_ulid(now, last)
        sequence = db.execute(
            "INSERT INTO message (id, channel, body, made_at, retry_at, has_missed) VALUES (?, ?, ?, ?, ?, ?)",
            (ulid, message.channel, dump(message), now, now, bool(message.suppressed)),
        ).lastrowid
        _supersede(db, message)
        db.executemany(
            "INSERT OR REPLACE INTO about VALUES (?, ?, ?, 0)",
            # In the index's order: ten thousand then take half the time.
            sorted((sequence, alert.fingerprint, alert.reason in SUPERSEDED) for alert in message.alerts),
        )
        return ulid

    # --- the queue -------------------------------------------------------------------------

    def due(self, channel: str, now: float, limit: int = 20) -> list[QueuedMessage]:
        """What is to be sent to a channel now, oldest first, no two about the same alert.

        A message waits for earlier ones about any of its alerts, not for others.
        """
        with self._transaction() as db:
            free = (one for one in _free(db, channel) if one.retry_at <= now or (one.tried_at or 0.0) > now)
            chosen = [one.sequence for one in itertools.islice(free, limit)]
            rows = [
                db.execute("SELECT id, body, attempts FROM message WHERE sequence = ?", (sequence,)).fetchone()
                for sequence in chosen
            ]
            result = []
            for id, body, attempts in rows:
                try:
                    made = self._fresh.pop(id) if id in self._fresh else load_message(body)
                    result.append(QueuedMessage(id, made, attempts))
                except ValueError:
                    db.execute("UPDATE message SET reason = 'unreadable' WHERE id = ?", (id,))
                    _finish(db, id, "dead", now)
                    count(db, channel, dead=1)
        return result

    def next_due(self, channel: str) -> float | None:
        """When the next message to a channel may be sent; None where none waits."""
        with self._transaction() as db:
            return min((one.retry_at for one in _free(db, channel)), default=None)

    def sent(self, id: str, now: float) -> None:
        """A message was handed over."""
        self.tries += 1
        with self._transaction() as db:
            channel = _finish(db, id, "delivered", now)
            if channel is not None:
                count(db, channel, attempts=1)
                db.execute("UPDATE channel SET last_success = ? WHERE name = ?", (now, channel))

    def failed(self, id: str, now: float, reason: str, retry_at: float, *, permanent: bool = False) -> bool:
        """A try failed. False where the message is given up: for good reason, or after three days."""
        self.tries += 1
        with self._transaction() as db:
            row = db.execute("SELECT channel, made_at, state FROM message WHERE id = ?", (id,)).fetchone()
            if row is None:
                return False
            channel, made_at, state = row
            count(db, channel, attempts=1, failure=reason)
            give_up = permanent or now - made_at >= UNDELIVERABLE_AFTER
            if state == "pending" and not give_up:
                db.execute(
                    "UPDATE message SET attempts = attempts + 1, reason = ?, tried_at = ?, retry_at = ? WHERE id = ?",
                    (reason, now, min(retry_at, max(made_at + UNDELIVERABLE_AFTER, now)), id),
                )
                return True
            if state == "pending":
                db.execute("UPDATE message SET reason = ? WHERE id = ?", (reason, id))
                _finish(db, id, "dead", now)
                count(db, channel, dead=1)
            return False

    def retire(self, channels: Iterable[str], now: float) -> int:
        """Give up what waits for channels that are not among ``channels`` any more; how many that were."""
        known = set(channels)
        with self._transaction() as db:
            gone = [
                (id, name)
                for id, name in db.execute("SELECT id, channel FROM message WHERE state = 'pending'")
                if name not in known
            ]
            for id, name in gone:
                db.execute("UPDATE message SET reason = 'channel_removed' WHERE id = ?", (id,))
                _finish(db, id, "dead", now)
                count(db, name, dead=1)
        return len(gone)

    # --- what metrics and pages show ---------------------------------------------------------

    def statistics(self, channels: Iterable[str] = ()) -> dict[str, ChannelStatistics]:
        """Per channel, those named (from the start, with zeros) and those ever used."""
        with self._transaction() as db:
            return read_statistics(db, channels)

    def undeliverable(self, limit: int = 100) -> list[UndeliverableMessage]:
        """What was given up in the last 30 days, the latest first."""
        with self._transaction() as db:
            return read_undeliverable(db, limit)

    def undelivered(self) -> dict[tuple[str, str], str]:
        """Of each alert whose latest message to a channel did not arrive: (channel, fingerprint) to pending or dead."""
        with self._transaction() as db:
            return read_undelivered(db)

    def message(self, id: str) -> Message | None:
        """The message of that id; None where there is none, or it cannot be read."""
        with self._transaction() as db:
            row = db.execute("SELECT body FROM message WHERE id = ?", (id,)).fetchone()
        try:
            return load_message(row[0]) if row else None
        except ValueError:
            return None

    def count_failure(self, channel: str, reason: str) -> None:
        """An attempt to use a channel that failed, beside those to deliver a message."""
        with self._transaction() as db:
            count(db, channel, attempts=1, failure=reason)

    # --- what channels hold for us -----------------------------------------------------------

    def tests_sent(self) -> dict[str, float]:
        """When each channel was last told that everything is watched, Unix seconds."""
        with self._transaction() as db:
            return dict(db.execute("SELECT channel, told_at FROM proof ORDER BY channel").fetchall())

    def scheduled(self, channel: str) -> dict[str, float]:
        """What is planted on a channel's server: name to when it rings, 0 where that is not known."""
        with self._transaction() as db:
            rows = db.execute("SELECT name, deliver_at FROM planted WHERE channel = ? ORDER BY name", (channel,))
            return dict(rows.fetchall())

    def schedule(self, channel: str, name: str, deliver_at: float | None) -> None:
        """Write down what is planted there; None: it is no longer."""
        with self._transaction() as db:
            if deliver_at is None:
                db.execute("DELETE FROM planted WHERE channel = ? AND name = ?", (channel, name))
            else:
                db.execute("REPLACE INTO planted VALUES (?, ?, ?)", (channel, name, deliver_at))

    # --- what people said ------------------------------------------------------------------

    def add_silence(self, matchers: Mapping[str, str], until: float, reason: str, now: float) -> Silence:
        """Silence what matches, until ``until``."""
        with self._transaction() as db:
            (last,) = db.execute("SELECT max(id) FROM silence").fetchone()
            silence = Silence(next_ulid(now, last), dict(matchers), until, reason, now)
            db.execute(
                "INSERT INTO silence VALUES (?, ?, ?, ?, ?)",
                (silence.id, json.dumps(silence.matchers, sort_keys=True), until, reason, now),
            )
        return silence

    def remove_silence(self, id: str) -> bool:
        """End a silence early; False where there is none of that id."""
        with self._transaction() as db:
            return db.execute("DELETE FROM silence WHERE id = ?", (id,)).rowcount > 0

    def silences(self, now: float) -> tuple[Silence, ...]:
        """The silences that hold now."""
        with self._transaction() as db:
            rows = db.execute("SELECT * FROM silence WHERE until > ? ORDER BY id", (now,)).fetchall()
        return tuple(Silence(row[0], json.loads(row[1]), row[2], row[3], row[4]) for row in rows)

    def acknowledge(self, fingerprint: str, now: float, channel: str | None = None) -> bool:
        """A person has seen an alert, through ``channel``; False where nothing like it is known."""
        with self._transaction() as db:
            known = db.execute("SELECT 1 FROM state WHERE fingerprint = ?", (fingerprint,)).fetchone()
            if known:
                db.execute("REPLACE INTO acknowledgement VALUES (?, ?)", (fingerprint, now))
            if channel is not None:
                _prove(db, channel, now)
        return known is not None

    def acknowledge_test(self, channel: str, now: float) -> None:
        """A person has acknowledged something that only this channel told."""
        with self._transaction() as db:
            _prove(db, channel, now)

    def acknowledged(self, now: float | None = None) -> dict[str, float]:
        """Fingerprint to when it was acknowledged, of all that is remembered.

        Whoever runs the lifecycle says what time it is: after the clock was set back, what gets worse from
        now on got worse after it was acknowledged.
        """
        with self._transaction() as db:
            if now is not None:
                db.execute("UPDATE acknowledgement SET at = ? WHERE at > ?", (now, now))
            return dict(db.execute("SELECT fingerprint, at FROM acknowledgement ORDER BY fingerprint").fetchall())

    def changes(self) -> int:
        """A number that differs once another process has written to the file (a silence, say)."""
        with self._lock:
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])


class _Waiting(NamedTuple):
    sequence: int
    retry_at: float
    tried_at: float | None  # one that lies ahead means that the clock was set back: then nothing waits for it


def _free(db: sqlite3.Connection, channel: str) -> Iterator[_Waiting]:
    """What waits for a channel and for no earlier message about one of its alerts, oldest first."""
    before: set[str] = set()
    rows = db.execute(
        "SELECT sequence, retry_at, tried_at FROM message WHERE channel = ? AND state = 'pending' ORDER BY sequence",
        (channel,),
    ).fetchall()
    for row in rows:
        about = {one for (one,) in db.execute("SELECT fingerprint FROM about WHERE sequence = ?", (row[0],))}
        if about.isdisjoint(before):
            yield _Waiting(*row)
        before |= about


def _read_states(db: sqlite3.Connection) -> dict[str, AlertState]:
    states = {}
    for key, body in db.execute("SELECT key, body FROM state ORDER BY key"):
        try:
            states[key] = load_state(body)
        except ValueError:
            continue
    return states


def _difference(before: Mapping[str, AlertState], after: Mapping[str, AlertState]) -> dict[str, AlertState]:
    """``after``, with what differs only in its words left as it was written."""
    result = {}
    for key, state in after.items():
        old = before.get(key)
        result[key] = old if old is not None and differ_in_words_only(old, state) else state
    return result


def _write_states(db: sqlite3.Connection, before: Mapping[str, AlertState], after: Mapping[str, AlertState]) -> None:
    db.executemany("DELETE FROM state WHERE key = ?", [(key,) for key in before.keys() - after.keys()])
    changed = [state for key, state in after.items() if before.get(key) is not state]
    db.executemany(
        "INSERT INTO state VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body",
        [(s.key, s.fingerprint, dump(s)) for s in changed],
    )


def _supersede(db: sqlite3.Connection, message: Message) -> None:
    """Drop waiting reminders and repeats about alerts that ``message`` says something newer of.

    Whole messages only: what has an id never changes its content.
    """
    waiting: Sequence[tuple[int]] = db.execute(
        "SELECT sequence FROM message WHERE channel = ? AND state = 'pending' AND NOT has_missed", (message.channel,)
    ).fetchall()
    fingerprints = message.fingerprints
    for (sequence,) in waiting:
        rows = db.execute(
            "SELECT fingerprint, droppable, superseded FROM about WHERE sequence = ?", (sequence,)
        ).fetchall()
        if not rows or not any(droppable for _, droppable, _ in rows):
            continue
        newly = [(sequence, row[0]) for row in rows if row[0] in fingerprints]
        db.executemany("UPDATE about SET superseded = 1 WHERE sequence = ? AND fingerprint = ?", newly)
        if all(droppable and (superseded or row in fingerprints) for row, droppable, superseded in rows):
            db.execute(
                "UPDATE message SET state = 'superseded', done_at = ? WHERE sequence = ?", (message.at, sequence)
            )


def _finish(db: sqlite3.Connection, id: str, state: Literal["delivered", "dead"], now: float) -> str | None:
    """Mark a message; its channel, or None where there is no such message."""
    row = db.execute(
        "UPDATE message SET state = ?, done_at = ?, attempts = attempts + 1 WHERE id = ? RETURNING channel",
        (state, now, id),
    ).fetchone()
    return None if row is None else str(row[0])


def _prove(db: sqlite3.Connection, channel: str, now: float) -> None:
    count(db, channel)
    db.execute("UPDATE channel SET proven = ? WHERE name = ?", (now, channel))


def _prune(db: sqlite3.Connection, now: float) -> None:
    """Forget what is long done with, never what is about something that still fires."""
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
