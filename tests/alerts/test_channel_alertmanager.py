"""Alertmanager: the state as JSON, when alerts end, and that one failing instance affects no other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.alerts.channels import ChannelContext, PermanentError, TemporaryError
from exporter.alerts.channels.alertmanager import (
    BATCH_SIZE,
    ENDS_AFTER,
    REPEAT_ENDED_FOR,
    AlertmanagerSender,
    Labels,
    Publication,
    PublishedAlert,
    build,
    labels,
    next_publication,
    postable,
)
from exporter.alerts.message import text
from exporter.alerts.values import Alert, NotificationReason
from exporter.config import ConfigError
from exporter.config.channels.alertmanager import AlertmanagerChannel
from exporter.lib.durations import iso
from exporter.model import RUNBOOK, ConditionName, Severity

from .messages import NOW, alert, ended, other

MINUTE = 60.0
KEY = "0" * 32


def published(about: Alert, ended_at: float | None = None, starts_at: float = NOW) -> PublishedAlert:
    return PublishedAlert(labels(about), about, starts_at, ended_at)


def test_firing_alert_is_postable() -> None:
    about = alert(exporter="rack7", key=KEY, is_assumed=True)
    assert postable(published(about, starts_at=NOW - 60), NOW, "https://status.test/") == {
        "labels": {
            "alertname": "OpenClawAuthDeadline",
            "exporter": "rack7",
            "fingerprint": KEY,
            "profile": "anthropic:default",
            "provider": "anthropic",
            "severity": "critical",
            "target": "home",
        },
        "annotations": {
            "summary": "anthropic:default on home has expired",
            "description": "anthropic:default on home has expired.\nAgents: main.\nExporter: rack7.\n"
            f"Since: {iso(NOW - 3600)}.\nDeadline: {iso(NOW - 3600)} at the latest.\nDo:\n  claude setup-token\n"
            "  openclaw models auth paste-token --provider anthropic",
            "condition": "expired",
            "agents": "main",
            "runbook_url": "https://github.com/openclaw-auth-exporter/openclaw-auth-exporter/blob/main/docs/"
            "runbook.md#openclawauthexpired",
        },
        "startsAt": iso(NOW - 60),
        "endsAt": iso(NOW + ENDS_AFTER),
        "generatorURL": "https://status.test/",
    }


def test_ended_alert_has_its_end() -> None:
    found = postable(published(alert(), NOW - 30, NOW - 3600), NOW)
    assert (found["startsAt"], found["endsAt"]) == (iso(NOW - 3600), iso(NOW - 30))
    assert "generatorURL" not in found


def test_alert_starts_when_it_was_first_published() -> None:
    """Not when it began: Alertmanager would send its group at once, with this alert alone."""
    first = next_publication(Publication(), [alert(since=NOW - 3600)], [], NOW)
    again = next_publication(first, [alert(since=NOW - 3600)], [], NOW + MINUTE)
    assert [postable(one, NOW + MINUTE)["startsAt"] for one in again.at(NOW + MINUTE)] == [iso(NOW)]


def test_end_says_what_ended_it_and_until_when_it_works() -> None:
    over = ended(NotificationReason.RENEWED, deadline=NOW + 86400, summary="")
    over = replace(over, summary=text.sentence(over, NOW))
    first = next_publication(Publication(), [alert()], [], NOW)
    (one,) = next_publication(first, [], [over], NOW + 1).at(NOW + 1)
    assert postable(one, NOW + 1)["annotations"] == {
        "summary": f"anthropic:default on home/main was renewed and works until {iso(NOW + 86400)}; "
        "it was expired for 1 h",
        "description": f"anthropic:default on home/main was renewed and works until {iso(NOW + 86400)}; "
        "it was expired for 1 h.\nAgents: main.",
        "condition": "expired",
        "agents": "main",
        "runbook_url": f"{RUNBOOK}#openclawauthexpired",
    }


def test_end_without_a_known_cause_claims_nothing() -> None:
    first = next_publication(Publication(), [alert()], [], NOW)
    (one,) = next_publication(first, [], [], NOW + 1).at(NOW + 1)
    assert postable(one, NOW + 1)["annotations"]["summary"] == "anthropic:default on home: this alert is over"


@pytest.mark.parametrize(
    ("starts_at", "ended_at", "starts"), [(NOW + 99, None, NOW), (NOW, NOW - 30, NOW - 30), (-5, None, 0)]
)
def test_alert_never_starts_after_its_end(starts_at: float, ended_at: float | None, starts: float) -> None:
    assert postable(published(alert(), ended_at, starts_at), NOW)["startsAt"] == iso(starts)


@pytest.mark.parametrize(
    ("about", "name"),
    [
        (alert(condition=ConditionName.EXPIRING), "OpenClawAuthDeadline"),
        (alert(condition=ConditionName.NO_USABLE_PROFILE), "OpenClawAuthAvailability"),
        (alert(condition=ConditionName.CHECK_FAILED), "OpenClawAuthWatch"),
        (alert(condition=ConditionName.STATUS_DISAGREES), "OpenClawAuthStatusDisagrees"),
        (alert(condition=ConditionName.REPORTED, reason=NotificationReason.TEST), "OpenClawAuthTest"),
    ],
)
def test_alertnames(about: Alert, name: str) -> None:
    assert dict(labels(about))["alertname"] == name


def test_every_condition_has_a_section_in_the_runbook() -> None:
    runbook = (Path(__file__).parents[2] / "docs/runbook.md").read_text()
    sections = {line.lstrip("# ").lower() for line in runbook.splitlines() if line.startswith("### ")}
    urls = [postable(published(alert(condition=name)), NOW)["annotations"]["runbook_url"] for name in ConditionName]
    assert {url.partition("#")[2] for url in urls} <= sections


def test_only_the_severity_and_the_subject_change_the_labels() -> None:
    """Every other change in an alert's life leaves its labels as they are."""
    published = alert(key=KEY)
    for change in (
        {"condition": ConditionName.EXPIRING},
        {"reason": NotificationReason.REPEAT},
        {"fingerprint": "f" * 32},
        {"agents": ("main", "work")},
        {"since": None},
        {"deadline": NOW},
        {"summary": "other words", "remedy": ()},
        {"ended_at": NOW},
    ):
        assert labels(replace(published, **change)) == labels(published)
    assert labels(replace(published, severity=Severity.WARNING)) != labels(published)
    assert labels(replace(published, target="other")) != labels(published)
    assert labels(replace(published, exporter="other")) != labels(published)


