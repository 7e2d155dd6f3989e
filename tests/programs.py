"""The program in a process of its own, quickly: forked from one that has imported it already.

All that a user meets is there: the entry point, its exit code, both streams. Only what an interpreter's
start costs is paid once. What depends on that start, as the locale does, wants a real one.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_TIMEOUT = 60.0  # seconds
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["exporter.cli.program", "exporter.config", "exporter.present", "exporter.alerts.delivery.notifier"]
)


def run(args: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """``openclaw-auth-exporter ARGS`` in an environment of exactly ``env``, with UTF-8 streams."""
    with tempfile.TemporaryDirectory() as directory:
        out, err = Path(directory, "out"), Path(directory, "err")
        process = _context.Process(target=_main, args=(list(args), dict(env), out, err))
        process.start()
        process.join(_TIMEOUT)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(list(args), _TIMEOUT)
        return subprocess.CompletedProcess(list(args), process.exitcode, out.read_text("utf-8"), err.read_text("utf-8"))


def _main(args: list[str], env: Mapping[str, str], out: Path, err: Path) -> None:
    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False), "utf-8")  # noqa: SIM115 - as an interpreter does
    sys.stderr = io.TextIOWrapper(open(2, "wb", closefd=False), "utf-8", line_buffering=True)  # noqa: SIM115 - same
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["openclaw-auth-exporter", *args]
    from exporter.cli import main

    main()
