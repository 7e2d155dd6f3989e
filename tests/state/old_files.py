"""State files as earlier releases wrote them: made with their own code, kept as SQL."""

from __future__ import annotations

import sqlite3
from pathlib import Path

SCHEMAS = Path(__file__).parent / "schemas"


def write_old_file(name: str, path: Path) -> Path:
    """Create the SQLite file that ``schemas/NAME.sql`` describes."""
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript((SCHEMAS / f"{name}.sql").read_text())
    database.execute("PRAGMA journal_mode = WAL")
    database.close()
    return path


def damage_index(path: Path, index: str) -> None:
    """Make an index disagree with its table."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (index,)).fetchone()
    database.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096 + 3)
        file.write(b"\0\0")
