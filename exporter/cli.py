"""The command line, thin: it reads options, calls one module and turns what comes back into output
and an exit code. What a command needs is imported when it runs: a timer starts us every few minutes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from exporter import __version__, kit_cli, notify_cli

if TYPE_CHECKING:
    from exporter.config import Config
    from exporter.ledger import Ledger
    from exporter.model import Report
    from exporter.monitor import Monitor

#: Our own errors, as sysexits.h has them: they never borrow a verdict's 0, 1 or 2.
EX_USAGE, EX_SOFTWARE, EX_TEMPFAIL, EX_CONFIG = 64, 70, 75, 78
F = TypeVar("F", bound=Callable[..., Any])


def _with_config(command: F) -> F:
    return click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        help="The configuration file (default: $OPENCLAW_AUTH_EXPORTER_CONFIG, else config.json5 in "
        "~/.config/openclaw-auth-exporter or /etc/openclaw-auth-exporter, else built-in defaults).",
    )(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="openclaw-auth-exporter")
def cli() -> None:
    """Watches OpenClaw's model credentials: for Prometheus, for timers, for people."""


cli.add_command(kit_cli.init)
cli.add_command(kit_cli.assets)
cli.add_command(notify_cli.notify)
cli.add_command(notify_cli.silence)
cli.add_command(notify_cli.forecast)


def _read(config_file: Path | None) -> Config:
    from exporter.config import default_config_file, load

    return load(config_file or default_config_file())


def _ledger(config: Config) -> Ledger:
    from exporter.config import default_state_dir
    from exporter.ledger import Ledger

    return Ledger(default_state_dir(config))


def _look(config: Config, names: list[str] | None) -> Report:
    return look_with(config, names)[0]


def look_with(config: Config, names: list[str] | None) -> tuple[Report, Monitor]:
    """One look at the named targets, or all, with the ledger's help; and who looked, closed."""
    from exporter.monitor import Monitor

    known = [target.name for target in config.targets]
    for name in names or ():
        if name not in known:
            raise click.UsageError(f"there is no target named {name!r}; there are {', '.join(known)}")

    async def look() -> tuple[Report, Monitor]:
        ledger = _ledger(config)
        monitor = Monitor(config, ledger)
        try:
            return await monitor.look(names or known), monitor
        finally:
            await monitor.aclose()
            ledger.close()

    return _run(look())


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
@click.option("--json", "style", flag_value="json", help="The full result as JSON.")
@click.option("--line", "style", flag_value="line", help="One line, for scripts and widgets.")
@click.option("--nagios", "style", flag_value="nagios", help="Nagios plugin output with Nagios' exit codes.")
@click.option("--quiet", "style", flag_value="quiet", help="Print nothing; the exit code says it.")
@click.option("--notify", is_flag=True, help="Also tell the channels, where no daemon does it already.")
@_with_config
def check(targets: tuple[str, ...], style: str | None, notify: bool, config_file: Path | None) -> int:
    """One look at every target. Exits 0: nothing to do, 1: act now or unknown, 2: act soon."""
    config = _read(config_file)
    report = _look(config, list(targets) or None)
    delivered = not notify or _notify(config, report)
    if style != "quiet":
        from exporter import present

        match style:
            case "json":
                click.echo(json.dumps(present.to_json(report), indent=2, ensure_ascii=False))
            case "line":
                click.echo(present.to_line(report))
            case "nagios":
                text, code = present.to_nagios(report)
                click.echo(text)
                return code
            case _:
                click.echo(present.to_table(report))
    return report.exit_code if delivered or report.exit_code else EX_TEMPFAIL


def _notify(config: Config, report: Report) -> bool:
    """Run the alert lifecycle once; whether everything could be handed over."""
    from exporter.alerts.notifier import Notifier
    from exporter.alerts.outbox import OutboxError
    from exporter.config import default_state_dir

    async def once() -> bool | None:
        notifier = Notifier(config, default_state_dir(config), lambda: report)
        try:
            return await notifier.once()
        finally:
            await notifier.stop()

    try:
        delivered = _run(once())
    except OutboxError as error:
        click.echo(f"Nothing was told: {error}", err=True)
        return False
    if delivered is None:
        click.echo("A daemon tells of alerts already: this only looked.", err=True)
    return delivered is not False


