"""The exposition as OpenTelemetry's metrics, sent over HTTP (OTLP). Needs the extra ``otlp``.

What is sent is what a scrape would get at that moment: the same names, labels and values. Everything here blocks, and
parses megabytes where there are many profiles: it runs in a thread.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from exporter import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

#: For one request and its repetitions, in seconds.
TIMEOUT = 10.0


def is_installed() -> bool:
    """Whether the packages of the extra ``otlp`` are there."""
    return importlib.util.find_spec("opentelemetry") is not None


def metrics_data(text: str, started_at: float, now: float, instance: str) -> MetricsData:
    """The samples of an exposition in the text format. Times are Unix seconds; counters count from ``started_at``."""
    from opentelemetry.sdk.metrics.export import (
        AggregationTemporality,
        Gauge,
        Metric,
        MetricsData,
        NumberDataPoint,
        ResourceMetrics,
        ScopeMetrics,
        Sum,
    )
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from prometheus_client.parser import text_string_to_metric_families

    at, since = int(now * 1e9), int(started_at * 1e9)
    metrics = []
    for family in text_string_to_metric_families(text):
        is_counter = family.type == "counter"
        points = [
            NumberDataPoint(dict(sample.labels), since if is_counter else 0, at, sample.value)
            for sample in family.samples
        ]
        if not points:
            continue
        data = Sum(points, AggregationTemporality.CUMULATIVE, True) if is_counter else Gauge(points)
        metrics.append(Metric(family.samples[0].name, family.documentation, "", data))
    # OTEL_RESOURCE_ATTRIBUTES adds to these.
    about = {"service.name": "openclaw-auth-exporter", "service.version": __version__, "service.instance.id": instance}
    scope = ScopeMetrics(InstrumentationScope("openclaw-auth-exporter", __version__), metrics, "")
    return MetricsData([ResourceMetrics(Resource.create(about), [scope], "")])


def send(text: str, url: str, token: str | None, started_at: float, now: float, instance: str) -> bool:
    """Send an exposition to a collector; returns whether it was accepted. The package logs why it was not."""
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics.export import MetricExportResult

    headers = {"Authorization": f"Bearer {token}"} if token else None
    exporter = OTLPMetricExporter(url, headers=headers, timeout=TIMEOUT, compression=Compression.Gzip)
    try:
        return exporter.export(metrics_data(text, started_at, now, instance)) is MetricExportResult.SUCCESS
    finally:
        exporter.shutdown()
