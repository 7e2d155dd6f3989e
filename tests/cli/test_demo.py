"""``demo``: the daemon over simulated targets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
from command_line import CommandLine


def test_a_bad_address_is_wrong_usage(cli: CommandLine) -> None:
    refused = cli("demo", "--listen", "10785")
    assert refused.returncode == 64
    assert "--listen: '10785' is not an address: write host:port" in refused.stderr


def test_it_serves_simulated_targets_and_keeps_no_state(cli: CommandLine, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "exporter.cli", "demo", "--listen", "127.0.0.1:0", "--log.format", "json"]
    before = sorted(tmp_path.rglob("*"))
    with subprocess.Popen(command, env=cli.env, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stderr is not None
        try:
            logged = (json.loads(line) for line in demo.stderr)
            address = next(line["msg"].split()[-1] for line in logged if "listening on" in line["msg"])
            answer = httpx.get(f"{address}/metrics", timeout=30)
        finally:
            os.kill(demo.pid, signal.SIGTERM)
        assert demo.wait(30) == 0
    assert "openclaw_auth_check" in answer.text
    assert sorted(tmp_path.rglob("*")) == before
