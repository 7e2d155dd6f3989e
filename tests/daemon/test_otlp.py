"""The metrics reach an OpenTelemetry collector: a stand-in that speaks OTLP over HTTP."""

from __future__ import annotations

import gzip
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fakes import Fakes, config
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from prometheus_client.parser import text_string_to_metric_families
from waiting import until

from exporter.config import Config, ConfigError
from exporter.daemon import otlp as module
from exporter.daemon import preflight
from exporter.daemon.otlp import OtlpSender
from exporter.daemon.scheduler import Daemon
from exporter.metrics import otlp
from exporter.state.credentials_db import CredentialDatabase

TOKEN = "a-collector-token-0123456789"
TEXT = b"""# HELP a_total Things.
# TYPE a_total counter
a_total{target="home"} 3.0
# HELP b Others.
# TYPE b gauge
b{profile="x \\"y\\"",target="home"} 1.5
b{target="vps"} 2.0
"""


class Collector:
    """Keeps the requests. It answers with ``status``, ``headers`` and ``answer``, once ``is_open``."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str | None, ExportMetricsServiceRequest]] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.answer = ExportMetricsServiceResponse().SerializeToString()
        self.is_open = threading.Event()
        self.is_open.set()
        self.asked = 0

    @contextmanager
    def listening(self) -> Iterator[str]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *words: Any) -> None: ...

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.asked += 1
                collector.is_open.wait(30)
                if self.headers["Content-Encoding"] == "gzip":
                    body = gzip.decompress(body)
                message = ExportMetricsServiceRequest.FromString(body)
                collector.requests.append((self.path, self.headers["Authorization"], message))
                self.send_response(collector.status)
                for name, value in {"Content-Length": str(len(collector.answer)), **collector.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(collector.answer)

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}/v1/metrics"
            finally:
                self.is_open.set()
                server.shutdown()
                thread.join()

    @property
    def metrics(self) -> list[Any]:
        """The metrics of the last request."""
        (resource,) = self.requests[-1][2].resource_metrics
        (scope,) = resource.scope_metrics
        return list(scope.metrics)

    def has(self, metric: str) -> bool:
        return bool(self.requests) and any(name == metric for name, _ in self.series())

    def series(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        return {
            (metric.name, frozenset((one.key, one.value.string_value) for one in point.attributes)): point.as_double
            for metric in self.metrics
            for point in (metric.sum if metric.HasField("sum") else metric.gauge).data_points
        }


def series_of(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def collector() -> Collector:
    return Collector()


def to(url: str, **rest: Any) -> Config:
    return config("home", name="rack7", otlp={"url": url, **rest})


def sender_of(made: Config, exposition: Callable[[], bytes] = lambda: TEXT, **rest: Any) -> OtlpSender:
    assert made.otlp is not None
    return OtlpSender(made.otlp, made.name, exposition, **rest)


async def test_samples_arrive_with_their_names_labels_and_types(collector: Collector) -> None:
    with collector.listening() as url:
        now = iter((100.0, 160.0))
        assert await sender_of(to(url, token=TOKEN), now=lambda: next(now)).send()
    ((path, authorization, message),) = collector.requests
    assert (path, authorization) == ("/v1/metrics", f"Bearer {TOKEN}")
    assert collector.series() == series_of(TEXT.decode())
    count, gauge = collector.metrics
    assert (count.name, count.description, count.sum.is_monotonic) == ("a_total", "Things.", True)
    assert count.sum.aggregation_temporality == 2  # cumulative
    assert (gauge.name, gauge.description, gauge.HasField("gauge")) == ("b", "Others.", True)
    (point,) = count.sum.data_points
    assert (point.start_time_unix_nano, point.time_unix_nano) == (100 * 10**9, 160 * 10**9)
    about = {one.key: one.value.string_value for one in message.resource_metrics[0].resource.attributes}
    assert (about["service.name"], about["service.instance.id"]) == ("openclaw-auth-exporter", "rack7")


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


DID_NOT = "the OpenTelemetry collector did not accept the metrics: "


async def test_refusal_is_logged_once_and_so_is_its_end(collector: Collector, logged: Callable[[], list[str]]) -> None:
    with collector.listening() as url:
        sender = sender_of(to(url, token=TOKEN))
        collector.status = 400
        assert [await sender.send() for _ in range(2)] == [False, False]
        collector.status = 200
        assert [await sender.send() for _ in range(2)] == [True, True]
    assert logged() == [DID_NOT + "answered 400: bad request", "the OpenTelemetry collector accepts the metrics again"]


@pytest.mark.parametrize(("asked", "pause"), [("120", 120.0), ("5", 60.0), ("1000000", 3600.0), ("soon", 60.0)])
async def test_next_request_waits_as_long_as_the_collector_asks_for(
    collector: Collector, asked: str, pause: float
) -> None:
    with collector.listening() as url:
        sender = sender_of(to(url))
        collector.status, collector.headers = 503, {"Retry-After": asked}
        assert not await sender.send()
        assert sender.pause == pause
        collector.status = 200
        assert await sender.send()
        assert sender.pause == 60.0


@pytest.mark.parametrize(
    ("rejected", "text", "sentence"),
    [
        (2, f"out of order; token: {TOKEN}", "it rejected 2 samples: out of order; token: <redacted>"),
        (1, "", "it rejected 1 sample"),
        (0, "a warning", None),
    ],
)
async def test_samples_that_the_collector_rejects_are_no_success(
    collector: Collector, logged: Callable[[], list[str]], rejected: int, text: str, sentence: str | None
) -> None:
    partial = ExportMetricsPartialSuccess(rejected_data_points=rejected, error_message=text)
    collector.answer = ExportMetricsServiceResponse(partial_success=partial).SerializeToString()
    with collector.listening() as url:
        assert await sender_of(to(url, token=TOKEN)).send() is (sentence is None)
    assert logged() == ([] if sentence is None else [DID_NOT + sentence])


async def test_answer_of_something_else_is_no_success(collector: Collector, logged: Callable[[], list[str]]) -> None:
    collector.answer = b"<html>Sign in to this network</html>"
    with collector.listening() as url:
        assert not await sender_of(to(url)).send()
    assert logged() == [DID_NOT + "the answer is not an OpenTelemetry collector's; check the url"]


async def test_redirect_is_not_followed(collector: Collector, logged: Callable[[], list[str]]) -> None:
    other = Collector()
    with collector.listening() as url, other.listening() as elsewhere:
        collector.status, collector.headers = 307, {"Location": elsewhere}
        assert not await sender_of(to(url, token=TOKEN)).send()
    assert (collector.asked, other.asked) == (1, 0)
    assert logged() == [
        DID_NOT + "answered 307: the server redirects; configure the address that it redirects to",
    ]


async def test_no_connection_and_no_answer_are_told_apart_without_a_secret(
    collector: Collector, logged: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    collector.is_open.clear()
    with collector.listening() as url:
        secret = url.replace("//", "//user:a-password-in-the-url@")
        assert not await sender_of(to(secret, token=TOKEN)).send()
    assert not await sender_of(to(secret, token=TOKEN)).send()
    assert logged() == [DID_NOT + "no answer within 0.2 s", DID_NOT + "cannot connect: connection refused"]


async def test_environment_adds_attributes_and_an_authority(
    collector: Collector, logged: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=a%2Cb, broken,service.name=other,=x,site = rack 7 ")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/authority.pem")
    with collector.listening() as url:
        assert await sender_of(to(url)).send()
        assert not await sender_of(to(url.replace("http:", "https:"))).send()
    resource = collector.requests[0][2].resource_metrics[0].resource
    about = {one.key: one.value.string_value for one in resource.attributes}
    assert (about["team"], about["site"], about["service.name"]) == ("a,b", "rack 7", "openclaw-auth-exporter")
    assert set(about) == {"team", "site", "service.name", "service.version", "service.instance.id"}
    assert logged() == [DID_NOT + "ca_file cannot be used: no such file or directory"]


async def test_nothing_is_sent_while_there_is_no_exposition(collector: Collector) -> None:
    def outdated() -> bytes:
        raise RuntimeError("composing the metrics failed")

    with collector.listening() as url:
        assert not await sender_of(to(url), outdated).send()
    assert collector.requests == []


@asynccontextmanager
async def running(made: Config) -> AsyncIterator[Daemon]:
    daemon = Daemon(made, CredentialDatabase(None), lambda: made, make=Fakes())
    await daemon.start()
    try:
        yield daemon
    finally:
        await daemon.stop()


async def test_a_daemon_sends_what_a_scrape_gets(collector: Collector) -> None:
    with collector.listening() as url:
        async with running(to(url, every="1s")) as daemon:
            await until(lambda: collector.has("openclaw_auth_exit_code"))
            scraped = series_of(daemon.exposition("", "")[0].decode())
    assert {key for key in collector.series() if "event_loop" not in key[0]} == {
        key for key in scraped if "event_loop" not in key[0]
    }


async def test_a_collector_that_hangs_holds_up_neither_scrapes_nor_the_end(collector: Collector) -> None:
    collector.is_open.clear()
    with collector.listening() as url:
        async with running(to(url, every="1s")) as daemon:
            await until(lambda: collector.asked)
            await daemon.check_now("home")
            assert b"openclaw_auth_check_success{" in daemon.exposition("", "")[0]
        assert not collector.is_open.is_set()


def test_the_extra_and_the_url_are_checked_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    preflight._otlp(config("home"))
    preflight._otlp(to("http://127.0.0.1:4318/v1/metrics"))
    with pytest.raises(ConfigError, match=r'otlp\.url: is not valid: write it like "http://127\.0\.0\.1'):
        preflight._otlp(to("127.0.0.1:4318"))
    monkeypatch.setattr(otlp, "is_installed", lambda: False)
    with pytest.raises(ConfigError, match=r"pip install 'openclaw-auth-exporter\[otlp\]'"):
        preflight._otlp(to("http://127.0.0.1:4318/v1/metrics"))
