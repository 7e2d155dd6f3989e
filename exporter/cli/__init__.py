"""The command line, thin: it reads options, calls one module and turns what comes back into output
and an exit code. What a command needs is imported when it runs: a timer starts us every few minutes.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from exporter import __version__
from exporter.cli import deadline, notifications, setup
from exporter.cli.options import (
    EX_CONFIG,
    EX_PIPE,
    EX_SOFTWARE,
    EX_TEMPFAIL,
    EX_USAGE,
    as_json,
    config_option,
    hush,
    ledger_of,
    read_config,
    say,
    takes_config_too,
)

if TYPE_CHECKING:
    from exporter.checks.monitor import Monitor
    from exporter.config import Config
    from exporter.model import Report


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="openclaw-auth-exporter")
@config_option
def cli(config_file: Path | None) -> None:
    """Watches OpenClaw's model credentials: for Prometheus, for timers, for people."""


cli.add_command(setup.init)
cli.add_command(setup.assets)
cli.add_command(notifications.notify)
cli.add_command(notifications.silence)
cli.add_command(notifications.forecast)
cli.add_command(deadline.deadline)


def _look(config: Config, names: list[str] | None) -> Report:
    return check_with(config, names)[0]


def check_with(config: Config, names: list[str] | None) -> tuple[Report, Monitor]:
    """One look at the named targets, or all, with the ledger's help; and who looked, closed."""
    from exporter.checks.monitor import Monitor

    known = [target.name for target in config.targets]
    for name in names or ():
        if name not in known:
            raise click.UsageError(f"there is no target named {name!r}; there are {', '.join(known)}")

    async def check() -> tuple[Report, Monitor]:
        ledger = ledger_of(config)
        monitor = Monitor(config, ledger)
        try:
            return await monitor.check(names or known), monitor
        finally:
            await monitor.aclose()
            ledger.close()

    return _run(check())


