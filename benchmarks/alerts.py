"""Measures the time from a report in which every profile expires at once to the delivered notifications.

Run by hand: ``python benchmarks/alerts.py [PROFILES] [CHANNELS]``. The channels are webhooks of a server in another
process; the notifier is the daemon's. Prints medians of several runs, and their ratio to one profile.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.queues import Queue
from pathlib import Path

from exporter.alerts.delivery.notifier import Notifier, ReportSource
from exporter.alerts.delivery.outbox import open_outbox
from exporter.config import Config
from exporter.model import (
    AgentReport,
    Basis,
    Condition,
    ConditionName,
    ProfileReport,
    Report,
    Severity,
    Status,
    TargetReport,
)

PER_TARGET = 20
RUNS = 5
DAY = 86400.0


def serve(arrived: Queue[tuple[float, int]], port: Queue[int]) -> None:
    """Receive webhooks. Records when each message was complete and how many alerts it has."""

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            at = time.time()
            self.send_response(204)
            self.end_headers()
            arrived.put((at, len(json.loads(body)["alerts"])))

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        port.put(server.server_address[1])
        server.serve_forever()


def report(profiles: int, ends: float, now: float) -> Report:
    """Targets of 20 tokens each that all end at ``ends``, with one spare that lasts."""
    targets = []
    for number in range(max(1, profiles // PER_TARGET)):
        ids = [f"anthropic:{number}-{i}" for i in range(min(PER_TARGET, profiles))]
        status = Status.EXPIRED if ends <= now else Status.OK
        made = [_profile(id, ends, status, now) for id in ids] + [
            _profile("anthropic:spare", now + 300 * DAY, Status.OK, now)
        ]
        conditions = tuple(
            Condition(
                ConditionName.EXPIRED,
                Severity.WARNING,
                provider="anthropic",
                profile=id,
                summary=f"{id} expired",
                remedy=(
                    "claude setup-token",
                    f"openclaw models auth paste-token --provider anthropic --profile-id {id} --expires-in 365d",
                ),
                since=ends,
                deadline=ends,
            )
            for id in (ids if status is Status.EXPIRED else ())
        )
        name = f"gateway-{number}"
        agent = AgentReport(name, "main", "gateway", now, now, 2, tuple(made), conditions)
        targets.append(TargetReport(name, "gateway", (agent,)))
    return Report(now, tuple(targets))


def _profile(id: str, ends: float, status: Status, now: float) -> ProfileReport:
    return ProfileReport(
        id=id,
        provider="anthropic",
        kind="token",
        status=status,
        expires_at=ends,
        basis=Basis.REPORTED,
        refreshable=False,
        selected=False,
        unusable=None,
        unusable_seen=True,
        in_use=True,
        usable=status is Status.OK,
        label=id,
        secret_hash=id,
    )


async def once(profiles: int, hooks: int, url: str, arrived: Queue[tuple[float, int]]) -> tuple[float, float]:
    """Seconds from the report to the last channel's complete message, and our CPU seconds for it."""
    now = time.time()
    shown = report(profiles, now + 100 * DAY, now)
    config = Config.model_validate(
        {
            "targets": [{"name": target.target} for target in shown.targets],
            "alerts": {"group_wait": "0s"},
            "channels": [{"name": f"hook-{n}", "type": "webhook", "url": url} for n in range(hooks)],
        }
    )
    with tempfile.TemporaryDirectory() as directory:
        notifier = Notifier(config, open_outbox(Path(directory)), ReportSource(lambda: shown))
        notifier.start()
        await _until(lambda: notifier.holds_lock)
        await asyncio.sleep(0.5)
        shown = report(profiles, now, time.time())
        began, cpu = time.time(), time.process_time()
        notifier.wake()
        messages = [await asyncio.to_thread(arrived.get) for _ in range(hooks)]
        took = max(at for at, _ in messages) - began
        spent = time.process_time() - cpu
        assert [count for _, count in messages] == [profiles] * hooks, "one grouped message per channel"
        await asyncio.sleep(0.2)
        assert arrived.empty(), "and nothing more"
        await notifier.stop()
    return took, spent


async def _until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - the condition has no event
        await asyncio.sleep(0.01)


def main() -> None:
    profiles = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    hooks = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    arrived: Queue[tuple[float, int]] = multiprocessing.Queue()
    ports: Queue[int] = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(arrived, ports), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ports.get()}/"
    load = os.getloadavg()[0]
    print(f"{platform.python_implementation()} {platform.python_version()}, {hooks} channels, load {load:.1f}")
    medians = {}
    for count in (1, profiles):
        runs = [asyncio.run(once(count, hooks, url, arrived)) for _ in range(RUNS)]
        took, spent = (statistics.median(values) for values in zip(*runs, strict=True))
        medians[count] = took
        least, most = min(wall for wall, _ in runs), max(wall for wall, _ in runs)
        print(
            f"{count:7,} expire at once: delivered to all channels after {took * 1e3:6.0f} ms "
            f"({least * 1e3:.0f} to {most * 1e3:.0f}), our CPU {spent * 1e3:6.0f} ms"
        )
    print(f"{medians[profiles] / medians[1]:.0f} times the time for one profile")
    server.terminate()


if __name__ == "__main__":
    main()
