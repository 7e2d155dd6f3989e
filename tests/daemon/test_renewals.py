"""What connects the renewals of the page with the daemon: checks, and a secret on a command's standard input."""

from __future__ import annotations

import asyncio
import os
from typing import Any, cast

import pytest
from reports import agent, profile, report

from exporter.checks.monitor import Monitor
from exporter.config import Config
from exporter.daemon import renewals
from exporter.model import Report, TargetReport

SECRET = b"PLANTED-SECRET\r"
ENVIRONMENT = {"PATH": os.environ["PATH"]}


class FakeMonitor:
    """Two targets, of which a renewal is about one."""

    def __init__(self) -> None:
        self.config = Config()
        self.checkers: dict[str, Any] = {"home": None, "vps": None}

    def full_report(self) -> Report:
        (home,) = report(agent(profile())).targets
        return Report(1.0, (home, TargetReport("vps", "openclaw", ())))


def made(check: Any) -> Any:
    """The renewals of a daemon, whose inner parts a test calls as the thread of a renewal does."""
    return renewals.make(cast(Monitor, FakeMonitor()), check)


async def test_a_check_is_the_daemon_s_own_and_its_report_is_of_the_asked_target() -> None:
    checked: list[str | None] = []

    async def check_now(target: str | None) -> None:
        checked.append(target)

    found = await asyncio.to_thread(made(check_now)._check, ["home"])
    assert checked == ["home"]
    assert [target.target for target in found.targets] == ["home"]


async def test_a_check_that_does_not_come_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check_now(target: str | None) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(renewals, "CHECK_LIMIT", 0.01)
    with pytest.raises(renewals.NoCheckError, match="took too long"):
        await asyncio.to_thread(made(check_now)._check, ["home"])


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("cat >/dev/null; echo stored; echo noted >&2", (0, "stored\n\nnoted\n")),
        ('test "$(cat)" = "$(printf "PLANTED-SECRET\\r")" || exit 9', (0, "\n")),
        ("env | grep -c PLANTED; exit 3", (3, "0\n\n")),
    ],
)
async def test_the_secret_goes_to_standard_input(command: str, expected: tuple[int, str]) -> None:
    async def check_now(target: str | None) -> None: ...

    pipe = made(check_now)._pipe
    assert await asyncio.to_thread(pipe, ["/bin/sh", "-c", command], ENVIRONMENT, SECRET) == expected


async def test_a_command_that_cannot_run_is_a_failure_with_a_sentence() -> None:
    async def check_now(target: str | None) -> None: ...

    code, why = await asyncio.to_thread(made(check_now)._pipe, ["no-such-program"], ENVIRONMENT, SECRET)
    assert code == 1
    assert "no-such-program" in why
