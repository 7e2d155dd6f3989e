"""Settings of the interpreter for the daemon, which commands do without."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys

import pytest

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


MAPPED = """
import ctypes
import pytest

from exporter.daemon import runtime_tuning
runtime_tuning.prepare()
mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = type("Info", (ctypes.Structure,), {"_fields_": [(name, ctypes.c_size_t) for name in "abcdefghij"]})
bytes(1 << 22)
before = mallinfo2().d
block = bytes(1 << 22)
print(mallinfo2().d - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc 2.33")
def test_a_large_block_is_given_back_when_it_is_freed() -> None:
    """It is mapped by itself, also after another one was freed, from which glibc learns otherwise."""
    result = subprocess.run([sys.executable, "-c", MAPPED], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout == "1\n"
