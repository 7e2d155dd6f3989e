"""Report → exposition: the right series, in both formats, whatever the report holds."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector
from reports import DAY, EXAMPLES, HOUR, NOW, SECRET, agent, compare_golden, healthy, profile, report, reports

from exporter.metrics import render
from exporter.metrics.render import AgentCounters, ExporterState, Exposition, one_shot, render_target
from exporter.model import (
    Basis,
    Condition,
    ConditionName,
    Failure,
    FailureReason,
    Report,
    Severity,
    Status,
    Unusable,
    UsageWindow,
)

STATE = ExporterState("1.2.3", True, NOW - DAY, 0.002)
DOCS = Path(__file__).parent.parent / "docs" / "metrics.md"
#: What Prometheus 2.42 asks with.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def counters(one: Report) -> dict[str, dict[str, AgentCounters]]:
    counted = AgentCounters(7, {FailureReason.TIMEOUT: 2}, {"anthropic": 12.5})
    return {target.target: {entry.agent: counted for entry in target.entries} for target in one.targets}


def exposition(one: Report, state: ExporterState | None = STATE) -> Exposition:
    shown = Exposition((lambda: state) if state else None)
    counted = counters(one)
    for target in one.targets:
        shown.put(target.target, render_target(target, counted[target.target]))
    shown.compose()
    return shown


def series_of(text: str) -> Series:
    """Every sample by name and labels; fails where two are the same."""
    samples = [sample for family in parse_text(text) for sample in family.samples]
    keys = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples]
    assert [key for key, count in Counter(keys).items() if count > 1] == []
    return dict(zip(keys, (sample.value for sample in samples), strict=True))


def shown(one: Report, name: str) -> dict[tuple[str, ...], float]:
    """One metric's values by the label values beside target and agent, in the order of the table."""
    family = next(family for family in render.METRICS if family.name == f"openclaw_auth_{name}")
    return {
        tuple(dict(labels)[label] for label in family.labels[2:]): value
        for (found, labels), value in series_of(exposition(one).body()[0].decode()).items()
        if found == family.name
    }


# --- what is shown -----------------------------------------------------------------------------


@pytest.mark.parametrize("example", EXAMPLES)
def test_golden(example: str) -> None:
    compare_golden(f"{example}.prom", exposition(EXAMPLES[example](), state=None).body()[0].decode())


@pytest.mark.parametrize("example", EXAMPLES)
def test_golden_openmetrics(example: str) -> None:
    body, content_type, encoding = exposition(EXAMPLES[example](), state=None).body(PROMETHEUS)
    assert (content_type, encoding) == ("application/openmetrics-text; version=1.0.0; charset=utf-8", None)
    compare_golden(f"{example}.om", body.decode())


def test_the_deadline_is_absolute_and_exact() -> None:
    deadline = 1795341600.0 + 12345
    body = one_shot(report(agent(profile(expires_at=deadline)))).decode()
    line = re.search(r"^openclaw_auth_profile_expiry_timestamp_seconds\{.*\} (.*)$", body, re.M)
    assert line is not None
    assert float(line[1]) == 1795353945


def test_absent_is_what_was_not_seen() -> None:
    unseen = profile(
        expires_at=None, basis=None, refreshable=None, selected=None, unusable_seen=False, last_used_at=None
    )
    bare = agent(
        unseen,
        unusable_counts=None,
        providers_usable={},
        openclaw_exit_code=None,
        openclaw_version=None,
        duration=None,
        checked_at=None,
    )
    names = {name for name, _ in series_of(one_shot(report(bare)).decode())}
    assert names == {f"openclaw_auth_{name}" for name in ("profile_status", "profile_info", "exit_code")}
    assert shown(report(bare), "profile_info") == {("anthropic", "anthropic:default", "token", "none", "unknown"): 1}


def test_status_is_one_and_the_others_zero() -> None:
    found = shown(report(agent(profile(status=Status.EXPIRED))), "profile_status")
    assert {labels[2]: value for labels, value in found.items()} == {
        "ok": 0, "expiring": 0, "expired": 1, "missing": 0, "static": 0, "unknown": 0,
    }  # fmt: skip


def test_an_ignored_profile_is_there_and_not_judged() -> None:
    """What alert rules read of a profile is absent; that it is there, and is used, is not."""
    cooldown = Unusable("cooldown", "auth", NOW + HOUR)
    one = report(agent(profile(ignored=True, unusable=cooldown, error_count=3, last_used_at=NOW - HOUR)))
    names = {name.removeprefix("openclaw_auth_profile_") for name, _ in series_of(exposition(one).body()[0].decode())}
    assert {name for name in names if not name.startswith("openclaw")} == {
        "info",
        "selected",
        "last_used_timestamp_seconds",
        "errors",
    }


