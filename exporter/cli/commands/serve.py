"""``serve``: run the daemon."""

from __future__ import annotations

from pathlib import Path

import click

from exporter.cli import options, runtime


@click.command()
@options.config_option
def serve(config_file: Path | None) -> None:
    """Run the daemon: check on a schedule, send notifications, serve /metrics, the status page and the API."""

    config = runtime.read_config(config_file)
    runtime.run_daemon(config, config.state_directory(), lambda: runtime.read_config(config_file))
