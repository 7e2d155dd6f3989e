"""``push``: one check, pushed to a Pushgateway."""

from __future__ import annotations

from pathlib import Path

import click

from exporter.cli import options, runtime
from exporter.cli.options import examples


@click.command(
    epilog=examples("push --url http://push.example:9091", "push --url http://push.example:9091 --instance laptop")
)
@click.option("--url", required=True, metavar="URL", help="The Pushgateway, like http://push.example:9091.")
@click.option("--job", default="openclaw-auth-exporter", show_default=True, help="The job label of the group.")
@click.option("--instance", default=None, help="The instance label of the group (default: this host's name).")
@options.config_option
def push(url: str, job: str, instance: str | None, config_file: Path | None) -> None:
    """Check once and push the metrics to a Pushgateway, from a host that Prometheus cannot scrape."""
    import socket

    from exporter.metrics.push import is_gateway, push_to
    from exporter.metrics.render import one_shot

    if not is_gateway(url):
        raise click.UsageError("--url must be like http://push.example:9091")
    report, monitor = runtime.check_targets(runtime.read_targets(config_file))
    push_to(url, job, instance or socket.gethostname(), one_shot(report, labels_of=monitor.metric_labels))