@cli.command()
@click.argument("profile", required=False)
@_with_config
def explain(profile: str | None, config_file: Path | None) -> int:
    """Each verdict with the evidence it rests on and the rule that decided."""
    from exporter import present

    report = _look(_read(config_file), None)
    if profile is not None:
        known = {p.id for target in report.targets for agent in target.agents for p in agent.profiles}
        if profile not in known:
            there = f"; there are {', '.join(sorted(known)[:20])}" if known else ""
            raise click.UsageError(f"no profile is named {profile!r}{there}")
    click.echo(present.explain(report, profile))
    return report.exit_code


@cli.command()
@click.option("--target", metavar="NAME", help="Only this target.")
@click.option("--agent", metavar="ID", help="Only this agent.")
@click.option("--profile", metavar="ID", help="Only this profile (its id or alias).")
@_with_config
def reauth(target: str | None, agent: str | None, profile: str | None, config_file: Path | None) -> int:
    """Walk through signing in again, in this terminal, and check that it worked."""
    from exporter import reauth as module

    config = _read(config_file)
    names = [target] if target is not None else None
    wanted = module.wanting(_look(config, names), target, agent, profile)
    if not wanted:
        click.echo("Nothing needs it.")
        return 0
    for where, condition in wanted:
        click.echo(f"{condition.severity}: {condition.summary}")
        if not module.walk(condition.remedy, lambda question: click.confirm(question, default=False)):
            return EX_SOFTWARE
        if condition.profile is not None:
            click.echo(module.outcome(_look(config, [where.target]), condition.profile))
    return _look(config, names).exit_code


@cli.command()
@_with_config
def serve(config_file: Path | None) -> int:
    """The daemon: looks on schedule, serves /metrics, the status page and the API."""
    from exporter.config import default_state_dir

    config = _read(config_file)
    return _serve(config, default_state_dir(config), lambda: _read(config_file))


@cli.command()
@click.option("--listen", metavar="HOST:PORT", default="127.0.0.1:9785", show_default=True)
def demo(listen: str) -> int:
    """Serve simulated targets in every state, for a first look without OpenClaw."""
    from exporter.config import Config
    from exporter.simulator.demo import demo_config

    def config() -> Config:
        made = demo_config()
        return Config.model_validate({**made.model_dump(by_alias=True), "web": {"listen": listen}})

    return _serve(config(), None, config)


