"""The daemon's settings: what commands do without, it needs."""

from __future__ import annotations

import gc
import subprocess
import sys

PROGRAM = """
import gc, sys
from exporter.daemon import runtime_tuning, scheduler
from exporter.cli import main
async def run(*_):
    runtime_tuning.prepare()
    print(gc.isenabled(), gc.get_threshold()[2])
scheduler.run = run
sys.argv = ["openclaw-auth-exporter", "demo"]
main()
"""


def test_a_daemon_that_lives_for_years_is_searched_for_cycles_and_a_command_is_not() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout == "True 1000\n"
    command = PROGRAM.replace("runtime_tuning.prepare()", "pass")
    said = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout == f"False {gc.get_threshold()[2]}\n"
