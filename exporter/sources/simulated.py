"""The source ``simulated``, for ``demo``: scenarios, rendered like OpenClaw's output and read like it."""

from __future__ import annotations

import dataclasses

from exporter.config.targets import SimulatedTarget
from exporter.lib.names import suggestion
from exporter.model import CheckError, FailureReason, Observation
from exporter.simulator.scenarios import SCENARIOS, cycle_start, scenario_world
from exporter.simulator.status import RELEASES, status_json
from exporter.simulator.world import World
from exporter.sources import Source, SourceContext
from exporter.sources.openclaw.status import observe


class SimulatedSource(Source):
    """Checks a scenario that ages with the context's clock. It has one agent, ``main``."""

    kind = "simulated"

    def __init__(self, target: SimulatedTarget, context: SourceContext) -> None:
        self._target = target
        self._context = context
        self._world: tuple[float, World] | None = None  # with the start of its cycle

    async def agents(self) -> list[str]:
        return list(self._now()[1].agents)

    async def check(self, agent: str) -> Observation:
        now, world = self._now()
        if world.broken is not None:
            raise CheckError(world.broken, "the scenario simulates a failing check")
        payload, exit_code = status_json(world, now)
        seen = observe(
            payload,
            target=self._target.name,
            agent=agent,
            observed_at=now,
            exit_code=exit_code,
            version=RELEASES[world.dialect],
        )
        return dataclasses.replace(seen, source=self.kind)

    def renewal_obstacle(self, has_openclaw: bool) -> str | None:
        return "This target is simulated, so there is nothing to renew. On a real one:"

    def _now(self) -> tuple[float, World]:
        """The time, and the World of its cycle. Raises CheckError for an unknown scenario."""
        name, now = self._target.scenario, self._context.now()
        if name not in SCENARIOS:
            raise CheckError(FailureReason.OTHER, f"there is no scenario {name!r}{suggestion(name, SCENARIOS)}")
        start = cycle_start(now, SCENARIOS[name].cycle)
        if self._world is None or self._world[0] != start:
            self._world = start, scenario_world(name, now, self._target.profiles)
        return now, self._world[1]
