"""promtool and amtool check the shipped rules, their tests and every example. test_recipes.py runs them."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import need
from .parts import free_port, wait_for

pytestmark = pytest.mark.real

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus/openclaw-auth.rules.yml"
TESTS = sorted((DEPLOY / "prometheus/tests").glob("*.yml"))
SCRAPES = sorted((DEPLOY / "prometheus").glob("scrape-*.yml"))
ROUTES = sorted((DEPLOY / "alertmanager").glob("*.yml"))


def run(part: str, *args: str | Path) -> str:
    """Run a tool, which must exit with 0; return its output."""
    finished = subprocess.run([need(part), *args], capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout + finished.stderr


# --- promtool and amtool --------------------------------------------------------------------------


def test_promtool_accepts_the_rules() -> None:
    said = run("promtool", "check", "rules", RULES)
    assert f"SUCCESS: {RULES.read_text().count('- alert:') + RULES.read_text().count('- record:')} rules found" in said
    assert "duplicate" not in said


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_rules_pass_their_promtool_tests(path: Path) -> None:
    assert "SUCCESS" in run("promtool", "test", "rules", path)


@pytest.mark.parametrize("path", SCRAPES, ids=lambda path: path.stem)
def test_promtool_accepts_the_scrape_examples(path: Path) -> None:
    said = run("promtool", "check", "config", path)
    assert "1 rule files found" in said
    assert "is valid prometheus config file syntax" in said


@pytest.mark.parametrize("path", ROUTES, ids=lambda path: path.stem)
def test_amtool_accepts_the_routing_examples(path: Path) -> None:
    assert "SUCCESS" in run("amtool", "check-config", path)


@pytest.mark.parametrize(
    ("example", "labels", "receiver"),
    [
        ("from-rules", "alertname=OpenClawAuthExpired severity=critical", "phone"),
        ("from-rules", "alertname=OpenClawAuthExpired severity=warning", "chat"),
        ("from-rules", "alertname=OpenClawAuthExpiringSoon severity=info", "later"),
        ("from-rules", "alertname=OpenClawAuthExporterAbsent severity=critical", "phone"),
        # Alerts from the exporter have a fingerprint.
        ("from-exporter", "alertname=OpenClawAuthDeadline severity=critical fingerprint=f", "phone"),
        ("from-exporter", "alertname=OpenClawAuthDeadline severity=warning fingerprint=f", "chat"),
        ("from-exporter", "alertname=OpenClawAuthVanished severity=info fingerprint=f", "later"),
        ("from-exporter", "alertname=OpenClawAuthReported severity=critical fingerprint=f", "phone"),
        # Alerts from rules about the exporter, and alerts that both could send.
        ("from-exporter", "alertname=OpenClawAuthExporterDown severity=critical", "phone"),
        ("from-exporter", "alertname=OpenClawAuthCheckStale severity=critical", "phone"),
        ("from-exporter", "alertname=OpenClawAuthNotificationsDead severity=warning", "chat"),
        ("from-exporter", "alertname=OpenClawAuthHeartbeatStale severity=warning", "chat"),
        ("from-exporter", "alertname=OpenClawAuthExpired severity=critical job=openclaw_auth", "nobody"),
        ("from-exporter", "alertname=OpenClawAuthCheckFailing severity=critical job=openclaw_auth", "nobody"),
        # Probes, textfiles and pushes, of which no daemon notifies.
        ("from-exporter", "alertname=OpenClawAuthExpired severity=critical job=openclaw_auth_probe", "phone"),
        ("from-exporter", "alertname=OpenClawAuthCheckFailing severity=critical job=node", "phone"),
        ("from-exporter", "alertname=OpenClawAuthExpiringVerySoon severity=warning job=node", "chat"),
        ("from-exporter", "alertname=OpenClawAuthExpiringSoon severity=info job=openclaw-auth-exporter", "later"),
    ],
)
def test_alerts_are_routed(example: str, labels: str, receiver: str) -> None:
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


# --- inhibition --------------------------------------------------------------------------


@contextmanager
def running(config: Path, tmp_path: Path) -> Iterator[str]:
    """The URL of an Alertmanager with this configuration."""
    url = f"http://127.0.0.1:{free_port()}"
    flags = [f"--config.file={config}", f"--storage.path={tmp_path}"]
    flags += [f"--web.listen-address={url.removeprefix('http://')}", "--cluster.listen-address="]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([need("prometheus-alertmanager"), *flags], stdout=log, stderr=log)

    def is_ready() -> bool:
        assert process.poll() is None, (tmp_path / "log").read_text()
        try:
            return httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_for("Alertmanager", is_ready, 30)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """The URL of an Alertmanager that runs the unchanged example for alerts from rules."""
    with running(DEPLOY / "alertmanager/from-rules.yml", tmp_path) as url:
        yield url


def test_one_cause_is_one_notification_and_inhibits_no_other_target(alertmanager: str) -> None:
    daemon, probe = {"job": "openclaw_auth"}, {"job": "openclaw_auth_probe", "provider": "p"}
    down = {"alertname": "OpenClawAuthExporterDown", **daemon, "instance": "a", "exporter": "a", "severity": "critical"}

    def about(name: str, severity: str = "critical", **labels: str) -> dict[str, str]:
        return {"alertname": f"OpenClawAuth{name}", "severity": severity, "target": "t", **labels}

    notified = [
        down,
        about("Expired", **daemon, instance="b", provider="p", profile="spare"),
        about("NoUsableCredential", **daemon, instance="c", provider="p"),
        about("ExpiringVerySoon", "warning", **daemon, instance="d", provider="p", profile="x"),
        about("NotificationsFailing", "warning", **daemon, instance="e", channel="phone"),
        about("ProbeFailing", **probe, instance="rack1", exporter="b"),
        # From another exporter than the one that is down, or from one without a name.
        about("NoUsableCredential", **probe, instance="rack2", exporter="b"),
        about("NoUsableCredential", **probe, instance="rack3"),
        about("Expired", **daemon, instance="c", provider="q", profile="x"),
        about("ExpiringVerySoon", "warning", **daemon, instance="b", provider="p", profile="y"),
    ]
    inhibited = [
        about("NoUsableCredential", **daemon, instance="a", provider="p"),
        about("NoUsableCredential", **probe, instance="rack4", exporter="a"),
        about("CoolingDown", **daemon, instance="b", provider="p"),
        about("Expired", "warning", **daemon, instance="b", provider="p", profile="spare"),
        about("Expired", **daemon, instance="c", provider="p", profile="x"),
        about("ExpiringSoon", "info", **daemon, instance="d", provider="p", profile="x"),
        about("NotificationsPilingUp", "warning", **daemon, instance="e", channel="phone"),
        about("Expired", **probe, instance="rack1", exporter="b", profile="x"),
    ]
    alerts = [{"labels": labels} for labels in (*notified, *inhibited)]
    httpx.post(f"{alertmanager}/api/v2/alerts", json=alerts, trust_env=False).raise_for_status()
    there = httpx.get(f"{alertmanager}/api/v2/alerts", trust_env=False).json()
    assert len(there) == len(alerts)
    state = {frozenset(one["labels"].items()): one["status"]["state"] != "suppressed" for one in there}
    assert [labels for labels in notified if not state[frozenset(labels.items())]] == []
    assert [labels for labels in inhibited if state[frozenset(labels.items())]] == []


# --- grouping --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("example", "labels"),
    [
        ("from-rules", {"alertname": "OpenClawAuthExpired", "job": "openclaw_auth"}),
        ("from-exporter", {"alertname": "OpenClawAuthDeadline"}),
        ("from-exporter", {"alertname": "OpenClawAuthExpired", "job": "openclaw_auth_probe"}),
    ],
)
def test_500_targets_that_expire_together_are_one_page_that_counts_them(
    example: str, labels: dict[str, str], tmp_path: Path
) -> None:
    pages: list[dict[str, Any]] = []
    arrived = threading.Event()

    class Pager(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            pages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            arrived.set()

        def log_message(self, *words: object) -> None: ...

    alerts = [
        {
            "labels": {**labels, "severity": "critical", "target": f"gw{n}", "provider": "p", "profile": "x"}
            | ({"fingerprint": f"f{n}", "exporter": "a"} if "job" not in labels else {"instance": f"gw{n}"}),
            "annotations": {"summary": f"x on gw{n} has expired"},
        }
        for n in range(500)
    ]
    with ThreadingHTTPServer(("127.0.0.1", 0), Pager) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        config = tmp_path / "alertmanager.yml"  # without the template: it may be left out
        shipped = (DEPLOY / f"alertmanager/{example}.yml").read_text()
        text = shipped.replace("127.0.0.1:9099", f"127.0.0.1:{server.server_address[1]}")
        config.write_text(text.replace("group_wait: 30s", "group_wait: 2s"))
        with running(config, tmp_path) as url:
            httpx.post(f"{url}/api/v2/alerts", json=alerts, trust_env=False).raise_for_status()
            assert arrived.wait(60)
            wait_for(
                "every group", lambda: all(g["receiver"]["name"] == "phone" for g in groups(url)) and groups(url), 10
            )
            assert len(groups(url)) == 1
        server.shutdown()
    assert [len(page["alerts"]) for page in pages] == [500]
    page = tmp_path / "page.json"
    page.write_text(json.dumps(pages[0]))
    text = '--template.text={{ template "openclaw_auth.title" . }}\n{{ template "openclaw_auth.text" . }}'
    template = f"--template.glob={DEPLOY}/alertmanager/openclaw-auth.tmpl"
    said = run("amtool", "template", "render", template, f"--template.data={page}", text)
    assert said.startswith(f"500 firing: {labels['alertname']}")
    assert "The first 10 of 500:" in said
    assert said.count("has expired") == 10


def groups(url: str) -> list[dict[str, Any]]:
    """The groups of alerts of an Alertmanager."""
    return list(httpx.get(f"{url}/api/v2/alerts/groups", trust_env=False).json())
