"""Measures what one evaluation of the alert lifecycle costs, from 50 to 10,000 alerts.

Run by hand: ``python benchmarks/advance.py [PATH]``. PATH is another checkout of this project to compare with, measured
in the same run by the same Python, in turn with this one. Prints CPU milliseconds per ``advance`` when everything
begins, when nothing changes and when everything ends, and their growth: a ratio near 1 is linear.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

SIZES = (50, 500, 2_000, 10_000)
PER_TARGET = 20
RUNS = 3
ROUNDS = 3
DAY = 86400.0
NOW = 1795341600.0


def measure() -> dict[int, list[float]]:
    """CPU seconds of the three evaluations for each number of alerts: the least of several runs."""
    from exporter.alerts.lifecycle import advance
    from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy
    from exporter.model import (
        AgentReport,
        Basis,
        Condition,
        ConditionName,
        ProfileReport,
        Report,
        Severity,
        Status,
        TargetReport,
    )

    def report(count: int, ends: float, now: float) -> Report:
        targets = []
        for number in range(0, count, PER_TARGET):
            ids = [f"anthropic:{place}" for place in range(min(PER_TARGET, count - number))]
            is_over = ends <= now
            profiles = tuple(
                ProfileReport(
                    id=id,
                    provider="anthropic",
                    kind="token",
                    status=Status.EXPIRED if is_over else Status.OK,
                    expires_at=ends,
                    basis=Basis.REPORTED,
                    refreshable=False,
                    selected=None,
                    unusable=None,
                    unusable_seen=True,
                    in_use=True,
                    usable=not is_over,
                    label=id,
                    secret_hash=f"{number} {id}",
                )
                for id in ids
            )
            name, severity = ConditionName.EXPIRED, Severity.WARNING
            conditions = tuple(
                Condition(name, severity, "anthropic", id, "It expired", since=ends, deadline=ends) for id in ids
            )
            agent = AgentReport(
                target=f"t{number}",
                agent="main",
                source="openclaw",
                evaluated_at=now,
                checked_at=now,
                exit_code=0,
                profiles=profiles,
                conditions=conditions if is_over else (),
            )
            targets.append(TargetReport(f"t{number}", "openclaw", (agent,)))
        return Report(now, tuple(targets))

    result = {}
    for count in SIZES:
        over, renewed = report(count, NOW - DAY, NOW), report(count, NOW + 300 * DAY, NOW + 120)
        targets = frozenset(target.target for target in over.targets)
        channels = (ChannelPolicy("phone"), ChannelPolicy("hook"))
        policy = AlertPolicy(channels=channels, targets=targets, remind_before=(14 * DAY, DAY), group_wait=0.0)
        runs = []
        for _ in range(RUNS):
            gc.collect()
            times, states = [time.process_time()], {}
            for now, seen in ((NOW, over), (NOW + 60, over), (NOW + 120, renewed)):
                states, _ = advance(states, seen, policy, now)
                times.append(time.process_time())
            runs.append([later - earlier for earlier, later in itertools.pairwise(times)])
        result[count] = [min(values) for values in zip(*runs, strict=True)]
    return result


def measured(path: Path) -> dict[int, list[float]]:
    """The same in another process, with the code at ``path``."""
    command = [sys.executable, str(Path(__file__).resolve()), "--json"]
    done = subprocess.run(  # this script itself
        command, env={**os.environ, "PYTHONPATH": str(path)}, capture_output=True, text=True, check=True
    )
    return {int(count): times for count, times in json.loads(done.stdout).items()}


def main() -> None:
    if "--json" in sys.argv:
        gc.disable()
        print(json.dumps(measure()))
        return
    here = Path(__file__).resolve().parents[1]
    places = {"here": here} | ({"there": Path(sys.argv[1]).resolve()} if len(sys.argv) > 1 else {})
    rounds = [{name: measured(path) for name, path in places.items()} for _ in range(ROUNDS)]
    results = {
        name: {
            count: [min(times) for times in zip(*(one[name][count] for one in rounds), strict=True)] for count in SIZES
        }
        for name in places
    }
    for name, result in results.items():
        print(f"{name}: CPU ms per evaluation (all begin, nothing changes, all end)")
        for count, times in result.items():
            growth = [value / least / (count / SIZES[0]) for value, least in zip(times, result[SIZES[0]], strict=True)]
            print(
                f"{count:7,}  " + "  ".join(f"{1000 * t:8.2f} (x {g:.2f})" for t, g in zip(times, growth, strict=True))
            )
    if "there" in results:
        for count in SIZES:
            pairs = zip(results["here"][count], results["there"][count], strict=True)
            print(f"{count:7,}  here / there: " + "  ".join(f"{a / b:.2f}" for a, b in pairs))


if __name__ == "__main__":
    main()
