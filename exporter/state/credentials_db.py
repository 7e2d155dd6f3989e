"""The ledger: an SQLite file with the credential history, the dates users supplied, and the sources' cache.

It holds no secret. A credential is identified by a keyed hash whose random key never leaves the file. A daemon, a
timer's ``check`` and ``deadline set`` can share one file. A ledger that cannot be used is reported (``problem``) and
replaced by one in memory, so that checks go on.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from exporter.lib import clock, sqlite_header
from exporter.lib.sqlite import Database, Schema, StateError, UnwritableError, renamed, rewrite_json
from exporter.lib.typed_json import dump, load
from exporter.model import Observation
from exporter.state.history import (
    EARLIEST,
    CredentialHistory,
    SuppliedDate,
    about_present,
    dates_for,
    earliest,
)

log = logging.getLogger(__name__)

FILE = "ledger.sqlite"
DAY = 86400.0
#: How long a text stays in the cache, in seconds. No source asks for an older one.
KEEP_CACHED = 60 * DAY
#: How long a secret is remembered that no agent has, in seconds, and how many secrets are at most.
KEEP_SIGHTING = 2 * 365 * DAY
MAX_SIGHTINGS = 20_000
#: How many used links are remembered: by their number, because by their age a wrong clock would forget some.
MAX_USED_LINKS = 10_000
#: Seconds between two removals of what is no longer needed.
PRUNE_EVERY = DAY


def _rename_history_fields(db: sqlite3.Connection) -> None:
    def rewrite(history: Any) -> Any:
        profiles = {
            profile: renamed(record, {"told_from": "supplied_dates_from"})
            for profile, record in history["profiles"].items()
        }
        return {**renamed(history, {"told": "supplied"}), "profiles": profiles}

    rewrite_json(db, "agent", ("target", "agent"), "history", rewrite)


def _collect_sightings(db: sqlite3.Connection) -> None:
    """Know the secrets of the histories that were written before sightings were."""
    for (text,) in db.execute("SELECT history FROM agent").fetchall():
        for record in _history(text).profiles.values():
            if record.secret_hash:
                _write_sighting(db, record.secret_hash, record.first_seen_at)


def _write_sighting(db: sqlite3.Connection, secret: str, at: float) -> None:
    db.execute("INSERT INTO sighting VALUES (?, ?) ON CONFLICT DO UPDATE SET at = min(at, excluded.at)", (secret, at))


SCHEMA = Schema(
    title="the ledger",
    application_id=0x6F61636C,  # "oacl"
    unmarked=1,
    synchronous="NORMAL",
    if_lost="the credential history starts again",
    migrations=(
        """
        CREATE TABLE secret (key BLOB NOT NULL);
        CREATE TABLE agent (
            target TEXT NOT NULL, agent TEXT NOT NULL, memory TEXT NOT NULL, observation TEXT,
            PRIMARY KEY (target, agent)
        ) WITHOUT ROWID;
        CREATE TABLE told (
            profile TEXT PRIMARY KEY, issued_at REAL, expires_at REAL, told_at REAL NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE note (key TEXT PRIMARY KEY, at REAL NOT NULL, text TEXT NOT NULL) WITHOUT ROWID;
        """,
        """
        ALTER TABLE agent RENAME COLUMN memory TO history;
        ALTER TABLE told RENAME COLUMN told_at TO supplied_at;
        ALTER TABLE told RENAME TO supplied_date;
        ALTER TABLE note RENAME TO cache;
        """,
        _rename_history_fields,
        "CREATE TABLE sighting (secret TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;",
        _collect_sightings,
        # Marks in the cache could be lost, and did not count while the clock was behind them.
        """
        CREATE TABLE used_link (nonce TEXT PRIMARY KEY, place INTEGER NOT NULL UNIQUE) WITHOUT ROWID;
        INSERT INTO used_link SELECT substr(key, 6), row_number() OVER (ORDER BY at) FROM cache WHERE key GLOB 'link:*';
        DELETE FROM cache WHERE key GLOB 'link:*';
        """,
        # ``exporter.state.day_history`` has its queries. ``last`` is the day of the last letter, counted from 1970.
        """
        CREATE TABLE day_history (
            target TEXT NOT NULL, provider TEXT NOT NULL, profile TEXT NOT NULL, last INTEGER NOT NULL,
            states TEXT NOT NULL, PRIMARY KEY (target, provider, profile)
        ) WITHOUT ROWID;
        """,
    ),
)


class RecordedProfile(NamedTuple):
    """A profile that a check has seen."""

    target: str
    agent: str
    provider: str
    profile: str


class CredentialDatabase(Database):
    """An open ledger.

    What a check records (``record``, ``forget``, ``put_cached``) is queued in memory and written by ``save``, so that
    none of it touches the disk on an event loop. Other methods are one short transaction each; from an event loop
    they are called through ``run``.
    """

    def __init__(self, directory: Path | None, now: Callable[[], float] = clock.now) -> None:
        self._now = now
        path = directory / FILE if directory is not None else None
        super().__init__(SCHEMA, path, now(), or_memory=True)
        self._queue_lock = threading.Lock()
        self._unsaved: dict[tuple[str, str], tuple[CredentialHistory, Observation | None] | None] = {}  # None: forget
        self._unsaved_cache: dict[str, tuple[float, str]] = {}
        self._save_error: str | None = None
        self._pruned_at: float | None = None
        try:
            self._key = self._hash_key()
        except StateError as error:
            self.fall_back_to_memory(str(error))
            self._key = self._hash_key()
        self._cache = {key: (at, text) for key, at, text in self._read("SELECT key, at, text FROM cache")}
        self._sightings: dict[str, float] = {}
        self._unsaved_sightings: dict[str, float] = {}
        self._read_sightings()
        self._version = self._data_version()
        self._used_links = {nonce for (nonce,) in self._read("SELECT nonce FROM used_link")}

    @property
    def problem(self) -> str | None:
        """Why what is recorded now would be lost at a restart, as a sentence; None if all is well."""
        return self.not_durable or self._save_error

    def _hash_key(self) -> bytes:
        with self.transaction() as db:
            row = db.execute("SELECT key FROM secret").fetchone()
            if row is None:
                row = (secrets.token_bytes(32),)
                db.execute("INSERT INTO secret VALUES (?)", row)
            return bytes(row[0])

    def _read(self, query: str, *values: str) -> list[Any]:
        """The rows of a query. Rows that cannot be read are logged and count as absent."""
        try:
            return self.read(query, *values)
        except StateError as error:
            log.error("%s", error)
            return []

    def keyed_hash(self, text: str) -> str:
        """A hash in hex, 32 characters, that only the owner of this file can reproduce."""
        return hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]

    # --- checks ----------------------------------------------------------------------------

    def recorded(self, target: str, agent: str) -> tuple[CredentialHistory, Observation | None]:
        """An agent's history and its last successful observation."""
        history, observation = CredentialHistory(), None
        if (unsaved := self._unsaved.get((target, agent))) is not None:
            history, observation = unsaved
        elif rows := self._read("SELECT history, observation FROM agent WHERE target = ? AND agent = ?", target, agent):
            history, observation = _history(rows[0][0]), _observation(rows[0][1])
        supplied = about_present(dates_for(self.supplied_dates(), target, agent), history.profiles)
        return replace(history, supplied=supplied), observation

    def agents(self, target: str) -> list[str]:
        """The agents of a target that have a history."""
        return self._agents("WHERE target = ?", target).get(target, [])

    def agents_by_target(self) -> dict[str, list[str]]:
        """The agents that have a history, of every target."""
        return self._agents("")

    def _agents(self, where: str, *values: str) -> dict[str, list[str]]:
        names = {(target, agent) for target, agent in self._read(f"SELECT target, agent FROM agent {where}", *values)}
        with self._queue_lock:
            unsaved = dict(self._unsaved)
        names = (names - unsaved.keys()) | {key for key, record in unsaved.items() if record is not None}
        found: dict[str, list[str]] = {}
        for target, agent in sorted(names):
            found.setdefault(target, []).append(agent)
        return found

    def record(self, target: str, agent: str, history: CredentialHistory, observation: Observation | None) -> None:
        """Queue an agent's history and its last successful observation for ``save``."""
        with self._queue_lock:
            self._unsaved[target, agent] = history, observation

    def sightings(self, history: CredentialHistory, seen: Observation, now: float) -> dict[str, float]:
        """When the secret of each token was first seen in any agent or target, by its hash; new ones are recorded.

        ``history`` is of the agent before ``seen``. The hash of a reference is not that of a secret: the secret behind
        it may change.
        """
        found = {}
        with self._queue_lock:
            for profile in seen.profiles:
                secret = profile.secret_hash
                if profile.kind != "token" or not secret or profile.reference:
                    continue
                record = history.profiles.get(profile.id)
                before = record.first_seen_at if record and record.secret_hash == secret else None
                found[secret] = first = earliest(now, before, self._sightings.get(secret))
                if self._sightings.get(secret) != first and first >= EARLIEST:
                    self._sightings[secret] = self._unsaved_sightings[secret] = first
        return found

    def _read_sightings(self) -> None:
        stored = dict(self._read("SELECT secret, at FROM sighting"))
        with self._queue_lock:
            self._sightings = stored | {
                secret: earliest(at, stored.get(secret)) for secret, at in self._unsaved_sightings.items()
            }

    def forget(self, target: str, agent: str) -> None:
        """Queue the removal of an agent that no longer exists for ``save``."""
        with self._queue_lock:
            self._unsaved[target, agent] = None

    def save(self) -> None:
        """Write what is queued, in one transaction. What cannot be written stays queued; ``problem`` says why."""
        with self._queue_lock:
            agents, texts, sightings = self._unsaved, self._unsaved_cache, self._unsaved_sightings
            self._unsaved, self._unsaved_cache, self._unsaved_sightings = {}, {}, {}
        if not agents and not texts and not sightings:
            return
        now = self._now()
        prunes = self._pruned_at is None or abs(now - self._pruned_at) >= PRUNE_EVERY
        rows = [
            # Supplied dates have a table of their own.
            (*key, dump(replace(record[0], supplied={})), dump(record[1]) if record[1] is not None else None)
            for key, record in agents.items()
            if record is not None
        ]
        try:
            with self.transaction() as db:
                db.executemany("DELETE FROM agent WHERE target = ? AND agent = ?", agents)
                db.executemany("INSERT INTO agent VALUES (?, ?, ?, ?)", rows)
                db.executemany("REPLACE INTO cache VALUES (?, ?, ?)", ((key, *entry) for key, entry in texts.items()))
                for secret, at in sightings.items():
                    _write_sighting(db, secret, at)
                if prunes:
                    _prune(db, now)
            self._save_error = None
        except StateError as error:
            with self._queue_lock:
                self._unsaved = agents | self._unsaved
                self._unsaved_cache = texts | self._unsaved_cache
                self._unsaved_sightings = sightings | self._unsaved_sightings
            if self._save_error != str(error):
                self._save_error = str(error)
                log.error("%s", error)
            return
        if prunes:
            self._pruned_at = now
            self._read_sightings()
            with self._queue_lock:
                self._cache = {key: entry for key, entry in self._cache.items() if entry[0] >= now - KEEP_CACHED}

    def sync(self) -> int:
        """``save``. Returns a number that differs once another process has written to the file."""
        self.save()
        version = self._data_version()
        if version != self._version:
            self._version = version
            self._read_sightings()
        return version

    def _data_version(self) -> int:
        return sum(version for (version,) in self._read("PRAGMA data_version"))

    def close(self) -> None:
        self.save()
        super().close()

    # --- dates that users supply -----------------------------------------------------------

    def supplied_dates(self) -> dict[str, SuppliedDate]:
        """Every supplied date, by ``profile``, ``target/profile`` or ``target/agent/profile``."""
        rows = self._read("SELECT profile, issued_at, expires_at, supplied_at FROM supplied_date ORDER BY profile")
        return {row[0]: SuppliedDate(*row[1:]) for row in rows}

    def set_date(self, profile: str, date: SuppliedDate) -> None:
        """Store a supplied date. Raises StateError."""
        with self.transaction() as db:
            values = (profile, date.issued_at, date.expires_at, date.supplied_at)
            db.execute("REPLACE INTO supplied_date VALUES (?, ?, ?, ?)", values)

    def clear_date(self, profile: str) -> bool:
        """Remove a supplied date; False if there is none. Raises StateError."""
        with self.transaction() as db:
            return db.execute("DELETE FROM supplied_date WHERE profile = ?", (profile,)).rowcount > 0

    def profiles(self) -> list[str]:
        """Every known profile that still exists, as ``target/agent/profile``."""
        return [f"{seen.target}/{seen.agent}/{seen.profile}" for seen in self.recorded_profiles()]

    def recorded_profiles(self) -> list[RecordedProfile]:
        """Every known profile that still exists."""
        return _existing(self._read(_HISTORIES))

    # --- links -----------------------------------------------------------------------------

    def is_used(self, nonce: str) -> bool:
        """Whether this process knows that the link was used. Only ``use`` knows it for sure."""
        return nonce in self._used_links

    def use(self, nonce: str) -> bool:
        """Mark a link as used, on the disk. False if it was used before.

        Raises StateError if the mark could be lost: a link that is used without a mark could be used again.
        """
        if self.not_durable is not None:
            raise UnwritableError(self.not_durable)
        with self._lock:
            self.connection.execute("PRAGMA synchronous = FULL")  # a power failure must not undo it
            try:
                with self.transaction() as db:
                    values = "SELECT ?, coalesce(max(place), 0) + 1 FROM used_link"
                    is_new = db.execute(f"INSERT OR IGNORE INTO used_link {values}", (nonce,)).rowcount > 0
                    oldest = "SELECT max(place) FROM used_link"
                    db.execute(f"DELETE FROM used_link WHERE place <= ({oldest}) - ?", (MAX_USED_LINKS,))
            finally:
                self.connection.execute(f"PRAGMA synchronous = {SCHEMA.synchronous}")
        self._used_links.add(nonce)
        return is_new

    # --- the sources' cache ----------------------------------------------------------------

    def get_cached(self, key: str, max_age: float) -> str | None:
        """The text stored under ``key`` at most ``max_age`` seconds ago, else None."""
        at, text = self._cache.get(key, (0.0, None))
        return text if 0 <= self._now() - at <= max_age else None

    def put_cached(self, key: str, text: str) -> None:
        """Store a text, and queue it for ``save``."""
        with self._queue_lock:
            self._cache[key] = self._unsaved_cache[key] = self._now(), text


_HISTORIES = "SELECT target, agent, history FROM agent ORDER BY target, agent"


def _existing(rows: list[Any]) -> list[RecordedProfile]:
    return [
        RecordedProfile(target, agent, record.provider, profile)
        for target, agent, history in rows
        for profile, record in sorted(_history(history).profiles.items())
        if record.gone_at is None
    ]


def recorded_profiles(directory: Path) -> list[RecordedProfile]:
    """Every known profile that still exists: without opening the ledger for writing, waiting for it or creating it.

    Empty if there is none, if it cannot be read, or if it is of a newer release, which even reading would change.
    """
    try:
        if sqlite_header.read(directory / FILE)[0] > len(SCHEMA.migrations):
            return []
        with closing(sqlite3.connect(f"{(directory / FILE).absolute().as_uri()}?mode=ro", uri=True, timeout=0.2)) as db:
            return _existing(db.execute(_HISTORIES).fetchall())
    except (sqlite3.Error, ValueError, OSError):
        return []


def _prune(db: sqlite3.Connection, now: float) -> None:
    """Remove the texts that nobody asks for any more, and the secrets that no agent has had for a long time."""
    db.execute("DELETE FROM cache WHERE at < ?", (now - KEEP_CACHED,))
    rows = db.execute("SELECT secret, at FROM sighting ORDER BY at DESC").fetchall()
    old = {secret for place, (secret, at) in enumerate(rows) if place >= MAX_SIGHTINGS or at < now - KEEP_SIGHTING}
    if old:
        histories = [_history(text) for (text,) in db.execute("SELECT history FROM agent")]
        old -= {record.secret_hash for history in histories for record in history.profiles.values()}
        db.executemany("DELETE FROM sighting WHERE secret = ?", ((secret,) for secret in old))


def _history(text: str) -> CredentialHistory:
    try:
        return load(CredentialHistory, text)
    except ValueError:
        log.warning("a history in the ledger cannot be read: it starts again")
        return CredentialHistory()


def _observation(text: str | None) -> Observation | None:
    with suppress(ValueError):
        return load(Observation, text) if text is not None else None
    return None
