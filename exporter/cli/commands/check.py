"""``check``: check every target once and print the result."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from exporter.cli import names, options, runtime, screen
from exporter.cli.options import examples
from exporter.cli.output import as_json, print_line, print_result


@click.command(
    epilog=examples(
        "check",
        "check --target home --target vps",
        "check --line",
        "check --json | jq .exit_code",
        "check --notify --quiet",
    )
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME",
    help="Check only this target. May be repeated.",
    shell_complete=names.targets,
)
@click.option("--json", "json", is_flag=True, help="Print the full result as JSON.")
@click.option("--line", "line", is_flag=True, help="Print one line, for scripts and widgets.")
@click.option("--nagios", "nagios", is_flag=True, help="Print Nagios plugin output and use Nagios' exit codes.")
@click.option("--quiet", "quiet", is_flag=True, help="Print nothing. The exit code is the result.")
@click.option("--notify", is_flag=True, help="Send notifications too, unless a daemon already does.")
@click.option("--all", "everything", is_flag=True, help="List everything in the table, however much it is.")
@screen.color_option
@options.config_option
def check(
    targets: tuple[str, ...],
    notify: bool,
    everything: bool,
    color: screen.Colour,
    config_file: Path | None,
    **styles: bool,
) -> int:
    """Check every target once.

    Exit codes: 0, nothing to do; 1, someone must act now or the state is unknown; 2, someone must act soon.
    """
    chosen = [style for style, is_wanted in styles.items() if is_wanted]
    if len(chosen) > 1:
        raise click.UsageError(f"--{chosen[0]} and --{chosen[1]} exclude each other")
    config = runtime.read_targets(config_file, keeps=True)
    report, monitor = runtime.check_targets(config, targets)
    code = report.exit_code
    if notify:
        delivered = runtime.notify_once(config, monitor)
        if delivered is None:
            print_line("A daemon sends the notifications. This command only checked.", err=True)
        if delivered is False and code == 0:
            code = os.EX_TEMPFAIL
    if chosen == ["quiet"]:
        return code
    from exporter import present

    match chosen:
        case ["json"]:
            text = as_json(present.to_json(report))
        case ["line"]:
            text = present.to_line(report)
        case ["nagios"]:
            text, code = present.to_nagios(report)
        case _:
            text = present.to_table(report, style=screen.style_of(config, color, everything))
    print_result(text, is_coloured=screen.has_colours(color, sys.stdout))
    return code