def test_empty_label_is_left_out_and_surrogate_replaced() -> None:
    found = dict(labels(alert(provider=None, profile="half \ud800")))
    assert "provider" not in found
    assert found["profile"] == "half ?"


def story(*chapters: tuple[float, list[Alert], list[Alert]]) -> list[dict[str, float | None]]:
    """For each publication the severity and profile of each label set, and when it ended."""
    last, found = Publication(), []
    for at, firing, resolved in chapters:
        last = next_publication(last, firing, resolved, at)
        published = last.at(at)
        shown = [(dict(one.labels), one.ended_at) for one in published]
        found.append({f"{of['severity']} {of['profile']}": when for of, when in shown})
        assert len(found[-1]) == len(published)
    return found


def test_every_publication_has_the_whole_state() -> None:
    both = [other(1), other(2)]
    fires = {"critical anthropic:1": None, "critical anthropic:2": None}
    assert story((NOW, both, []), (NOW + MINUTE, both, [])) == [fires, fires]


def test_ended_alert_is_repeated_for_a_while() -> None:
    over = ended()
    published = {"critical anthropic:default": NOW}
    assert story(
        (NOW - MINUTE, [alert()], []),
        (NOW + 5, [], [over]),
        (NOW + MINUTE, [], []),
        (NOW + 5 + REPEAT_ENDED_FOR - 1, [], []),
        (NOW + 5 + REPEAT_ENDED_FOR, [], []),
    ) == [{"critical anthropic:default": None}, published, published, published, {}]


def test_alert_that_no_longer_fires_has_ended_now() -> None:
    assert story((NOW - MINUTE, [alert()], []), (NOW, [], [])) == [
        {"critical anthropic:default": None},
        {"critical anthropic:default": NOW},
    ]


def test_alert_that_ended_during_downtime_is_published_for_a_while() -> None:
    assert story((NOW + MINUTE, [], [ended()])) == [{"critical anthropic:default": NOW}]
    assert story((NOW + REPEAT_ENDED_FOR, [], [ended()])) == [{}]


