"""Half an hour of a whole fleet: do memory, descriptors, threads and the state files stay flat?

Run by hand: ``python benchmarks/soak.py [MINUTES]``. One daemon checks simulated gateways and simulated homes, which
age, fail and recover, every five seconds. Meanwhile Prometheus scrapes, a webhook takes the notifications or refuses
them, and the configuration is reloaded. Prints a sample a minute, and the growth between the second and the last third.
"""

from __future__ import annotations

import http.server
import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet import TOKEN, running
from measuring import Client, Daemon, cpu_seconds, ending, machine, median, memory

GATEWAYS = 20
#: How many simulated homes each scenario has.
HOMES = 8
SCENARIOS = ("healthy", "expiring", "spare", "cooldown", "failing", "aging")
#: In seconds: between scrapes, reloads and samples.
SCRAPE_EVERY, RELOAD_EVERY, SAMPLE_EVERY = 5.0, 60.0, 60.0


class Hook(http.server.BaseHTTPRequestHandler):
    """Takes notifications, and refuses each tenth."""

    taken = refused = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_refused = (Hook.taken + Hook.refused) % 10 == 9
        Hook.refused, Hook.taken = Hook.refused + is_refused, Hook.taken + (not is_refused)
        self.send_response(503 if is_refused else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Sample:
    """The state of the daemon's process at one moment."""

    at: float  # seconds since the start
    memory: float  # megabytes
    descriptors: int
    threads: int
    state: float  # megabytes of all state files

    @classmethod
    def of(cls, daemon: Daemon, state: Path) -> Sample:
        process = Path(f"/proc/{daemon.pid}")
        sizes = [path.stat().st_size for path in state.iterdir()]
        count = {name: len(os.listdir(process / name)) for name in ("fd", "task")}
        at = time.monotonic() - daemon.started_at
        return cls(at, memory(daemon.pid), count["fd"], count["task"], sum(sizes) / 1e6)

    def __str__(self) -> str:
        return (
            f"{self.at / 60:5.1f} min  {self.memory:6.1f} MB  {self.descriptors:3} descriptors  "
            f"{self.threads:3} threads  {self.state:6.2f} MB of state"
        )


def growth(samples: list[Sample]) -> str:
    """The medians of the second and of the last third. The first third warms up."""
    third = len(samples) // 3
    parts = []
    for name in ("memory", "descriptors", "threads", "state"):
        before = median([getattr(sample, name) for sample in samples[third : 2 * third]])
        after = median([getattr(sample, name) for sample in samples[-third:]])
        parts.append(f"{name} {before:.1f} -> {after:.1f} ({after / before - 1:+.1%})")
    return ", ".join(parts)


def configuration(gateways: list[int], hook: int) -> dict[str, Any]:
    targets: list[dict[str, Any]] = [
        {"name": f"gateway-{number:02}", "source": "gateway", "url": f"http://127.0.0.1:{port}", "token": TOKEN}
        for number, port in enumerate(gateways)
    ]
    targets += [
        {"name": f"{scenario}-{number}", "source": "simulated", "scenario": scenario, "profiles": 5}
        for scenario in SCENARIOS
        for number in range(HOMES)
    ]
    url = f"http://127.0.0.1:{hook}/"
    return {
        "targets": targets,
        "interval": "5s",
        "channels": [{"name": "hook", "type": "webhook", "url": url}],
        "heartbeat": {"url": url, "every": "10s"},
        "alerts": {"group_wait": "0s"},
    }


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    print(
        f"{machine()}; {GATEWAYS} gateways, {HOMES * len(SCENARIOS)} simulated homes, {minutes:g} minutes", flush=True
    )
    hook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _, ports = stack.enter_context(running(GATEWAYS))
        daemon = Daemon(directory, configuration(ports, hook.server_port))
        stack.enter_context(ending(daemon.process))
        daemon.wait_for(GATEWAYS + HOMES * len(SCENARIOS), b"openclaw_auth_check_success{")
        samples: list[Sample] = []
        scrapes = failed = 0
        began = reload_at = sample_at = time.monotonic()
        while (now := time.monotonic()) < began + 60 * minutes:
            scrapes += 1
            try:
                Client(daemon.port).get()
            except (OSError, RuntimeError):
                failed += 1
            if now >= reload_at:
                reload_at = now + RELOAD_EVERY
                daemon.process.send_signal(signal.SIGHUP)
            if now >= sample_at:
                sample_at = now + SAMPLE_EVERY
                samples.append(Sample.of(daemon, directory / "state"))
                print(samples[-1], flush=True)
            time.sleep(max(0.0, now + SCRAPE_EVERY - time.monotonic()))
        checks = sum(
            float(line.rpartition(b" ")[2])
            for line in Client(daemon.port).get().splitlines()
            if line.startswith(b"openclaw_auth_checks_total{")
        )
        print(
            f"{checks:.0f} checks, {scrapes} scrapes ({failed} failed), {Hook.taken} requests to the webhook and "
            f"{Hook.refused} refused, {cpu_seconds(daemon.pid):.0f} s of CPU"
        )
        print(growth(samples))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
