"""Settings of the interpreter for the daemon, which commands do without."""

from __future__ import annotations

import gc
import subprocess
import sys

from exporter.daemon import runtime_tuning

PROGRAM = """
import gc, sys
from exporter.daemon import runtime_tuning, serve
from exporter.cli import main
async def run(*_):
    runtime_tuning.prepare()
    print(gc.isenabled(), gc.get_threshold()[2])
serve.serve = run
sys.argv = ["openclaw-auth-exporter", "demo"]
main()
"""


def test_daemon_collects_garbage_and_a_command_does_not() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout == f"True {runtime_tuning.NEVER}\n"
    command = PROGRAM.replace("runtime_tuning.prepare()", "pass")
    result = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout == f"False {gc.get_threshold()[2]}\n"
