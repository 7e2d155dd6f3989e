"""Simulated OpenClaw worlds that age, break and heal on command; ``demo``, tests and benchmarks use them.

``World`` is what is the case, ``status_json`` and ``gateway_json`` what OpenClaw would say about it at
a given moment. ``exporter.simulator.server`` serves a World as a gateway (it needs Starlette, so it is
imported where it is used), and ``python -m exporter.simulator`` stands in for the ``openclaw`` command.
"""

from exporter.simulator.gateway import gateway_json
from exporter.simulator.status import status_json
from exporter.simulator.world import Configured, Fault, Profile, Usage, World

__all__ = ["Configured", "Fault", "Profile", "Usage", "World", "gateway_json", "status_json"]
