"""The configuration of ``demo``: simulated targets whose credentials age, fail and recover in minutes."""

from __future__ import annotations

from exporter.config import Config
from exporter.config.targets import SimulatedTarget

_TARGETS = {
    "home": "healthy",
    "office": "expiring",
    "garage": "spare",
    "cabin": "cooldown",
    "attic": "outage",
    "phone": "aging",
    "studio": "refreshing",
    "cellar": "revocation",
    "shop": "billing",
}


def demo_config() -> Config:
    """Targets that are checked every five seconds and live what a day may bring in some ten minutes."""
    targets = [SimulatedTarget(source="simulated", name=name, scenario=word) for name, word in _TARGETS.items()]
    return Config(interval=5.0, targets=list(targets))
