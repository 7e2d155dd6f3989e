"""The longest turn of the event loop, in CPU time, of a daemon with 10,000 profiles in hostile surroundings.

``python benchmarks/loop.py [PROFILES]``; ``.ci/run`` runs it. Drives the whole program: one target has all profiles in
its store, and a fleet of simulated ones has as many again. Meanwhile a command prints what is slow to read, pipes lie
where files should be, another process holds the state files, and a client asks for everything that is served. Prints
the callbacks that took longest. The exit code is 1 if one took more than 50 ms of the loop's thread. Time in which
other threads or programs had the processor does not count, so the result does not depend on how busy the machine is.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from measuring import REPOSITORY, ending, free_port, machine

#: The most CPU time that one callback on the loop may take, in seconds.
LIMIT = 0.050
FLEET = 20  # profiles of each simulated target
TOKEN = "a-token-for-benchmarks-that-is-long-enough"
SECONDS = 600.0  # for the first check of all targets
SHOWN = 8
#: Prints 64 kB without a newline on standard error, then megabytes of deeply nested nonsense.
HOSTILE = "import sys; sys.stderr.write('token=a.b-' * 6554); sys.stdout.write('{\"a\":[' * 500_000)"


# --- inside the daemon's process ---------------------------------------------------------------------


def serve(config: str, into: str) -> None:
    """Run ``serve``, and write the longest callbacks of its loop to the file ``into`` when it ends."""
    sys.path.insert(0, str(REPOSITORY))
    from exporter.cli import program

    took: dict[str, tuple[float, int, float]] = {}
    run = asyncio.events.Handle._run
    collecting = [0.0, 0.0]  # since when the loop's thread collects garbage, and for how long it did in this callback

    def collects(phase: str, info: object) -> None:
        if threading.current_thread() is threading.main_thread():
            collecting[phase == "stop"] += (
                -time.thread_time() if phase == "start" else time.thread_time() + collecting[0]
            )
            collecting[0] = collecting[0] if phase == "start" else 0.0

    gc.callbacks.append(collects)

    def measured(handle: asyncio.events.Handle) -> None:
        collecting[1] = 0.0
        callback, before = handle._callback, time.thread_time()  # type: ignore[attr-defined]  # CPython has it
        run(handle)
        seconds = time.thread_time() - before
        if seconds > LIMIT / 10:
            name = _name(callback)
            longest, count, collected = took.get(name, (0.0, 0, 0.0))
            if seconds > longest:
                longest, collected = seconds, collecting[1]
            took[name] = (longest, count + 1, collected)

    asyncio.events.Handle._run = measured  # type: ignore[method-assign]  # every callback passes here
    sys.argv = ["openclaw-auth-exporter", "serve", "--config", config]
    try:
        program.run()
    finally:
        rows = sorted(
            ((seconds, count, collected, name) for name, (seconds, count, collected) in took.items()), reverse=True
        )
        Path(into).write_text(json.dumps(rows))


def _name(callback: Any) -> str:
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return f"task {owner.get_name()} ({getattr(owner.get_coro(), '__qualname__', '?')})"
    return getattr(callback, "__qualname__", repr(callback))


# --- the surroundings --------------------------------------------------------------------------------


def write_store(folder: Path, profiles: int, revision: int) -> None:
    """OpenClaw's store with ``profiles`` tokens, of which a third is about to expire and a third has expired."""
    soon = int(time.time() * 1000)
    entries = {
        f"provider{n % 50}:profile-{n}": {
            "type": "token",
            "provider": f"provider{n % 50}",
            "token": f"sk-secret-of-{n}-{revision}",
            "expires": soon + (n % 3 - 1) * 86_400_000 + n,
        }
        for n in range(profiles)
    }
    agent = folder / "agents" / "main" / "agent"
    agent.mkdir(parents=True, exist_ok=True)
    fresh = agent / "auth-profiles.json.new"
    fresh.write_text(json.dumps({"version": 1, "profiles": entries}))
    fresh.replace(agent / "auth-profiles.json")


