"""Reads the cron jobs of an OpenClaw on this host: ``cron/jobs.json`` up to 2026.5, a database from 2026.6 on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
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
    return _jobs(own or rows, paths.shared_database)


def jobs_that_matter(database: Path) -> list[CronJob]:
    """The enabled cron jobs with models of their own in a database, to notice a change. Raises CheckError."""
    return _jobs(files.read_table(database, files.CRON_JOBS, patience=0) or [], database)


def _jobs(rows: Iterable[Mapping[str, Any]], path: Path) -> list[CronJob]:
    try:
        return cron_jobs(
            {"jobs": [{**mapping(files.parse_json(row["job_json"], path)), "enabled": True} for row in rows]}
        )
    except CheckError:
        raise unreadable(path, "holds a cron job that is not JSON") from None
