"""Measures the cost of an idle daemon: one target with the real OpenClaw, child processes included.

Run by hand: ``python benchmarks/idle.py [SECONDS]``. Needs the real OpenClaw (tests/real/install-parts.sh).
Prints its share of a core between checks, the CPU seconds of the hourly check, and memory.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from measuring import REPOSITORY, Client, Daemon, cpu_seconds, ending, machine, memory

sys.path.insert(0, str(REPOSITORY / "tests"))

from real.parts import CURRENT, OpenClawHome

HOUR = 3600.0


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 120.0
    print(f"{machine()}; OpenClaw {CURRENT}, {seconds:.0f} s")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = OpenClawHome(CURRENT, directory)
        world.set_model()
        world.paste_token("anthropic:default", "90d")
        target = {"name": "home", "source": "openclaw", "command": [str(world.command)]}
        channel = {"name": "hook", "type": "webhook", "url": "http://127.0.0.1:9/"}
        daemon = Daemon(directory, {"targets": [target], "channels": [channel]}, **world.env)
        stack.enter_context(ending(daemon.process))
        daemon.wait_for(1, b"openclaw_auth_check_success{")
        time.sleep(20)  # the work that follows the first check is over
        before = cpu_seconds(daemon.pid)
        daemon.check_now()
        check = cpu_seconds(daemon.pid) - before
        time.sleep(5)
        before, start = cpu_seconds(daemon.pid), time.monotonic()
        time.sleep(seconds)
        idle = (cpu_seconds(daemon.pid) - before) / (time.monotonic() - start)
        print(f"between checks {idle:.3%} of a core")
        print(f"a check        {check:.2f} s of CPU, hourly: {check / HOUR:.3%} of a core")
        print(f"together       {idle + check / HOUR:.3%} of a core")
        print(f"memory         {memory(daemon.pid):.1f} MB, at most {memory(daemon.pid, 'VmHWM'):.1f} MB")
        checks = next(
            line for line in Client(daemon.port).get().splitlines() if line.startswith(b"openclaw_auth_checks_total{")
        )
        print(f"checks         {checks.rpartition(b' ')[2].decode()} of the agent")


if __name__ == "__main__":
    main()
