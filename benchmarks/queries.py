"""Measures the shipped rules and every panel of the dashboards on a real Prometheus with 10,000 profiles.

Run by hand: ``python benchmarks/queries.py [PROFILES] [MINUTES]``. A daemon serves simulated targets of which 20 have
expired; Prometheus scrapes it with the shipped rules. After MINUTES (default 16, the longest window of the rules) it
prints the seconds of each rule group's last evaluation, the slowest rules, and the median seconds of each panel's
queries, slowest first, with the number of series in the answer and Prometheus' memory.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from measuring import REPOSITORY, Daemon, ending, free_port, machine, median, memory

PER_TARGET = 20
EXPIRED_TARGETS = 20
ROUNDS = 3
#: Grafana's width of a panel in points, and its time range in seconds.
POINTS, RANGE = 300, 6 * 3600


def config(directory: Path, port: int) -> Path:
    """Prometheus' configuration. JSON is YAML."""
    rules = (REPOSITORY / "deploy/prometheus").glob("*.rules.yml")
    scrape = {"job_name": "openclaw_auth", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    file = directory / "prometheus.yml"
    times = {"scrape_interval": "1m", "evaluation_interval": "30s"}
    file.write_text(json.dumps({"global": times, "rule_files": [*map(str, rules)], "scrape_configs": [scrape]}))
    return file


class Prometheus:
    """A real Prometheus on loopback."""

    def __init__(self, directory: Path, scraped: int) -> None:
        command = shutil.which("prometheus")
        if command is None:
            sys.exit("prometheus is not installed: tests/real/install-parts.sh installs it")
        self._url = f"http://127.0.0.1:{(port := free_port())}/api/v1"
        flags = [f"--storage.tsdb.path={directory / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
        with (directory / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(
                [command, f"--config.file={config(directory, scraped)}", *flags], stdout=log, stderr=log
            )

    def get(self, path: str, **form: str) -> Any:
        data = urllib.parse.urlencode(form).encode() if form else None
        with urllib.request.urlopen(f"{self._url}/{path}", data, timeout=180) as answer:
            return json.load(answer)["data"]

    def timed(self, target: dict[str, Any], since: float) -> tuple[float, int]:
        """Seconds that one of Grafana's queries takes, and the number of series in the answer."""
        expression = re.sub(r"\$(\w+)", lambda match: filled(match[1], since), target["expr"])
        now = time.time()
        begin = time.perf_counter()
        if target["range"]:
            times = {"start": str(now - RANGE), "end": str(now), "step": str(RANGE // POINTS)}
            found = self.get("query_range", query=expression, **times)
        else:
            found = self.get("query", query=expression)
        return time.perf_counter() - begin, len(found["result"])


def filled(variable: str, since: float) -> str:
    """The value of a variable of the dashboards: everything is selected."""
    whole = f"{max(int(time.time() - since), 60)}"
    return {"__rate_interval": "2m", "__range": f"{whole}s", "__range_s": whole}.get(variable, ".*")


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The panels with queries, also those in folded rows."""
    for panel in dashboard["panels"]:
        yield from panel.get("panels", []) if panel["type"] == "row" else [panel]


def report_rules(prometheus: Prometheus) -> None:
    rules = []
    for group in prometheus.get("rules")["groups"]:
        print(f"{group['evaluationTime']:8.3f} s  {group['name']}")
        rules += [(rule["evaluationTime"], rule["name"], len(rule.get("alerts", []))) for rule in group["rules"]]
    for seconds, name, alerts in sorted(rules, reverse=True)[:8]:
        print(f"{seconds:10.3f} s  {name} ({alerts} alerts)")


def report_panels(prometheus: Prometheus, since: float) -> None:
    took = []
    for name in ("overview", "fleet"):
        dashboard = json.loads((REPOSITORY / f"dashboards/{name}.json").read_text())
        for panel in panels(dashboard):
            each = [[prometheus.timed(target, since) for _ in range(ROUNDS)] for target in panel["targets"]]
            seconds = sum(median([one for one, _ in runs]) for runs in each)
            took.append((seconds, name, panel["title"], sum(runs[-1][1] for runs in each)))
    for seconds, name, title, series in sorted(took, reverse=True):
        print(f"{seconds:8.3f} s  {series:6} series  {name}: {title}")


def main() -> None:
    profiles = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 16
    targets = profiles // PER_TARGET
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        simulated: list[dict[str, Any]] = [
            {"name": f"gateway-{number}", "source": "simulated", "scenario": "healthy", "profiles": PER_TARGET}
            for number in range(targets)
        ]
        simulated += [
            {"name": f"expired-{number}", "source": "simulated", "scenario": "expired"}
            for number in range(EXPIRED_TARGETS)
        ]
        daemon = Daemon(directory, {"targets": simulated, "interval": "1h"})
        stack.enter_context(ending(daemon.process))
        daemon.wait_for(len(simulated), b"openclaw_auth_check_success{")
        prometheus = Prometheus(directory, daemon.port)
        stack.enter_context(ending(prometheus.process))
        since = time.time()
        time.sleep(minutes * 60)
        series = prometheus.get("query", query="scrape_samples_scraped")["result"][0]["value"][1]
        print(f"{machine()}; {profiles} profiles in {targets} targets: {series} series")
        report_rules(prometheus)
        report_panels(prometheus, since)
        pid = prometheus.process.pid
        print(f"Prometheus: {memory(pid):.0f} MB, at most {memory(pid, 'VmHWM'):.0f} MB")


if __name__ == "__main__":
    main()
