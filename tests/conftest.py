"""Shared by all tests: helper modules beside this file can be imported by their names."""

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

# A slow machine is no defect: no test depends on the wall clock's speed.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
