"""The daemon checks on a schedule, when a store changes and on request."""

from __future__ import annotations

import asyncio
import time

import pytest
from fakes import Fakes, config, token
from running_daemon import DAY, Setting, running
from waiting import until

from exporter.checks import schedule
from exporter.daemon import pulse, store_watch
from exporter.daemon import scheduler as module
from exporter.daemon.scheduler import Daemon
from exporter.model import CheckError, FailureReason
from exporter.sources import Fingerprint
from exporter.state.credentials_db import CredentialDatabase


async def test_first_check_is_immediate_and_exported() -> None:
    async with running("home", "vps") as setting:
        await until(lambda: setting.metrics().count("openclaw_auth_check_success{") == 2)
        assert setting.daemon.report().exit_code == 0
        assert setting.daemon.health_problem() is None
        assert setting.daemon.ready()


async def test_heartbeat_that_never_arrived_is_exported_as_0() -> None:
    name = "openclaw_auth_heartbeat_last_success_timestamp_seconds"
    async with running("home") as setting:
        assert f"\n{name} " not in setting.metrics()
    async with running("home", heartbeat={"url": "http://127.0.0.1:9/"}) as setting:
        assert f"\n{name} 0.0\n" in setting.metrics()


async def test_hanging_target_does_not_delay_the_others() -> None:
    setting = Setting(config("home", "vps"))
    setting.fakes["vps"].gate.clear()
    await setting.daemon.start()
    try:
        await until(lambda: 'openclaw_auth_check_success{agent="main",target="home"} 1' in setting.metrics())
        shown = [line for line in setting.metrics().splitlines() if 'target="vps"' in line]
        assert shown  # counters start at 0
        assert all("_total{" in line and line.endswith(" 0.0") for line in shown)
    finally:
        await setting.daemon.stop()
    assert setting.fakes["vps"].running == 0


async def test_changed_store_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMPARE_EVERY", 0.05)
    monkeypatch.setattr(store_watch, "SETTLE", 0.0)
    monkeypatch.setattr("exporter.checks.schedule.MIN_SPACING", 0.2)
    setting = Setting(config("home"))
    source = setting.fakes["home"]
    source.print = "one"
    await setting.daemon.start()
    try:
        await until(lambda: len(source.checks) == 1)
        await asyncio.sleep(0.5)
        assert len(source.checks) == 1  # nothing changed
        source.print = "two"
        await until(lambda: len(source.checks) == 2)
    finally:
        await setting.daemon.stop()


@pytest.mark.parametrize("after", ["one", "two"])
async def test_first_check_of_an_unchanged_store_is_enough(monkeypatch: pytest.MonkeyPatch, after: str) -> None:
    """Before it, the place of the store is only likely. If the store was another one, the check is repeated."""
    setting = Setting(config("home"))
    source = setting.fakes["home"]

    def fingerprint() -> Fingerprint:
        return Fingerprint(after) if source.checks else Fingerprint("one", is_complete=False)

    monkeypatch.setattr(source, "fingerprint", fingerprint)
    await setting.daemon.start()
    try:
        await until(lambda: setting.daemon._stores._stores["home"].seen is not None)
        assert setting.daemon._stores.is_comparable("home") == (after == "one")
        assert setting.daemon._stores.changed_at("home") is None
    finally:
        await setting.daemon.stop()


async def test_store_that_changes_during_a_slow_check_is_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next check is due before the job of this one ends. It must not wait for the schedule."""
    monkeypatch.setattr(schedule, "MIN_SPACING", 0.1)
    setting = Setting(config("home"))
    source = setting.fakes["home"]
    source.print = "one"
    source.gate.clear()
    await setting.daemon.start()
    try:
        await until(lambda: len(source.checks) == 1)
        source.print = "two"
        await asyncio.sleep(0.3)
        source.gate.set()
        await until(lambda: len(source.checks) == 2)
        await asyncio.sleep(0.5)
        assert len(source.checks) == 2
    finally:
        await setting.daemon.stop()


async def test_check_now_waits_for_a_check_that_began_after_the_call() -> None:
    """A check that was under way may have read the store before the token was pasted."""
    setting = Setting(config("home"))
    source = setting.fakes["home"]
    source.gate.clear()
    await setting.daemon.start()
    try:
        await until(lambda: len(source.checks) == 1)
        asked = [asyncio.create_task(setting.daemon.check_now(name)) for name in ("home", None, "home")]
        await asyncio.sleep(0.1)
        source.gate.set()
        await asyncio.gather(*asked)
        assert (len(source.checks), source.most_running) == (2, 1)  # concurrent callers share it
    finally:
        await setting.daemon.stop()


async def test_checks_of_a_whole_fleet_do_not_all_begin_in_one_turn_of_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """5,000 of them took 0.2 s, in which nothing was served."""
    monkeypatch.setattr(module, "AT_ONCE", 3)
    async with running(*(f"t{number}" for number in range(10))) as setting:
        began, most, check = 0, 0, setting.daemon._check

        async def counted(name: str, *, force: bool = False) -> None:
            nonlocal began
            began += 1
            await check(name, force=force)

        monkeypatch.setattr(setting.daemon, "_check", counted)
        asked = asyncio.create_task(setting.daemon.check_now(None))
        while not asked.done():
            before = began
            await asyncio.sleep(0)
            most = max(most, began - before)
        await asked
        assert (began, most) == (10, 3)


async def test_check_is_repeated_when_the_target_asked_for_it() -> None:
    setting = Setting(config("home", interval="1h"))
    setting.fakes["home"].error = CheckError(FailureReason.HTTP_ERROR, "slow down", retry_after=120.0)
    await setting.daemon.start()
    try:
        await until(lambda: 'check_success{agent="main",target="home"} 0' in setting.metrics())
        checker = setting.daemon._monitor.checkers["home"]
        assert checker.check_started_at is not None

        def next_check() -> float:
            job = setting.daemon._jobs._scheduler.get_job("check:home")
            return float(job.next_run_time.timestamp())

        await until(lambda: next_check() == pytest.approx((checker.check_started_at or 0.0) + 120.0, abs=0.001))
    finally:
        await setting.daemon.stop()


async def test_step_of_the_clock_reschedules_checks(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(pulse, "PULSE", 0.05)
    step = 0.0
    fakes = Fakes()
    daemon = Daemon(
        config("home", interval="1s"),
        CredentialDatabase(None),
        lambda: config("home"),
        lambda: time.time() + step,
        fakes,
    )
    fakes["home"].profiles = (token(time.time() + 30 * DAY),)
    await daemon.start()
    try:
        await until(lambda: len(fakes["home"].checks) >= 1)
        step = -3600.0
        before = len(fakes["home"].checks)
        await until(lambda: len(fakes["home"].checks) > before + 1)
    finally:
        await daemon.stop()
