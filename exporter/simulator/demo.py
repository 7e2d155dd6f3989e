"""The configuration of ``demo``: simulated targets that together show every state."""

from __future__ import annotations

from exporter.config import Config
from exporter.config.targets import SimulatedTarget

_TARGETS = {
    "home": "healthy",
    "office": "expiring",
    "garage": "spare",
    "cabin": "cooldown",
    "attic": "failing",
    "phone": "aging",
}


def demo_config() -> Config:
    """Six targets, checked every five seconds, which shows every change in the ten-minute life of ``phone``."""
    targets = [SimulatedTarget(source="simulated", name=name, scenario=word) for name, word in _TARGETS.items()]
    return Config(interval=5.0, targets=list(targets))
