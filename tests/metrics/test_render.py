"""Report → exposition: the right series with the right labels, whatever the report holds."""

from __future__ import annotations

import gzip
import re
from collections import Counter

import pytest
from expositions import PROMETHEUS, STATE, exposition, series_of, values_of
from hypothesis import HealthCheck, given, settings
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from reports import DAY, EXAMPLES, HOUR, NOW, SECRET, agent, compare_golden, healthy, profile, report, reports

from exporter.alerts.delivery.statistics import ChannelStatistics
from exporter.metrics.definitions import ExporterState
from exporter.metrics.labels import label_value, profile_labels
from exporter.metrics.render import one_shot, render_target
from exporter.model import (
    AgentCounters,
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

# --- what is shown -----------------------------------------------------------------------------


@pytest.mark.golden
@pytest.mark.parametrize("example", EXAMPLES)
def test_golden(example: str) -> None:
    compare_golden(f"{example}.prom", exposition(EXAMPLES[example](), state=None).body()[0].decode())


@pytest.mark.golden
@pytest.mark.parametrize("example", EXAMPLES)
def test_golden_openmetrics(example: str) -> None:
    body, content_type, encoding = exposition(EXAMPLES[example](), state=None).body(PROMETHEUS)
    assert (content_type, encoding) == ("application/openmetrics-text; version=1.0.0; charset=utf-8", None)
    compare_golden(f"{example}.om", body.decode())


def test_deadline_is_absolute_and_exact() -> None:
    deadline = 1795341600.0 + 12345
    body = one_shot(report(agent(profile(expires_at=deadline)))).decode()
    line = re.search(r"^openclaw_auth_profile_expiry_timestamp_seconds\{.*\} (.*)$", body, re.M)
    assert line is not None
    assert float(line[1]) == 1795353945


def test_unseen_fact_has_no_series() -> None:
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
    known = {f"openclaw_auth_{name}" for name in ("profile_status", "profile_info", "exit_code")}
    assert names == known, "an unknown fact must have no series; add a metric here only if its fact is always known"
    assert values_of(report(bare), "profile_info") == {
        ("anthropic", "anthropic:default", "token", "none", "unknown"): 1
    }


def test_only_the_current_status_has_a_series() -> None:
    for status in Status:
        found = values_of(report(agent(profile(status=status))), "profile_status")
        assert {labels[2]: value for labels, value in found.items()} == {status.value: 1.0}


def test_ignored_profile_has_info_but_no_verdict() -> None:
    """What alert rules read of a profile is absent; that it is there, and is used, is not."""
    cooldown = Unusable("cooldown", "auth", NOW + HOUR)
    subject = report(agent(profile(ignored=True, unusable=cooldown, error_count=3, last_used_at=NOW - HOUR)))
    names = {
        name.removeprefix("openclaw_auth_profile_") for name, _ in series_of(exposition(subject).body()[0].decode())
    }
    assert {name for name in names if not name.startswith("openclaw")} == {
        "info",
        "selected",
        "last_used_timestamp_seconds",
        "errors",
    }


def test_unusable_profile_is_1_and_an_unseen_one_absent() -> None:
    down = profile(unusable=Unusable("cooldown", None, NOW + HOUR))
    forever = profile("openai:a", unusable=Unusable("disabled", "auth", None))
    fine = profile("google:a")
    unseen = profile("mistral:a", unusable_seen=False)
    subject = report(agent(down, forever, fine, unseen, unusable_counts={"anthropic": 1, "google": 0}))
    assert values_of(subject, "profile_unusable") == {
        ("anthropic", "anthropic:default"): 1,
        ("openai", "openai:a"): 1,
        ("google", "google:a"): 0,
    }
    assert values_of(subject, "profile_unusable_until_timestamp_seconds") == {
        ("anthropic", "anthropic:default", "cooldown", "unknown"): NOW + HOUR
    }
    assert values_of(subject, "unusable_profiles") == {("anthropic",): 1, ("google",): 0}


def test_facts_of_a_profile_have_series() -> None:
    subject = report(
        agent(
            profile(selected=False, last_used_at=NOW - 5, error_count=3, basis=Basis.LEDGER),
            profile("openai:a", kind="oauth", selected=True, refreshable=True, error_count=0, basis=None),
        )
    )
    assert values_of(subject, "profile_selected") == {("anthropic", "anthropic:default"): 0, ("openai", "openai:a"): 1}
    assert values_of(subject, "profile_last_used_timestamp_seconds") == {("anthropic", "anthropic:default"): NOW - 5}
    assert values_of(subject, "profile_errors") == {("anthropic", "anthropic:default"): 3, ("openai", "openai:a"): 0}
    assert set(values_of(subject, "profile_info")) == {
        ("anthropic", "anthropic:default", "token", "ledger", "false"),
        ("openai", "openai:a", "oauth", "none", "true"),
    }


def test_active_conditions_are_counted() -> None:
    two = [Condition(ConditionName.EXPIRED, Severity.WARNING, "p", id) for id in "ab"]
    subject = report(agent(conditions=(*two, Condition(ConditionName.CLOCK, Severity.WARNING))))
    assert values_of(subject, "conditions") == {("clock", "warning"): 1, ("expired", "warning"): 2}
    assert values_of(healthy(), "conditions") == {}


def test_usage_windows_have_series() -> None:
    subject = report(agent(usage=(UsageWindow("p", "5h", 0.5, NOW + HOUR), UsageWindow("p", "week", 0.25))))
    assert values_of(subject, "usage_used_ratio") == {("p", "5h"): 0.5, ("p", "week"): 0.25}
    assert values_of(subject, "usage_resets_timestamp_seconds") == {("p", "5h"): NOW + HOUR}


def test_failed_check_keeps_known_facts() -> None:
    failed = EXAMPLES["failed"]()
    assert values_of(failed, "check_success") == {(): 0}
    assert values_of(failed, "check_last_success_timestamp_seconds") == {(): NOW - 2 * HOUR}
    assert values_of(failed, "profile_expiry_timestamp_seconds") == {("anthropic", "anthropic:default"): NOW + 30 * DAY}
    assert values_of(failed, "exit_code") == {(): 1}
    assert values_of(healthy(), "check_success") == {(): 1}


def test_agents_that_could_not_be_listed_are_one_star() -> None:
    body = exposition(EXAMPLES["not_listed"]()).body()[0].decode()
    assert 'openclaw_auth_check_success{agent="*",target="home"} 0.0\n' in body
    assert 'openclaw_auth_exit_code{agent="*",target="home"} 1.0\n' in body
    assert (
        'openclaw_auth_conditions{agent="*",condition="check_failed",severity="critical",target="home"} 1.0\n' in body
    )


def test_counters_start_at_0_and_one_shots_omit_them() -> None:
    assert values_of(healthy(), "checks_total") == {(): 7}
    failures = values_of(healthy(), "check_failures_total")
    assert {reason for (reason,) in failures} == {reason.value for reason in FailureReason}
    assert {labels: value for labels, value in failures.items() if value} == {("timeout",): 2}
    assert values_of(healthy(), "provider_unusable_seconds_total") == {("anthropic",): 12.5}
    fragment = render_target(healthy().targets[0], {})
    assert b'openclaw_auth_checks_total{agent="main",target="home"} 0.0\n' in fragment["openclaw_auth_checks_total"]
    assert fragment["openclaw_auth_check_failures_total"].count(b" 0.0\n") == len(FailureReason)
    assert b"_total" not in one_shot(healthy(), STATE)


def test_agent_without_a_report_keeps_its_counters() -> None:
    """The agents can be listed again: the counters of the time before stay."""
    fragment = render_target(healthy().targets[0], {"*": AgentCounters(3, {FailureReason.CONNECTION: 3})})
    assert b'openclaw_auth_checks_total{agent="*",target="home"} 3.0\n' in fragment["openclaw_auth_checks_total"]
    assert [name for name, lines in fragment.items() if b'agent="*"' in lines] == [
        "openclaw_auth_checks_total",
        "openclaw_auth_check_failures_total",
    ]


def test_failure_reasons_with_0_stand_once_per_target() -> None:
    """At ``*``, which is known before the agents are and is never removed; the agents show what failed."""
    subject = report(agent(profile()), agent(profile())._replace(agent="work"))
    counted = {"main": AgentCounters(5, {FailureReason.TIMEOUT: 2}), "work": AgentCounters(5), "*": AgentCounters()}
    lines = render_target(subject.targets[0], counted)["openclaw_auth_check_failures_total"].decode().splitlines()
    assert sum('agent="*"' in line and line.endswith(" 0.0") for line in lines) == len(FailureReason)
    assert [line for line in lines if 'agent="*"' not in line] == [
        'openclaw_auth_check_failures_total{agent="main",reason="timeout",target="home"} 2.0'
    ]


def test_profile_has_few_series() -> None:
    """A further profile costs seven series, and none of them is an enumeration's value that does not hold."""
    few, many = (report(agent(*(profile(id=f"a:{i}") for i in range(n)))) for n in (1, 11))
    lines = [sum(text.count(b"\n") for text in render_target(r.targets[0], {}).values()) for r in (few, many)]
    assert (lines[1] - lines[0]) / 10 <= 7


def test_exporter_has_metrics_about_itself() -> None:
    series = series_of(exposition(healthy()).body()[0].decode())
    mine = {name: value for (name, _), value in series.items() if name.startswith("openclaw_auth_exporter")}
    assert mine == {
        "openclaw_auth_exporter_build_info": 1,
        "openclaw_auth_exporter_config_last_reload_successful": 1,
        "openclaw_auth_exporter_config_last_reload_success_timestamp_seconds": NOW - DAY,
        "openclaw_auth_exporter_event_loop_lag_seconds": 0.002,
        "openclaw_auth_exporter_event_loop_lag_max_seconds": 0.031,
    }
    assert series_of(one_shot(Report(NOW), ExporterState("1")).decode()).keys() != {}
    assert len(series_of(one_shot(Report(NOW), ExporterState("1")).decode())) == 1


def test_channels_have_metrics() -> None:
    phone = ChannelStatistics(7, {"timeout": 2}, 1, 3, NOW - HOUR, NOW - 60, NOW - DAY)
    state = ExporterState("1", channels={"phone": phone, "new": ChannelStatistics()}, silences=2)
    series = series_of(one_shot(Report(NOW), state).decode())

    def of(name: str, **labels: str) -> float | None:
        return series.get((f"openclaw_auth_{name}", tuple(sorted(labels.items()))))

    assert of("notifications_total", channel="phone") == 7
    assert of("notifications_failed_total", channel="phone", reason="timeout") == 2
    assert of("notifications_failed_total", channel="new", reason="timeout") == 0
    assert of("notifications_dead_total", channel="phone") == 1
    assert of("notifications_pending", channel="phone") == 3
    assert of("notification_oldest_timestamp_seconds", channel="phone") == NOW - HOUR
    assert of("notification_oldest_timestamp_seconds", channel="new") is None
    assert of("notification_last_success_timestamp_seconds", channel="phone") == NOW - 60
    assert of("channel_last_proven_timestamp_seconds", channel="phone") == NOW - DAY
    assert of("silences") == 2


def test_restarts_of_tasks_are_counted() -> None:
    state = ExporterState("1", task_restarts={"pulse": 2, "channel phone": 0})
    text = one_shot(Report(NOW), state).decode()
    assert 'openclaw_auth_exporter_task_restarts_total{task="channel phone"} 0.0' in text
    assert 'openclaw_auth_exporter_task_restarts_total{task="pulse"} 2.0' in text


def test_exposition_contains_no_secret() -> None:
    for example in EXAMPLES.values():
        assert SECRET.encode() not in exposition(example()).body()[0]


# --- labels ------------------------------------------------------------------------------------


def test_long_or_unsafe_label_ends_in_a_hash() -> None:
    assert label_value("x" * 128) == "x" * 128
    # sha256 of 129 and of 130 times x
    assert label_value("x" * 129) == "x" * 119 + "-0ec9eb33"
    assert label_value("x" * 130) == "x" * 119 + "-3afbb132"
    assert label_value('quote " slash \\ line \n ö') == 'quote " slash \\ line \n ö'
    for odd in ("\x00", "\r", "\x1b[31m", "\x85", "\ud800"):
        assert re.fullmatch("[^\x00-\x1f\x7f-\x9f]*\ufffd.*-[0-9a-f]{8}", label_value(odd), re.S)
    assert label_value("\x00") != label_value("\x01")


def test_profiles_with_the_same_alias_have_different_labels() -> None:
    subject = agent(profile("a:1", label="work", provider="a"), profile("a:2", label="work", provider="a"))
    other = agent(*reversed(subject.profiles))
    labels = profile_labels(subject)
    assert labels == (("a", "work-2b2c40a6"), ("a", "work-d860d141"))
    assert profile_labels(other) == tuple(reversed(labels))
    assert len(values_of(report(subject), "profile_expiry_timestamp_seconds")) == 2


def test_same_alias_for_two_providers_is_unchanged() -> None:
    subject = agent(profile("a:1", label="work"), profile("b:1", label="work"))
    assert profile_labels(subject) == (("a", "work"), ("b", "work"))


def test_same_id_twice_gives_two_labels() -> None:
    twice = agent(profile("a:1"), profile("a:1"), profile("a:1-2b2c40a6"))  # what the first would be called
    assert len(set(profile_labels(twice))) == 3


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_value_that_is_not_finite_has_no_series(bad: float) -> None:
    subject = report(agent(profile(expires_at=bad), profile("b:1"), duration=bad))
    assert list(values_of(subject, "profile_expiry_timestamp_seconds")) == [("b", "b:1")]
    assert values_of(subject, "check_duration_seconds") == {}
    assert values_of(subject, "check_success") == {(): 1}


def test_integer_too_large_for_a_float_has_no_series() -> None:
    assert values_of(report(agent(profile(error_count=10**400))), "profile_errors") == {}


# --- any report --------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(reports)
def test_any_report_parses_without_duplicate_series(subject: Report) -> None:
    metrics = exposition(subject)
    series = series_of(metrics.body()[0].decode())
    om = metrics.body(PROMETHEUS, "gzip")[0]
    parsed = parse_openmetrics(gzip.decompress(om).decode())  # type: ignore[no-untyped-call]  # not typed
    samples = [sample for metric in parsed for sample in metric.samples]
    assert {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples} == series
    assert all(len(value) <= 128 for _, labels in series for _, value in labels)
    found = Counter(dict(labels)["target"] for name, labels in series if name.endswith("profile_info"))
    wanted = Counter(
        {
            label_value(target.target): sum(len(agent.profiles) for agent in target.entries)
            for target in subject.targets
            if len({label_value(agent.agent) for agent in target.entries}) == len(target.entries)
        }
    )
    assert all(found[target] == count for target, count in wanted.items())  # none merged


def test_failed_first_check_has_its_series() -> None:
    """A failed check without an earlier successful one."""
    subject = report(
        agent(checked_at=None, failure=Failure(FailureReason.TIMEOUT, "…", NOW), exit_code=1, providers_usable={})
    )
    assert values_of(subject, "check_success") == {(): 0}
    assert values_of(subject, "check_last_success_timestamp_seconds") == {}