def test_changed_severity_ends_the_old_label_set() -> None:
    """After the new one, which inhibits its end in the configuration that we ship."""
    soon = alert(condition=ConditionName.EXPIRING, severity=Severity.WARNING)
    assert story((NOW, [soon], []), (NOW + MINUTE, [alert()], []), (NOW + 2 * MINUTE, [soon], [])) == [
        {"warning anthropic:default": None},
        {"critical anthropic:default": None, "warning anthropic:default": NOW + MINUTE},
        {"warning anthropic:default": None, "critical anthropic:default": NOW + 2 * MINUTE},
    ]


def test_alert_that_nothing_works_comes_before_those_that_it_inhibits() -> None:
    """So that they are in no request before it: an Alertmanager that was started again would notify of them."""
    nothing = alert(condition=ConditionName.NO_USABLE_PROFILE, profile="", key="f" * 32)
    fires = next_publication(Publication(), [alert(), nothing], [], NOW)
    assert [one.alert for one in fires.at(NOW)] == [nothing, alert()]
    over = next_publication(fires, [], [], NOW + MINUTE)
    assert ["profile" in dict(one.labels) for one in over.at(NOW + MINUTE)] == [False, True]


def test_end_of_a_superseded_label_set_says_that_it_is_not_over() -> None:
    soon = alert(condition=ConditionName.EXPIRING, severity=Severity.WARNING)
    last = next_publication(next_publication(Publication(), [soon], [], NOW), [alert()], [], NOW + 1)
    new, old = last.at(NOW + 1)
    assert (new.ended_at, old.ended_at) == (None, NOW + 1)
    assert old.alert.summary == "This is not over, but critical now: anthropic:default on home has expired"


def test_earlier_label_sets_end_with_the_alert() -> None:
    """A receiver that was notified of the warning alone learns of the end, hours after the severity changed."""
    soon = alert(condition=ConditionName.EXPIRING, severity=Severity.WARNING)
    later = NOW + 10 * REPEAT_ENDED_FOR
    over = replace(ended(NotificationReason.RENEWED), ended_at=later)
    found = story((NOW, [soon], []), (NOW + 1, [alert()], []), (later - 1, [alert()], []), (later, [], [over]))
    assert found[-2:] == [
        {"critical anthropic:default": None},
        {"critical anthropic:default": later, "warning anthropic:default": later},
    ]


def test_alert_that_fires_again_has_not_ended() -> None:
    assert story((NOW, [alert()], []), (NOW + 1, [], []), (NOW + 2, [alert()], [ended()])) == [
        {"critical anthropic:default": None},
        {"critical anthropic:default": NOW + 1},
        {"critical anthropic:default": None},
    ]


def test_clock_set_back_lets_no_ended_alert_fire() -> None:
    found = story((NOW, [alert()], []), (NOW + 1, [], []), (NOW - 3600, [], []))
    assert found[-1] == {"critical anthropic:default": NOW - 3600}


@given(
    st.lists(
        st.tuples(
            st.integers(-100, 1000), st.sets(st.tuples(st.integers(0, 3), st.sampled_from(list(Severity))), max_size=4)
        ),
        max_size=12,
    )
)
def test_every_history_fires_and_ends_each_label_set_once(history: list[tuple[int, set[tuple[int, Severity]]]]) -> None:
    """Firing alerts are published once; those that no longer fire have an end that is not in the future."""
    last, now = Publication(), NOW
    before: set[Labels] = set()
    for seconds, firing in history:
        now += seconds
        alerts = [other(number, severity=severity) for number, severity in firing]
        last = next_publication(last, alerts, [], now)
        published = [(one.labels, one.ended_at) for one in last.at(now)]
        keys = [key for key, _ in published]
        assert len(keys) == len(set(keys))
        fires = {key for key, at in published if at is None}
        assert fires == set(map(labels, alerts))
        assert all(at is None or at <= now for _, at in published)
        assert before - fires <= {key for key, at in published if at is not None}
        before = fires


# --- the instances -----------------------------------------------------------------------------


class Instances:
    """Several Alertmanagers behind one transport; those named in ``broken`` answer with that status."""

    def __init__(self, **broken: int) -> None:
        self.broken = broken
        self.received: dict[str, list[list[dict[str, Any]]]] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        assert (request.method, request.url.path) == ("POST", "/api/v2/alerts")
        self.received.setdefault(host, []).append(json.loads(request.content))
        return httpx.Response(self.broken.get(host, 200))


def channel(instances: Instances, *hosts: str, **keys: Any) -> AlertmanagerSender:
    urls = [f"http://{host}:9093/" for host in hosts]
    config = AlertmanagerChannel(name="am", type="alertmanager", urls=urls, **keys)
    return build(config, ChannelContext(transport=httpx.MockTransport(instances), clock=lambda: NOW))


