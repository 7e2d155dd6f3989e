"""Stand-ins for OpenClaw's programs, based on a simulated World: the ``openclaw`` command and a gateway."""

import sys
from pathlib import Path

#: The first words of the stand-in command, from any folder.
COMMAND = (sys.executable, str(Path(__file__).parent))
