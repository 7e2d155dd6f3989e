"""A real Prometheus scrapes the daemon beside a real OpenClaw, and promtool checks its exposition."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import need
from .parts import CURRENT, TOKEN_PREFIX, Exporter, OpenClawHome, running, wait_for
from .prometheus import Prometheus

pytestmark = pytest.mark.real

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """The daemon beside a store with every kind of profile, two agents, a cooldown and a disable."""
    for part in ("node", f"openclaw-{CURRENT}", "prometheus", "promtool"):
        need(part)
    world = OpenClawHome(CURRENT, tmp_path_factory.mktemp("openclaw"))
    world.set_model()
    world.paste_token("anthropic:default", "90d")
    world.add_agent("work")
    now = int(time.time() * 1000)
    world.write_store(
        {
            **world.stored_profiles(),
            "anthropic:undated": {"type": "token", "provider": "anthropic", "token": TOKEN_PREFIX + "U" * 80},
            'openai:"quoted"\\': {"type": "api_key", "provider": "openai", "key": "k" * 40},
            "google:login": {
                "type": "oauth",
                "provider": "google",
                "access": "a" * 40,
                "refresh": "r" * 40,
                "expires": now - HOUR_MS,
            },
        },
        usage={
            "anthropic:undated": {"cooldownUntil": now + HOUR_MS, "cooldownReason": "rate_limit", "errorCount": 2},
            "google:login": {"disabledUntil": now + HOUR_MS, "disabledReason": "billing", "lastUsed": now},
        },
    )
    with running(Exporter(world, tmp_path_factory.mktemp("exporter"))) as exporter:
        exporter.wait_for_check()
        yield exporter


def test_prometheus_stores_every_served_sample(exporter: Exporter, tmp_path: Path) -> None:
    prometheus = Prometheus(need("prometheus"), tmp_path / "prometheus", f"127.0.0.1:{exporter.port}")
    try:
        prometheus.wait_until_ready()
        expiry = (
            'openclaw_auth_profile_expiry_timestamp_seconds{target="home",agent="main",profile="anthropic:default"}'
        )

        def has(stored_ms: int) -> bool:
            found = prometheus.query(expiry)
            return len(found) == 1 and int(found[0][1]) == stored_ms // 1000

        stored = exporter.world.stored_profiles()["anthropic:default"]["expires"]
        wait_for("the expiry in Prometheus", lambda: has(stored), 30)
        assert [value for _, value in prometheus.query("up")] == [1]

        # Prometheus stored every served sample; it refused and renamed none, and none occurs twice.
        served = len(exporter.samples())
        for counted in ("scrape_samples_scraped", "scrape_samples_post_metric_relabeling"):
            assert [value for _, value in prometheus.query(counted)] == [served]
        assert [value for _, value in prometheus.query('count({__name__=~"openclaw_auth_.*"})')] == [
            sum(name.startswith("openclaw_auth_") for name, _ in exporter.samples())
        ]
        until = prometheus.query('openclaw_auth_profile_unusable_until_timestamp_seconds{agent="work"}')
        assert {(labels["profile"], labels["kind"], labels["reason"]) for labels, _ in until} == {
            ("anthropic:undated", "cooldown", "rate_limit"),
            ("google:login", "disabled", "billing"),
        }

        exporter.world.paste_token("anthropic:default", "12h", agent="main")
        stored = exporter.world.stored_profiles()["anthropic:default"]["expires"]
        wait_for("the next paste in Prometheus", lambda: has(stored), 20)
        assert prometheus.complaints() == []
    finally:
        code = prometheus.end()
    assert code == 0


def test_promtool_finds_nothing_to_lint(exporter: Exporter) -> None:
    checked = subprocess.run(
        [need("promtool"), "check", "metrics"],
        input=exporter.get("/metrics"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