def test_unusable() -> None:
    down = profile(unusable=Unusable("cooldown", None, NOW + HOUR))
    forever = profile("openai:a", unusable=Unusable("disabled", "auth", None))
    fine = profile("google:a")
    unseen = profile("mistral:a", unusable_seen=False)
    one = report(agent(down, forever, fine, unseen, unusable_counts={"anthropic": 1, "google": 0}))
    assert shown(one, "profile_unusable") == {
        ("anthropic", "anthropic:default"): 1,
        ("openai", "openai:a"): 1,
        ("google", "google:a"): 0,
    }
    assert shown(one, "profile_unusable_until_timestamp_seconds") == {
        ("anthropic", "anthropic:default", "cooldown", "unknown"): NOW + HOUR
    }
    assert shown(one, "unusable_profiles") == {("anthropic",): 1, ("google",): 0}


def test_profile_facts() -> None:
    one = report(
        agent(
            profile(selected=False, last_used_at=NOW - 5, error_count=3, basis=Basis.LEDGER),
            profile("openai:a", kind="oauth", selected=True, refreshable=True, error_count=0, basis=None),
        )
    )
    assert shown(one, "profile_selected") == {("anthropic", "anthropic:default"): 0, ("openai", "openai:a"): 1}
    assert shown(one, "profile_last_used_timestamp_seconds") == {("anthropic", "anthropic:default"): NOW - 5}
    assert shown(one, "profile_errors") == {("anthropic", "anthropic:default"): 3, ("openai", "openai:a"): 0}
    assert set(shown(one, "profile_info")) == {
        ("anthropic", "anthropic:default", "token", "ledger", "false"),
        ("openai", "openai:a", "oauth", "none", "true"),
    }


def test_conditions_are_counted_and_only_active_ones_are_there() -> None:
    two = [Condition(ConditionName.EXPIRED, Severity.WARNING, "p", id) for id in "ab"]
    one = report(agent(conditions=(*two, Condition(ConditionName.CLOCK, Severity.WARNING))))
    assert shown(one, "conditions") == {("clock", "warning"): 1, ("expired", "warning"): 2}
    assert shown(healthy(), "conditions") == {}


def test_usage() -> None:
    one = report(agent(usage=(UsageWindow("p", "5h", 0.5, NOW + HOUR), UsageWindow("p", "week", 0.25))))
    assert shown(one, "usage_used_ratio") == {("p", "5h"): 0.5, ("p", "week"): 0.25}
    assert shown(one, "usage_resets_timestamp_seconds") == {("p", "5h"): NOW + HOUR}


def test_a_failed_look_keeps_what_is_known() -> None:
    failed = EXAMPLES["failed"]()
    assert shown(failed, "check_success") == {(): 0}
    assert shown(failed, "check_last_success_timestamp_seconds") == {(): NOW - 2 * HOUR}
    assert shown(failed, "profile_expiry_timestamp_seconds") == {("anthropic", "anthropic:default"): NOW + 30 * DAY}
    assert shown(failed, "exit_code") == {(): 1}
    assert shown(healthy(), "check_success") == {(): 1}


def test_agents_that_could_not_be_listed_are_a_star() -> None:
    body = exposition(EXAMPLES["not_listed"]()).body()[0].decode()
    assert 'openclaw_auth_check_success{agent="*",target="home"} 0.0\n' in body
    assert 'openclaw_auth_exit_code{agent="*",target="home"} 1.0\n' in body
    assert (
        'openclaw_auth_conditions{agent="*",condition="check_failed",severity="critical",target="home"} 1.0\n' in body
    )


def test_counters_are_there_from_the_start_and_left_out_of_one_shots() -> None:
    assert shown(healthy(), "checks_total") == {(): 7}
    failures = shown(healthy(), "check_failures_total")
    assert {reason for (reason,) in failures} == {reason.value for reason in FailureReason}
    assert {labels: value for labels, value in failures.items() if value} == {("timeout",): 2}
    assert shown(healthy(), "provider_unusable_seconds_total") == {("anthropic",): 12.5}
    fragment = render_target(healthy().targets[0], {})
    assert b'openclaw_auth_checks_total{agent="main",target="home"} 0.0\n' in fragment["openclaw_auth_checks_total"]
    assert fragment["openclaw_auth_check_failures_total"].count(b" 0.0\n") == len(FailureReason)
    assert b"_total" not in one_shot(healthy(), STATE)


def test_counters_without_a_report_are_there_too() -> None:
    """The agents were listed again: what was counted while they were not stays."""
    fragment = render_target(healthy().targets[0], {"*": AgentCounters(3, {FailureReason.CONNECTION: 3})})
    assert b'openclaw_auth_checks_total{agent="*",target="home"} 3.0\n' in fragment["openclaw_auth_checks_total"]
    assert [name for name, lines in fragment.items() if b'agent="*"' in lines] == [
        "openclaw_auth_checks_total",
        "openclaw_auth_check_failures_total",
    ]


