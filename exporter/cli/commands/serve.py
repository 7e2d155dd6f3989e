"""``serve``: run the daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from exporter.cli import options, runtime
from exporter.cli.options import examples


@click.command(epilog=examples("serve", "serve --config /etc/openclaw-auth-exporter/config.json5 --log-format json"))
@options.log_options
@options.config_option
def serve(log_format: Literal["text", "json"], log_level: str, config_file: Path | None) -> None:
    """Run the daemon: check on a schedule, send notifications, serve /metrics, the status page and the API."""
    config = runtime.read_config(config_file)
    log = runtime.LogOptions(log_format, log_level)
    runtime.run_daemon(config, config.state_directory(), lambda: runtime.read_config(config_file), log)
