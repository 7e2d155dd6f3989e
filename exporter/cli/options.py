"""What the commands share: the ``--config`` option, the ledger, exit codes, output that survives its reader.

``cli`` and the modules of commands it registers use it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from exporter.config import Config
    from exporter.state.credentials_db import CredentialDatabase

#: Our own errors, as sysexits.h has them: they never borrow a verdict's 0, 1 or 2.
EX_USAGE, EX_SOFTWARE, EX_TEMPFAIL, EX_CONFIG = 64, 70, 75, 78
#: What a shell shows of a program whose reader has left (128 + SIGPIPE).
EX_PIPE = 141
F = TypeVar("F", bound=Callable[..., Any])

_HELP = (
    "The configuration file (default: $OPENCLAW_AUTH_EXPORTER_CONFIG, else config.json5 in "
    "~/.config/openclaw-auth-exporter or /etc/openclaw-auth-exporter, else built-in defaults)."
)


def _given(context: click.Context, parameter: click.Parameter, value: str | None) -> Path | None:
    """The command's own ``--config``, else the one before the command's name."""
    if value == "":
        raise click.BadParameter("is empty: name a file, or leave the option out")
    given = value if value is not None else context.find_root().params.get("config_file")
    return None if given is None else Path(given)


def config_option(command: F) -> F:
    """``--config FILE``, as the argument ``config_file``."""
    return click.option("--config", "config_file", metavar="FILE", callback=_given, help=_HELP)(command)


def takes_config_too(command: F) -> F:
    """``--config FILE`` on a command that needs none, for who gives it to every command."""
    return click.option("--config", metavar="FILE", expose_value=False, hidden=True)(command)


def read_config(config_file: Path | None) -> Config:
    """The configuration in effect. Raises ConfigError."""
    from exporter.config import default_config_file, load

    return load(config_file or default_config_file())


def ledger_of(config: Config) -> CredentialDatabase:
    """What is remembered where this configuration keeps its state."""
    from exporter.config import default_state_dir
    from exporter.state.credentials_db import CredentialDatabase

    return CredentialDatabase(default_state_dir(config))


def say(text: str) -> None:
    """Print a result whose exit code tells it too: a reader that has left (``| head``) changes nothing."""
    try:
        click.echo(text)
    except BrokenPipeError:
        hush()
    except OSError as error:
        hush()
        raise click.ClickException(f"the result cannot be written: {error.strerror}") from None


def as_json(value: object) -> str:
    """``value`` as JSON for people and programs, in what standard output can hold."""
    encoding = getattr(sys.stdout, "encoding", None) or ""
    return json.dumps(value, indent=2, ensure_ascii=encoding.lower().replace("-", "") != "utf8")


def hush() -> None:
    """Nothing that is still to be written to standard output is heard of again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
