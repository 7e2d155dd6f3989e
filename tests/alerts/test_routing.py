"""A channel with ``match`` is notified of what fits it, and of the end of what it was notified of."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.test_channel_alertmanager import Instances, channel
from alerts.worlds import DAY, HOUR, MINUTE, NOW, Life, P, policy, world
from exporter.alerts.channels.alertmanager import Publication, next_publication
from exporter.alerts.channels.alertmanager import labels as labels_of
from exporter.alerts.delivery.alertmanager_publisher import AlertmanagerPublisher
from exporter.alerts.lifecycle import firing
from exporter.alerts.lifecycle.policy import AlertPolicy, ChannelPolicy
from exporter.alerts.lifecycle.routing import Route
from exporter.config import Config

OPS = {"home": {"owner": "ops"}}
SPARE = P("anthropic:spare", secret="secret-2")
EXPIRED = world(P(ends=NOW - HOUR), SPARE)


def rules(match: dict[str, str], **changes: Any) -> AlertPolicy:
    return policy(ChannelPolicy("team", route=Route.of(match)), **changes)


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({}, True),
        ({"target": "home"}, True),
        ({"target": "hom"}, False),  # the whole value
        ({"target": "ho.*|vps"}, True),
        ({"provider": "anthropic|openai", "owner": "ops"}, True),
        ({"provider": "anthropic|openai", "owner": "infra"}, False),
        ({"provider": "openai"}, False),
        ({"profile": "anthropic:.*"}, True),
        ({"agent": "main"}, True),
        ({"agent": "work"}, False),
        ({"condition": "expired|expiring"}, True),
        ({"condition": "missing"}, False),
        ({"team": ""}, True),  # a label that is not there is empty
        ({"team": ".+"}, False),
    ],
)
def test_alert_is_sent_where_all_of_it_matches(match: dict[str, str], fits: bool) -> None:
    life = Life(rules(match, labels=OPS))
    assert bool(life.at(NOW, EXPIRED)) is fits


def test_match_that_could_take_long_makes_no_route() -> None:
    with pytest.raises(ValueError, match="repeat inside a repeat"):
        rules({"profile": "anthropic:([a-z0-9]+-?)+"})


@pytest.mark.parametrize(("match", "fits"), [("anthropic:a.*", True), (".*", True), ("anthropic:a{240}", False)])
def test_long_name_fits_by_its_beginning(match: str, fits: bool) -> None:
    life = Life(rules({"profile": match}))
    assert bool(life.at(NOW, world(P(f"anthropic:{'a' * 500}", ends=NOW - HOUR), SPARE))) is fits


@pytest.mark.parametrize("match", [{"profile": "anthropic:default"}, {"condition": "no_usable_profile"}])
def test_outage_matches_by_the_profiles_that_fail(match: dict[str, str]) -> None:
    life = Life(rules(match))
    (sent,) = life.at(NOW, world(P(ends=NOW - HOUR)))
    assert sent[2] == "no_usable_profile"


def test_end_goes_to_a_channel_that_was_notified_although_the_alert_no_longer_fits() -> None:
    life = Life(rules({"owner": "ops"}, labels=OPS))
    assert [reason for _, reason, *_ in life.at(NOW, EXPIRED)] == ["first"]
    elsewhere = {"home": {"owner": "infra"}}
    assert life.at(NOW + DAY, EXPIRED, labels=elsewhere) == [], "no repeat: it is another's now"
    ended = life.at(NOW + DAY + MINUTE, world(P(ends=NOW + 90 * DAY, secret="new"), SPARE), labels=elsewhere)
    assert [reason for _, reason, *_ in ended] == ["renewed"]


def test_alert_is_sent_once_its_labels_fit() -> None:
    life = Life(rules({"owner": "ops"}))
    assert life.at(NOW, EXPIRED) == []
    (sent,) = life.at(NOW + MINUTE, EXPIRED, labels=OPS)
    assert sent[1] == "first"
    assert life.messages[-1].alerts[0].labels == {"owner": "ops"}


def test_policy_takes_routes_and_labels_from_the_configuration() -> None:
    config = Config.model_validate(
        {
            "targets": [{"name": "home", "labels": {"owner": "ops"}}, {"name": "vps"}],
            "channels": [{"name": "x", "type": "termux", "match": {"owner": "ops"}}],
        }
    )
    made = AlertPolicy.of(config)
    life = Life(policy(*made.channels, labels=made.labels))
    assert made.labels == OPS
    assert [channel for channel, *_ in life.at(NOW, EXPIRED)] == ["x"]


# --- Alertmanager ------------------------------------------------------------------------------------


async def test_alertmanager_is_sent_what_fits() -> None:
    life = Life(policy(labels=OPS))
    life.at(NOW, EXPIRED)
    for match, expected in (({"owner": "ops"}, 1), ({"owner": "infra"}, 0)):
        instances = Instances()
        publisher = AlertmanagerPublisher(channel(instances, "one", match=match), lambda: NOW)
        assert await publisher.publish_once({}, life.states, 240.0)
        posted = [alert for request in instances.received.get("one", []) for alert in request]
        assert len(posted) == expected
        assert all(alert["labels"]["owner"] == "ops" for alert in posted)


def test_changed_label_supersedes_the_old_label_set() -> None:
    life = Life(policy(labels=OPS))
    life.at(NOW, EXPIRED)
    (before,) = firing(life.states, NOW)
    life.at(NOW + MINUTE, EXPIRED, labels={"home": {"owner": "infra"}})
    (after,) = firing(life.states, NOW + MINUTE)
    first = next_publication(Publication(), [before], [], NOW)
    published = next_publication(first, [after], [], NOW + MINUTE)
    assert published.alerts[labels_of(after)].ended_at is None
    assert published.alerts[labels_of(before)].is_superseded


def test_labels_of_a_profile_win() -> None:
    config = Config.model_validate(
        {
            "targets": [{"name": "home", "labels": {"owner": "ops", "site": "a"}}],
            "policy": {"profiles": {"home/main/anthropic:default": {"labels": {"owner": "alice"}}}},
        }
    )
    made = AlertPolicy.of(config)
    life = Life(policy(labels=made.labels, verdict=made.verdict))
    life.at(NOW, EXPIRED)
    assert life.messages[-1].alerts[0].labels == {"owner": "alice", "site": "a"}
