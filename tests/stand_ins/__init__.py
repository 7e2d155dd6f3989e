"""Stand-ins for OpenClaw's programs, over a simulated World: the ``openclaw`` command and a gateway."""

import sys
from pathlib import Path

#: What a process of the stand-in command begins with, from any folder.
COMMAND = (sys.executable, str(Path(__file__).parent))
