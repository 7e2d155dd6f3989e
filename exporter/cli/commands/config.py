"""``config``: validate and show the configuration."""

from __future__ import annotations

from pathlib import Path

import click

from exporter.cli.options import config_option, examples, ignored_config_option
from exporter.cli.output import as_json, print_line, print_result
from exporter.cli.runtime import read_config, read_targets


@click.group(epilog=examples("config check", "config show"))
def config() -> None:
    """Validate and show the configuration."""


@config.command("check", epilog=examples("config check", "config check --config ./config.json5"))
@config_option
def config_check(config_file: Path | None) -> None:
    """Validate the configuration. Prints a sentence for each problem and exits 78 if there is one.

    Refuses what `serve` and `notify test` would refuse on this host: channels, certificates, users and addresses that
    cannot be used. Warns of what would not work.
    """
    from exporter.config import ConfigError, default_config_file
    from exporter.daemon import preflight

    checked = read_targets(config_file)
    where = config_file or default_config_file() or "built-in defaults"
    targets = [target.name for target in checked.targets]
    names = ", ".join(targets[:20]) + (f" and {len(targets) - 20} more" if len(targets) > 20 else "")
    for problem in preflight.warnings(checked):
        print_line(f"{where}: warning: {problem}", err=True)
    try:
        preflight.require_usable(checked)
    except ConfigError as error:
        raise ConfigError(str(where), error.problems) from None
    print_line(f"{where}: valid; {len(checked.targets)} target{'s' if len(checked.targets) > 1 else ''} ({names})")


@config.command("show", epilog=examples("config show"))
@config_option
def config_show(config_file: Path | None) -> None:
    """Print the configuration in effect as JSON, with secrets redacted."""
    from exporter.config import redacted

    print_result(as_json(redacted(read_config(config_file))))


@config.command("schema", epilog=examples("config schema >schema.json"))
@ignored_config_option
def config_schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from exporter.config import schema

    print_result(as_json(schema()))
