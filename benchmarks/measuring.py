"""Shared by the benchmarks that run the whole program: the daemon, CPU seconds and memory of processes, medians."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

TICK = os.sysconf("SC_CLK_TCK")
REPOSITORY = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """A loopback TCP port that was free a moment ago."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def machine() -> str:
    """The machine that this runs on, in one line."""
    load = os.getloadavg()[0]
    return (
        f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, "
        f"{os.cpu_count()} cores, load {load:.1f} at the start"
    )


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process and of its ended children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICK


def memory(pid: int, key: str = "VmRSS") -> float:
    """Resident megabytes (10^6 bytes) of a process; with ``VmHWM``, the maximum so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(key)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of the values do not exceed."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


class Client:
    """A keep-alive connection that requests one path of any server repeatedly."""

    def __init__(self, port: int, path: str = "/metrics", **headers: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._path, self._headers = path, {name.replace("_", "-"): value for name, value in headers.items()}

    def get(self) -> bytes:
        self._connection.request("GET", self._path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{self._path}: {answer.status}")
        return body

    def timed(self) -> float:
        """Seconds of one request, until the last byte of the answer."""
        start = time.perf_counter()
        self.get()
        return time.perf_counter() - start


class Daemon:
    """``serve`` with a configuration, in its own process."""

    def __init__(self, directory: Path, config: dict[str, Any], core: int | None = None, **env: str) -> None:
        self.port = free_port()
        self.token = "a-token-for-benchmarks-that-is-long-enough"
        file = directory / "config.json5"
        web = {"listen": f"127.0.0.1:{self.port}", "token": self.token}
        file.write_text(json.dumps({"state_dir": str(directory / "state"), "web": web, **config}))
        self.log = directory / "log"
        pinned = ["taskset", "--cpu-list", str(core)] if core is not None else []
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*pinned, sys.executable, "-m", "exporter.cli", "serve", "--config", str(file)],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), **env},
            )
        self.started_at = time.monotonic()

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_for(self, count: int, line: bytes, seconds: float = 300) -> float:
        """Wait until ``/metrics`` has ``count`` lines that begin with ``line``. Returns seconds since the start."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if self.process.poll() is not None:
                raise RuntimeError(f"serve ended:\n{self.log.read_text()}")
            with suppress(OSError, http.client.HTTPException):
                if gzip.decompress(Client(self.port, Accept_Encoding="gzip").get()).count(b"\n" + line) >= count:
                    return time.monotonic() - self.started_at
            time.sleep(0.1)
        raise RuntimeError(f"not within {seconds:g} s: {count} lines of {line.decode()}")

    def check_now(self) -> float:
        """Check all targets. Returns the seconds it took."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        start = time.perf_counter()
        connection.request("POST", "/api/v1/check", headers={"Authorization": f"Bearer {self.token}"})
        answer = connection.getresponse()
        answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"/api/v1/check: {answer.status}")
        return time.perf_counter() - start


@contextmanager
def ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the process with the block."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
