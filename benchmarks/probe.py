"""``/probe`` of gateways with 20 profiles compared with blackbox_exporter, which sends them the same request.

Run by hand: ``python benchmarks/probe.py [GATEWAYS] [PASSES]``. Needs ``prometheus-blackbox-exporter``. Each pass
probes every gateway once, first through one exporter, then through the other. The exporters have one core, the gateways
the other one. A report younger than 30 s would answer a probe, so passes are 31 s apart. Prints CPU milliseconds per
probe; the first pass is apart, because it asks for agents and releases, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from fleet import PROFILES, TOKEN, running
from measuring import Client, Daemon, cpu_seconds, ending, free_port, machine, median, memory

RPC = "/api/v1/admin/rpc"
REUSED_FOR = 31.0


class Blackbox:
    """A blackbox_exporter whose one module sends the request of a check."""

    def __init__(self, directory: Path, core: int) -> None:
        self.port = free_port()
        body = json.dumps({"id": "1", "method": "models.authStatus", "params": {"agentId": "main"}})
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        module = {"prober": "http", "timeout": "10s", "http": {"method": "POST", "headers": headers, "body": body}}
        file = directory / "blackbox.json"  # JSON is YAML
        file.write_text(json.dumps({"modules": {"rpc": module}}))
        listen = f"--web.listen-address=127.0.0.1:{self.port}"
        argv = ["taskset", "--cpu-list", str(core), "prometheus-blackbox-exporter", f"--config.file={file}", listen]
        self.process = subprocess.Popen([*argv, "--log.level=error"])

    def probe(self, url: str) -> None:
        body = Client(self.port, f"/probe?module=rpc&target={url}{RPC}").get()
        if b"\nprobe_success 1\n" not in body:
            raise RuntimeError(body.decode())


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    passes = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    print(f"{machine()}; {count} gateways with {PROFILES} profiles each")
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _, ports = stack.enter_context(running(count))
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        targets = [
            {"name": f"gateway-{number}", "source": "gateway", "url": url, "token": TOKEN, "schedule": False}
            for number, url in enumerate(urls)
        ]
        daemon = Daemon(directory, {"targets": targets}, core=cores[0])
        stack.enter_context(ending(daemon.process))
        blackbox = Blackbox(directory, cores[0])
        stack.enter_context(ending(blackbox.process))
        daemon.wait_for(0, b"")
        time.sleep(2)
        ratios, ours = [], []
        for number in range(passes + 1):
            time.sleep(REUSED_FOR if number else 0)
            started = cpu_seconds(daemon.pid), time.monotonic()
            for target in targets:
                body = Client(daemon.port, f"/probe?target={target['name']}").get()
                if body.count(b"\nopenclaw_auth_profile_info{") != PROFILES:
                    raise RuntimeError(body.decode())
            time.sleep(1)  # what follows an answer is part of its cost
            cost = (cpu_seconds(daemon.pid) - started[0]) / count * 1e3
            wall = (time.monotonic() - started[1] - 1) / count * 1e3
            before = cpu_seconds(blackbox.process.pid)
            for url in urls:
                blackbox.probe(url)
            theirs = (cpu_seconds(blackbox.process.pid) - before) / count * 1e3
            name = "first pass" if number == 0 else f"pass {number}"
            print(
                f"{name:11} {cost:5.2f} ms of CPU a probe ({wall:5.2f} ms), blackbox_exporter {theirs:5.2f} ms: "
                f"{cost / theirs:4.1f} times; {memory(daemon.pid):3.0f} MB"
            )
            if number:
                ratios.append(cost / theirs)
                ours.append(cost)
        print(f"median      {median(ours):5.2f} ms of CPU a probe, {median(ratios):4.1f} times blackbox_exporter")


if __name__ == "__main__":
    main()
