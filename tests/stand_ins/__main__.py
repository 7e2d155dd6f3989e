"""``python tests/stand_ins``: the stand-in for the ``openclaw`` command."""

import contextlib
import os
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent.parent)  # this folder is a package, wherever it is run from
from stand_ins.command import main

try:
    code = main(sys.argv[1:], sys.stdout.buffer, sys.stderr.buffer)
    sys.stdout.buffer.flush()
except BrokenPipeError:
    # The reader closed the pipe, like head(1): end without a traceback.
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    code = 1
sys.exit(code)