T = TypeVar("T")


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; SIGTERM ends it like ^C does: processes of ours first."""
    import signal

    async def guarded() -> T:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    return asyncio.run(guarded())


@cli.command()
@click.option("--target", "targets", multiple=True, metavar="NAME", help="Only this target; may be repeated.")
@click.option("--json", "json", is_flag=True, help="The full result as JSON.")
@click.option("--line", "line", is_flag=True, help="One line, for scripts and widgets.")
@click.option("--nagios", "nagios", is_flag=True, help="Nagios plugin output with Nagios' exit codes.")
@click.option("--quiet", "quiet", is_flag=True, help="Print nothing; the exit code says it.")
@click.option("--notify", is_flag=True, help="Also tell the channels, where no daemon does it already.")
@config_option
def check(targets: tuple[str, ...], notify: bool, config_file: Path | None, **styles: bool) -> int:
    """One look at every target. Exits 0: nothing to do, 1: act now or unknown, 2: act soon."""
    chosen = [style for style, is_wanted in styles.items() if is_wanted]
    if len(chosen) > 1:
        raise click.UsageError(f"--{chosen[0]} and --{chosen[1]} exclude each other")
    config = read_config(config_file)
    report, monitor = check_with(config, list(targets) or None)
    delivered = not notify or _notify(config, monitor)
    code = report.exit_code if delivered or report.exit_code else EX_TEMPFAIL
    if chosen == ["quiet"]:
        return code
    from exporter import present

    match chosen:
        case ["json"]:
            say(as_json(present.to_json(report)))
        case ["line"]:
            say(present.to_line(report))
        case ["nagios"]:
            text, code = present.to_nagios(report)
            say(text)
        case _:
            say(present.to_table(report))
    return code


def _notify(config: Config, monitor: Monitor) -> bool:
    """Run the alert lifecycle once; whether everything could be handed over."""
    delivered = _notify_once(config, monitor)
    if delivered is None:
        click.echo("A daemon tells of alerts already: this only looked.", err=True)
    return delivered is not False


def _notify_once(config: Config, monitor: Monitor) -> bool | None:
    """Run the alert lifecycle once; whether everything could be handed over, None where a daemon does it."""
    from exporter.alerts.delivery.notifier import Notifier
    from exporter.config import default_state_dir
    from exporter.lib.sqlite import StateError

    async def once() -> bool | None:
        notifier = Notifier(config, default_state_dir(config), monitor.scheduled, as_of=monitor.target_as_of)
        try:
            return await notifier.once()
        finally:
            await notifier.stop()

    try:
        return _run(once())
    except StateError as error:
        click.echo(f"Nothing was told: {error}", err=True)
        return False


@cli.command()
@click.argument("profile", required=False)
@config_option
def explain(profile: str | None, config_file: Path | None) -> int:
    """Each verdict with the evidence it rests on and the rule that decided."""
    from exporter import present

    config = read_config(config_file)
    report = _look(config, None)
    if profile is not None:
        known = {p.id: p.label for target in report.targets for agent in target.agents for p in agent.profiles}
        if profile not in known and profile not in known.values():
            names = ", ".join(present.visible(name, 80) for name in sorted(known)[:20])
            raise click.UsageError(f"no profile is named {profile!r}" + (f"; there are {names}" if names else ""))
    say(present.explain(report, profile, alerts=notifications.explained(config)))
    return report.exit_code


@cli.command()
@click.option("--target", metavar="NAME", help="Only this target.")
@click.option("--agent", metavar="ID", help="Only this agent.")
@click.option("--profile", metavar="ID", help="Only this profile (its id or alias).")
@config_option
def reauth(target: str | None, agent: str | None, profile: str | None, config_file: Path | None) -> int:
    """Sign in again, step by step in this terminal, and check that it worked.

    Offers what needs it, worst first; with --profile also what nothing is wrong with. Exits as check
    does: 0 when all is well afterwards.
    """
    from exporter.reauth import resolve
    from exporter.reauth.candidates import Selection
    from exporter.reauth.guide import Guide
    from exporter.reauth.terminal import Terminal

    config = read_config(config_file)
    looked: list[tuple[Report, Monitor]] = []

    def check(names: list[str] | None) -> Report:
        looked[:] = [check_with(config, names)]
        return looked[0][0]

    def once(targets: list[str]) -> bool | None:
        if {one.target for one in looked[0][0].targets} != set(targets):
            check(targets)
        return _notify_once(config, looked[0][1])

    guide = Guide(
        config,
        Selection(target, agent, profile),
        Terminal(),
        check,
        lambda targets: resolve.tell(config, targets, once),
    )
    return guide.run()


@cli.command()
@config_option
def serve(config_file: Path | None) -> int:
    """The daemon: looks on schedule, serves /metrics, the status page and the API."""
    from exporter.config import default_state_dir

    config = read_config(config_file)
    return _serve(config, default_state_dir(config), lambda: read_config(config_file))


@cli.command()
@click.option("--listen", metavar="HOST:PORT", default="127.0.0.1:10785", show_default=True)
@takes_config_too
def demo(listen: str) -> int:
    """Serve simulated targets in every state, for a first look without OpenClaw."""
    from exporter.config import Config
    from exporter.simulator.demo import demo_config

    def config() -> Config:
        made = demo_config()
        return Config.model_validate({**made.model_dump(by_alias=True), "web": {"listen": listen}})

    try:
        made = config()
    except ValueError:  # of the whole only this is not ours
        raise click.UsageError(f"--listen: {listen!r} is no address: write host:port") from None
    return _serve(made, None, config)


def _serve(config: Config, state_dir: Path | None, reread: Callable[[], Config]) -> int:
    import logging

    from exporter.daemon.scheduler import run
    from exporter.web.server import CertificateError, ListenError

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    for noisy in ("apscheduler", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        asyncio.run(run(config, state_dir, reread))
    except CertificateError as error:
        click.echo(str(error), err=True)
        return EX_CONFIG
    except ListenError as error:
        raise click.ClickException(str(error)) from None
    return 0


@cli.command()
@click.option("--output", required=True, type=click.Path(dir_okay=False), metavar="FILE.prom")
@config_option
def textfile(output: str, config_file: Path | None) -> int:
    """One look, written for node_exporter's textfile collector."""
    if not output.endswith(".prom"):
        raise click.UsageError(f"--output: {output!r} does not end in .prom, and node_exporter reads no other files")
    from exporter.metrics.push import ExportError, write_textfile
    from exporter.metrics.render import one_shot

    report = _look(read_config(config_file), None)
    try:
        write_textfile(Path(output), one_shot(report))
    except ExportError as error:
        raise click.ClickException(str(error)) from None
    return 0


