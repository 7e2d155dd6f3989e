"""A list of 10,000 targets: how long the daemon takes to use it, and to use it again after changes.

Run by hand: ``python benchmarks/lists.py [TARGETS]``. The targets are checked only through /probe, as in a fleet.
"""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from measuring import Client, Daemon, cpu_seconds, ending, machine, memory


def write(path: Path, numbers: Iterable[int]) -> None:
    """Replace the list by one of the gateways with these numbers."""
    groups = [
        {
            "targets": [f"http://10.{n // 62500}.{n // 250 % 250}.{n % 250 + 1}:18789"],
            "labels": {"name": f"rack{n}", "owner": f"team{n % 7}"},
        }
        for n in numbers
    ]
    new = path.with_suffix(".new")
    new.write_text(json.dumps(groups))
    new.replace(path)


def reload(daemon: Daemon) -> float:
    """The seconds of one reload."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=300)
    start = time.perf_counter()
    connection.request("POST", "/-/reload", headers={"Authorization": f"Bearer {daemon.token}"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"/-/reload: {answer.status} {body.decode()}")
    return time.perf_counter() - start


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"{machine()}; {count} targets")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path = directory / "targets.json"
        write(path, range(count))
        defaults = {"token_file": "tokens/{name}", "url_match": r"http://10\..*", "schedule": False}
        lists = [{"type": "file", "paths": [str(path)], "defaults": defaults}]
        daemon = Daemon(directory, {"targets_from": lists})
        stack.enter_context(ending(daemon.process))
        started = daemon.wait_for(1, b"openclaw_auth_exporter_target_lists_ok 1")
        print(f"{'start':38} {started:5.2f} s  {memory(daemon.pid):4.0f} MB")
        changes = {
            "reload, nothing changed": range(count),
            "reload, 1 in 100 replaced": [n if n % 100 else n + count for n in range(count)],
            "reload, all replaced": range(2 * count, 3 * count),
        }
        for what, numbers in changes.items():
            if what != "reload, nothing changed":
                write(path, numbers)
            cpu = cpu_seconds(daemon.pid)
            took = reload(daemon)
            found = json.loads(Client(daemon.port, "/sd").get())
            if {group["targets"][0] for group in found} != {f"rack{n}" for n in numbers}:
                raise RuntimeError("the targets are not those of the list")
            print(f"{what:38} {took:5.2f} s  CPU {cpu_seconds(daemon.pid) - cpu:5.2f} s  {memory(daemon.pid):4.0f} MB")
        write(path, range(count))
        start = time.perf_counter()
        while b'"rack0"' not in Client(daemon.port, "/sd").get():
            time.sleep(0.05)
        print(f"{'all replaced, noticed by itself':38} {time.perf_counter() - start:5.2f} s")


if __name__ == "__main__":
    main()
