"""Shared by all tests: helper modules beside this file can be imported by their names."""

import os
import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

# A slow machine is no defect: no test depends on the wall clock's speed. The usual run is the same
# every time, so that red means changed code; HYPOTHESIS_PROFILE=thorough looks for what is new.
settings.register_profile("usual", deadline=None, max_examples=40, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))
