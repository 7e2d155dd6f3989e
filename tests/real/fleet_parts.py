"""Real programs that are killed and started again, and the receiver of what they notify."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from .conftest import need
from .parts import wait_for

ROOT = Path(__file__).parents[2]


def ports(count: int) -> list[int]:
    """Free loopback ports that no outgoing connection uses meanwhile, so that a killed program gets its own again."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found: list[int] = []
    first = 10000 + os.getpid() * 37 % (lowest - 10000)
    for port in [*range(first, lowest), *range(10000, first)]:
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free port below those of outgoing connections")


class Part:
    """One program at one address. It can be killed and started again with what it kept."""

    def __init__(self, name: str, directory: Path, port: int, argv: Sequence[str | Path], ready: str) -> None:
        self.name = name
        self.url = f"http://127.0.0.1:{port}"
        self.log = directory / f"{name}.log"
        self._argv, self._ready = argv, ready
        self._env = {"HOME": str(directory), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
        self.process: subprocess.Popen[bytes] | None = None
        self.kills = 0
        self.shard: int | None = None  # of a Prometheus
        self.ready_at: float | None = None  # monotonic seconds: since when it has been ready; None while it is not
        self.cpu = 0.0  # seconds of CPU of the processes that are over
        self.memory = 0.0  # the most that one process had, in megabytes

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._argv, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.log.parent
            )

    def wait_until_ready(self) -> None:
        wait_for(f"{self.name} to be ready", self.is_ready, 120)
        self.ready_at = time.monotonic()

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name} ended:\n{self.log.read_text()[-4000:]}"
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}{self._ready}", trust_env=False, timeout=30).status_code == 200
        return False

    def kill(self) -> None:
        """SIGKILL: it has no chance to write anything down or to say goodbye."""
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name} ended by itself:\n{self.log.read_text()[-4000:]}"
        self.measure()
        self.ready_at = None
        self.process.kill()
        self.process.wait()
        self.cpu += self._cpu_now
        self._cpu_now = 0.0
        self.kills += 1

    _cpu_now = 0.0

    def measure(self) -> None:
        """Read the CPU and the memory of the running process."""
        assert self.process is not None
        with suppress(OSError):
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
            self._cpu_now = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            if found := re.search(r"^VmHWM:\s+(\d+)", status, re.MULTILINE):
                self.memory = max(self.memory, int(found[1]) * 1024 / 1e6)

    @property
    def cpu_seconds(self) -> float:
        return self.cpu + self._cpu_now

    def end(self) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.measure()
            self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def exporter(name: str, directory: Path, port: int, config: Mapping[str, Any]) -> Part:
    """``serve`` with this configuration and a state of its own."""
    file = directory / f"{name}.json5"
    web = {**config["web"], "listen": f"127.0.0.1:{port}"}
    file.write_text(json.dumps({**config, "web": web, "state_dir": str(directory / f"{name}-state")}))
    argv = [sys.executable, "-m", "exporter.cli", "serve", "--config", str(file)]
    return Part(name, directory, port, argv, "/-/ready")


def alertmanagers(directory: Path, config: str, count: int, peer_timeout: str) -> list[Part]:
    """A cluster of so many Alertmanagers."""
    (directory / "alertmanager.yml").write_text(config)
    web, peers = ports(2 * count)[:count], ports(2 * count)[count:]
    found = []
    for number, port in enumerate(web):
        own = f"127.0.0.1:{peers[number]}"
        flags = [f"--config.file={directory / 'alertmanager.yml'}", f"--storage.path={directory / f'am-{number}'}"]
        flags += [f"--web.listen-address=127.0.0.1:{port}", f"--cluster.peer-timeout={peer_timeout}"]
        flags += [f"--cluster.listen-address={own}", f"--cluster.advertise-address={own}"]
        flags += [f"--cluster.peer=127.0.0.1:{peer}" for peer in peers if peer != peers[number]]
        argv: list[str | Path] = [need("prometheus-alertmanager"), *flags]
        found.append(Part(f"alertmanager-{number}", directory, port, argv, "/-/ready"))
    return found


def prometheus(name: str, directory: Path, port: int, config: str) -> Part:
    """A Prometheus with this configuration, which names the rules beside it."""
    file = directory / f"{name}.yml"
    file.write_text(config)
    flags = [f"--config.file={file}", f"--storage.tsdb.path={directory / name}"]
    flags += [f"--web.listen-address=127.0.0.1:{port}"]
    return Part(name, directory, port, [need("prometheus"), *flags], "/-/ready")


# --- what arrives -----------------------------------------------------------------------------------


#: What two alerts about the same thing have in common, whoever sent them.
_LIKE = ("alertname", "target", "profile", "severity")


@dataclass(frozen=True)
class Arrival:
    """One alert in one notification."""

    at: float
    group: str  # receiver and Alertmanager's group key
    target: str
    alertname: str
    severity: str
    fires: bool
    owner: str  # a label of the target


@dataclass
class Notifications:
    """A webhook receiver that keeps every notification."""

    arrivals: list[Arrival] = field(default_factory=list)
    count: int = 0  # notifications
    doubled: int = 0  # notifications that say what the last one of their group said
    twins: int = 0  # alerts that stand beside their like in one notification
    last: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)  # status and severity, by group and alert
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, receiver: str, body: dict[str, Any]) -> None:
        group, at = f"{receiver} {body['groupKey']}", time.time()
        said = {
            alert["fingerprint"]: (alert["status"], alert["labels"].get("severity", "")) for alert in body["alerts"]
        }
        with self.lock:
            self.count += 1
            self.doubled += self.last.get(group) == said
            self.last[group] = said
            likes = {(alert["status"], *(alert["labels"].get(name) for name in _LIKE)) for alert in body["alerts"]}
            self.twins += len(body["alerts"]) - len(likes)
            for alert in body["alerts"]:
                labels = alert["labels"]
                self.arrivals.append(
                    Arrival(
                        at,
                        group,
                        labels.get("target", ""),
                        labels["alertname"],
                        labels.get("severity", ""),
                        alert["status"] == "firing",
                        labels.get("owner", ""),
                    )
                )

    def so_far(self) -> list[Arrival]:
        with self.lock:
            return list(self.arrivals)

    @contextmanager
    def listening(self) -> Iterator[str]:
        note = self.note

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *words: Any) -> None:
                pass

            def do_POST(self) -> None:
                content = self.rfile.read(length := int(self.headers["Content-Length"]))
                if len(content) < length:  # the sender was killed: this is no request
                    return
                note(self.path.strip("/"), json.loads(content))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None: ...  # the client was killed

        with Server(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}"
            finally:
                server.shutdown()
                thread.join()
