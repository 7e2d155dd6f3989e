"""Every metric has a row in docs/metrics.md, a test, and a HELP text that reads like a sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from exporter.metrics.definitions import METRICS, PREFIX, MetricDefinition

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs" / "metrics.md"


@pytest.fixture(scope="module")
def tested() -> str:
    """The text of all other tests and of the golden files."""
    paths = [path for pattern in ("test_*.py", "golden/*.prom") for path in TESTS.rglob(pattern)]
    return "".join(path.read_text(encoding="utf-8") for path in paths if path != Path(__file__))


def named(metric: MetricDefinition[Any]) -> str:
    return metric.name


@pytest.mark.parametrize("metric", METRICS, ids=named)
def test_metric_has_a_row_in_the_reference(metric: MetricDefinition[Any]) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert (metric.name, metric.type) in rows, f"{metric.name} has no row in docs/metrics.md: run scripts/regenerate"


@pytest.mark.parametrize("metric", METRICS, ids=named)
def test_metric_has_a_test(metric: MetricDefinition[Any], tested: str) -> None:
    short = metric.name.removeprefix(PREFIX)
    assert re.search(rf"\b({metric.name}|{short})\b", tested), f"no test mentions {metric.name}: write one"


@pytest.mark.parametrize("metric", METRICS, ids=named)
def test_metric_follows_the_naming_conventions(metric: MetricDefinition[Any]) -> None:
    assert metric.name.startswith(PREFIX)
    assert metric.name.endswith("_total") is (metric.type == "counter"), "counters end in _total, gauges do not"
    assert metric.help.endswith("."), "HELP is made of sentences"
    if metric.name.endswith("_timestamp_seconds"):
        assert metric.help.startswith("Unix time"), "HELP of a timestamp begins with its unit"


def test_metric_names_are_unique() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))
