"""The ``--config`` option, which every command takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from exporter.cli import names

PROGRAM = "openclaw-auth-exporter"
F = TypeVar("F", bound=Callable[..., Any])

_HELP = (
    "The configuration file (default: $OPENCLAW_AUTH_EXPORTER_CONFIG, else config.json5 in "
    "~/.config/openclaw-auth-exporter or /etc/openclaw-auth-exporter, else built-in defaults)."
)


def _effective(context: click.Context, parameter: click.Parameter, value: str | None) -> Path | None:
    """The command's own ``--config``, else the one written before the command's name."""
    if value == "":
        raise click.BadParameter("is empty: name a file, or omit the option")
    given = value if value is not None else context.find_root().params.get("config_file")
    return None if given is None else Path(given)


def examples(*lines: str) -> str:
    """The end of a command's help: ``lines``, each the words after the program's name."""
    return "\n".join(["\b", "Examples:", *(f"  {PROGRAM} {line}" for line in lines)])


def config_option(command: F, *further_names: str) -> F:
    """``--config FILE``, as the argument ``config_file``."""
    return click.option(
        "--config",
        *further_names,
        "config_file",
        metavar="FILE",
        callback=_effective,
        help=_HELP,
        shell_complete=names.files,
    )(command)


def config_option_of_serve(command: F) -> F:
    """``config_option``, also as Prometheus' exporters spell it."""
    return config_option(command, "--config.file")


def _addresses(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    from exporter.config.models import require_address

    for value in values:
        try:
            require_address(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return values


def listen_option(command: F) -> F:
    """``--web.listen-address``, as the argument ``listen``: host and port, in the words of the configuration."""
    return click.option(
        "--web.listen-address",
        "listen",
        metavar="ADDRESS",
        multiple=True,
        callback=_addresses,
        help="Listen here instead of on web.listen of the configuration. Repeatable. "
        "Like 127.0.0.1:10785, [::1]:10785 or :10785, which is every address of this machine.",
    )(command)


def web_config_option(command: F) -> F:
    """``--web.config.file``, as the argument ``web_config``."""
    return click.option(
        "--web.config.file",
        "web_config",
        metavar="FILE",
        default="",
        help="TLS, users, headers and a rate limit in the format of Prometheus' exporters, instead of web.tls and "
        "web.users_file of the configuration.",
        shell_complete=names.files,
    )(command)


def log_options(command: F) -> F:
    """``--log-format`` and ``--log-level``, also as Prometheus' exporters spell them."""
    command = click.option(
        "--log-level",
        "--log.level",
        "log_level",
        type=click.Choice(["debug", "info", "warn", "error"]),
        default="info",
        show_default=True,
        help="What is logged on standard error.",
    )(command)
    return click.option(
        "--log-format",
        "--log.format",
        "log_format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="How: lines, or one JSON object a line. Lines have a time unless systemd's journal adds one.",
    )(command)


def ignored_config_option(command: F) -> F:
    """``--config FILE`` on a command that reads no configuration, for scripts that pass it to every command."""
    return click.option("--config", metavar="FILE", expose_value=False, hidden=True)(command)
