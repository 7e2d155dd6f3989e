"""``assets``: list, show or export the shipped dashboards, rules, units and scripts."""

from __future__ import annotations

from pathlib import Path

import click

from exporter.cli import names
from exporter.cli.options import examples, ignored_config_option
from exporter.cli.output import print_file, print_line


@click.group(epilog=examples("assets list", "assets export ~/openclaw-auth-exporter-assets"))
def assets() -> None:
    """List, print and export the shipped dashboards, alert rules, units and Termux scripts."""


@assets.command("list", epilog=examples("assets list"))
@ignored_config_option
def assets_list() -> None:
    """List the names of the shipped files."""
    from exporter.setup import assets

    for name in assets.names():
        print_line(name)


@assets.command(
    "show",
    epilog=examples(
        "assets show deploy/systemd/openclaw-auth-exporter.service", "assets show openclaw-auth.rules.yml >rules.yml"
    ),
)
@click.argument("name", shell_complete=names.assets)
@ignored_config_option
def assets_show(name: str) -> None:
    """Print one file. NAME may be the end of a name if only one file has it."""
    from exporter.setup import assets

    try:
        content = assets.read(name)
    except assets.AssetsError as error:
        raise click.UsageError(str(error)) from None
    print_file(content)


@assets.command(
    "export",
    epilog=examples(
        "assets export ~/openclaw-auth-exporter-assets", "assets export --force ~/openclaw-auth-exporter-assets"
    ),
)
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--force", is_flag=True, help="Overwrite files that differ from the shipped ones.")
@ignored_config_option
def assets_export(directory: Path, force: bool) -> None:
    """Write all files below DIRECTORY."""
    from exporter.setup import assets

    written = assets.export(directory, force)
    print_line(f"{len(written)} file{'' if len(written) == 1 else 's'} written below {directory}")
