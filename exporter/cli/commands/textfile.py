"""``textfile``: one check as a file for node_exporter's textfile collector."""

from __future__ import annotations

from pathlib import Path

import click

from exporter.cli import options, runtime
from exporter.cli.options import examples


@click.command(epilog=examples("textfile --output /var/lib/node_exporter/textfile/openclaw.prom"))
@click.option(
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.prom",
    help="The file to replace, in the collector's directory.",
)
@options.config_option
def textfile(output: Path, config_file: Path | None) -> None:
    """Check once and write the metrics for node_exporter's textfile collector."""
    from exporter.metrics.push import write_textfile
    from exporter.metrics.render import one_shot

    if output.suffix != ".prom":
        raise click.UsageError(f"--output: {str(output)!r} must end in .prom: node_exporter ignores other files")
    report, monitor = runtime.check_targets(runtime.read_targets(config_file))
    write_textfile(output, one_shot(report, labels_of=monitor.metric_labels))
