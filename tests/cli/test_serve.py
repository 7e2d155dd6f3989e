"""``serve``: errors before it listens, and files that are something else. tests/daemon and tests/web test the rest."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from command_line import CommandLine

from exporter.web import listen


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


@contextlib.contextmanager
def serving(
    command: list[str], env: dict[str, str], stderr: int = subprocess.PIPE, **more: Any
) -> Iterator[subprocess.Popen[str]]:
    """The daemon until the end of the block; then SIGTERM ends it with 0."""
    with subprocess.Popen(command, env=env, stderr=stderr, text=True, **more) as served:
        try:
            yield served
        finally:
            served.send_signal(signal.SIGTERM)
            try:
                code = served.wait(30)
            except subprocess.TimeoutExpired:
                served.kill()
                raise
    assert code == 0


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
    with serving(command, cli.env, stderr=subprocess.DEVNULL):
        limit = time.monotonic() + 60
        while _get(f"http://127.0.0.1:{port}/metrics").count("\nopenclaw_auth_check_success{") < len(targets):
            assert time.monotonic() < limit
            time.sleep(0.05)
        status = _get(f"http://127.0.0.1:{port}/api/v1/status")
        assert status.count(f"{pipe}: is a named pipe: put a regular file there") >= len(sources)
        assert f"token_file: {pipe}: Is a named pipe" in status


def _first_line_with(served: subprocess.Popen[str], text: str) -> str:
    assert served.stderr is not None
    return next(line for line in served.stderr if text in line)


def test_the_flags_of_prometheus_exporters_work(cli: CommandLine) -> None:
    """Two addresses instead of the configuration's, which cannot be bound."""
    cli.add(web={"listen": "192.0.2.1:10785"})
    command = [sys.executable, "-m", "exporter.cli", "serve", "--config.file", str(cli.config)]
    command += ["--web.listen-address", "127.0.0.1:0", "--web.listen-address=127.0.0.1:0", "--log.level=info"]
    with serving([*command, "--log.format=json"], cli.env) as served:
        line = _first_line_with(served, "listening on ")
        urls = re.findall(r"http://127\.0\.0\.1:\d+", json.loads(line)["msg"])
        assert len(set(urls)) == 2
        assert [_get(f"{url}/-/healthy") for url in urls] == ["Healthy.\n"] * 2


def test_an_address_that_is_none_is_wrong_usage(cli: CommandLine) -> None:
    served = cli("serve", "--web.listen-address", "10785")
    assert (served.returncode, served.stdout) == (64, "")
    assert "'10785' is not an address: write host:port" in served.stderr


#: Starts the program as systemd does: with the socket as descriptor 3, and its process id in a variable.
AS_SYSTEMD = 'exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'


def test_a_socket_of_systemd_is_used_instead_of_the_configured_address(cli: CommandLine) -> None:
    cli.add(web={"listen": "192.0.2.1:10785"})
    command = ["sh", "-c", AS_SYSTEMD, "sh", sys.executable, "-m", "exporter.cli", "serve", "--config", str(cli.config)]
    with socket.create_server(("127.0.0.1", 0)) as passed:
        url = f"http://127.0.0.1:{passed.getsockname()[1]}"
        with serving(command, cli.env, stdin=passed) as served:
            assert _first_line_with(served, "listening on ").rstrip().endswith(f"listening on {url}")
            assert _get(f"{url}/-/healthy") == "Healthy.\n"
            served.send_signal(signal.SIGHUP)
            assert "the configuration is reloaded" in next(iter(served.stderr or []))  # and no "web changed"


def test_a_socket_of_systemd_that_is_no_tcp_is_an_error_sentence(cli: CommandLine) -> None:
    command = ["sh", "-c", AS_SYSTEMD, "sh", sys.executable, "-m", "exporter.cli", "serve", "--config", str(cli.config)]
    left, right = socket.socketpair()
    with left, right:
        served = subprocess.run(
            command, env=cli.env, stdin=left.fileno(), capture_output=True, text=True, timeout=60, check=False
        )
    assert served.returncode == 69
    assert "systemd passed a socket that cannot be used: write ListenStream= with" in served.stderr


def test_sockets_of_another_process_are_left_alone() -> None:
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "x", "HOME": "/"}
    assert listen.inherited(environ) == []
    assert environ == {"HOME": "/"}  # children do not see them either


def test_the_page_renews_only_if_it_is_asked_to(cli: CommandLine) -> None:
    cli.add(web={"listen": "127.0.0.1:0", "token": "a-token-to-sign-in-with", "reauth": True})
    command = [sys.executable, "-m", "exporter.cli", "serve", "--config", str(cli.config), "--log.level=info"]
    with serving(command, cli.env) as served:
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+", _first_line_with(served, "listening on "))
        assert "Enter the token" in _get(f"{url}/renew?target=home&agent=main&profile=anthropic:default")
