"""The exposition is what prometheus_client and promtool accept, in the format that a scraper asks for."""

from __future__ import annotations

import gzip
import shutil
import subprocess

import pytest
from expositions import PROMETHEUS, counters, exposition
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from reports import EXAMPLES, agent, healthy, profile, report

from exporter.metrics import render
from exporter.metrics.definitions import CHECK_METRICS, OPENMETRICS, TEXT, CheckedAgent
from exporter.metrics.labels import profile_labels
from exporter.metrics.render import Exposition, render_target
from exporter.model import Report

# --- the exposition ----------------------------------------------------------------------------


class Collected(Collector):
    """The families of a report, built with prometheus_client alone."""

    def __init__(self, subject: Report) -> None:
        self.families: list[Metric] = []
        for metric in CHECK_METRICS:
            built = metric.empty()
            for target in sorted(subject.targets, key=lambda target: target.target):
                for index, entry in enumerate(target.entries):
                    counted = counters(subject)[target.target][entry.agent]
                    profiles = tuple(zip(profile_labels(entry), entry.profiles, strict=True))
                    for labels, value in metric.rows(CheckedAgent(entry, profiles, counted, index == 0)):
                        if value is not None:
                            built.add_metric([target.target, entry.agent, *labels], value)  # type: ignore[attr-defined]  # each kind has one
            if built.samples:
                self.families.append(built)

    def collect(self) -> list[Metric]:
        return self.families


@pytest.mark.parametrize("example", EXAMPLES)
def test_exposition_equals_that_of_prometheus_client(example: str) -> None:
    subject = EXAMPLES[example]()
    registry = CollectorRegistry()
    registry.register(Collected(subject))
    ours = exposition(subject, state=None)
    assert ours.body()[0] == generate_latest(registry)
    assert ours.body(PROMETHEUS)[0] == openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]  # not typed


@pytest.mark.parametrize("accept", ["", PROMETHEUS])
@pytest.mark.parametrize("example", EXAMPLES)
def test_gzip_holds_the_same_body_in_one_member(example: str, accept: str) -> None:
    subject = exposition(EXAMPLES[example]())
    plain, zipped = subject.body(accept, ""), subject.body(accept, "gzip, deflate")
    assert (plain[2], zipped[2]) == (None, "gzip")
    assert plain[1] == zipped[1]
    assert gzip.decompress(zipped[0]) == plain[0]
    assert subject.body(accept, "gzip") == zipped  # and again: nothing is used up


def test_metrics_are_grouped_and_targets_sorted() -> None:
    metrics = Exposition()
    for name in ("b", "a"):
        metrics.put(name, {"openclaw_auth_exit_code": f'openclaw_auth_exit_code{{target="{name}"}} 0.0\n'.encode()})
    metrics.compose()
    assert [line.split(" ")[0] for line in metrics.body()[0].decode().splitlines()] == [
        "#", "#", 'openclaw_auth_exit_code{target="a"}', 'openclaw_auth_exit_code{target="b"}',
    ]  # fmt: skip


def test_scrape_returns_what_was_composed() -> None:
    metrics = Exposition()
    assert metrics.body() == (b"", TEXT, None)
    assert metrics.body(PROMETHEUS)[0] == b"# EOF\n"
    metrics.put("home", render_target(healthy().targets[0], None))
    assert metrics.stale
    assert metrics.body()[0] == b""
    metrics.compose()
    assert not metrics.stale
    assert b'target="home"' in metrics.body()[0]
    metrics.remove("home")
    assert metrics.stale
    metrics.compose()
    assert metrics.body()[0] == b""
    metrics.remove("home")
    assert not metrics.stale


def test_removed_profile_has_no_series_after_the_next_check() -> None:
    metrics = exposition(report(agent(profile("a:1"), profile("a:2"))))
    assert b"a:2" in metrics.body()[0]
    metrics.put("home", render_target(report(agent(profile("a:1"))).targets[0], None))
    metrics.compose()
    assert b"a:1" in metrics.body()[0]
    assert b"a:2" not in metrics.body()[0]


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        PROMETHEUS,
        "text/plain",
        "text/plain;version=0.0.4",
        "text/plain;version=1.0.0,application/openmetrics-text;version=1.0.0",
        "application/openmetrics-text",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "application/json",
    ],
)
def test_format_is_chosen_as_prometheus_client_does(accept: str) -> None:
    theirs = choose_encoder(accept)[1].split(";")[0]
    # Without a version the library writes OpenMetrics under its type; so do we.
    assert render.choose_format(accept).split(";")[0] == theirs


@given(st.text(), st.text())
def test_any_header_gets_a_response(accept: str, encoding: str) -> None:
    assert render.choose_format(accept) in (TEXT, OPENMETRICS)
    assert render.choose_format(f"application/openmetrics-text;version={accept}") in (
        TEXT,
        OPENMETRICS,
    )
    assert render.accepts_gzip(encoding) in (True, False)


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
    ],
)
def test_gzip_only_if_accepted(header: str, accepted: bool) -> None:
    assert render.accepts_gzip(header) is accepted


# --- the reference and the lint ----------------------------------------------------------------


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("example", EXAMPLES)
def test_promtool_accepts_the_exposition(example: str) -> None:
    body = exposition(EXAMPLES[example]()).body()[0]
    done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")
