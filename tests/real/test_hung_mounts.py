"""File systems that never answer, as those of a dead server: real mounts, over the files of a running daemon."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from faults.servers import BadServer

from .disks import hanging
from .files import TOKEN, FilesHome, check_now, in_a_year, store_target
from .parts import Exporter, free_port, running, wait_for

pytestmark = pytest.mark.real


def outcome(exporter: Exporter, target: str) -> float | None:
    return exporter.value("check_success", target=target, agent="main")


def test_mounts_that_hang_stop_only_what_needs_them(tmp_path: Path) -> None:
    here, away = FilesHome(tmp_path / "here"), FilesHome(tmp_path / "mount" / "away")
    mount = tmp_path / "mount"
    for home in (here, away):
        home.write_tokens({"anthropic:default": in_a_year()})
    with BadServer() as server:
        (mount / "url").write_text(f"{server.url}/away")
        (mount / "env").write_text("A=b")
        (mount / "token").write_text(TOKEN)
        targets: list[dict[str, Any]] = [
            {**store_target(here), "timeout": "5s"},
            {**store_target(away), "name": "away", "timeout": "5s", "env_file": str(mount / "env")},
        ]
        port = free_port()
        exporter = Exporter(
            here,
            tmp_path / "exporter",
            targets=targets,
            interval="10s",
            channels=[
                {"name": "good", "type": "webhook", "url": f"{server.url}/good"},
                {"name": "away", "type": "webhook", "url_file": str(mount / "url")},
            ],
            alerts={"group_wait": "0s"},
            web={"listen": f"127.0.0.1:{port}", "token": TOKEN},
        )
        exporter.url = f"http://127.0.0.1:{port}"
        with running(exporter):
            wait_for("both targets", lambda: (outcome(exporter, "home") == outcome(exporter, "away") == 1) or None, 30)
            with hanging(mount):
                here.write_tokens({"anthropic:default": time.time() - 3600})
                check_now(exporter)
                wait_for("the failed check", lambda: outcome(exporter, "away") == 0 or None, 60)
                wait_for("the notification", lambda: server.received("good") or None, 30)
                assert outcome(exporter, "home") == 1
                slowest = 0.0
                for path in ("/metrics", "/", "/api/v1/status", "/-/healthy") * 15:
                    began = time.monotonic()
                    exporter.get(path)
                    slowest = max(slowest, time.monotonic() - began)
                assert slowest < 2.0
                checks = exporter.value("checks_total", target="home", agent="main") or 0
                check_now(exporter)
                assert (exporter.value("checks_total", target="home", agent="main") or 0) > checks
            check_now(exporter)
            wait_for("the target to recover", lambda: outcome(exporter, "away") == 1 or None, 60)


def test_daemon_whose_files_hang_is_stopped_by_sigterm(tmp_path: Path) -> None:
    home = FilesHome(tmp_path / "mount" / "away")
    home.write_tokens({"anthropic:default": in_a_year()})
    exporter = Exporter(home, tmp_path / "exporter", targets=[{**store_target(home), "timeout": "5s"}], interval="10s")
    try:
        exporter.start()
        exporter.wait_for_check()
        with hanging(tmp_path / "mount"):
            assert exporter.daemon is not None
            pid = exporter.daemon.pid
            wait_for("something that hangs", lambda: hangs(pid) or None, 60)
            assert exporter.stop() == 0
    finally:
        exporter.end()


@pytest.mark.parametrize("part", ["state_dir", "configuration"])
def test_start_that_hangs_is_ended_by_sigterm(tmp_path: Path, part: str) -> None:
    (tmp_path / "mount").mkdir()
    home = FilesHome(tmp_path / "home")
    config = {"state_dir": str(tmp_path / "mount" / "state")} if part == "state_dir" else {}
    exporter = Exporter(home, tmp_path / "exporter", targets=[store_target(home)], **config)
    file = exporter.config_file if part == "state_dir" else tmp_path / "mount" / "config.json5"
    with hanging(tmp_path / "mount"):
        argv = [sys.executable, "-m", "exporter.cli", "serve", "--config", str(file)]
        daemon = subprocess.Popen(argv, env=home.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for("a start that hangs", lambda: hangs(daemon.pid) or None, 30)
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(timeout=30)
        finally:
            daemon.kill()
            daemon.wait()


def hangs(pid: int) -> bool:
    """Whether a thread of the process waits for the server of a FUSE file system."""
    return any("fuse" in (task / "wchan").read_text() for task in Path(f"/proc/{pid}/task").iterdir())


def test_command_for_a_store_that_hangs_fails_at_its_time_limit(tmp_path: Path) -> None:
    home = FilesHome(tmp_path / "mount" / "away")
    home.write_tokens({"anthropic:default": in_a_year()})
    exporter = Exporter(home, tmp_path / "exporter", targets=[{**store_target(home), "timeout": "2s"}])
    with hanging(tmp_path / "mount"):
        code, result = exporter.check()
    assert code == 1
    assert '"timeout"' in json.dumps(result)
    assert "read within 2s" in json.dumps(result)
