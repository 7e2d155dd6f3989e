"""The exposition of a report, and what it contains."""

from __future__ import annotations

from collections import Counter

from prometheus_client.parser import text_string_to_metric_families as parse_text
from reports import DAY, NOW

from exporter.metrics.definitions import METRICS, ExporterState
from exporter.metrics.render import Exposition, render_target
from exporter.model import AgentCounters, FailureReason, Report

STATE = ExporterState("1.2.3", True, NOW - DAY, 0.002, event_loop_lag_max=0.031)
#: What Prometheus 2.42 asks with.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def counters(subject: Report) -> dict[str, dict[str, AgentCounters]]:
    counted = AgentCounters(7, {FailureReason.TIMEOUT: 2}, {"anthropic": 12.5})
    return {target.target: {entry.agent: counted for entry in target.entries} for target in subject.targets}


def exposition(subject: Report, state: ExporterState | None = STATE) -> Exposition:
    metrics = Exposition((lambda: state) if state else None)
    counted = counters(subject)
    for target in subject.targets:
        metrics.put(target.target, render_target(target, counted[target.target]))
    metrics.compose()
    return metrics


def series_of(text: str) -> Series:
    """Every sample by name and labels; fails where two are the same."""
    samples = [sample for metric in parse_text(text) for sample in metric.samples]
    keys = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples]
    assert [key for key, count in Counter(keys).items() if count > 1] == []
    return dict(zip(keys, (sample.value for sample in samples), strict=True))


def values_of(subject: Report, name: str) -> dict[tuple[str, ...], float]:
    """One metric's values by the label values beside target and agent, in the order of the table."""
    metric = next(metric for metric in METRICS if metric.name == f"openclaw_auth_{name}")
    return {
        tuple(dict(labels)[label] for label in metric.labels[2:]): value
        for (found, labels), value in series_of(exposition(subject).body()[0].decode()).items()
        if found == metric.name
    }
