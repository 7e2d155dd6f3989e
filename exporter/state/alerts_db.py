"""The schema of the alert state: an SQLite file with alert states, queued messages, silences and acknowledgements.

``exporter.alerts.delivery.outbox`` has the queries.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Any

from exporter.lib.sqlite import Schema, renamed, rewrite_json

_STATE_FIELDS = {
    "slot": "subject",
    "absorbed": "inhibited",
    "heals": "self_healing",
    "looks": "checks",
    "quiet_step": "acknowledged_step",
    "ending": "resolution",
    "told": "notified",
    "news": "pending",
    "missed": "suppressed",
}


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    """Empty if there is no such table."""
    return {row[1] for row in db.execute(f"PRAGMA table_info({table})")}


def _rename_tables(db: sqlite3.Connection) -> None:
    for table, old, new in (
        ("message", "has_missed", "has_suppressed"),
        ("channel", "dead", "undeliverable"),
        ("channel", "proven", "last_acknowledged"),
        ("proof", "told_at", "sent_at"),
        ("planted", "rings_at", "deliver_at"),
    ):
        if old in _columns(db, table):  # a development version had renamed some of them already
            db.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    db.execute("ALTER TABLE proof RENAME TO test_notification")
    db.execute("ALTER TABLE planted RENAME TO scheduled_message")
    db.execute("INSERT OR IGNORE INTO channel (name) SELECT DISTINCT channel FROM message")


def _rename_alert_fields(db: sqlite3.Connection) -> None:
    def state(old: Any) -> Any:
        new = renamed(old, _STATE_FIELDS)
        if "resolution" in new:
            new["resolution"] = renamed(new["resolution"], {"why": "cause"})
        return new

    def message(old: Any) -> Any:
        new = renamed(old, {"missed": "suppressed"})
        if "alerts" in new:
            new["alerts"] = [renamed(alert, {"why": "resolution_cause"}) for alert in new["alerts"]]
        return new

    rewrite_json(db, "state", ("key",), "body", state)
    rewrite_json(db, "message", ("sequence",), "body", message)


def _add_outcomes(db: sqlite3.Connection) -> None:
    """What became of each message, and the exporter's name. Adds only what is not there: see ``_complete``."""
    db.execute("CREATE TABLE IF NOT EXISTS exporter (name TEXT NOT NULL)")
    if "noted" not in _columns(db, "message"):
        db.execute("ALTER TABLE message ADD COLUMN noted INTEGER NOT NULL DEFAULT 0")
        db.execute("UPDATE message SET noted = 1 WHERE state IN ('delivered', 'superseded')")
        db.execute("CREATE INDEX message_outcome ON message (sequence) WHERE state != 'pending' AND NOT noted")
    about = _columns(db, "about")
    if "ends" not in about:
        conditional = "CASE WHEN conditional THEN 'conditional' ELSE '' END" if "conditional" in about else "''"
        db.execute("ALTER TABLE about RENAME TO old_about")
        db.execute("DROP INDEX about_fingerprint")
        db.execute(
            """CREATE TABLE about (
                sequence INTEGER NOT NULL, fingerprint TEXT NOT NULL,
                droppable INTEGER NOT NULL, superseded INTEGER NOT NULL, ends TEXT NOT NULL DEFAULT '',
                PRIMARY KEY (sequence, fingerprint)
            ) WITHOUT ROWID"""
        )
        db.execute("CREATE INDEX about_fingerprint ON about (fingerprint, sequence)")
        columns = f"sequence, fingerprint, droppable, superseded, {conditional}"
        db.execute(f"INSERT INTO about SELECT {columns} FROM old_about NOT INDEXED")
        db.execute("DROP TABLE old_about")
    channel = _columns(db, "channel")
    for column, kind in (("settings", "TEXT"), ("changed_at", "REAL")):
        if column not in channel:
            db.execute(f"ALTER TABLE channel ADD COLUMN {column} {kind}")


def _complete(db: sqlite3.Connection) -> None:
    """Brings what development versions wrote as schema 5, 6 and 7 to what these became later."""
    _add_outcomes(db)

    def state(old: Any) -> Any:
        new = dict(old)
        if not new.get("firing", True):
            new["facts"] = {}  # an alert that has ended has none
        if new.get("resolution"):
            new["resolution"] = {"agents": list(new["agents"])} | new["resolution"]
        return new

    rewrite_json(db, "state", ("key",), "body", state)


