"""The command line. ``main`` is its entry point, ``program`` the program itself."""

from __future__ import annotations

import gc
import os


def main() -> None:
    """Run the command line and exit."""
    # Garbage collection would take a sixth of a command's time, also while it imports modules, and a command ends soon.
    # The daemon enables it again (exporter.daemon.runtime_tuning).
    gc.disable()
    from exporter.cli import program

    # An interpreter that ends frees object after object, which takes a command 4 ms: the operating system does it at
    # once. What must be done before is done: output is written, files are closed, and processes have ended.
    os._exit(program.run())