def _serve(config: Config, state_dir: Path | None, reread: Callable[[], Config]) -> int:
    import logging

    from exporter.daemon import run
    from exporter.web.server import ListenError

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    for noisy in ("apscheduler", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        asyncio.run(run(config, state_dir, reread))
    except ListenError as error:
        raise click.ClickException(str(error)) from None
    return 0


@cli.group()
def deadline() -> None:
    """Dates the ledger cannot know: when a setup-token was made, or when it ends."""


@deadline.command("set")
@click.argument("profile")
@click.argument("date")
@_with_config
def deadline_set(profile: str, date: str, config_file: Path | None) -> None:
    """Tell the date of PROFILE (an id, or TARGET/AGENT/ID).

    A DATE in the past is when the token was made, one in the future is when it ends. It holds until
    the credential is replaced.
    """
    from exporter.memory import Told
    from exporter.units import format_duration, iso, parse_date

    config = _read(config_file)
    try:
        at = parse_date(date)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    now = time.time()
    made = at <= now
    ledger = _durable_ledger(config)
    ledger.tell(profile, Told(issued_at=at if made else None, expires_at=None if made else at, told_at=now))
    if made:
        life = config.policy.setup_token_lifetime
        click.echo(f"{profile}: made {iso(at)}, so it ends {iso(at + life)} ({format_duration(life)} later)")
    else:
        click.echo(f"{profile}: ends {iso(at)}")


@deadline.command("list")
@_with_config
def deadline_list(config_file: Path | None) -> None:
    """The dates that were told."""
    from exporter.units import iso

    told = _durable_ledger(_read(config_file)).told()
    for profile, said in told.items():
        what = f"ends {iso(said.expires_at)}" if said.expires_at is not None else f"made {iso(said.issued_at)}"
        click.echo(f"{profile}\t{what}\ttold {iso(said.told_at)}")
    if not told:
        click.echo("No date was told.", err=True)


@deadline.command("clear")
@click.argument("profile")
@_with_config
def deadline_clear(profile: str, config_file: Path | None) -> None:
    """Forget what was told of PROFILE."""
    if not _durable_ledger(_read(config_file)).untell(profile):
        raise click.UsageError(f"no date was told for {profile!r}: see `openclaw-auth-exporter deadline list`")
    click.echo(f"{profile}: forgotten")


def _durable_ledger(config: Config) -> Ledger:
    """A ledger that keeps what is told, or a sentence why there is none."""
    ledger = _ledger(config)
    if ledger.problem is not None:
        raise click.ClickException(ledger.problem)
    return ledger


@cli.command()
@click.option("--output", required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.prom")
@_with_config
def textfile(output: Path, config_file: Path | None) -> int:
    """One look, written for node_exporter's textfile collector."""
    from exporter.metrics import one_shot
    from exporter.oneshot import OneShotError, write_textfile

    report = _look(_read(config_file), None)
    try:
        write_textfile(output, one_shot(report))
    except OneShotError as error:
        raise click.ClickException(str(error)) from None
    return 0


@cli.command()
@click.option("--url", required=True, metavar="URL", help="The Pushgateway, like http://push.example:9091")
@click.option("--job", default="openclaw-auth-exporter", show_default=True)
@click.option("--instance", default=None, help="Default: this host's name.")
@_with_config
def push(url: str, job: str, instance: str | None, config_file: Path | None) -> int:
    """One look, pushed to a Pushgateway, from hosts that cannot be scraped."""
    import socket

    from exporter.metrics import one_shot
    from exporter.oneshot import OneShotError, push_to

    report = _look(_read(config_file), None)
    try:
        push_to(url, job, instance or socket.gethostname(), one_shot(report))
    except OneShotError as error:
        raise click.ClickException(str(error)) from None
    return 0


@cli.group()
def config() -> None:
    """Validate and show the configuration."""


@config.command("check")
@_with_config
def config_check(config_file: Path | None) -> None:
    """Validate; every problem is one sentence, and the exit code is 78."""
    from exporter.config import default_config_file

    made = _read(config_file)
    where = config_file or default_config_file() or "built-in defaults"
    names = ", ".join(target.name for target in made.targets)
    click.echo(f"{where}: good; {len(made.targets)} target{'s' if len(made.targets) > 1 else ''} ({names})")


@config.command("show")
@_with_config
def config_show(config_file: Path | None) -> None:
    """The configuration in effect, secrets redacted."""
    from exporter.config import redacted

    click.echo(json.dumps(redacted(_read(config_file)), indent=2, ensure_ascii=False))


@config.command("schema")
def config_schema() -> None:
    """The JSON Schema, for editors."""
    from exporter.config import schema

    click.echo(json.dumps(schema(), indent=2, ensure_ascii=False))


def main() -> None:
    """The entry point: exceptions become sentences and exit codes."""
    from exporter.config import ConfigError

    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = EX_USAGE
    except click.UsageError as error:
        error.show()
        code = EX_USAGE
    except ConfigError as error:
        click.echo(str(error), err=True)
        code = EX_CONFIG
    except click.ClickException as error:
        click.echo(f"Error: {error.format_message()}", err=True)
        code = EX_SOFTWARE
    except (click.Abort, KeyboardInterrupt, asyncio.CancelledError):
        code = 130
    except BrokenPipeError:
        # Whoever read our output has left (`| head`); nothing can be said to them.
        sys.stderr.close()
        code = EX_SOFTWARE
    except Exception as error:
        # The text of an unforeseen error may quote what it choked on: only its kind and place.
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        line = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else "?"
        click.echo(f"Error of the exporter's own: {type(error).__name__} at {line}. Please report it.", err=True)
        code = EX_SOFTWARE
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
