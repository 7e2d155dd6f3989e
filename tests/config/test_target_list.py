"""A list of targets sets what it may, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter.config import ConfigError, GatewayTarget
from exporter.config.target_list import MAX_PROBLEMS, targets_of
from exporter.config.targets import ListDefaults

DEFAULTS = {"token_file": "tokens/{name}", "schedule": False, "labels": {"site": "a", "owner": "nobody"}}


def read(groups: Any, **defaults: Any) -> list[GatewayTarget]:
    return targets_of(json.dumps(groups), ListDefaults.model_validate({**DEFAULTS, **defaults}))


def mistakes(groups: Any, **defaults: Any) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read(groups, **defaults)
    return raised.value.problems


def test_group_of_prometheus_is_a_target_for_each_address() -> None:
    first, second = read([{"targets": ["http://10.0.0.1:18789", "10.0.0.2:80"], "labels": {"owner": "ops"}}])
    assert (first.name, first.url, first.token_file) == (
        "10.0.0.1-18789",
        "http://10.0.0.1:18789",
        "tokens/10.0.0.1-18789",
    )
    assert (second.name, second.url, second.schedule) == ("10.0.0.2-80", "http://10.0.0.2:80", False)
    assert first.labels == {"site": "a", "owner": "ops"}


def test_labels_of_a_group_set_the_keys_of_its_target() -> None:
    labels = {"name": "rack1", "agents": "main, work", "interval": "10m", "__meta_dc": "x", "team": "infra"}
    (target,) = read([{"targets": ["http://10.0.0.1:18789"], "labels": labels}])
    assert (target.name, target.agents, target.interval) == ("rack1", ["main", "work"], 600.0)
    assert target.labels == {"site": "a", "owner": "nobody", "team": "infra"}


def test_address_beside_a_url_is_the_name_as_in_our_own_discovery() -> None:
    (target,) = read([{"targets": ["rack1"], "labels": {"url": "https://rack1.example"}}])
    assert (target.name, target.url) == ("rack1", "https://rack1.example")


def test_object_with_the_keys_of_a_target_is_one() -> None:
    groups = [{"name": "rack1", "url": "http://10.0.0.1:18789", "agents": ["main"], "labels": {"owner": "ops"}}]
    (target,) = read(groups, source="gateway", interval="1h")
    assert (target.name, target.agents, target.interval) == ("rack1", ["main"], 3600.0)


@pytest.mark.parametrize(
    "key", ["token", "token_file", "token_env", "state_dir", "ca_file", "source", "command", "ssh", "schedule"]
)
def test_list_sets_nothing_else(key: str) -> None:
    (problem,) = mistakes([{"name": "a", "url": "http://10.0.0.1", key: "x"}])
    assert problem == f"[0]: '{key}': a list may set name, url, agents, interval and labels, nothing else"
    (target,) = read([{"targets": ["http://10.0.0.1"], "labels": {key: "x"}}])  # a label, and no more
    assert (target.source, target.token_file) == ("gateway", "tokens/10.0.0.1")


@pytest.mark.parametrize("name", [".ssh", "..", "a/b", "../x", "", "x" * 65, "a b", "a\n", "é", 5, None, ["a"]])
def test_name_that_could_lead_to_another_file_is_refused(name: Any) -> None:
    (problem,) = mistakes([{"name": name, "url": "http://10.0.0.1"}])
    assert problem.startswith("[0]: name: write 1 to 64 of A-Z")


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1@evil.example",
        "http://10.0.0.1:18789\\@evil.example",
        "http://10.0.0.1?x",
        "http://10.0.0.1#x",
        "http://10.0.0.1/ x",
        "file:///etc/passwd",
        "http://",
        "javascript:x",
        7,
        None,
    ],
)
def test_url_that_two_programs_could_read_differently_is_refused(url: Any) -> None:
    (problem,) = mistakes([{"name": "a", "url": url}])
    assert problem.startswith("[0]: url: write it like ")


def test_url_match_is_anchored() -> None:
    match = r"http://10\.0\.0\.\d+:18789"
    assert len(read([{"targets": ["http://10.0.0.7:18789"]}], url_match=match)) == 1
    for url in ("http://10.0.0.7:187890", "xhttp://10.0.0.7:18789", "http://evil.example/http://10.0.0.7:18789"):
        assert len(mistakes([{"name": "a", "url": url}], url_match=match)) == 1


def test_url_match_matches_no_long_url() -> None:
    url = f"http://10.0.0.7/{'a' * 300}"
    assert len(read([{"name": "a", "url": url}])) == 1
    (problem,) = mistakes([{"name": "a", "url": url}], url_match=".*")
    assert problem.endswith(" does not match url_match, which matches at most 256 characters")


@pytest.mark.parametrize(
    ("groups", "problem"),
    [
        ({}, 'is not a list: write [{"targets": ["http://10.0.0.1:18789"], "labels": {…}}]'),
        (["a"], "[0]: must be an object: { … }"),
        ([{"targets": "a"}], '[0].targets: must be a list of addresses, like ["http://10.0.0.1:18789"]'),
        ([{"targets": [], "labels": []}], "[0].labels: must be an object: { … }"),
        ([{"name": "a", "url": "http://a", "interval": 5}], '[0]: interval: write a duration with its unit, like "5m"'),
        ([{"name": "a", "url": "http://a", "interval": "0.5s"}], "[0]: interval: must be at least 1"),
        (
            [{"name": "a", "url": "http://a", "labels": {"target": "b"}}],
            "[0]: labels: no label may be named 'target': every alert has a fact of that name",
        ),
        ([{"targets": ["http://a", "http://a"]}], "two are named a: give each its own name"),
    ],
)
def test_mistake_has_a_sentence(groups: Any, problem: str) -> None:
    assert mistakes(groups) == [problem]


def test_text_that_is_no_list_is_refused() -> None:
    for text in ("", "  ", "[", '[{"targets": ["http://a"]}'):
        with pytest.raises(ConfigError):
            targets_of(text, ListDefaults())


def test_many_mistakes_are_counted() -> None:
    assert mistakes([{"name": "."}] * 10)[-1] == f"and {10 - MAX_PROBLEMS} more"
