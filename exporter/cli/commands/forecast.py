"""``forecast``: list the notifications that will be sent if nothing changes."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import click

from exporter.cli import options, runtime

#: How many messages are shown.
MAX_MESSAGES = 10_000


@click.command()
@click.option(
    "--for", "length", default="1y", show_default=True, metavar="DURATION", help="How far ahead, like 30d or 1y."
)
@options.config_option
def forecast(length: str, config_file: Path | None) -> None:
    """List every notification that the facts of today will lead to: when, on which channel, and its title."""
    from exporter.alerts import lifecycle
    from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy
    from exporter.alerts.message import text
    from exporter.lib.durations import iso, parse_duration

    ahead = runtime.parse_option(parse_duration, length)
    config = runtime.read_config(config_file)
    now = time.time()
    with runtime.open_outbox(config) as outbox:
        states, proofs = outbox.states(), outbox.tests_sent()
        policy = AlertPolicy.of(config, outbox.silences(now), outbox.acknowledged())
    if not policy.channels:
        policy = replace(policy, channels=(ChannelPolicy("(no channel configured)"),))
    report, monitor = runtime.check_targets(config)
    policy = replace(policy, renew=monitor.renewal_steps)
    messages = lifecycle.forecast(states, report, policy, now, now + ahead, monitor.as_of, proofs, MAX_MESSAGES + 1)
    for at, message in messages[:MAX_MESSAGES]:
        for alert in message.alerts:
            click.echo(f"{iso(at)}  {message.channel}  {alert.reason}  {text.title(alert, at)}")
        if message.suppressed:
            click.echo(f"{iso(at)}  {message.channel}  summary  {text.summary_title(message)}")
    if len(messages) > MAX_MESSAGES:
        click.echo(f"Only the first {MAX_MESSAGES:,} notifications are shown. Use a shorter --for.", err=True)
    if not messages:
        click.echo(f"No notification is due within {length}.", err=True)
