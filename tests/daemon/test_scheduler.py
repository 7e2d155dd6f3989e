"""The daemon checks on a schedule, when a store changes and on request, and it reloads and stops cleanly."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fakes import Fakes, config, token
from waiting import until

from exporter.alerts.delivery.notifier import Notifier
from exporter.checks import off_loop, schedule, target_checker
from exporter.config import Config, ConfigError
from exporter.daemon import exposition_cache, pulse, store_watch
from exporter.daemon import scheduler as module
from exporter.daemon.scheduler import Daemon
from exporter.metrics import render
from exporter.model import CheckError, FailureReason, TargetReport
from exporter.sources import Fingerprint
from exporter.state.credentials_db import CredentialDatabase
from exporter.state.history import SuppliedDate

NOW = 1_795_346_770.0
DAY = 86400.0


class Setting:
    """A running daemon over fake sources; its configuration can be exchanged."""

    def __init__(self, made: Config, ledger: CredentialDatabase | None = None) -> None:
        self.config: Config | ConfigError = made
        self.fakes = Fakes()
        self.ledger = ledger or CredentialDatabase(None)
        self.daemon = Daemon(made, self.ledger, self.reread, time.time, self.fakes)
        for source in self.fakes.sources.values():
            source.profiles = (token(time.time() + 30 * DAY),)

    def reread(self) -> Config:
        if isinstance(self.config, ConfigError):
            raise self.config
        return self.config

    def metrics(self) -> str:
        return self.daemon.exposition("", "")[0].decode()


@asynccontextmanager
async def running(*names: str, **rest: object) -> AsyncIterator[Setting]:
    setting = Setting(config(*names, **rest))
    await setting.daemon.start()
    try:
        yield setting
    finally:
        await setting.daemon.stop()


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


async def test_bad_configuration_changes_nothing() -> None:
    async with running("home") as setting:
        await until(lambda: setting.daemon.report().targets)
        setting.config = ConfigError("config.json5", ["interval: is wrong"])
        assert await setting.daemon.reload() == "config.json5: interval: is wrong"
        assert "openclaw_auth_exporter_config_last_reload_successful 0" in setting.metrics()
        assert [t.target for t in setting.daemon.report().targets] == ["home"]
        setting.config = config("home", "new")
        assert await setting.daemon.reload() is None
        await until(lambda: [t.target for t in setting.daemon.report().targets] == ["home", "new"])
        assert "openclaw_auth_exporter_config_last_reload_successful 1" in setting.metrics()
        assert len(setting.fakes["home"].checks) == 1  # an unchanged target is not checked again


async def test_removed_target_is_no_longer_exported() -> None:
    async with running("home", "old") as setting:
        await until(lambda: 'target="old"' in setting.metrics())
        setting.config = config("home")
        await setting.daemon.reload()
        assert 'target="old"' not in setting.metrics()
        assert setting.fakes["old"].closed


async def test_removed_target_has_no_jobs_left() -> None:
    import time

    setting = Setting(config("home", "old"))
    setting.fakes["old"].profiles = (token(time.time() + 2 * DAY),)  # time alone will change its verdict
    await setting.daemon.start()
    try:
        await until(lambda: 'exit_code{agent="main",target="old"}' in setting.metrics())

        def jobs() -> list[str]:
            return sorted(job.id for job in setting.daemon._jobs._scheduler.get_jobs())

        assert jobs() == ["check:home", "check:old", "evaluate:home", "evaluate:old"]
        setting.config = config("home")
        await setting.daemon.reload()
        assert jobs() == ["check:home", "evaluate:home"]
    finally:
        await setting.daemon.stop()


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


async def test_target_removed_while_its_report_is_rendered_is_not_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    began, removed = threading.Event(), threading.Event()

    def slowly(report: TargetReport, *rest: Any) -> render.Fragment:
        if report.target == "old" and report.agents:
            began.set()
            removed.wait(30)
        return render.render_target(report, *rest)

    monkeypatch.setattr(exposition_cache, "render_target", slowly)
    monkeypatch.setattr(off_loop, "FEW", -1)  # few profiles are rendered at once
    async with running("home", "old") as setting:
        assert await asyncio.to_thread(began.wait, 30)
        setting.config = config("home")
        await setting.daemon.reload()
        removed.set()
        await until(lambda: 'exit_code{agent="main",target="home"}' in setting.metrics())
        await asyncio.sleep(0.2)
        assert 'target="old"' not in setting.metrics()


async def test_concurrent_probes_share_one_check() -> None:
    setting = Setting(config("home"))
    setting.config = Config.model_validate({"targets": [{"name": "home", "schedule": False}]})
    setting = Setting(setting.config)
    await setting.daemon.start()
    try:
        source = setting.fakes["home"]
        await asyncio.sleep(0.1)
        assert source.checks == []  # it is checked by probes only
        bodies = await asyncio.gather(*(setting.daemon.probe("home", None, 5.0) for _ in range(3)))
        assert source.checks == ["main"]
        assert all(b"openclaw_auth_check_success" in body for body, _ in bodies)
        await setting.daemon.probe("home", "main", 5.0)
        assert source.checks == ["main"]  # a young report is reused
        with pytest.raises(KeyError):
            await setting.daemon.probe("unknown", None, 5.0)
        with pytest.raises(KeyError):
            await setting.daemon.probe("home", "unknown", 5.0)
    finally:
        await setting.daemon.stop()


async def test_probe_out_of_time_fails_and_the_check_goes_on() -> None:
    setting = Setting(Config.model_validate({"targets": [{"name": "home", "schedule": False}]}))
    source = setting.fakes["home"]
    source.gate.clear()
    await setting.daemon.start()
    try:
        body, _ = await setting.daemon.probe("home", None, 0.05)
        assert b'openclaw_auth_check_success{agent="*",target="home"} 0' in body
        source.gate.set()
        body, _ = await setting.daemon.probe("home", None, 5.0)
        assert b'openclaw_auth_check_success{agent="main",target="home"} 1' in body
        assert source.checks == ["main"]
    finally:
        await setting.daemon.stop()


async def test_probe_out_of_time_exports_known_facts() -> None:
    setting = Setting(config("home", "vps"))
    source = setting.fakes["home"]
    await setting.daemon.start()
    try:
        await until(lambda: setting.metrics().count("check_success{") == 2)
        setting.daemon._monitor.checkers["home"].completed_check_started_at = 0.0  # long ago
        source.gate.clear()
        body = (await setting.daemon.probe("home", "main", 0.05))[0].decode()
        assert 'openclaw_auth_check_success{agent="main",target="home"} 0.0' in body
        assert "openclaw_auth_profile_expiry_timestamp_seconds{" in body
        assert 'target="vps"' not in body
        source.gate.set()
    finally:
        await setting.daemon.stop()


@pytest.mark.parametrize("schedule", [True, False])
async def test_probe_does_not_wait_for_alerting(monkeypatch: pytest.MonkeyPatch, schedule: bool) -> None:
    waits = asyncio.Event()

    async def hangs(notifier: Notifier) -> None:
        waits.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Notifier, "wait_until_idle", hangs)
    targets = [{"name": "home", "schedule": schedule}]
    setting = Setting(Config.model_validate({"targets": targets, "channels": [{"name": "t", "type": "termux"}]}))
    await setting.daemon.start()
    try:
        async with asyncio.timeout(30):
            body = (await setting.daemon.probe("home", None, 5.0))[0].decode()
        assert 'openclaw_auth_check_success{agent="main",target="home"} 1.0' in body
        if not schedule:  # and no alert is raised
            await until(lambda: 'openclaw_auth_check_success{agent="main",target="home"} 1.0' in setting.metrics())
            assert not waits.is_set()
    finally:
        await setting.daemon.stop()


async def test_target_is_not_healthy_before_its_first_check() -> None:
    setting = Setting(config("home"))
    setting.fakes["home"].gate.clear()
    await setting.daemon.start()
    try:
        report = setting.daemon.report()
        assert [target.target for target in report.targets] == ["home"]
        assert report.exit_code == 1
        setting.fakes["home"].gate.set()
        await until(lambda: setting.daemon.report().exit_code == 0)
    finally:
        await setting.daemon.stop()


async def test_target_without_schedule_is_exported_and_raises_no_alert() -> None:
    targets = [{"name": "home"}, {"name": "rack7", "schedule": False}]
    setting = Setting(Config.model_validate({"targets": targets, "channels": [{"name": "t", "type": "termux"}]}))
    setting.fakes["rack7"].profiles = ()
    await setting.daemon.start()
    try:
        await until(lambda: setting.daemon.report().exit_code == 0)
        assert [target.target for target in setting.daemon.report().targets] == ["home"]
        await setting.daemon.probe("rack7", None, 5.0)
        assert [target.target for target in setting.daemon.report().targets] == ["home", "rack7"]
        assert setting.daemon._alerting.notifier is not None
        told = setting.daemon._alerting.notifier._reports.latest()
        assert [target.target for target in told.targets] == ["home"]
    finally:
        await setting.daemon.stop()


async def test_failures_are_counted_by_reason_from_0() -> None:
    setting = Setting(config("home"))
    setting.fakes["home"].error = CheckError(FailureReason.TIMEOUT, "no answer")
    await setting.daemon.start()
    try:

        def counted() -> list[str]:
            lines = setting.metrics().splitlines()
            return [line for line in lines if line.startswith("openclaw_auth_check_failures_total")]

        assert len(counted()) == len(FailureReason)  # before the first check, for the target as a whole
        await until(lambda: any('agent="main"' in line for line in counted()))
        counts = counted()
        assert len([line for line in counts if line.endswith(" 0.0")]) == len(FailureReason)
        assert [line for line in counts if 'agent="main"' in line] == [
            'openclaw_auth_check_failures_total{agent="main",reason="timeout",target="home"} 1.0'
        ]
    finally:
        await setting.daemon.stop()


async def test_step_of_the_clock_reschedules_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

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


async def test_scrapes_and_probes_have_the_labels_that_are_asked_for() -> None:
    targets = [{"name": "home", "labels": {"owner": "ops", "team": "a"}}, {"name": "vps"}]
    async with running(targets=targets, web={"metric_labels": ["owner"]}) as setting:
        await until(lambda: setting.metrics().count("openclaw_auth_check_success{") == 2)
        bodies = [setting.metrics()]
        for target in ("home", "vps"):
            bodies += [(await setting.daemon.probe(target, agent, 60.0))[0].decode() for agent in (None, "main")]
    for body in bodies:
        labels = [line for line in body.splitlines() if "target=" in line]
        assert labels
        assert all(('owner="ops"' in line) is ('target="home"' in line) for line in labels)
        assert "team=" not in body
