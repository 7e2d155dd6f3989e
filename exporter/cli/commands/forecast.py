"""``forecast``: list the notifications that will be sent if nothing changes."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import click

from exporter.cli import options, runtime
from exporter.cli.options import examples
from exporter.cli.output import as_json, print_line, print_result
from exporter.lib.durations import parse_duration

#: How many messages are shown.
MAX_MESSAGES = 10_000
#: Stands for the channel where none is configured.
NO_CHANNEL = "(no channel)"


@click.command(epilog=examples("forecast", "forecast --for 30d", "forecast --json | jq length"))
@click.option(
    "--for", "length", default="1y", show_default=True, metavar="DURATION", help="How far ahead, like 30d or 1y."
)
@click.option("--json", "with_json", is_flag=True, help="Print the messages as JSON.")
@options.config_option
def forecast(length: str, with_json: bool, config_file: Path | None) -> None:
    """List every notification that the facts of today will lead to: when, on which channel, and its title.

    What is repeated until someone acts is listed once, with its interval.
    """
    from exporter.alerts.delivery import expected
    from exporter.alerts.delivery.evaluation import policy_of
    from exporter.alerts.lifecycle.forecast import forecast as expect
    from exporter.alerts.lifecycle.policy import ChannelPolicy

    ahead = runtime.parse_option(parse_duration, length)
    config = runtime.read_targets(config_file)
    now = time.time()
    with runtime.open_outbox(config) as outbox:
        states, proofs, policy = outbox.states(), outbox.tests_sent(), policy_of(config, outbox, now)
    if not policy.channels:
        policy = replace(policy, channels=(ChannelPolicy(NO_CHANNEL),))
        hint = "an Alertmanager decides itself what it sends" if config.channels else "add one to `channels`"
        print_line(f"No channel is configured that these notifications could be sent to: {hint}.", err=True)
    report, monitor = runtime.check_targets(config)
    policy = replace(policy, renew=monitor.renewal_steps)
    messages = expect(states, report, policy, now, now + ahead, monitor.as_of, proofs, MAX_MESSAGES + 1)
    shown = messages[:MAX_MESSAGES]
    if with_json:
        print_result(as_json(expected.to_json(shown, now, now + ahead)))
    else:
        for line in expected.lines(shown):
            print_line(line)
    if len(messages) > MAX_MESSAGES:
        print_line(f"Only the first {MAX_MESSAGES:,} messages are shown. Use a shorter --for.", err=True)
    if not messages:
        print_line(f"No notification is due within {length}.", err=True)
