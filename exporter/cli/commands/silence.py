"""``silence``: mute alerts for a time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.cli import names, options, runtime
from exporter.lib.names import suggestion

if TYPE_CHECKING:
    from exporter.alerts.lifecycle.policy import Silence


@click.group()
def silence() -> None:
    """Mute alerts for a time. An alert that still fires when its silence ends is sent then."""


@silence.command("add")
@click.option("--target", metavar="NAME", help="Alerts of this target.", shell_complete=names.targets)
@click.option("--agent", metavar="ID", help="Alerts whose agents all match.", shell_complete=names.agents)
@click.option("--provider", metavar="NAME", help="Alerts of this provider.", shell_complete=names.providers)
@click.option("--profile", metavar="ID", help="Alerts of this profile.", shell_complete=names.profiles)
@click.option("--condition", metavar="NAME", help="Alerts of this condition.", shell_complete=names.conditions)
@click.option("--for", "length", required=True, metavar="DURATION", help="How long, like 8h or 3d.")
@click.option("--reason", default="", help="A note for the people who list silences later.")
@options.config_option
def silence_add(length: str, reason: str, config_file: Path | None, **matchers: str | None) -> None:
    """Mute alerts that match every given filter."""
    from exporter.lib.durations import iso, parse_duration
    from exporter.model import ConditionName

    given = {name: value for name, value in matchers.items() if value is not None}
    if not given:
        raise click.UsageError("give at least one of --target, --agent, --provider, --profile and --condition")
    condition = given.get("condition")
    if condition is not None and condition not in list(ConditionName):
        raise click.UsageError(f"there is no condition named {condition!r}{suggestion(condition, ConditionName)}")
    seconds = runtime.parse_option(parse_duration, length)
    if not seconds:
        raise click.UsageError(f"--for: {length!r} must be longer than 0")
    now = time.time()
    with runtime.open_outbox(runtime.read_config(config_file)) as outbox:
        added = outbox.add_silence(given, now + seconds, reason, now)
    click.echo(f"{added.id}: {_filters(added)} until {iso(added.until)}")


@silence.command("list")
@options.config_option
def silence_list(config_file: Path | None) -> None:
    """List the silences in effect."""
    from exporter.lib.durations import iso

    with runtime.open_outbox(runtime.read_config(config_file)) as outbox:
        silences = outbox.silences(time.time())
    for silence in silences:
        fields = (silence.id, _filters(silence), f"until {iso(silence.until)}", silence.reason)
        click.echo("\t".join(filter(None, fields)))
    if not silences:
        click.echo("No silence is in effect.", err=True)


@silence.command("remove")
@click.argument("id")
@options.config_option
def silence_remove(id: str, config_file: Path | None) -> None:
    """End the silence ID early."""
    with runtime.open_outbox(runtime.read_config(config_file)) as outbox:
        if not outbox.remove_silence(id):
            raise click.UsageError(f"there is no silence {id!r}: see `openclaw-auth-exporter silence list`")
    click.echo(f"{id}: removed")


def _filters(silence: Silence) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(silence.matchers.items()))
