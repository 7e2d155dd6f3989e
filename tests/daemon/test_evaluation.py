"""The daemon evaluates a target again when time alone changes its verdict, without a check."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import Fakes, config, token
from running_daemon import DAY, Setting, running
from waiting import until

from exporter.alerts.delivery.notifier import Notifier
from exporter.checks import schedule, target_checker
from exporter.daemon import scheduler as module
from exporter.daemon.scheduler import Daemon
from exporter.state.credentials_db import CredentialDatabase
from exporter.state.history import SuppliedDate


async def test_approaching_deadline_is_evaluated_without_a_check() -> None:
    import time

    setting = Setting(config("home"))
    setting.fakes["home"].profiles = (token(time.time() + DAY + 2),)
    await setting.daemon.start()
    try:
        await until(lambda: 'openclaw_auth_exit_code{agent="main",target="home"} 2' in setting.metrics())
        assert len(setting.fakes["home"].checks) == 1
    finally:
        await setting.daemon.stop()


async def test_hanging_channel_is_waited_for_once_however_many_targets_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names, settled = [f"t{number}" for number in range(5)], 0
    hook = {"name": "hook", "type": "webhook", "url": "http://hook.test"}

    async def settles(notifier: Notifier) -> None:
        nonlocal settled
        settled += 1

    async with running(*names, channels=[hook]) as setting:
        await until(lambda: setting.metrics().count("openclaw_auth_check_success{") == len(names))
        monkeypatch.setattr(Notifier, "wait_until_idle", settles)
        assert await setting.daemon.reload() is None
        assert settled == 1
        setting.daemon._after_step(setting.daemon._now())
        await until(lambda: settled == 2)
        monkeypatch.setattr(setting.ledger, "sync", lambda: -1)  # another process has written
        await until(lambda: settled == 3)
        assert setting.daemon.health_problem() is None


@pytest.mark.parametrize("date", [253402300800.0, 5e12, 1e300])
async def test_date_beyond_the_calendar_is_exported_and_scheduled(date: float) -> None:
    setting = Setting(config("home"))
    setting.fakes["home"].profiles = (token(date),)
    await setting.daemon.start()
    try:
        await until(lambda: 'openclaw_auth_exit_code{agent="main",target="home"} 0' in setting.metrics())
        assert await setting.daemon.reload() is None  # it evaluates and schedules again
    finally:
        await setting.daemon.stop()


async def test_passed_deadline_is_evaluated_at_once_and_checked_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setattr(schedule, "AFTER_END", 50.0)
    ahead, fakes, made = 0.0, Fakes(), config("home", interval="1h")
    daemon = Daemon(made, CredentialDatabase(None), lambda: made, lambda: time.time() + ahead, fakes)
    expires_at = time.time() + 1000
    fakes["home"].profiles = (token(expires_at),)
    await daemon.start()
    try:
        await until(lambda: 'check_success{agent="main",target="home"} 1' in daemon.exposition("", "")[0].decode())
        ahead = 1000.5
        await daemon._evaluate("home")
        assert 'status="expired",target="home"} 1' in daemon.exposition("", "")[0].decode()
        assert len(fakes["home"].checks) == 1
        check = daemon._jobs._scheduler.get_job("check:home")
        assert check.next_run_time.timestamp() == pytest.approx(expires_at + 50, abs=0.001)
        check.modify(next_run_time=check.next_run_time - timedelta(seconds=1050))
        await until(lambda: len(fakes["home"].checks) == 2)
    finally:
        await daemon.stop()


async def test_time_without_a_usable_credential_is_counted_between_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setattr(target_checker, "COUNT_EVERY", 0.1)
    setting = Setting(config("home"))
    setting.fakes["home"].profiles = (token(time.time() - DAY),)
    await setting.daemon.start()

    def counted() -> float:
        rows = [line for line in setting.metrics().split("\n") if "provider_unusable_seconds_total{" in line]
        return float(rows[0].rpartition(" ")[2]) if rows else 0.0

    try:
        await until(lambda: counted() > 0.25)
        assert len(setting.fakes["home"].checks) == 1
    finally:
        await setting.daemon.stop()


async def test_date_supplied_through_another_process_is_used(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    import time
    from pathlib import Path

    assert isinstance(tmp_path, Path)
    monkeypatch.setattr(module, "SAVE_EVERY", 0.05)
    setting = Setting(config("home"), CredentialDatabase(tmp_path))
    setting.fakes["home"].profiles = (token(None),)
    await setting.daemon.start()
    try:
        await until(lambda: setting.daemon.report().targets)
        other = CredentialDatabase(tmp_path)
        other.set_date("anthropic:default", SuppliedDate(expires_at=time.time() + 3600, supplied_at=time.time()))
        other.close()
        await until(lambda: setting.daemon.report().exit_code == 2)
    finally:
        await setting.daemon.stop()


async def test_target_is_evaluated_as_of_a_later_moment() -> None:
    """Scheduled messages need it: the future report, without a check and without a record."""
    import time

    async with running("home", "vps") as setting:
        monitor, then = setting.daemon._monitor, time.time() + 31 * DAY
        await until(lambda: setting.daemon.report().exit_code == 0)  # both were checked
        (later,) = monitor.target_as_of("vps", then).targets
        assert later.target == "vps"
        assert {condition.name for condition in later.agents[0].conditions} == {"expired", "no_usable_profile"}
        assert monitor.target_as_of("unknown", then).targets == ()
        assert setting.daemon.report().exit_code == 0


async def test_acknowledged_disappearance_is_no_longer_reported() -> None:
    channels = [{"name": "phone", "type": "termux"}]
    async with running("home", channels=channels) as setting:
        source, ends = setting.fakes["home"], time.time() + 30 * DAY
        source.profiles = (token(ends), replace(token(ends), id="anthropic:spare", secret_hash="h2"))
        await setting.daemon.check_now(None)
        source.profiles = (token(ends),)
        await setting.daemon.check_now(None)
        conditions = [c.name for agent in setting.daemon.report().targets[0].agents for c in agent.conditions]
        assert conditions == ["vanished"]
        notifier = setting.daemon._alerting.notifier
        assert notifier is not None
        await until(notifier.states)
        [state] = notifier.states().values()
        assert await setting.daemon.alert_actions.acknowledge(state.fingerprint)
        assert [agent.conditions for agent in setting.daemon.report().targets[0].agents] == [()]
        assert 'condition="vanished"' not in setting.metrics()
        await until(lambda: not any(state.firing for state in notifier.states().values()))
