"""``serve``: errors before it listens, and files that are something else. tests/daemon and tests/web test the rest."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from command_line import CommandLine


def test_a_missing_certificate_is_a_configuration_error(cli: CommandLine) -> None:
    cli.configure({"web": {"listen": "127.0.0.1:0", "tls": {"cert_file": "/nowhere.pem", "key_file": "/nowhere.key"}}})
    served = cli("serve")
    assert (served.returncode, served.stdout) == (78, "")
    assert served.stderr.endswith("web.tls: /nowhere.pem cannot be read: No such file or directory\n")


def test_a_busy_port_is_an_error_sentence(cli: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        cli.configure({"web": {"listen": address}})
        served = cli("serve")
    assert served.returncode == 69
    assert f"Error: web.listen: cannot listen on {address}: another program " in served.stderr


def test_configuration_that_is_a_pipe_is_refused(cli: CommandLine) -> None:
    cli.config.unlink()
    os.mkfifo(cli.config)
    served = cli("serve")
    assert (served.returncode, served.stdout) == (78, "")
    assert served.stderr == f"{cli.config}: cannot be read: Is a named pipe: put a regular file there\n"


def _get(url: str) -> str:
    with suppress(OSError), urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())
    return ""


def test_pipes_where_files_should_be_leave_http_and_sigterm_alive(cli: CommandLine, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    sources = ("openclaw", "store", "claude", "auto")
    targets = [{"name": source, "source": source, "env_file": str(pipe)} for source in sources]
    targets += [{"name": "gateway", "source": "gateway", "url": "http://127.0.0.1:9", "token_file": str(pipe)}]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    heartbeat = {"url_file": str(pipe), "every": "10s"}
    web = {"listen": f"127.0.0.1:{port}", "token_file": str(pipe)}
    cli.configure({"targets": targets, "web": web, "heartbeat": heartbeat})
    command = [sys.executable, "-m", "exporter.cli", "serve", "--config", str(cli.config)]
    with subprocess.Popen(command, env=cli.env, stderr=subprocess.DEVNULL) as served:
        try:
            limit = time.monotonic() + 60
            while _get(f"http://127.0.0.1:{port}/metrics").count("\nopenclaw_auth_check_success{") < len(targets):
                assert time.monotonic() < limit
                time.sleep(0.05)
            status = _get(f"http://127.0.0.1:{port}/api/v1/status")
            assert status.count(f"{pipe}: is a named pipe: put a regular file there") >= len(sources)
            assert f"token_file: {pipe}: Is a named pipe" in status
        finally:
            served.send_signal(signal.SIGTERM)
            try:
                code = served.wait(30)
            except subprocess.TimeoutExpired:
                served.kill()
                raise
    assert code == 0