def test_the_exporter_speaks_of_itself() -> None:
    series = series_of(exposition(healthy()).body()[0].decode())
    mine = {name: value for (name, _), value in series.items() if name.startswith("openclaw_auth_exporter")}
    assert mine == {
        "openclaw_auth_exporter_build_info": 1,
        "openclaw_auth_exporter_config_last_reload_successful": 1,
        "openclaw_auth_exporter_config_last_reload_success_timestamp_seconds": NOW - DAY,
        "openclaw_auth_exporter_event_loop_lag_seconds": 0.002,
    }
    assert series_of(one_shot(Report(NOW), ExporterState("1")).decode()).keys() != {}
    assert len(series_of(one_shot(Report(NOW), ExporterState("1")).decode())) == 1


def test_no_secret_is_shown() -> None:
    for example in EXAMPLES.values():
        assert SECRET.encode() not in exposition(example()).body()[0]


# --- labels ------------------------------------------------------------------------------------


def test_long_and_odd_labels() -> None:
    assert render.label_value("x" * 128) == "x" * 128
    # sha256 of 129 and of 130 times x
    assert render.label_value("x" * 129) == "x" * 119 + "-0ec9eb33"
    assert render.label_value("x" * 130) == "x" * 119 + "-3afbb132"
    assert render.label_value('quote " slash \\ line \n ö') == 'quote " slash \\ line \n ö'
    for odd in ("\x00", "\r", "\x1b[31m", "\x85", "\ud800"):
        assert re.fullmatch("[^\x00-\x1f\x7f-\x9f]*\ufffd.*-[0-9a-f]{8}", render.label_value(odd), re.S)
    assert render.label_value("\x00") != render.label_value("\x01")


def test_profiles_that_share_an_alias_are_told_apart() -> None:
    one = agent(profile("a:1", label="work", provider="a"), profile("a:2", label="work", provider="a"))
    other = agent(*reversed(one.profiles))
    labels = render.profile_labels(one)
    assert labels == (("a", "work-2b2c40a6"), ("a", "work-d860d141"))
    assert render.profile_labels(other) == tuple(reversed(labels))
    assert len(shown(report(one), "profile_expiry_timestamp_seconds")) == 2


def test_the_same_alias_for_two_providers_stays() -> None:
    one = agent(profile("a:1", label="work"), profile("b:1", label="work"))
    assert render.profile_labels(one) == (("a", "work"), ("b", "work"))


def test_even_the_same_id_twice_is_two() -> None:
    twice = agent(profile("a:1"), profile("a:1"), profile("a:1-2b2c40a6"))  # what the first would be called
    assert len(set(render.profile_labels(twice))) == 3


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_left_out(bad: float) -> None:
    one = report(agent(profile(expires_at=bad), profile("b:1"), duration=bad))
    assert list(shown(one, "profile_expiry_timestamp_seconds")) == [("b", "b:1")]
    assert shown(one, "check_duration_seconds") == {}
    assert shown(one, "check_success") == {(): 1}


def test_an_integer_beyond_any_float_is_left_out() -> None:
    assert shown(report(agent(profile(error_count=10**400))), "profile_errors") == {}


# --- the exposition ----------------------------------------------------------------------------


class Collected(Collector):
    """The families of a report, built with prometheus_client alone."""

    def __init__(self, one: Report) -> None:
        self.families: list[Metric] = []
        for family in render.CHECK_METRICS:
            built = family.empty()
            for target in sorted(one.targets, key=lambda target: target.target):
                for entry in target.entries:
                    counted = counters(one)[target.target][entry.agent]
                    profiles = tuple(zip(render.profile_labels(entry), entry.profiles, strict=True))
                    for labels, value in family.rows(render.CheckedAgent(entry, profiles, counted)):
                        if value is not None:
                            built.add_metric([target.target, entry.agent, *labels], value)  # type: ignore[attr-defined]  # each kind has one
            if built.samples:
                self.families.append(built)

    def collect(self) -> list[Metric]:
        return self.families


@pytest.mark.parametrize("example", EXAMPLES)
def test_it_is_what_prometheus_client_writes(example: str) -> None:
    one = EXAMPLES[example]()
    registry = CollectorRegistry()
    registry.register(Collected(one))
    ours = exposition(one, state=None)
    assert ours.body()[0] == generate_latest(registry)
    assert ours.body(PROMETHEUS)[0] == openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]  # not typed


