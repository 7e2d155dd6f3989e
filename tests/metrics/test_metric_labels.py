"""``web.metric_labels``: the labels of a target are also those of its series, where asked."""

from __future__ import annotations

from fakes import config
from prometheus_client.parser import text_string_to_metric_families as parse_text
from reports import NOW, agent, healthy, profile, report

from exporter.config.values import METRIC_LABELS, RESERVED_LABELS
from exporter.daemon.exposition_cache import ExpositionCache
from exporter.metrics.definitions import CHECK_METRICS, ExporterState
from exporter.metrics.render import one_shot, render_target
from exporter.model import AgentCounters, Report, TargetReport

OWNER = {"owner": "ops", "team": "a"}
COUNTERS = {"main": AgentCounters(7, {}, {"anthropic": 12.5})}


def labels_of(text: str) -> list[dict[str, str]]:
    return [sample.labels for metric in parse_text(text) for sample in metric.samples]


def text_of(labels: dict[str, str]) -> str:
    return b"".join(render_target(healthy().targets[0], COUNTERS, None, labels).values()).decode()


def test_every_series_of_a_target_has_its_labels_and_differs_in_nothing_else() -> None:
    plain, labelled = labels_of(text_of({})), labels_of(text_of(OWNER))
    assert labelled == [{**labels, **OWNER} for labels in plain]
    assert any("_total{" in line for line in text_of(OWNER).splitlines())


def test_labels_of_a_line_are_sorted_and_escaped() -> None:
    (line,) = [line for line in text_of({"owner": 'a"b\\c'}).splitlines() if "openclaw_auth_check_success" in line]
    assert line == 'openclaw_auth_check_success{agent="main",owner="a\\"b\\\\c",target="home"} 1.0'


def test_a_long_value_is_shortened_as_others_are() -> None:
    (value,) = {labels["owner"] for labels in labels_of(text_of({"owner": "x" * 200}))}
    assert len(value) == 128


def test_no_label_of_a_metric_can_be_asked_for() -> None:
    used = {label for metric in CHECK_METRICS for label in metric.labels}
    assert used - {*METRIC_LABELS, *RESERVED_LABELS} == set()


def test_only_the_labels_that_are_asked_for_and_not_empty_are_exported() -> None:
    targets = [
        {"name": "home", "source": "store", "labels": {"owner": "ops", "secret_project": "x", "team": ""}},
        {"name": "vps", "source": "store"},
    ]
    made = type(config("home")).model_validate({"targets": targets, "web": {"metric_labels": ["owner", "team"]}})
    assert [made.metric_labels(target) for target in made.targets] == [{"owner": "ops"}, {}]


async def test_changed_labels_are_rendered_again() -> None:
    labels = {"owner": "ops"}
    cache = ExpositionCache(lambda: ExporterState("1"), lambda target: dict(labels))
    subject = report(agent(profile("a:1"))).targets[0]

    async def owners() -> set[str | None]:
        await cache.put(subject, COUNTERS, lambda: True)
        await cache.compose(at_once=True)
        text = cache.body("", "")[0].decode()
        return {found.get("owner") for found in labels_of(text) if "target" in found}

    assert await owners() == {"ops"}
    labels["owner"] = "dev"
    assert await owners() == {"dev"}
    labels.clear()
    assert await owners() == {None}


async def test_series_have_the_labels_before_the_first_check() -> None:
    cache = ExpositionCache(lambda: ExporterState("1"), lambda target: {"owner": target})
    new = {"*": AgentCounters()}
    await cache.expect([("one", "gateway", new), ("two", "gateway", new), ("three", "gateway", {"main": new["*"]})])
    await cache.compose(at_once=True)
    found = {
        (labels["target"], labels["owner"])
        for labels in labels_of(cache.body("", "")[0].decode())
        if "target" in labels
    }
    assert found == {(name, name) for name in ("one", "two", "three")}


def test_a_one_shot_has_the_labels_of_each_target() -> None:
    two = Report(NOW, tuple(TargetReport(name, "store", (agent(target=name),)) for name in ("home", "vps")))
    owners = {"home": {"owner": "ops"}}
    found = {
        (labels["target"], labels.get("owner"))
        for labels in labels_of(one_shot(two, labels_of=lambda target: owners.get(target, {})).decode())
    }
    assert found == {("home", "ops"), ("vps", None)}
