"""Simulated OpenClaw worlds that age, break and recover, for ``demo``, tests and benchmarks.

``World`` holds the state, ``status_json`` renders what OpenClaw would print about it at a given time.
"""

from exporter.simulator.status import RELEASES, status_json
from exporter.simulator.world import Configured, Fault, Profile, Usage, World

__all__ = ["RELEASES", "Configured", "Fault", "Profile", "Usage", "World", "status_json"]