@pytest.mark.parametrize("accept", ["", PROMETHEUS])
@pytest.mark.parametrize("example", EXAMPLES)
def test_gzip_is_the_same_body_in_one_member(example: str, accept: str) -> None:
    one = exposition(EXAMPLES[example]())
    plain, zipped = one.body(accept, ""), one.body(accept, "gzip, deflate")
    assert (plain[2], zipped[2]) == (None, "gzip")
    assert plain[1] == zipped[1]
    assert gzip.decompress(zipped[0]) == plain[0]
    assert one.body(accept, "gzip") == zipped  # and again: nothing is used up


def test_families_are_grouped_and_targets_sorted() -> None:
    shown = Exposition()
    for name in ("b", "a"):
        shown.put(name, {"openclaw_auth_exit_code": f'openclaw_auth_exit_code{{target="{name}"}} 0.0\n'.encode()})
    shown.compose()
    assert [line.split(" ")[0] for line in shown.body()[0].decode().splitlines()] == [
        "#", "#", 'openclaw_auth_exit_code{target="a"}', 'openclaw_auth_exit_code{target="b"}',
    ]  # fmt: skip


def test_a_scrape_shows_what_was_composed() -> None:
    shown = Exposition()
    assert shown.body() == (b"", render.TEXT, None)
    assert shown.body(PROMETHEUS)[0] == b"# EOF\n"
    shown.put("home", render_target(healthy().targets[0], None))
    assert shown.stale
    assert shown.body()[0] == b""
    shown.compose()
    assert not shown.stale
    assert b'target="home"' in shown.body()[0]
    shown.remove("home")
    assert shown.stale
    shown.compose()
    assert shown.body()[0] == b""
    shown.remove("home")
    assert not shown.stale


def test_what_is_gone_is_gone_at_the_next_look() -> None:
    shown = exposition(report(agent(profile("a:1"), profile("a:2"))))
    assert b"a:2" in shown.body()[0]
    shown.put("home", render_target(report(agent(profile("a:1"))).targets[0], None))
    shown.compose()
    assert b"a:1" in shown.body()[0]
    assert b"a:2" not in shown.body()[0]


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
def test_the_format_is_chosen_as_prometheus_client_does(accept: str) -> None:
    theirs = choose_encoder(accept)[1].split(";")[0]
    # Without a version the library writes OpenMetrics under its type; so do we.
    assert render.choose_format(accept).split(";")[0] == theirs


@given(st.text(), st.text())
def test_any_header_gets_an_answer(accept: str, encoding: str) -> None:
    assert render.choose_format(accept) in (render.TEXT, render.OPENMETRICS)
    assert render.choose_format(f"application/openmetrics-text;version={accept}") in (
        render.TEXT,
        render.OPENMETRICS,
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
def test_gzip_only_where_it_is_accepted(header: str, accepted: bool) -> None:
    assert render.accepts_gzip(header) is accepted


# --- any report --------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(reports)
def test_any_report_parses_without_a_series_twice(one: Report) -> None:
    shown = exposition(one)
    series = series_of(shown.body()[0].decode())
    om = shown.body(PROMETHEUS, "gzip")[0]
    parsed = parse_openmetrics(gzip.decompress(om).decode())  # type: ignore[no-untyped-call]  # not typed
    samples = [sample for family in parsed for sample in family.samples]
    assert {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples} == series
    assert all(len(value) <= 128 for _, labels in series for _, value in labels)
    found = Counter(dict(labels)["target"] for name, labels in series if name.endswith("profile_info"))
    wanted = Counter(
        {
            render.label_value(target.target): sum(len(agent.profiles) for agent in target.entries)
            for target in one.targets
            if len({render.label_value(agent.agent) for agent in target.entries}) == len(target.entries)
        }
    )
    assert all(found[target] == count for target, count in wanted.items())  # none merged


# --- the reference and the lint ----------------------------------------------------------------


def test_the_reference_has_every_metric_and_no_other() -> None:
    rows = re.findall(r"^\| `(openclaw_auth_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", DOCS.read_text(), re.M)
    documented = [(name, type, tuple(re.findall(r"`(\w+)`", labels)), help) for name, type, labels, help in rows]
    assert documented == [(family.name, family.type, family.labels, family.help) for family in render.METRICS]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("example", EXAMPLES)
def test_promtool_has_nothing_to_say(example: str) -> None:
    body = exposition(EXAMPLES[example]()).body()[0]
    done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_failure_is_a_fact_of_its_own() -> None:
    """A failed look with no good one before still has all its series."""
    one = report(
        agent(checked_at=None, failure=Failure(FailureReason.TIMEOUT, "…", NOW), exit_code=1, providers_usable={})
    )
    assert shown(one, "check_success") == {(): 0}
    assert shown(one, "check_last_success_timestamp_seconds") == {}
