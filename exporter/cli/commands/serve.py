"""``serve``: run the daemon."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from exporter.cli import options, runtime
from exporter.cli.options import examples

if TYPE_CHECKING:
    from exporter.config import Config


@click.command(
    epilog=examples(
        "serve",
        "serve --config /etc/openclaw-auth-exporter/config.json5 --log-format json",
        "serve --web.listen-address 127.0.0.1:10785 --web.listen-address 10.0.0.5:10785",
    )
)
@options.log_options
@options.listen_option
@options.web_config_option
@options.config_option_of_serve
def serve(
    log_format: Literal["text", "json"],
    log_level: str,
    config_file: Path | None,
    listen: tuple[str, ...],
    web_config: str,
) -> None:
    """Run the daemon: check on a schedule, send notifications, serve /metrics, the status page and the API."""

    changes: dict[str, object] = {"listen": listen} if listen else {}
    if web_config:
        changes.update(config_file=web_config, tls={}, users_file="")

    def read_config() -> Config:
        from exporter.config import with_web

        return with_web(runtime.read_config(config_file), changes)

    config = read_config()
    log = runtime.LogOptions(log_format, log_level)
    runtime.run_daemon(config, config.state_directory(), read_config, log)
