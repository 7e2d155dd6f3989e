"""promtool and amtool read the shipped rules, their tests and every example; and a real Prometheus with the
shipped rules and a real Alertmanager with the shipped routes carry an expired token from pending to gone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from exporter.simulator.world import World

from .conftest import need
from .parts import Exporter, OpenClawHome, Prometheus, free_port, running, wait_for

pytestmark = pytest.mark.real

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus/openclaw-auth.rules.yml"
TESTS = sorted((DEPLOY / "prometheus/tests").glob("*.yml"))
SCRAPES = sorted((DEPLOY / "prometheus").glob("scrape-*.yml"))
ROUTES = sorted((DEPLOY / "alertmanager").glob("*.yml"))
PROFILE = "anthropic:default"
DAY = 86400.0


def run(part: str, *args: str | Path) -> str:
    """A tool's output; its exit code must be 0."""
    finished = subprocess.run([need(part), *args], capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout + finished.stderr


# --- what the tools say --------------------------------------------------------------------------


def test_promtool_reads_the_rules() -> None:
    said = run("promtool", "check", "rules", RULES)
    assert f"SUCCESS: {RULES.read_text().count('- alert:') + RULES.read_text().count('- record:')} rules found" in said
    assert "duplicate" not in said


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_promtool_tests_the_rules(path: Path) -> None:
    assert "SUCCESS" in run("promtool", "test", "rules", path)


@pytest.mark.parametrize("path", SCRAPES, ids=lambda path: path.stem)
def test_promtool_reads_the_scrape_examples(path: Path) -> None:
    said = run("promtool", "check", "config", path)
    assert "1 rule files found" in said
    assert "is valid prometheus config file syntax" in said


@pytest.mark.parametrize("path", ROUTES, ids=lambda path: path.stem)
def test_amtool_reads_the_routing_examples(path: Path) -> None:
    assert "SUCCESS" in run("amtool", "check-config", path)


@pytest.mark.parametrize(
    ("example", "labels", "receiver"),
    [
        ("from-rules", "alertname=OpenClawAuthExpired severity=critical", "phone"),
        ("from-rules", "alertname=OpenClawAuthExpired severity=warning", "chat"),
        ("from-rules", "alertname=OpenClawAuthExpiringSoon severity=info", "later"),
        ("from-rules", "alertname=OpenClawAuthExporterAbsent severity=critical", "phone"),
        # The exporter's own carry a fingerprint.
        ("from-exporter", "alertname=OpenClawAuthDeadline severity=critical fingerprint=f", "phone"),
        ("from-exporter", "alertname=OpenClawAuthDeadline severity=warning fingerprint=f", "chat"),
        ("from-exporter", "alertname=OpenClawAuthVanished severity=info fingerprint=f", "later"),
        ("from-exporter", "alertname=OpenClawAuthReported severity=critical fingerprint=f", "phone"),
        # What the rules say about the exporter, and what both would say.
        ("from-exporter", "alertname=OpenClawAuthExporterDown severity=critical", "phone"),
        ("from-exporter", "alertname=OpenClawAuthCheckStale severity=critical", "phone"),
        ("from-exporter", "alertname=OpenClawAuthNotificationsDead severity=warning", "chat"),
        ("from-exporter", "alertname=OpenClawAuthExpired severity=critical", "nobody"),
        ("from-exporter", "alertname=OpenClawAuthCheckFailing severity=critical", "nobody"),
    ],
)
def test_amtool_routes(example: str, labels: str, receiver: str) -> None:
    config = DEPLOY / f"alertmanager/{example}.yml"
    run(
        "amtool",
        "config",
        "routes",
        "test",
        f"--config.file={config}",
        f"--verify.receivers={receiver}",
        *labels.split(),
    )


# --- one alert, all the way ----------------------------------------------------------------------


@dataclass(frozen=True)
class SimulatedHome:
    """What ``Exporter`` needs of an OpenClaw home; the command in it is the simulator's stand-in."""

    home: Path
    env: dict[str, str]
    command: Path


class Alertmanager:
    """A real Alertmanager on loopback, with a configuration as it is."""

    def __init__(self, config: Path, directory: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.log = directory / "alertmanager.log"
        flags = [
            f"--config.file={config}",
            f"--storage.path={directory / 'alertmanager'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [need("prometheus-alertmanager"), *flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def alerts(self) -> dict[str, dict[str, Any]]:
        """What it holds that has not ended, by alertname; nothing while it starts."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            found = httpx.get(f"http://{self.address}/api/v2/alerts", trust_env=False).json()
        except httpx.TransportError:
            return {}
        return {alert["labels"]["alertname"]: alert for alert in found}

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)


class RulesPrometheus(Prometheus):
    """A real Prometheus with the shipped rules unchanged; scrapes and evaluates every second."""

    def __init__(self, directory: Path, scraped: str, alertmanager: str) -> None:
        directory.mkdir(parents=True)
        self.log = directory / "log"
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
            "scrape_configs": [{"job_name": "openclaw_auth", "static_configs": [{"targets": [scraped]}]}],
        }
        (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        flags = [
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [need("prometheus"), *flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def alerts(self) -> dict[str, dict[str, Any]]:
        """Pending and firing alerts by name."""
        data = httpx.get(f"{self.url}/api/v1/alerts", trust_env=False).json()["data"]
        return {alert["labels"]["alertname"]: alert for alert in data["alerts"]}

    def troubled_rules(self) -> list[str]:
        """Rules whose evaluation failed."""
        groups = httpx.get(f"{self.url}/api/v1/rules", trust_env=False).json()["data"]["groups"]
        return [f"{rule['name']}: {rule['lastError']}" for g in groups for rule in g["rules"] if rule.get("lastError")]


@dataclass(frozen=True)
class Stage:
    """The world, what looks at it, and what alarms."""

    world: World
    world_file: Path
    prometheus: RulesPrometheus
    alertmanager: Alertmanager

    def paste(self, expires_in: float) -> None:
        self.world.paste_token(PROFILE, expires_in, time.time())
        self.world.save(self.world_file)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    for part in ("prometheus", "prometheus-alertmanager"):
        need(part)
    home, world_file = tmp_path / "home", tmp_path / "world.json"
    home.mkdir()
    world = World()
    world.paste_token(PROFILE, -3 * 3600.0, time.time())
    world.save(world_file)
    env = {"HOME": str(home), "PATH": "/usr/bin:/bin", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "exporter.simulator", "--world", str(world_file), "openclaw"]
    target = {"name": "home", "source": "openclaw", "command": command, "agents": ["main"], "interval": "2s"}
    with ExitStack() as stack:
        place = cast(OpenClawHome, SimulatedHome(home, env, Path(sys.executable)))
        exporter = stack.enter_context(running(Exporter(place, tmp_path / "exporter", targets=[target])))
        alertmanager = Alertmanager(DEPLOY / "alertmanager/from-rules.yml", tmp_path)
        stack.callback(alertmanager.end)
        prometheus = RulesPrometheus(tmp_path / "prometheus", f"127.0.0.1:{exporter.port}", alertmanager.address)
        stack.callback(prometheus.end)
        prometheus.wait_until_ready()
        yield Stage(world, world_file, prometheus, alertmanager)


def test_an_expired_token_alarms_until_another_is_pasted(stage: Stage) -> None:
    expected = {"OpenClawAuthExpired", "OpenClawAuthNoUsableCredential"}

    def states() -> dict[str, str]:
        return {name: alert["state"] for name, alert in stage.prometheus.alerts().items()}

    wait_for("pending", lambda: states() == dict.fromkeys(expected, "pending"), 30)
    assert stage.alertmanager.alerts() == {}
    wait_for("firing", lambda: states() == dict.fromkeys(expected, "firing"), 60)

    expired = stage.prometheus.alerts()["OpenClawAuthExpired"]
    assert {name: value for name, value in expired["labels"].items() if name != "instance"} == {
        "alertname": "OpenClawAuthExpired",
        "severity": "critical",
        "job": "openclaw_auth",
        "target": "home",
        "provider": "anthropic",
        "profile": PROFILE,
    }
    # Recent releases drop the date of what expired: it alarms all the same.
    instance = expired["labels"]["instance"]
    assert expired["annotations"]["summary"] == f"{PROFILE} on home ({instance}) has expired"
    assert (
        "paste-token --provider anthropic --profile-id anthropic:default --expires-in 365d --agent main"
        in expired["annotations"]["description"]
    )
    nothing = stage.prometheus.alerts()["OpenClawAuthNoUsableCredential"]
    assert "Agents: main. Profiles: anthropic:default (expired)." in nothing["annotations"]["description"]

    def routed() -> bool:
        held = stage.alertmanager.alerts()
        return held.keys() == expected and held["OpenClawAuthExpired"]["status"]["state"] == "suppressed"

    wait_for("one cause, one alarm", routed, 20)
    told = stage.alertmanager.alerts()["OpenClawAuthNoUsableCredential"]
    assert (told["status"]["state"], [r["name"] for r in told["receivers"]]) == ("active", ["phone"])

    stage.paste(90 * DAY)
    wait_for("gone from Prometheus", lambda: states() == {}, 30)
    wait_for("gone from Alertmanager", lambda: stage.alertmanager.alerts() == {}, 20)
    assert stage.prometheus.troubled_rules() == []
    assert stage.prometheus.complaints() == []
