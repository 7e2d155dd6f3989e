"""Notifications to systemd, received by a real datagram socket in its place."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.daemon import systemd


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket behind $NOTIFY_SOCKET."""
    # Not tmp_path: the name of a UNIX socket has at most 107 bytes.
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        path = os.path.join(directory, "notify")
        sock.bind(path)
        sock.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield sock


def received(sock: socket.socket) -> list[str]:
    return sock.recv(4096).decode().split("\n")


def test_ready_carries_the_status(manager: socket.socket) -> None:
    systemd.ready("watching 3 targets")
    assert received(manager) == ["READY=1", "STATUS=watching 3 targets"]


def test_reloading_carries_the_monotonic_time(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic_ns", lambda: 12_345_678_901)
    systemd.reloading()
    assert received(manager) == ["RELOADING=1", "MONOTONIC_USEC=12345678", "STATUS=Reloading the configuration"]


def test_stopping(manager: socket.socket) -> None:
    systemd.stopping()
    assert received(manager) == ["STOPPING=1", "STATUS=Stopping"]


def test_status_cannot_add_lines(manager: socket.socket) -> None:
    systemd.ready("good\nMAINPID=1")
    assert received(manager) == ["READY=1", "STATUS=good MAINPID=1"]


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux'")
def test_abstract_socket() -> None:
    name = f"openclaw-auth-exporter-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(10)
        assert systemd.notify("READY=1", environ={"NOTIFY_SOCKET": "@" + name})
        assert received(sock) == ["READY=1"]


def test_without_the_variable_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setattr("socket.socket", None)  # touching it would be an error
    assert not systemd.notify("READY=1")


@pytest.mark.parametrize("address", ["vsock:2:1234", "relative"])
def test_unknown_kind_of_socket_is_logged(address: str, caplog: pytest.LogCaptureFixture) -> None:
    assert not systemd.notify("READY=1", environ={"NOTIFY_SOCKET": address})
    assert "$NOTIFY_SOCKET is of an unknown kind" in caplog.text


def test_missing_socket_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not systemd.notify("READY=1", environ={"NOTIFY_SOCKET": str(tmp_path / "s")})
    assert "systemd is not notified of READY=1: No such file or directory" in caplog.text


def test_full_socket_does_not_block(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "PATIENCE", 0.01)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                other.sendto(b"x" * 1024, os.environ["NOTIFY_SOCKET"])
    assert not systemd.notify("WATCHDOG=1")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),  # the watchdog watches our parent
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_watchdog_interval(environ: dict[str, str], seconds: float | None) -> None:
    assert systemd.watchdog_interval(environ) == seconds


async def test_watchdog_is_fed_at_half_its_interval_while_alive(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [True, False, False, True]
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if not answers:
            raise asyncio.CancelledError

    monkeypatch.setattr("asyncio.sleep", sleep)
    caplog.set_level(logging.ERROR)
    environ = {"NOTIFY_SOCKET": os.environ["NOTIFY_SOCKET"], "WATCHDOG_USEC": "4000000"}
    with pytest.raises(asyncio.CancelledError):
        await systemd.feed(lambda: answers.pop(0), environ)
    assert slept == [2.0] * 4
    assert [received(manager), received(manager)] == [["WATCHDOG=1"]] * 2
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(1)
    assert [record.message for record in caplog.records] == [
        "the scheduler no longer runs: systemd's watchdog will restart the exporter"
    ]


async def test_without_a_watchdog_feeding_returns() -> None:
    def never() -> bool:
        raise AssertionError("asked for nothing")

    async with asyncio.timeout(10):
        await systemd.feed(never, {})


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux'")
def test_serve_reports_ready_reloading_and_stopping(manager: socket.socket, tmp_path: Path) -> None:
    """serve: ready, fed, reloaded with a good and with a bad configuration, stopped."""
    config = tmp_path / "config.json5"
    good = (
        '{"targets": [{"name": "home", "source": "simulated"}], "web": {"listen": "127.0.0.1:0"},'
        f' "state_dir": "{tmp_path}/state"}}'
    )
    config.write_text(good)
    environ = {**os.environ, "WATCHDOG_USEC": "1000000", "HOME": str(tmp_path)}
    daemon = subprocess.Popen(
        [sys.executable, "-m", "exporter.cli", "serve", "--config", str(config)],
        env=environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        manager.settimeout(60)

        def next_of(name: str) -> list[str]:
            while True:
                lines = received(manager)
                if lines[0].startswith(name):
                    return lines

        started = next_of("READY=1")
        assert started == ["READY=1", "STATUS=Watching 1 target"]
        assert next_of("WATCHDOG") == ["WATCHDOG=1"]
        daemon.send_signal(1)
        assert next_of("RELOADING=1")
        assert next_of("READY=1") == started
        config.write_text('{"intervall": "5m", "web": {"token": "PLANTED-SECRET-1"}}')
        daemon.send_signal(1)
        assert next_of("RELOADING=1")
        assert next_of("READY=1") == [
            "READY=1",
            "STATUS=Watching 1 target; the last reload failed, so the previous configuration is in use",
        ]
        daemon.terminate()
        assert next_of("STOPPING=1")
        assert daemon.wait(timeout=60) == 0
        assert daemon.stderr is not None
        assert "PLANTED-SECRET" not in daemon.stderr.read()
    finally:
        daemon.kill()
        daemon.wait()
        assert daemon.stderr is not None
        daemon.stderr.close()
