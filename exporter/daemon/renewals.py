"""Connects the renewals that the page leads with the daemon: its checks, its sources, and its commands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from exporter.checks.monitor import Monitor
from exporter.lib import command, tasks
from exporter.lib.errors import ExpectedError
from exporter.model import CheckError, Report
from exporter.web.renewal import RunsRenewals

#: How long a check may take, in seconds; and how much of a command's output is kept, in bytes.
CHECK_LIMIT, KEPT_OUTPUT = 300.0, 4096


class NoCheckError(ExpectedError):
    """The check of a renewal did not come."""


def make(monitor: Monitor, check_now: Callable[[str | None], Awaitable[None]]) -> RunsRenewals:
    """The renewals of the running loop's daemon. ``check_now`` checks a target and ends its alerts."""
    from exporter.reauth.page_screen import COMMAND_LIMIT  # most daemons do without
    from exporter.reauth.renewals import Renewals

    loop = asyncio.get_running_loop()

    def check(names: list[str] | None) -> Report:
        async def checked() -> None:
            for name in names if names is not None else list(monitor.checkers):
                await check_now(name)

        try:
            tasks.wait_in_thread(loop, checked(), CHECK_LIMIT)
        except TimeoutError:
            raise NoCheckError("The check took too long. Check again on the status page.") from None
        report = monitor.full_report()
        return Report(report.checked_at, tuple(t for t in report.targets if names is None or t.target in names))

    def pipe(argv: Sequence[str], environment: Mapping[str, str], secret: bytes) -> tuple[int, str]:
        run = command.run(
            argv, env=environment, timeout=COMMAND_LIMIT, stdin=secret, max_stdout=KEPT_OUTPUT, max_stderr=KEPT_OUTPUT
        )
        try:
            ended = tasks.wait_in_thread(loop, run, COMMAND_LIMIT + 60.0)
        except CheckError as error:
            return 1, error.message
        return ended.exit_code, (ended.stdout + b"\n" + ended.stderr).decode("utf-8", "replace")

    return Renewals(
        lambda: monitor.config, monitor.full_report, check, lambda name: monitor.checkers[name].source, pipe
    )
