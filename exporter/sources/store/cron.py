"""Reads the cron jobs of an OpenClaw on this host: ``cron/jobs.json`` up to 2026.5, a database from 2026.6 on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exporter.lib.loose_json import mapping
from exporter.model import CheckError
from exporter.sources.store import files
from exporter.sources.store.config import is_filled
from exporter.sources.store.paths import StorePaths, unreadable
from exporter.sources.store.uses import CronJob, cron_jobs


def jobs_file(paths: StorePaths, config: Mapping[str, Any] | None) -> Path:
    """Where ``jobs.json`` is. The configuration can move it."""
    moved = mapping(config, "cron").get("store")
    if not is_filled(moved):
        return paths.state_dir / "cron" / "jobs.json"
    home = str(paths.state_dir.parent)  # of the user who runs OpenClaw, which may be another one
    text = moved.strip()
    return Path(os.path.abspath(home + text[1:] if text == "~" or text.startswith("~/") else text))


def read_jobs(paths: StorePaths, config: Mapping[str, Any] | None, patience: float = files.PATIENCE) -> list[CronJob]:
    """The enabled cron jobs with models of their own. Raises CheckError."""
    file = jobs_file(paths, config)
    rows = files.read_table(paths.shared_database, files.CRON_JOBS, patience)
    if rows is None:
        return cron_jobs(files.read_json(file))
    # A database may hold the jobs of several stores. In a container, the path has another beginning.
    own = [row for row in rows if row["store_key"] == str(file)]
    return cron_jobs({"jobs": [_job(row, paths.shared_database) for row in own or rows]})


def _job(row: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A row of the database in the form of ``jobs.json``."""
    fallbacks = row["payload_fallbacks_json"]
    try:
        names = files.parse_json(fallbacks, path) if is_filled(fallbacks) else None
    except CheckError:
        raise unreadable(path, "holds a cron job whose fallbacks are not JSON") from None
    payload = {"kind": "agentTurn", "model": row["payload_model"], "fallbacks": names}
    return {"name": row["name"], "agentId": row["agent_id"], "payload": payload}
