"""The exposition as a request to an OpenTelemetry collector (OTLP over HTTP). Needs the extra ``otlp``.

What is sent is what a scrape would get at that moment: the same names, labels and values. ``request`` parses megabytes
where there are many profiles: it runs in a thread.
"""

from __future__ import annotations

import gzip
import importlib.util
import os
from collections.abc import Mapping
from urllib.parse import unquote

from exporter import __version__
from exporter.lib.redact import safe_text

_NAME = "openclaw-auth-exporter"

#: What a request says of itself.
HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}


def is_installed() -> bool:
    """Whether the package of the extra ``otlp`` is there."""
    try:
        return importlib.util.find_spec("opentelemetry.proto.metrics") is not None
    except ModuleNotFoundError:
        return False


def request(text: str, started_at: float, now: float, instance: str, environ: Mapping[str, str] = os.environ) -> bytes:
    """The samples of an exposition in the text format, as the body of a request, in gzip.

    Times are Unix seconds; counters count from ``started_at``. OTEL_RESOURCE_ATTRIBUTES adds to the exporter's names.
    """
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
    from prometheus_client.parser import text_string_to_metric_families

    at, since = int(now * 1e9), int(started_at * 1e9)
    message = ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    about = {"service.name": _NAME, "service.version": __version__, "service.instance.id": instance}
    for key, value in (_attributes(environ.get("OTEL_RESOURCE_ATTRIBUTES", "")) | about).items():
        resource.resource.attributes.add(key=key).value.string_value = value
    scope = resource.scope_metrics.add()
    scope.scope.name, scope.scope.version = _NAME, __version__
    for family in text_string_to_metric_families(text):
        if not family.samples:
            continue
        is_counter = family.type == "counter"
        metric = scope.metrics.add(name=family.samples[0].name, description=family.documentation)
        if is_counter:
            metric.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
            metric.sum.is_monotonic = True
        points = (metric.sum if is_counter else metric.gauge).data_points
        for sample in family.samples:
            point = points.add(
                start_time_unix_nano=since if is_counter else 0, time_unix_nano=at, as_double=sample.value
            )
            for key, value in sample.labels.items():
                point.attributes.add(key=key).value.string_value = value
    return gzip.compress(message.SerializeToString(), compresslevel=6)


def rejection(body: bytes) -> str | None:
    """What the collector did not take of a request that it answered with success, as a sentence; None if it took all.

    Raises ValueError if ``body`` is no answer of a collector.
    """
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

    try:
        partial = ExportMetricsServiceResponse.FromString(body).partial_success
    except DecodeError as error:
        raise ValueError from error
    if not partial.rejected_data_points:
        return None  # a text without that is a warning, which the collector logs itself
    why = safe_text(partial.error_message)
    count = partial.rejected_data_points
    return f"it rejected {count} sample{'s' * (count != 1)}{why and ': '}{why}"


def _attributes(listed: str) -> dict[str, str]:
    """The attributes in ``KEY=VALUE,…``, percent-encoded, as OpenTelemetry's SDKs read them."""
    pairs = (entry.partition("=") for entry in listed.split(",") if "=" in entry)
    return {key.strip(): unquote(value.strip()) for key, _, value in pairs if key.strip()}
