"""``notify test``: one real test notification per channel."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.cli import names, options, runtime, screen
from exporter.cli.options import examples
from exporter.cli.output import print_line
from exporter.lib.names import suggestion

if TYPE_CHECKING:
    from exporter.alerts.channels import Links
    from exporter.config import Config


@click.group(epilog=examples("notify test"))
def notify() -> None:
    """Send test notifications."""


@notify.command("test", epilog=examples("notify test", "notify test --channel phone"))
@click.option(
    "--channel",
    "channels",
    multiple=True,
    metavar="NAME",
    help="Only this channel. May be repeated.",
    shell_complete=names.channels,
)
@options.config_option
def notify_test(channels: tuple[str, ...], config_file: Path | None) -> int:
    """Send one real test notification per channel and report each. Exits 75 if one failed."""
    from exporter.alerts.delivery import delivery
    from exporter.alerts.delivery.one_shot import send_tests

    config = runtime.read_targets(config_file)
    known = [channel.name for channel in config.channels]
    if not known:
        raise click.UsageError("no channel is configured: add one to `channels`")
    for name in channels:
        if name not in known:
            raise click.UsageError(f"there is no channel named {name!r}{suggestion(name, known)}")
    for warning in delivery.warnings(config):
        print_line(f"warning: {warning}", err=True)
    chosen = dict.fromkeys(channels or known)
    tests = send_tests(config, chosen, time.time(), button_links(config), exporter_name(config))

    async def send() -> list[tuple[str, str | None]]:
        async with screen.progress(f"Sending to {', '.join(chosen)}"):
            return await tests

    results = runtime.run(send())
    for name, problem in results:
        print_line(f"{name}: delivered" if problem is None else f"{name}: FAILED: {problem}")
    return os.EX_TEMPFAIL if any(problem for _, problem in results) else 0


def exporter_name(config: Config) -> str:
    """Our name in alerts: as the state has it. A test creates no state, and needs none."""
    from exporter.alerts.delivery.outbox import FILE
    from exporter.alerts.delivery.settings import host_name
    from exporter.lib.sqlite import StateError

    if not config.name and (config.state_directory() / FILE).exists():
        with contextlib.suppress(StateError), runtime.open_outbox(config) as outbox:
            return outbox.exporter_name("")
    return config.name or host_name()


def button_links(config: Config) -> Links:
    """Makes the links of buttons, valid at the daemon that shares our state; none without ``web.external_url``."""
    from exporter.alerts.channels import no_links

    if not config.web.external_url:
        return no_links
    from exporter.web import links

    with contextlib.closing(runtime.open_ledger(config)) as ledger:
        key = ledger.keyed_hash(links.KEY).encode()
    return links.maker(key, lambda: config.web.external_url, time.time)