def configuration(directory: Path, port: int, profiles: int) -> dict[str, Any]:
    pipe = directory / "pipe"
    os.mkfifo(pipe)
    (directory / "token").write_text(TOKEN)
    hostile = [sys.executable, "-c", HOSTILE]
    targets: list[dict[str, Any]] = [
        {"name": "large", "source": "store", "state_dir": str(directory / "large")},
        {"name": "hostile", "source": "openclaw", "command": hostile, "timeout": "20s"},
        {"name": "pipe", "source": "openclaw", "command": hostile, "env_file": str(pipe)},
        {"name": "no-token", "source": "gateway", "url": "http://127.0.0.1:9", "token_file": str(pipe)},
    ]
    targets += [
        {"name": f"gateway-{n}", "source": "simulated", "scenario": "healthy", "profiles": FLEET}
        for n in range(profiles // FLEET)
    ]
    return {
        "targets": targets,
        "interval": "1h",
        "state_dir": str(directory / "state"),
        "web": {"listen": f"127.0.0.1:{port}", "token_file": str(directory / "token")},
        "channels": [{"name": "hook", "type": "webhook", "url": "http://127.0.0.1:9/", "min_severity": "warning"}],
    }


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Another process holds the state files: every write of the daemon has to wait."""
    with ExitStack() as stack:
        for name in ("ledger.sqlite", "alerts.sqlite"):
            other = stack.enter_context(closing(sqlite3.connect(directory / "state" / name, isolation_level=None)))
            other.execute("PRAGMA busy_timeout = 60000")
            other.execute("BEGIN IMMEDIATE")
        yield


class Visitor:
    """Requests what the daemon serves, one after another."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.statuses: dict[str, int] = {}

    def ask(self, path: str, method: str = "GET", **headers: str) -> bytes:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=300)) as connection:
            connection.request(method, path, headers={"Authorization": f"Bearer {TOKEN}", **named})
            answer = connection.getresponse()
            self.statuses[path] = answer.status
            return answer.read()

    def ask_for_everything(self) -> None:
        self.ask("/metrics")
        self.ask("/metrics", Accept_Encoding="gzip", Accept="application/openmetrics-text;version=1.0.0")
        for path in (
            "/probe?target=large",
            "/",
            "/api/v1/status",
            "/api/v1/status?format=line",
            "/calendar.ics",
            "/sd",
        ):
            self.ask(path)


def drive(directory: Path, port: int, profiles: int, daemon: subprocess.Popen[bytes]) -> Visitor:
    visitor, ends = Visitor(port), time.monotonic() + SECONDS
    expected = profiles // FLEET + 4
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if visitor.ask("/metrics").count(b"\nopenclaw_auth_check_success{") >= expected:
                break
        if daemon.poll() is not None or time.monotonic() > ends:
            sys.exit("the daemon did not check all targets")
        time.sleep(0.2)
    visitor.ask_for_everything()
    write_store(directory / "large", profiles, 1)
    visitor.ask("/api/v1/check?target=large", "POST")
    visitor.ask("/api/v1/check?target=hostile", "POST")
    with held(directory):
        work = [("/-/reload", "POST"), ("/api/v1/check?target=large", "POST"), ("/api/v1/check?target=hostile", "POST")]
        threads = [threading.Thread(target=visitor.ask, args=each) for each in work]
        for thread in threads:
            thread.start()
        for _ in range(3):
            visitor.ask("/metrics", Accept_Encoding="gzip")
            visitor.ask("/-/healthy")
            time.sleep(1)
    for thread in threads:
        thread.join()
    visitor.ask_for_everything()
    visitor.ask("/api/v1/check", "POST")
    return visitor


def main() -> None:
    profiles = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"{machine()}; {profiles} profiles in one target, {profiles} in others")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port, found = free_port(), directory / "longest"
        write_store(directory / "large", profiles, 0)
        file = directory / "config.json5"
        file.write_text(json.dumps(configuration(directory, port, profiles)))
        with (directory / "log").open("wb") as log:
            daemon = subprocess.Popen(
                [sys.executable, __file__, "serve", str(file), str(found)], stdout=log, stderr=log
            )
        began = time.monotonic()
        with ending(daemon):
            visitor = drive(directory, port, profiles, daemon)
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(60)
        bad = {path: status for path, status in visitor.statuses.items() if status != 200}
        rows = json.loads(found.read_text())
        for seconds, count, collected, name in rows[:SHOWN]:
            garbage = f", {collected * 1e3:.1f} of it collecting garbage" if collected else ""
            print(f"{seconds * 1e3:7.1f} ms  {count:5} times over {LIMIT * 100:.0f} ms  {name}{garbage}")
        longest = rows[0][0] if rows else 0.0
        print(f"the longest turn took {longest * 1e3:.1f} ms of CPU; at most {LIMIT * 1e3:.0f} ms are allowed")
        print(f"{time.monotonic() - began:.0f} s in all")
        if bad or daemon.returncode != 0 or longest > LIMIT:
            sys.exit(f"failed: answers {bad}, exit code {daemon.returncode}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(*sys.argv[2:4])
    else:
        main()
