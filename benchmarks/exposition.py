"""Compares the cost of a scrape with rendering the same series with prometheus_client.

Run by hand: ``python benchmarks/exposition.py [PROFILES]``. Prints medians and ratios of one run.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable

from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from exporter.metrics import render
from exporter.metrics.definitions import CHECK_METRICS, CheckedAgent, ExporterState
from exporter.metrics.labels import profile_labels
from exporter.model import AgentCounters, AgentReport, Basis, ProfileReport, Status, TargetReport

NOW = 1795341600.0
PER_TARGET = 20


def target(number: int, profiles: int) -> TargetReport:
    """A target with one agent and healthy token profiles that have dates and uses."""
    made = tuple(
        ProfileReport(
            id=f"anthropic:profile-{number}-{i}",
            provider="anthropic",
            kind="token",
            status=Status.OK,
            expires_at=NOW + 86400 * (i + 1) + number,
            basis=Basis.REPORTED,
            refreshable=False,
            selected=i == 0,
            unusable=None,
            unusable_seen=True,
            in_use=True,
            usable=True,
            label=f"anthropic:profile-{number}-{i}",
            last_used_at=NOW - i * 7 - number,
            error_count=0,
        )
        for i in range(profiles)
    )
    agent = AgentReport(
        f"gateway-{number}", "main", "gateway", NOW, NOW, 0, made, (), {"anthropic": True}, {"anthropic": 0}
    )
    return TargetReport(f"gateway-{number}", "gateway", (agent,))


class Rendered(Collector):
    """The same series as prometheus_client's metric families, made before the measurement."""

    def __init__(self, targets: list[TargetReport]) -> None:
        self.families: list[Metric] = []
        for family in CHECK_METRICS:
            built = family.empty()
            for target in targets:
                for agent in target.entries:
                    checked = CheckedAgent(
                        agent,
                        tuple(zip(profile_labels(agent), agent.profiles, strict=True)),
                        AgentCounters(),
                    )
                    for labels, value in family.rows(checked):
                        if value is not None:
                            built.add_metric([target.target, agent.agent, *labels], value)  # type: ignore[attr-defined]  # each kind has one
            if built.samples:
                self.families.append(built)

    def collect(self) -> list[Metric]:
        return self.families


def median(run: Callable[[], object], times: int) -> float:
    """Seconds of the median run."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main() -> None:
    profiles = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    targets = [target(number, PER_TARGET) for number in range(profiles // PER_TARGET)]
    state = ExporterState("0", True, NOW, 0.001)
    exposition = render.Exposition(lambda: state)

    def render_all() -> None:
        for target in targets:
            exposition.put(target.target, render.render_target(target, {}))

    start = time.perf_counter()
    render_all()
    first = time.perf_counter() - start
    start = time.perf_counter()
    exposition.compose()
    compose = time.perf_counter() - start

    render_again = median(render_all, 3)
    rendered = Rendered(targets)
    theirs = median(lambda: generate_latest(rendered), 3)
    plain = median(lambda: exposition.body("", ""), 21)
    zipped = median(lambda: exposition.body("", "gzip"), 21)
    body, packed = exposition.body("", "")[0], exposition.body("", "gzip")[0]
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {profiles} profiles, {len(targets)} targets"
    )
    print(f"{body.count(b'{')} series, {len(body) / 1e6:.1f} MB, {len(packed) / 1e6:.2f} MB in gzip")
    print(f"render all targets, first time      {first * 1e3:10.2f} ms")
    print(f"render all targets, again           {render_again * 1e3:10.2f} ms")
    print(f"compose (both formats, both gzips)  {compose * 1e3:10.2f} ms")
    print(f"prometheus_client generate_latest   {theirs * 1e3:10.2f} ms")
    print(f"body()                              {plain * 1e3:10.2f} ms   {theirs / plain:8.0f} times faster")
    print(f"body() in gzip                      {zipped * 1e3:10.2f} ms   {theirs / zipped:8.0f} times faster")


if __name__ == "__main__":
    main()
