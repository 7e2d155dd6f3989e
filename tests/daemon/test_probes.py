"""``/probe`` shares the daemon's checks and waits for nothing else, and ``/metrics`` has what it should."""

from __future__ import annotations

import asyncio

import pytest
from fakes import config
from running_daemon import Setting, running
from waiting import until

from exporter.alerts.delivery.notifier import Notifier
from exporter.config import Config
from exporter.model import CheckError, FailureReason


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
