"""A fleet in one process: 1,000 simulated gateways with 20 profiles each, swept while Prometheus scrapes.

Run by hand: ``python benchmarks/fleet.py [GATEWAYS]``. The exporter has one core to itself (taskset);
the gateways and the scraper share another, each in its own process. Prints the first sweep (three
requests per gateway), later sweeps, memory, and the time of scrapes during the sweeps.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from measuring import REPOSITORY, Client, Daemon, cpu_seconds, ending, machine, median, memory, percentile

PROFILES = 20
SWEEPS = 5
TOKEN = "a-gateway-token-for-benchmarks-0123456789"
#: Seconds between the starts of two scrapes.
SCRAPE_EVERY = 0.25


def gateways(count: int) -> None:
    """Serve ``count`` simulated gateways, each on its own port, and print the ports."""
    sys.path.insert(0, str(REPOSITORY / "tests"))
    import uvicorn
    from stand_ins.server import gateway_app

    from exporter.simulator.scenarios import scenario_world

    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, max(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    sockets, apps = [], {}
    for _ in range(count):
        # asyncio sets TCP_NODELAY only where the protocol is given. Without it, later answers wait 40 ms for an ACK.
        bound = socket.socket(proto=socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        sockets.append(bound)
        apps[bound.getsockname()[1]] = gateway_app(scenario_world("healthy", time.time(), PROFILES), TOKEN)

    async def by_port(scope: Any, receive: Any, send: Any) -> None:
        await apps[scope["server"][1]](scope, receive, send)

    print(json.dumps(list(apps)), flush=True)
    config = uvicorn.Config(by_port, lifespan="off", log_level="error", access_log=False, timeout_keep_alive=3600)
    asyncio.run(uvicorn.Server(config).serve(sockets))


class Scraper:
    """Scrapes like Prometheus, with gzip, inside a ``with`` block. Records the time of each scrape."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.took: list[float] = []

    def _run(self) -> None:
        client = Client(self._port, Accept="application/openmetrics-text;version=1.0.0", Accept_Encoding="gzip")
        while not self._over.is_set():
            took = client.timed()
            self.took.append(took)
            self._over.wait(max(SCRAPE_EVERY - took, 0.0))

    def __enter__(self) -> Scraper:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()


@contextmanager
def running(count: int) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """The process of so many gateways, and their ports, until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, __file__, "gateways", str(count)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    with ending(process):
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())


def report(name: str, took: float, cpu: float, theirs: float, megabytes: float, scrapes: list[float]) -> None:
    ms = [scrape * 1e3 for scrape in scrapes]
    print(
        f"{name:12} {took:6.2f} s  CPU {cpu:6.2f} s (gateways {theirs:5.2f} s)  {megabytes:4.0f} MB  "
        f"{len(ms)} scrapes: median {median(ms):5.1f}, p99 {percentile(ms, 0.99):5.1f}, max {max(ms):5.1f} ms"
    )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"{machine()}; {count} gateways with {PROFILES} profiles each")
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})  # the scraper, and the gateways that start here
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, max(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fleet, ports = stack.enter_context(running(count))
        targets = [
            {"name": f"gateway-{number:04}", "source": "gateway", "url": f"http://127.0.0.1:{port}", "token": TOKEN}
            for number, port in enumerate(ports)
        ]
        channel = {"name": "hook", "type": "webhook", "url": "http://127.0.0.1:9/", "min_severity": "warning"}
        daemon = Daemon(directory, {"targets": targets, "interval": "1h", "channels": [channel]}, core=cores[0])
        stack.enter_context(ending(daemon.process))
        daemon.wait_for(0, b"")
        scrapes: list[float] = []
        walls: list[float] = []

        def sweep(name: str, check: Callable[[], float]) -> None:
            cpu, theirs = cpu_seconds(daemon.pid), cpu_seconds(fleet.pid)
            with Scraper(daemon.port) as scraper:
                took = check()
            cpu, theirs = cpu_seconds(daemon.pid) - cpu, cpu_seconds(fleet.pid) - theirs
            report(name, took, cpu, theirs, memory(daemon.pid), scraper.took)
            scrapes.extend(scraper.took)
            walls.append(took)

        sweep("first sweep", lambda: daemon.wait_for(count, b"openclaw_auth_check_success{"))
        for number in range(SWEEPS):
            time.sleep(1)
            sweep(f"sweep {number + 1}", daemon.check_now)
        ms = [scrape * 1e3 for scrape in scrapes]
        print(
            f"all          median {median(walls):.2f} s, longest {max(walls):.2f} s; {len(ms)} scrapes: "
            f"median {median(ms):.1f}, p99 {percentile(ms, 0.99):.1f} ms; "
            f"memory {memory(daemon.pid, 'VmHWM'):.0f} MB at most"
        )
        body = Client(daemon.port).get()
        seen = body.count(b"\nopenclaw_auth_profile_info{")
        good = body.count(b"\nopenclaw_auth_check_success{") - body.count(b"} 0.0\nopenclaw_auth_check_success{")
        print(f"seen         {seen} profiles of {count * PROFILES}, {good} gateways")


if __name__ == "__main__":
    if sys.argv[1:2] == ["gateways"]:
        with suppress(KeyboardInterrupt):
            gateways(int(sys.argv[2]))
    else:
        main()
