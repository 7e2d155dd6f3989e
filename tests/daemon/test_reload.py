"""A reload changes what is checked and exported; one that fails changes nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from fakes import config, token
from running_daemon import DAY, Setting, running
from waiting import until

from exporter.checks import off_loop
from exporter.config import ConfigError
from exporter.daemon import exposition_cache
from exporter.metrics import render
from exporter.model import TargetReport


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
