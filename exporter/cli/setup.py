"""The commands ``init`` and ``assets``; ``cli`` registers them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from exporter.cli.options import config_option, takes_config_too


@click.command()
@click.option("--force", is_flag=True, help="Write the configuration anew; what is there is kept aside.")
@click.option("--systemd", is_flag=True, help="Also install and start the daemon in your own systemd.")
@config_option
def init(force: bool, systemd: bool, config_file: Path | None) -> None:
    """Write a commented starting configuration; with --systemd install the user units and start the daemon.

    Asks nothing where standard input is no terminal. Says at the end how to undo it.
    """
    from exporter.config import load
    from exporter.setup import assets
    from exporter.setup import init as module

    path = config_file.absolute() if config_file else module.config_path()
    undo: list[str] = []
    try:
        if systemd:
            module.require_systemd()
        is_there = os.path.lexists(path)
        if is_there and systemd and not force:
            load(path)
            click.echo(f"{path}: is there already and stays as it is")
        else:
            topic_file = _topic_file(path, undo) if force or not is_there else None
            kept = module.write_config(path, module.starting_config(module.found_env_file(), topic_file), force)
            undo.append(module.undo_config(path, kept))
            click.echo(f"{path}: written" + (f"; what was there is {kept}" if kept else ""))
        if systemd:
            undo[:0] = module.undo_units(module.write_units(path))
            module.start(unit := module.chosen())
    except (module.InitError, assets.AssetsError) as error:
        if undo:
            _tell_undo(undo)
        raise click.ClickException(str(error)) from None
    if systemd and unit == module.TIMER:
        click.echo(f"{unit}: in the place of the daemon, as before.")
    elif systemd:
        click.echo(f"{module.SERVICE}: enabled, started and ready. See `systemctl --user status {module.SERVICE}`.")
        if not module.lingers():
            click.echo("It ends when you log out; to have it run always: `loginctl enable-linger`.")
        click.echo(f"Checks by a timer instead of a daemon: `systemctl --user disable --now {module.SERVICE}` and")
        click.echo(f"`systemctl --user enable --now {module.TIMER}`.")
    else:
        click.echo("Next: `openclaw-auth-exporter check` looks once, `openclaw-auth-exporter serve` is the daemon.")
    _tell_undo(undo)


def _tell_undo(commands: list[str]) -> None:
    click.echo("To undo this:")
    for command in commands:
        click.echo(f"  {command}")


def _topic_file(config_file: Path, undo: list[str]) -> Path | None:
    """The one question: without a channel nobody is told."""
    from exporter.setup import init as module

    if not sys.stdin.isatty():
        return None
    if not click.confirm("Send alarms to your phone through the ntfy app and its public server ntfy.sh?"):
        return None
    path = config_file.parent / "ntfy-topic"
    is_there = path.exists()
    topic = module.write_topic(path)
    if not is_there:
        undo.append(module.undo_config(path, None))
    click.echo(f"In the ntfy app, subscribe to the topic {topic}")
    click.echo(f"Whoever knows it can read the alarms. It is kept in {path}.")
    return path


@click.group()
def assets() -> None:
    """The shipped dashboards, alert rules, units and Termux scripts."""


@assets.command("list")
@takes_config_too
def assets_list() -> None:
    """Their names."""
    from exporter.setup import assets

    for name in assets.names():
        click.echo(name)


@assets.command("show")
@click.argument("name")
@takes_config_too
def assets_show(name: str) -> None:
    """Print one. NAME may be the end of it where only one ends so."""
    from exporter.setup import assets

    try:
        content = assets.read(name)
    except assets.AssetsError as error:
        raise click.UsageError(str(error)) from None
    click.echo(content, nl=False)


@assets.command("export")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--force", is_flag=True, help="Overwrite what differs.")
@takes_config_too
def assets_export(directory: Path, force: bool) -> None:
    """Write all of them below DIRECTORY."""
    from exporter.setup import assets

    try:
        written = assets.export(directory, force)
    except assets.AssetsError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{len(written)} file{'' if len(written) == 1 else 's'} written below {directory}")
