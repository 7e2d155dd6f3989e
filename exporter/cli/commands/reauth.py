"""``reauth``: renew credentials in this terminal, step by step."""

from __future__ import annotations

from pathlib import Path

import click

from exporter.cli import names, options, runtime
from exporter.cli.options import examples


@click.command(epilog=examples("reauth", "reauth --target home --profile anthropic:default"))
@click.option("--target", metavar="NAME", help="Only this target.", shell_complete=names.targets)
@click.option("--agent", metavar="ID", help="Only this agent.", shell_complete=names.agents)
@click.option(
    "--profile",
    metavar="ID",
    help="Only this profile (its id or alias), even if nothing is wrong with it.",
    shell_complete=names.profiles,
)
@options.config_option
def reauth(target: str | None, agent: str | None, profile: str | None, config_file: Path | None) -> int:
    """Sign in again, step by step in this terminal, and check that it worked.

    Offers the credentials that need it, worst first. Exits like check, with the state afterwards.
    """
    from exporter.model import Report
    from exporter.reauth import resolve
    from exporter.reauth.candidates import Selection
    from exporter.reauth.guide import Guide
    from exporter.reauth.terminal import Terminal
    from exporter.sources import Source

    config = runtime.read_targets(config_file)
    report, monitor = Report(0.0, ()), None

    def check(targets: list[str] | None) -> Report:
        nonlocal report, monitor
        report, monitor = runtime.check_targets(config, targets or ())
        return report

    def notify(targets: list[str]) -> bool | None:
        if {checked.target for checked in report.targets} != set(targets):
            check(targets)
        assert monitor is not None
        return runtime.notify_once(config, monitor)

    def source_of(name: str) -> Source:
        assert monitor is not None
        return monitor.checkers[name].source

    selection = Selection(target, agent, profile)

    def resolve_alerts(targets: list[str]) -> str | None:
        return resolve.resolve_alerts(config, targets, notify)

    return Guide(config, selection, Terminal(), check, source_of, resolve_alerts).run()