async def test_failing_instance_keeps_no_other_from_the_state() -> None:
    instances = Instances(two=503, three=400)
    result = await channel(instances, "one", "two", "three", "four").publish([alert()], [], NOW)
    assert [type(error) for error in result] == [type(None), TemporaryError, PermanentError, type(None)]
    assert instances.received == {
        host: [[postable(published(alert()), NOW)]] for host in ("one", "two", "three", "four")
    }


async def test_instance_that_was_down_is_sent_the_end() -> None:
    instances = Instances(one=503)
    am = channel(instances, "one")
    await am.publish([alert()], [], NOW)
    await am.publish([], [ended()], NOW + 1)
    instances.broken = {}
    await am.publish([], [], NOW + MINUTE)
    assert instances.received["one"][-1] == [postable(published(ended(), NOW), NOW + MINUTE)]


async def test_nothing_to_publish_is_no_request() -> None:
    instances = Instances()
    assert await channel(instances, "one").publish([], [], NOW) == []
    assert instances.received == {}


async def test_timer_makes_alerts_last_longer() -> None:
    instances = Instances()
    await channel(instances, "one").publish([alert()], [], NOW, ends_after=3600)
    assert instances.received["one"][0][0]["endsAt"] == iso(NOW + 3600)


async def test_ten_thousand_alerts_are_sent_in_batches() -> None:
    instances = Instances()
    await channel(instances, "one").publish([other(number) for number in range(10_000)], [], NOW)
    sizes = [len(batch) for batch in instances.received["one"]]
    assert sizes == [BATCH_SIZE] * (10_000 // BATCH_SIZE)
    assert len({one["labels"]["profile"] for batch in instances.received["one"] for one in batch}) == 10_000


async def test_test_alert_leaves_firing_alerts_alone() -> None:
    instances = Instances()
    am = channel(instances, "one")
    await am.publish([alert()], [], NOW)
    await am.test(alert(reason=NotificationReason.TEST, fingerprint="f" * 32), NOW)
    await am.publish([alert()], [], NOW + MINUTE)
    names = [[one["labels"]["alertname"] for one in batch] for batch in instances.received["one"]]
    assert names == [["OpenClawAuthDeadline"], ["OpenClawAuthTest"], ["OpenClawAuthDeadline"]]


def test_invalid_address_is_a_configuration_error() -> None:
    config = AlertmanagerChannel(name="am", type="alertmanager", urls=["http://one:9093", "two:9093"])
    with pytest.raises(ConfigError, match="number 2 is not an address"):
        build(config, ChannelContext())


async def test_alert_that_falls_below_min_severity_ends() -> None:
    instances = Instances()
    am = channel(instances, "one", min_severity="warning")
    soon = alert(condition=ConditionName.EXPIRING, severity=Severity.WARNING)
    note = other(2, severity=Severity.INFO)
    assert await am.publish([soon, note], [], NOW) == [None]
    assert await am.publish([alert(condition=ConditionName.EXPIRING, severity=Severity.INFO), note], [], NOW + 1) == [
        None
    ]
    first, second = (
        [(one["labels"]["severity"], one["endsAt"]) for one in published] for published in instances.received["one"]
    )
    assert first == [("warning", iso(NOW + ENDS_AFTER))]
    assert second == [("warning", iso(NOW + 1))]


async def test_alert_of_an_earlier_process_is_ended() -> None:
    instances = Instances()
    am = channel(instances, "one")
    am.assume_sent([alert()], NOW - MINUTE)
    await am.publish([], [], NOW)
    assert [one["endsAt"] for one in instances.received["one"][0]] == [iso(NOW)]


async def test_severity_that_an_earlier_process_may_have_published_is_ended() -> None:
    """Else the label set of before would inhibit the new one, until it ends by itself."""
    instances = Instances()
    am = channel(instances, "one")
    am.assume_sent([alert(severity=Severity.CRITICAL)], NOW - MINUTE)
    for now in (NOW, NOW + MINUTE):
        await am.publish([alert(severity=Severity.CRITICAL)], [], now)
        ends = {one["labels"]["severity"]: one["endsAt"] for one in instances.received["one"][-1]}
        assert ends == {"critical": iso(now + ENDS_AFTER), "warning": iso(NOW), "info": iso(NOW)}
