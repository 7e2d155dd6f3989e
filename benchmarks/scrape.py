"""Compares ``/metrics`` of 10,000 profiles with Go's Pushgateway that serves the same series, in one run.

Run by hand: ``python benchmarks/scrape.py [PROFILES]``. One client with a keep-alive connection to
each server, alternating. Prints medians, the median of the paired ratios, and CPU seconds of each server.
"""

from __future__ import annotations

import http.client
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from measuring import Client, Daemon, cpu_seconds, ending, free_port, machine, median, memory

PER_TARGET = 20
ROUNDS = 31


def pushgateway(directory: Path, port: int) -> subprocess.Popen[bytes]:
    command = shutil.which("prometheus-pushgateway") or shutil.which("pushgateway")
    if command is None:
        sys.exit("prometheus-pushgateway is not installed: tests/real/install-parts.sh installs it")
    with (directory / "pushgateway.log").open("wb") as log:
        return subprocess.Popen([command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)


def push(port: int, body: bytes) -> None:
    """Push the series as soon as the Pushgateway listens."""
    ends = time.monotonic() + 60
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        with suppress(ConnectionError):
            connection.request("PUT", "/metrics/job/openclaw_auth", body)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"the Pushgateway answered {answer.status}: {text.decode()[:300]}")
            return
        if time.monotonic() > ends:
            raise RuntimeError("the Pushgateway does not listen")
        time.sleep(0.2)


def main() -> None:
    profiles = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    targets = profiles // PER_TARGET
    print(f"{machine()}; {profiles} profiles in {targets} targets")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        simulated = [
            {"name": f"gateway-{number}", "source": "simulated", "scenario": "healthy", "profiles": PER_TARGET}
            for number in range(targets)
        ]
        daemon = Daemon(directory, {"targets": simulated, "interval": "1h"})
        stack.enter_context(ending(daemon.process))
        port = free_port()
        theirs = pushgateway(directory, port)
        stack.enter_context(ending(theirs))
        daemon.wait_for(targets, b"openclaw_auth_check_success{")
        body = Client(daemon.port).get()
        push(port, body)
        ours, pushed = body.count(b"{"), Client(port).get().count(b'job="openclaw_auth"')
        print(f"{ours} series of ours, {pushed} pushed; {memory(daemon.pid):.0f} MB and {memory(theirs.pid):.0f} MB")
        for encoding in ("identity", "gzip"):
            clients = [Client(each, Accept_Encoding=encoding) for each in (daemon.port, port)]
            sizes = [len(client.get()) for client in clients]
            before = [cpu_seconds(pid) for pid in (daemon.pid, theirs.pid)]
            pairs = [tuple(client.timed() for client in clients) for _ in range(ROUNDS)]
            spent = [
                (cpu_seconds(pid) - then) / ROUNDS for pid, then in zip((daemon.pid, theirs.pid), before, strict=True)
            ]
            name = "text" if encoding == "identity" else encoding
            for server, size, times, cpu in zip(
                ("ours", "Pushgateway"), sizes, zip(*pairs, strict=True), spent, strict=True
            ):
                wall = median(times) * 1e3
                print(f"{name} {server:12} {size / 1e6:7.2f} MB  median {wall:8.1f} ms  CPU {cpu * 1e3:8.1f} ms")
            ratio = median([theirs_took / ours_took for ours_took, theirs_took in pairs])
            less = spent[1] / max(spent[0], 1e-4)
            print(f"{name} {ratio:.1f} times faster (median of {ROUNDS} pairs), {less:.1f} times less CPU")


if __name__ == "__main__":
    main()
