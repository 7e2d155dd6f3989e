"""``explain``: each verdict with its evidence, and the status of its alert."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.cli import names, options, runtime, screen
from exporter.cli.options import examples
from exporter.cli.output import print_line, print_result
from exporter.lib.names import suggestion

if TYPE_CHECKING:
    from exporter.config import Config


@click.command(epilog=examples("explain", "explain anthropic:default"))
@click.argument("profile", required=False, shell_complete=names.profiles)
@screen.color_option
@options.config_option
def explain(profile: str | None, color: screen.Colour, config_file: Path | None) -> int:
    """Show each verdict with its evidence and the rule that decided. PROFILE is an id or an alias."""
    from exporter import present

    config = runtime.read_targets(config_file)
    report, _ = runtime.check_targets(config)
    if profile is not None:
        known = {p.id: p.label for target in report.targets for agent in target.agents for p in agent.profiles}
        if profile not in known and profile not in known.values():
            shown = [present.visible(name, 80) for name in known]
            raise click.UsageError(f"there is no profile named {profile!r}{suggestion(profile, shown)}")
    text = present.explain(report, profile, alerts=_alert_lines(config), style=screen.style_of(config, color))
    print_result(text, is_coloured=screen.has_colours(color, sys.stdout))
    return report.exit_code


def _alert_lines(config: Config) -> dict[tuple[str, str, str, str], list[str]]:
    """The status of each alert as lines. Empty if no alert state exists or it cannot be read."""
    from exporter.alerts.delivery.evaluation import policy_of
    from exporter.alerts.delivery.outbox import FILE
    from exporter.alerts.delivery.overview import lines_by_profile
    from exporter.lib.sqlite import StateError

    if not config.channels or not (config.state_directory() / FILE).exists():
        return {}
    now = time.time()
    try:
        with runtime.open_outbox(config) as outbox:
            policy = policy_of(config, outbox, now)
            return lines_by_profile(outbox.states(), policy, now, outbox.undelivered())
    except StateError as error:
        print_line(f"The status of alerts is unknown: {error}", err=True)
        return {}
