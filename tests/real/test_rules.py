"""promtool and amtool read the shipped rules, their tests and every example; test_recipes.py has them at work."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .conftest import need

pytestmark = pytest.mark.real

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus/openclaw-auth.rules.yml"
TESTS = sorted((DEPLOY / "prometheus/tests").glob("*.yml"))
SCRAPES = sorted((DEPLOY / "prometheus").glob("scrape-*.yml"))
ROUTES = sorted((DEPLOY / "alertmanager").glob("*.yml"))


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
        ("from-exporter", "alertname=OpenClawAuthHeartbeatStale severity=warning", "chat"),
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
