"""Measures the cost of ``check`` beyond the bare ``openclaw`` command, and the speed of a check of a gateway.

Run by hand: ``python benchmarks/check.py [PAIRS]``. Needs the real OpenClaw (tests/real/install-parts.sh).
One agent, named. Each round runs the bare command, ``check`` on the command source and ``check`` on a running
gateway, in rotating order. Prints medians of wall and CPU seconds, and of the paired differences and ratios.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from measuring import REPOSITORY, machine, median

sys.path.insert(0, str(REPOSITORY / "tests"))

from real.parts import CURRENT, OpenClawHome, wait_for
from real.test_gateway import TOKEN, Gateway


class Took(NamedTuple):
    """Seconds of wall time, and of CPU including children."""

    wall: float
    cpu: float


def run(argv: list[str], env: dict[str, str]) -> Took:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    finished = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if finished.returncode != 0:
        raise RuntimeError(f"{argv}: {finished.returncode}\n{finished.stdout.decode()}{finished.stderr.decode()}")
    return Took(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    print(f"{machine()}; OpenClaw {CURRENT}, {pairs} pairs")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = OpenClawHome(CURRENT, directory)
        world.set_model()
        world.paste_token("anthropic:default", "90d")
        gateway = Gateway(world)
        stack.callback(gateway.end, signal.SIGKILL)
        gateway.start()
        env = {**world.env, "PYTHONPATH": str(REPOSITORY)}

        def check(name: str, **target: object) -> list[str]:
            file = directory / f"{name}.json5"
            target = {"name": name, "agents": ["main"], **target}
            file.write_text(json.dumps({"targets": [target], "state_dir": str(directory / f"state-{name}")}))
            return [sys.executable, "-m", "exporter.cli", "check", "--quiet", "--config", str(file)]

        commands = {
            "openclaw": [str(world.command), "models", "status", "--json", "--check", "--agent", "main"],
            "check": check("command", source="openclaw", command=[str(world.command)]),
            "gateway": check("gateway", source="gateway", url=gateway.url, token=TOKEN),
        }

        def answers() -> bool:
            return subprocess.run(commands["gateway"], env=env, capture_output=True, check=False).returncode == 0

        wait_for("the gateway answers", lambda: answers() or None, 180)
        for argv in commands.values():  # warm up: compile, and fill caches
            run(argv, env)
        took: dict[str, list[Took]] = {name: [] for name in commands}
        for number in range(pairs):
            order = list(commands)[number % 3 :] + list(commands)[: number % 3]
            for name in order:
                took[name].append(run(commands[name], env))
    for name, times in took.items():
        wall, cpu = median([run.wall for run in times]), median([run.cpu for run in times])
        print(f"{name:9} median {wall:6.3f} s  CPU {cpu:6.3f} s")
    bare, ours, gateways = took["openclaw"], took["check"], took["gateway"]
    for clock in ("wall", "cpu"):
        b, o, g = ([getattr(run, clock) for run in times] for times in (bare, ours, gateways))
        more = median([y - x for x, y in zip(b, o, strict=True)])
        share = median([y / x - 1 for x, y in zip(b, o, strict=True)])
        faster = median([x / y for x, y in zip(b, g, strict=True)])
        name = "CPU" if clock == "cpu" else clock
        print(f"{name:5} check costs {more:+.3f} s ({share:+.1%}) over openclaw; of a gateway, {faster:.1f} times less")


if __name__ == "__main__":
    os.environ.pop("PYTHONWARNINGS", None)
    main()
