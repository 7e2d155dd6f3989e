"""What the outbox keeps of the configuration: the exporter's name, and which settings of channels are new.

The functions run inside an open transaction.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sqlite3
from collections.abc import Mapping

from exporter.alerts.delivery.statistics import count

MAX_NAME = 64


def exporter_name(db: sqlite3.Connection, configured: str) -> str:
    """Who this exporter is in alerts: as configured, else what the host was called when this was first asked.

    So a container that gets a new host name is still the same exporter.
    """
    if configured:
        return configured
    row = db.execute("SELECT name FROM exporter").fetchone()
    if row is None:
        row = db.execute("INSERT INTO exporter VALUES (?) RETURNING name", (host_name(),)).fetchone()
    return str(row[0])


def host_name() -> str:
    """The name of this host, as ``name`` in a configuration may be."""
    name = "".join(letter for letter in socket.gethostname() if letter.isprintable() and letter != "/")
    return name[:MAX_NAME] or "localhost"


def note_settings(db: sqlite3.Connection, channels: Mapping[str, str], now: float) -> None:
    """Record the settings of each channel, which may hold secrets, as a salted hash; and when they were new."""
    stored = dict(db.execute("SELECT name, settings FROM channel"))
    for name in stored.keys() - channels.keys():
        db.execute("UPDATE channel SET settings = NULL WHERE name = ?", (name,))
    for name, settings in channels.items():
        salt, _, _ = (stored.get(name) or "").partition(":")
        if stored.get(name) != _salted(settings, salt):
            count(db, name)
            values = (_salted(settings, os.urandom(16).hex()), now, name)
            db.execute("UPDATE channel SET settings = ?, changed_at = ? WHERE name = ?", values)


def _salted(settings: str, salt: str) -> str:
    key = salt.encode()
    return f"{salt}:{hashlib.blake2b(settings.encode('utf-8', 'surrogatepass'), key=key, digest_size=16).hexdigest()}"


def last_usable(db: sqlite3.Connection) -> dict[str, float | None]:
    """When each channel last delivered a message or got new settings, the later of the two, in Unix seconds."""
    rows = db.execute("SELECT name, last_success, changed_at FROM channel").fetchall()
    return {name: max((at for at in times if at is not None), default=None) for name, *times in rows}
