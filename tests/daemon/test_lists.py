"""The daemon follows its lists of targets without a reload, and keeps the last good one."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes import Fakes
from waiting import LoopClock, until

from exporter.config import Config
from exporter.daemon.scheduler import LISTS_EVERY, Daemon
from exporter.state.credentials_db import CredentialDatabase

LISTS_OK = "openclaw_auth_exporter_target_lists_ok"


class Setting:
    """A daemon with one list."""

    def __init__(self, directory: Path) -> None:
        self.list = directory / "targets.json"
        entry = {"type": "file", "paths": [str(self.list)], "defaults": {"labels": {"site": "a"}}}
        self.config = Config.model_validate({"targets": [{"name": "home"}], "targets_from": [entry]})
        self.write("rack1")
        self.fakes = Fakes()
        self.daemon = Daemon(self.config, CredentialDatabase(None), lambda: self.config, time.time, self.fakes)

    def write(self, *names: str) -> None:
        groups = [{"name": name, "url": f"http://{name}", "labels": {"owner": "ops"}} for name in names]
        new = self.list.with_suffix(".new")
        new.write_text(json.dumps(groups))
        new.replace(self.list)

    def targets(self) -> list[str]:
        return [name for name, _ in self.daemon.scrape_targets()]

    def metrics(self) -> str:
        return self.daemon.exposition("", "")[0].decode()


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    setting = Setting(tmp_path)
    await setting.daemon.start()
    try:
        yield setting
    finally:
        await setting.daemon.stop()


async def test_list_is_followed(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await until(lambda: setting.metrics().count("openclaw_auth_check_success{") == 2)
    labels = dict(setting.daemon.scrape_targets())["rack1"]
    assert labels.items() >= {"__meta_openclaw_auth_label_owner": "ops", "__meta_openclaw_auth_label_site": "a"}.items()
    home, clock = setting.fakes["home"], LoopClock(monkeypatch)

    setting.write("rack1", "rack2")
    clock.advance(LISTS_EVERY)
    await until(lambda: setting.metrics().count("openclaw_auth_check_success{") == 3)
    assert setting.fakes["home"] is home, "what has not changed keeps its facts"
    assert f"\n{LISTS_OK} 1.0\n" in setting.metrics()

    setting.list.write_text("[{")
    clock.advance(LISTS_EVERY)
    await until(lambda: f"\n{LISTS_OK} 0.0\n" in setting.metrics())
    assert setting.targets() == ["home", "rack1", "rack2"]
    assert await setting.daemon.reload() is None
    assert setting.targets() == ["home", "rack1", "rack2"]
    assert caplog.text.count("its last good version stays (2 targets)") == 1

    setting.write("rack2")
    clock.advance(LISTS_EVERY)
    await until(lambda: "rack1" not in setting.metrics())
    assert setting.targets() == ["home", "rack2"]
    assert f"\n{LISTS_OK} 1.0\n" in setting.metrics()
    assert "every list of targets can be used" in caplog.text


async def test_list_that_was_read_for_a_reload_that_failed_still_counts(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await until(setting.daemon.ready)
    good = setting.config
    setting.write("rack1", "rack2")
    with monkeypatch.context() as broken:
        broken.setattr(setting.daemon._monitor, "prepare", lambda config: 1 / 0)
        assert await setting.daemon.reload() is not None
    assert (setting.targets(), setting.config) == (["home", "rack1"], good)
    LoopClock(monkeypatch).advance(LISTS_EVERY)
    await until(lambda: setting.targets() == ["home", "rack1", "rack2"])


async def test_without_lists_there_is_no_metric_of_them() -> None:
    daemon = Daemon(Config.model_validate({}), CredentialDatabase(None), Config, time.time, Fakes())
    await daemon.start()
    try:
        assert LISTS_OK.encode() not in daemon.exposition("", "")[0]
    finally:
        await daemon.stop()
