"""The program: ``cli`` is the group that finds the commands, ``run`` runs it.

Commands live in ``exporter.cli.commands``. Each reads its options, calls other packages and turns the result into
output and an exit code.
"""

from __future__ import annotations

import functools
import importlib
import os
import pkgutil
import sys
from pathlib import Path

import click

from exporter import __version__
from exporter.cli import commands
from exporter.cli.options import config_option, examples
from exporter.cli.output import EX_PIPE, discard_output, print_error, show_usage
from exporter.lib import logs
from exporter.lib.errors import ExpectedError
from exporter.lib.known_secrets import remember
from exporter.lib.names import suggestion


class CommandFinder(click.Group):
    """A group whose commands are the modules of ``exporter.cli.commands``, imported on demand.

    A timer starts ``check`` every few minutes; it does not pay for the other commands.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return self._names

    @functools.cached_property
    def _names(self) -> list[str]:
        return sorted(module.name for module in pkgutil.iter_modules(commands.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command = getattr(importlib.import_module(f"{commands.__name__}.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if not args[0].startswith("-") and args[0] not in known:
            raise click.UsageError(f"there is no command named {args[0]!r}{suggestion(args[0], known)}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=CommandFinder,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples("check", "explain anthropic:default", "init --systemd", "demo"),
)
@click.version_option(__version__, prog_name="openclaw-auth-exporter")
@config_option
def cli(config_file: Path | None) -> None:
    """Checks OpenClaw's model credentials, exports them to Prometheus and notifies people."""


def run() -> int:
    """Run the command line, and write what it prints. Exceptions become a sentence and an exit code."""
    if instruction := os.environ.get("_OPENCLAW_AUTH_EXPORTER_COMPLETE"):
        from exporter.cli import shells  # imported only when someone presses Tab

        shells.answer(cli, instruction)
        return 0
    remember(os.environ)
    logs.install()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # an escape is better than no output
    code = _run()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:
        discard_output()  # an interpreter that ends would fail to flush, too, and replace our exit code
    return code


def _run() -> int:
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        print_error(error.format_message())
        return os.EX_USAGE
    except click.MissingParameter as error:
        show_usage(error)
        epilog = error.ctx.command.epilog if error.ctx is not None else None
        print_error("\n".join((epilog or "").splitlines()[1:]))
        return os.EX_USAGE
    except click.UsageError as error:
        show_usage(error)
        return os.EX_USAGE
    except (click.Abort, KeyboardInterrupt):
        return 130
    except SystemExit:  # click exits by itself when the reader of its output has gone
        discard_output()
        return EX_PIPE
    except ExpectedError as error:
        kind = "" if error.exit_code == os.EX_CONFIG else "Error: "  # a mistake there begins with its place
        print_error(f"{kind}{error}")
        return error.exit_code
    except Exception as error:
        return _report_internal(error)
    return code if isinstance(code, int) else 0


def _report_internal(error: Exception) -> int:
    """Report a bug of ours by its kind and place. Its text stays unprinted: it may quote a secret."""
    print_error(f"Internal error ({logs.kind_and_place(error)}). Please report it.")
    return os.EX_SOFTWARE