def _add_agent_facts(db: sqlite3.Connection) -> None:
    """Gives each alert its fingerprint, which was computed from its key, and each of its agents a fact of its own.

    A notification has arrived, unless every message about the alert is still waiting or was given up.
    """
    of_message = "SELECT channel, fingerprint FROM about JOIN message USING (sequence) WHERE state"
    arrived = set(db.execute(f"{of_message} = 'delivered'"))
    not_arrived = set(db.execute(f"{of_message} IN ('pending', 'dead')")) - arrived

    def state(old: Any) -> Any:
        if "facts" in old:  # a development version added them before it had the fifth schema
            return old
        old = dict(old)
        checks = old.pop("checks", {})
        identity = hashlib.sha256(old["key"].encode("utf-8", "surrogatepass")).hexdigest()[:32]
        agents = list(old["agents"])
        common = {name: old[name] for name in _FACT_FIELDS if name in old} | {"began_at": old["started_at"]}
        facts = {}
        for agent in agents if old.get("firing", True) else ():  # an alert that has ended has no facts
            count, at = checks.get(agent, (0, None))
            facts[agent] = common | {"checks": count, "checked_at": at}
        notified = {
            channel: last | {"agents": agents, "has_arrived": (channel, identity) not in not_arrived}
            for channel, last in old.get("notified", {}).items()
        }
        if old.get("resolution"):
            old["resolution"] = old["resolution"] | {"agents": agents}
        return old | {"fingerprint": identity, "facts": facts, "notified": notified}

    rewrite_json(db, "state", ("key",), "body", state)


#: What a fact of an agent has in common with the alert that it belonged to.
_FACT_FIELDS = (
    "condition",
    "severity",
    "since",
    "deadline",
    "cause",
    "seen_at",
    "self_healing",
    "inhibited",
    "confirmed",
    "credentials",
)


SCHEMA = Schema(
    title="the alert state",
    application_id=0x6F61616C,  # "oaal"
    if_lost="alerts that still fire are sent again",
    shared=("silence", "acknowledgement"),
    migrations=(
        """
        CREATE TABLE state (key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
        CREATE INDEX state_fingerprint ON state (fingerprint);
        CREATE TABLE message (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            channel TEXT NOT NULL,
            body TEXT NOT NULL,
            state TEXT NOT NULL DEFAULT 'pending',
            made_at REAL NOT NULL,
            retry_at REAL NOT NULL,
            tried_at REAL,
            done_at REAL,
            attempts INTEGER NOT NULL DEFAULT 0,
            reason TEXT,
            has_missed INTEGER NOT NULL DEFAULT 0
        );
        CREATE INDEX message_queue ON message (channel, sequence) WHERE state = 'pending';
        CREATE TABLE about (
            sequence INTEGER NOT NULL, fingerprint TEXT NOT NULL,
            droppable INTEGER NOT NULL, superseded INTEGER NOT NULL,
            PRIMARY KEY (sequence, fingerprint)
        ) WITHOUT ROWID;
        CREATE INDEX about_fingerprint ON about (fingerprint, sequence);
        CREATE TABLE channel (
            name TEXT PRIMARY KEY, attempts INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0,
            last_success REAL, proven REAL
        ) WITHOUT ROWID;
        CREATE TABLE failure (
            channel TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (channel, reason)
        ) WITHOUT ROWID;
        CREATE TABLE silence (
            id TEXT PRIMARY KEY, matchers TEXT NOT NULL, until REAL NOT NULL, reason TEXT NOT NULL,
            created_at REAL NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE acknowledgement (fingerprint TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
        """,
        """
        CREATE TABLE proof (channel TEXT PRIMARY KEY, told_at REAL NOT NULL) WITHOUT ROWID;
        CREATE TABLE planted (
            channel TEXT NOT NULL, name TEXT NOT NULL, rings_at REAL NOT NULL, PRIMARY KEY (channel, name)
        ) WITHOUT ROWID;
        """,
        _rename_tables,
        _rename_alert_fields,
        _add_outcomes,
        _add_agent_facts,
        """
        CREATE TABLE IF NOT EXISTS phone_notification (
            channel TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,
            is_stale INTEGER NOT NULL, withdraw_at REAL, PRIMARY KEY (channel, name)
        ) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS phone_alert (
            channel TEXT NOT NULL, fingerprint TEXT NOT NULL, name TEXT NOT NULL, fires INTEGER NOT NULL,
            PRIMARY KEY (channel, fingerprint, name)
        ) WITHOUT ROWID;
        """,
        _complete,
    ),
)
