"""``demo``: run the daemon over simulated targets."""

from __future__ import annotations

from typing import Literal

import click

from exporter.cli import options, runtime
from exporter.cli.options import examples


@click.command(epilog=examples("demo", "demo --listen 127.0.0.1:8080"))
@click.option(
    "--listen", metavar="HOST:PORT", default="127.0.0.1:10785", show_default=True, help="The address to serve on."
)
@options.log_options
@options.ignored_config_option
def demo(listen: str, log_format: Literal["text", "json"], log_level: str) -> None:
    """Run the daemon over simulated targets in every state. Needs no OpenClaw and keeps no state."""
    from exporter.config import Config
    from exporter.simulator.demo import demo_config

    def config() -> Config:
        return Config.model_validate({**demo_config().model_dump(by_alias=True), "web": {"listen": listen}})

    try:
        first = config()
    except ValueError:  # the address is all that the user supplied
        raise click.UsageError(f"--listen: {listen!r} is not an address: write host:port") from None
    runtime.run_daemon(first, None, config, runtime.LogOptions(log_format, log_level))
