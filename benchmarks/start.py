"""Compares ``check --line`` on a store, cold, with a Python that only imports what it cannot do without.

Run by hand: ``python benchmarks/start.py [PAIRS]``. Both start in turn, as their own processes. Prints the medians of
their CPU seconds, the median of the paired ratios, the memory, and the slowest imports of ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import REPOSITORY, machine, median

#: With this set, every start would compile every module again.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
REFERENCE = "import asyncio, click, sqlite3; from pydantic import BaseModel\nclass Model(BaseModel):\n    field: int\n"


def store(directory: Path) -> Path:
    """A configuration with one target: OpenClaw's store with one token."""
    agent = directory / "openclaw/agents/main/agent"
    agent.mkdir(parents=True)
    token = {"type": "token", "provider": "anthropic", "token": "sk-ant-oat01-" + "a" * 40, "expires": 4102444800000}
    (agent / "auth-profiles.json").write_text(json.dumps({"version": 1, "profiles": {"anthropic:default": token}}))
    model = {"agents": {"defaults": {"model": {"primary": "anthropic/claude-sonnet-4-5"}}}}
    (directory / "openclaw/openclaw.json").write_text(json.dumps(model))
    file = directory / "config.json5"
    target = {"name": "local", "source": "store", "state_dir": str(directory / "openclaw")}
    file.write_text(json.dumps({"targets": [target], "state_dir": str(directory / "state")}))
    return file


def spent(*arguments: str) -> tuple[float, float]:
    """CPU seconds and megabytes of a Python with these arguments."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, cwd=REPOSITORY, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(arguments)}: {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6


def imports(*arguments: str) -> list[tuple[float, str]]:
    """Milliseconds of each import itself, slowest first."""
    command = [sys.executable, "-X", "importtime", *arguments]
    lines = subprocess.run(
        command, cwd=REPOSITORY, env=ENVIRONMENT, capture_output=True, text=True, check=True
    ).stderr.splitlines()[1:]
    parts = [line.removeprefix("import time:").split("|") for line in lines]
    return sorted(((int(alone) / 1e3, name.strip()) for alone, _, name in parts), reverse=True)


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 31
    print(machine())
    with tempfile.TemporaryDirectory() as directory:
        check = ("-m", "exporter.cli", "check", "--line", "--config", str(store(Path(directory))))
        spent(*check)  # compiles the modules, and makes the state
        runs = [(spent(*check), spent("-c", REFERENCE)) for _ in range(pairs)]
        for name, side in (("check --line", 0), ("reference", 1)):
            cpu, megabytes = (median([run[side][i] for run in runs]) for i in (0, 1))
            print(f"{name:12}  {cpu * 1e3:6.1f} ms of CPU  {megabytes:5.1f} MB")
        print(f"{median([ours / theirs for (ours, _), (theirs, _) in runs]):.2f} times (median of {pairs} pairs)")
        slow = imports(*check)
        print(f"{len(slow)} modules; slowest: {', '.join(f'{name} {ms:.1f} ms' for ms, name in slow[:12])}")


if __name__ == "__main__":
    main()