@cli.command()
@click.option("--url", required=True, metavar="URL", help="The Pushgateway, like http://push.example:9091")
@click.option("--job", default="openclaw-auth-exporter", show_default=True)
@click.option("--instance", default=None, help="Default: this host's name.")
@config_option
def push(url: str, job: str, instance: str | None, config_file: Path | None) -> int:
    """One look, pushed to a Pushgateway, from hosts that cannot be scraped."""
    import socket

    from exporter.metrics.push import ExportError, is_gateway, push_to
    from exporter.metrics.render import one_shot

    if not is_gateway(url):
        raise click.UsageError("--url must be like http://push.example:9091")
    report = _look(read_config(config_file), None)
    try:
        push_to(url, job, instance or socket.gethostname(), one_shot(report))
    except ExportError as error:
        raise click.ClickException(str(error)) from None
    return 0


@cli.group()
def config() -> None:
    """Validate and show the configuration."""


@config.command("check")
@config_option
def config_check(config_file: Path | None) -> None:
    """Validate; every problem is one sentence, and the exit code is 78."""
    from exporter.config import default_config_file, unreadable_secrets

    made = read_config(config_file)
    where = config_file or default_config_file() or "built-in defaults"
    names = ", ".join(target.name for target in made.targets)
    for problem in unreadable_secrets(made):
        click.echo(f"{where}: warning: {problem} (as seen from here and now)", err=True)
    click.echo(f"{where}: good; {len(made.targets)} target{'s' if len(made.targets) > 1 else ''} ({names})")


@config.command("show")
@config_option
def config_show(config_file: Path | None) -> None:
    """The configuration in effect, secrets redacted."""
    from exporter.config import redacted

    click.echo(as_json(redacted(read_config(config_file))))


@config.command("schema")
@takes_config_too
def config_schema() -> None:
    """The JSON Schema, for editors."""
    from exporter.config import schema

    click.echo(as_json(schema()))


def main() -> None:
    """The entry point: exceptions become sentences and exit codes."""
    # A command starts, looks and ends: searching it for cycles, now and at its end, would be a sixth of its time.
    # (`footprint` has the daemon searched.)
    gc.disable()
    atexit.register(gc.freeze)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # what a locale cannot show is no reason to say nothing
    try:
        code = _main()
    except Exception as error:
        # The text of an unforeseen error may quote what it choked on: only its kind and place.
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        line = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else "?"
        click.echo(f"Error of the exporter's own: {type(error).__name__} at {line}. Please report it.", err=True)
        code = EX_SOFTWARE
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        hush()  # or the interpreter makes an exit code of its own
    sys.exit(code)


def _main() -> int:
    from exporter.config import ConfigError

    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return EX_USAGE
    except click.UsageError as error:
        error.show()
        return EX_USAGE
    except ConfigError as error:
        click.echo(str(error), err=True)
        return EX_CONFIG
    except click.ClickException as error:
        click.echo(f"Error: {error.format_message()}", err=True)
        return EX_SOFTWARE
    except (click.Abort, KeyboardInterrupt, asyncio.CancelledError):
        return 130
    except SystemExit:  # click's own answer to a reader that has left
        hush()
        return EX_PIPE
    return code if isinstance(code, int) else 0
