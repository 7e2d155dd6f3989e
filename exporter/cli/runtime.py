"""Shared by the commands: configuration and state in effect, running one check or the daemon.

Other packages of ours, apart from ``lib``, are imported inside functions to keep start-up fast.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import click

from exporter.cli import screen
from exporter.cli.output import print_line
from exporter.lib.logs import formatter
from exporter.lib.names import suggestion

if TYPE_CHECKING:
    from exporter.alerts.delivery.outbox import Outbox
    from exporter.checks.monitor import Monitor
    from exporter.config import Config
    from exporter.model import Report
    from exporter.state.credentials_db import CredentialDatabase

T = TypeVar("T")


class LogOptions(NamedTuple):
    """``--log-format`` and ``--log-level``."""

    format: Literal["text", "json"] = "text"
    level: str = "info"


def read_config(config_file: Path | None) -> Config:
    """The configuration in effect. Raises ConfigError."""
    from exporter.config import default_config_file, load

    return load(config_file or default_config_file())


def read_targets(config_file: Path | None, *, keeps: bool = False) -> Config:
    """The configuration in effect with the targets of its lists, also of the last good version of a bad list.

    ``keeps``: good versions are kept in the state. Raises ConfigError, too, if no good version of a list is known.
    """
    config = read_config(config_file)
    if not config.targets_from:
        return config
    from exporter.config import ConfigError
    from exporter.config.target_lists import TargetLists

    lists = TargetLists(config.state_directory(), keeps=keeps)
    config = lists.apply(config)
    if lists.unknown:
        raise ConfigError("", lists.unknown)
    for problem in lists.problems:
        print_line(f"warning: {problem}", err=True)
    return config


def open_ledger(config: Config) -> CredentialDatabase:
    """The credential database in the state directory of ``config``."""
    from exporter.state.credentials_db import CredentialDatabase

    return CredentialDatabase(config.state_directory())


@contextlib.contextmanager
def open_outbox(config: Config) -> Iterator[Outbox]:
    """The alert state in the state directory of ``config``, closed at the end. Raises StateError."""
    from exporter.alerts.delivery import outbox as alert_state

    with contextlib.closing(alert_state.open_outbox(config.state_directory())) as outbox:
        yield outbox


def check_targets(config: Config, names: Sequence[str] = ()) -> tuple[Report, Monitor]:
    """Check the named targets once, or all of them. The returned monitor is closed; it still has its reports."""
    from exporter.checks.monitor import Monitor

    known = [target.name for target in config.targets]
    for name in names:
        if name not in known:
            raise click.UsageError(f"there is no target named {name!r}{suggestion(name, known)}")

    async def check() -> tuple[Report, Monitor]:
        ledger = open_ledger(config)
        monitor = Monitor(config, ledger)
        try:
            async with screen.progress(f"Checking {', '.join(names or known)}"):
                return await monitor.check(list(names) or known), monitor
        finally:
            await monitor.aclose()
            ledger.close()

    return run(check())


def notify_once(config: Config, monitor: Monitor) -> bool | None:
    """Run the alert lifecycle once over the reports of ``monitor``.

    Returns whether every notification was handed over, or None if a daemon already notifies from this state.
    """
    from exporter.alerts.delivery import one_shot
    from exporter.alerts.delivery.notifier import ReportSource
    from exporter.lib.sqlite import StateError

    try:
        reports = ReportSource(monitor.scheduled, monitor.target_as_of, monitor.renewal_steps)
        with open_outbox(config) as outbox:
            return run(one_shot.notify_once(config, outbox, reports))
    except StateError as error:
        print_line(f"No notification was sent: {error}", err=True)
        return False


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end. SIGTERM cancels it, so that it can end the processes it has started."""

    async def guarded() -> T:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        raise click.Abort from None


def run_daemon(config: Config, state_dir: Path | None, reread: Callable[[], Config], log: LogOptions) -> None:
    """Serve until SIGTERM or SIGINT. A reload calls ``reread``; without ``state_dir`` the state is in memory."""
    from exporter.daemon.serve import serve
    from exporter.daemon.turns import Turns

    log_to_stderr(log)
    turns = Turns()
    with asyncio.Runner(loop_factory=turns.new_loop) as runner:
        runner.run(serve(config, state_dir, reread, turns))


def log_to_stderr(options: LogOptions) -> None:
    """Log what the daemon and its libraries report, one line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(options.format))
    level = logging.getLevelNamesMapping()[options.level.upper()]
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("apscheduler").setLevel(max(level, logging.WARNING))


def parse_option(parse: Callable[[str], float], text: str) -> float:
    """The value of a duration or date that a person typed. Raises UsageError with the sentence of ``parse``."""
    try:
        return parse(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
