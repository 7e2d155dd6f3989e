"""The dashboards against real parts: each query against a Prometheus that scrapes real exporters, the JSON against
Grafana's schema, and the pages as Grafana's libraries draw them at desktop and phone width.

``OAE_DRAWINGS=docs/images`` keeps the images there. ``OAE_DRAWINGS_AFTER=900`` draws them after that many seconds.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.model import RUNBOOK

from .conftest import need
from .dashboard_claims import COURSES, MOMENTS, Answer, Labels, Series, single
from .dashboard_world import DAY, HOUR, Stage, staged
from .grafana_pages import GRAFANA, Grafana

pytestmark = pytest.mark.real

FOLDER = Path(__file__).parents[2] / "dashboards"
DASHBOARDS = {name: json.loads((FOLDER / f"{name}.json").read_text()) for name in ("overview", "fleet")}
PHONE, WIDE = 390, 1600


class Queries:
    """Sends Grafana's queries to Prometheus, with every variable on "All" unless it is chosen."""

    def __init__(self, stage: Stage) -> None:
        self._url = stage.prometheus.url
        self.since = stage.now
        #: When a query that looks at every full minute sees the world, which was complete at the start of this one.
        self._seen_at = (time.time() // 60 + 1) * 60 + 1

    def query(self, expression: str, **chosen: str) -> Answer:
        if ":1m]" in expression:
            time.sleep(max(self._seen_at - time.time(), 0.0))
        return [
            (series["metric"], float(series["value"][1]))
            for series in self._get("query", query=self._fill(expression, chosen))
        ]

    def over_time(self, expression: str) -> list[tuple[Labels, list[float]]]:
        """Return the values of every second since the world started."""
        times = {"start": str(self.since), "end": str(time.time()), "step": "1"}
        found = self._get("query_range", query=self._fill(expression, {}), **times)
        return [(series["metric"], [float(value) for _, value in series["values"]]) for series in found]

    def values(self, variable: str) -> list[str]:
        """Return the choices that a variable's query offers."""
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable)
        assert match, variable
        answer = httpx.get(
            f"{self._url}/api/v1/label/{match[2]}/values", params={"match[]": self._fill(match[1], {})}, trust_env=False
        )
        return list(answer.json()["data"])

    def _get(self, path: str, **form: str) -> list[dict[str, Any]]:
        answer = httpx.post(f"{self._url}/api/v1/{path}", data=form, trust_env=False).json()
        assert answer["status"] == "success", answer
        return list(answer["data"]["result"])

    def _fill(self, expression: str, chosen: dict[str, str]) -> str:
        since = f"{time.time() - self.since:.0f}s"
        builtin = {"__rate_interval": "8s", "__range": since, "__range_s": since.removesuffix("s")}
        labels = dict.fromkeys(("instance", "target", "agent", "provider", "profile"), ".*")
        filled = re.sub(r"\$(\w+)", lambda m: {**builtin, **labels, **chosen}[m[1]], expression)
        assert "$" not in filled
        return filled


def targets(name: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the queries of a dashboard by panel and letter."""
    return {(p["title"], t["refId"]): t for p in unfolded(DASHBOARDS[name])["panels"] for t in p.get("targets", [])}


def unfolded(dashboard: dict[str, Any]) -> dict[str, Any]:
    """The dashboard with every row open, as Grafana shows it when someone opens them."""
    panels: list[dict[str, Any]] = []
    for panel in json.loads(json.dumps(dashboard["panels"])):
        inner = panel.get("panels", [])
        below = max((one["gridPos"]["y"] + one["gridPos"]["h"] for one in panels), default=0)
        if panel["type"] == "row":
            for one in inner:
                one["gridPos"]["y"] += below - panel["gridPos"]["y"]
            panel = {**panel, "collapsed": False, "panels": []}
            panel["gridPos"]["y"] = below
        panels += [panel, *inner]
    return {**dashboard, "panels": panels}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    after = float(os.environ.get("OAE_DRAWINGS_AFTER", "0"))
    with staged(tmp_path_factory.mktemp("world"), after) as stage:
        yield stage


@pytest.fixture(scope="module")
def queries(stage: Stage) -> Queries:
    return Queries(stage)


@pytest.fixture(scope="module")
def grafana(tmp_path_factory: pytest.TempPathFactory) -> Grafana:
    for part in ("node", GRAFANA, "chromium"):
        need(part)
    return Grafana(tmp_path_factory.mktemp("grafana") / "code")


# --- what needs somebody ---------------------------------------------------------------------------


def expected_needs(stage: Stage) -> list[tuple[str, str, str, float, float]]:
    """Return (urgency, problem, where, until in Unix seconds, tolerance) in the table's order."""
    now = stage.now
    since = time.time() - now  # seconds in which the world came to be, more on a busy machine
    found = [
        ("1", "expired", "hut · anthropic:default", 0.0, 0),  # this release does not report the date
        ("1", "nousablecredential", "empty · anthropic", 0.0, 0),
        ("1", "missing", "loft · anthropic:default", 0.0, 0),
        ("1", "checkfailing", "attic", 0.0, 0),
        ("1", "checkfailing", "cellar", 0.0, 0),
        ("1", "reported", "porch", 0.0, 0),
        ("1", "checkstale", "local", now - 4 * HOUR, 60),
        ("1", "expired", "office · anthropic:default", now - 3 * HOUR, 0),
        ("1", "exporterdown", "gone", now, since),
        ("1", "coolingdown", "cabin · anthropic", now + 20 * 60, 0),
        ("1", "unusable", "shed · anthropic:default", now + HOUR, 0),
        ("2", "clock", "local", 0.0, 0),
        ("2", "notificationsdead", "old", 0.0, 0),
        ("2", "heartbeatstale", "all", 0.0, 0),
        ("2", "missing", "mill · anthropic:lost", 0.0, 0),
        ("2", "statefailed", "odd", 0.0, 0),
        ("2", "expired", "garage · anthropic:default", now - 2 * DAY, 0),  # a spare serves
        ("2", "notificationsfailing", "hook", now - 2 * HOUR, 0),
        ("2", "notificationspilingup", "hook", now - 2 * HOUR, 0),
        ("2", "configreloadfailed", "all", now, since),
        ("2", "unusable", "mill · anthropic:shut", now + 2 * HOUR, 0),
        ("2", "expiringverysoon", "home · anthropic:default", stage.expires, 0),
        ("3", "quota", "rack7 · anthropic", now + 2 * HOUR, 0),
        ("3", "expiringsoon", "desk · anthropic:default", now + 5 * DAY, 0),
        ("3", "undated", "barn · anthropic:default", now + 365 * DAY, since),
    ]
    return [(urgency, f"openclawauth{problem}", at, until, off) for urgency, problem, at, until, off in found]


def needs(name: str) -> str:
    title = {"overview": "What needs you", "fleet": "What needs somebody"}[name]
    return str(targets(name)[title, "A"]["expr"])


@pytest.mark.parametrize("name", DASHBOARDS)
def test_what_needs_somebody_until_when(name: str, stage: Stage, queries: Queries) -> None:
    answer = queries.query(needs(name))
    found = {(labels["urgency"], labels["problem"], labels["where"]): value / 1000 for labels, value in answer}
    expected = expected_needs(stage)
    assert len(answer) == len(expected)
    assert sorted(found) == sorted(row[:3] for row in expected)
    for urgency, problem, at, until, tolerance in expected:
        assert found[urgency, problem, at] == pytest.approx(until, abs=max(tolerance, 0.002)), (problem, at)
    where_seen = {labels["where"]: labels["instance"] for labels, _ in answer}
    assert where_seen == {
        **dict.fromkeys((row[2] for row in expected), "all"),
        **{"local": "left", "gone": "gone", "odd": "odd"},
    }


def test_variables_narrow_what_needs_somebody(queries: Queries) -> None:
    def rows(**chosen: str) -> list[tuple[str, str]]:
        found = queries.query(needs("overview"), **chosen)
        return sorted((labels["problem"].removeprefix("openclawauth"), labels["where"]) for labels, _ in found)

    # Findings without such a label are shown whatever is chosen.
    others = [("configreloadfailed", "all"), ("heartbeatstale", "all")]
    others += [("notificationsdead", "old"), ("notificationsfailing", "hook"), ("notificationspilingup", "hook")]
    elsewhere = [("exporterdown", "gone"), ("statefailed", "odd")]
    home, office = ("expiringverysoon", "home · anthropic:default"), ("expired", "office · anthropic:default")
    assert rows(target="home") == sorted([*others, *elsewhere, home])
    assert rows(target="(home|office)", instance="all") == sorted([*others, home, office])
    assert rows(profile="google:login", target="home") == sorted([*others, *elsewhere])
    assert rows(instance="left") == [("checkstale", "local"), ("clock", "local")]
    # No data never means "nothing needs attention".
    assert rows(instance="nobody") == [("exporterabsent", "everything")]


# --- every other query -----------------------------------------------------------------------------


def test_every_query_has_an_expected_answer() -> None:
    asked = {(name, *key): target for name in DASHBOARDS for key, target in targets(name).items()}
    of_a_moment = {key for key, target in asked.items() if target["instant"]}
    tables = {("overview", "What needs you", "A"), ("fleet", "What needs somebody", "A")}
    assert of_a_moment == MOMENTS.keys() | tables
    assert asked.keys() - of_a_moment == COURSES.keys()


@pytest.mark.parametrize(("name", "panel", "letter"), MOMENTS, ids=str)
def test_instant_query(name: str, panel: str, letter: str, stage: Stage, queries: Queries) -> None:
    MOMENTS[name, panel, letter](queries.query(targets(name)[panel, letter]["expr"]), stage)


@pytest.mark.parametrize(("name", "panel", "letter"), COURSES, ids=str)
def test_range_query(name: str, panel: str, letter: str, stage: Stage, queries: Queries) -> None:
    labels, claim = COURSES[name, panel, letter]
    series: Series = {}
    for metric, values in queries.over_time(targets(name)[panel, letter]["expr"]):
        key = tuple(metric[label] for label in labels)
        series[key[0] if len(key) == 1 else key] = values
    assert series
    claim(series, stage)


def test_duration_quantiles_are_in_order(queries: Queries) -> None:
    expressions = [targets("fleet")["How long a check takes", letter]["expr"] for letter in "ABC"]
    median, most, slowest = (single(queries.query(expression)) for expression in expressions)
    assert 0 < median <= most <= slowest


@pytest.mark.parametrize("name", DASHBOARDS)
def test_variables_offer_the_existing_values(name: str, stage: Stage, queries: Queries) -> None:
    asked = {variable["name"]: variable["query"] for variable in DASHBOARDS[name]["templating"]["list"]}
    assert asked.pop("datasource") == "prometheus"
    offered = {variable: queries.values(query["query"]) for variable, query in asked.items()}
    names = {target["name"] for target in stage.exporter.config["targets"]}
    assert offered == {
        "instance": ["all", "gone", "left", "odd"],
        "target": sorted(names | {"kept", "local"}),
        "agent": ["main"],
        "provider": ["anthropic", "google"],
        "profile": ["anthropic:default", "anthropic:lost", "anthropic:shut", "anthropic:spare", "google:login"],
    }


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_renewal_is_marked(name: str, queries: Queries) -> None:
    (annotation,) = DASHBOARDS[name]["annotations"]["list"]
    found = queries.over_time(annotation["target"]["expr"])
    assert [labels for labels, _ in found] == [{"instance": "all", "target": "desk", "profile": "anthropic:default"}]


def test_prometheus_refused_nothing(stage: Stage) -> None:
    assert stage.prometheus.complaints() == []


# --- Grafana's schema and drawing ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_json_is_valid_in_grafanas_schema(name: str, grafana: Grafana) -> None:
    assert grafana.faults(json.dumps(DASHBOARDS[name])) == ""


def test_grafanas_schema_notices_a_mistake(grafana: Grafana) -> None:
    mistaken = json.loads(json.dumps(DASHBOARDS["overview"]))
    table = next(panel for panel in mistaken["panels"] if panel["type"] == "table")
    table["fieldConfig"]["overrides"][0]["properties"].append({"id": "custom.widht", "value": 60})
    assert '"custom.widht"\' is not assignable' in grafana.faults(json.dumps(mistaken))
    assert json.loads((FOLDER / "fleet.json").read_text())["schemaVersion"] == _schema_version(need(GRAFANA))


def _schema_version(modules: Path) -> int:
    text = (modules / "@grafana/schema/dist/esm/raw/dashboard/x/types.gen.mjs").read_text()
    return int(re.findall(r"schemaVersion: (\d+)", text)[0])


def test_the_drawn_pages_show_the_findings(stage: Stage, grafana: Grafana, tmp_path: Path) -> None:
    images = Path(os.environ.get("OAE_DRAWINGS") or tmp_path)
    images.mkdir(parents=True, exist_ok=True)
    site, times = grafana.build(), (stage.now, time.time())
    drawn = {}
    for name in DASHBOARDS:
        files = {width: images / f"{name}-{width}.png" for width in (WIDE, PHONE)}
        (opened := tmp_path / f"{name}.json").write_text(json.dumps(unfolded(DASHBOARDS[name])))
        drawn[name] = grafana.draw(site, stage.prometheus.url, opened, times, files)
        for width, file in files.items():
            assert drawn[name][width].problems == []
            assert file.stat().st_size < 300_000

    # The table sorts by urgency, then by the end.
    words = {"1": "Now", "2": "Soon", "3": "Later"}
    expected = [(words[urgency], problem, where) for urgency, problem, where, *_ in expected_needs(stage)]
    for name, title in (("overview", "What needs you"), ("fleet", "What needs somebody")):
        for width in (WIDE, PHONE):
            page = drawn[name][width]
            cells, links = page.rows(title), page.panels[title]["links"]
            anchors = [link.removeprefix(f"{RUNBOOK}#") for link in links]
            seen = [(row[0], anchor, row[2]) for row, anchor in zip(cells, anchors, strict=True)]
            # Rows without an end have no order among themselves.
            unknown = [row[3] == "–" for row in cells]
            assert unknown == [until == 0 for *_, until, _ in expected_needs(stage)]
            assert sorted(seen[:6]) == sorted(expected[:6])
            assert seen[6:11] == expected[6:11]
            assert sorted(seen[11:16]) == sorted(expected[11:16])
            # Two findings of one channel have the same end.
            assert sorted(seen[17:19]) == sorted(expected[17:19])
            assert seen[16:17] + seen[19:] == expected[16:17] + expected[19:]

    phone = drawn["overview"][PHONE]
    assert phone.panels["Right now"]["text"].split() == ["Right", "now", "Act", "now"]
    assert phone.panels["Heartbeat"]["text"].split() == ["Heartbeat", "Never"]
    assert phone.rows("What needs you")[7:11] == [
        ["Now", "Expired", "office · anthropic:default", "3 hours ago"],
        ["Now", "No exporter", "gone", phone.rows("What needs you")[8][3]],
        ["Now", "Cooldown", "cabin · anthropic", phone.rows("What needs you")[9][3]],
        ["Now", "Refused", "shed · anthropic:default", phone.rows("What needs you")[10][3]],
    ]
    assert [row[0] for row in phone.rows("Deadlines")][:4] == [
        f"{name} · anthropic:default" for name in ("garage", "office", "home", "desk")
    ]
    assert [row[:3] for row in phone.rows("Unusable profiles")][-1] == ["cabin · anthropic:default", "unknown", "time"]
    notified = {row[0]: row[1:] for row in phone.rows("Notifications")}
    assert notified["old"][2:] == ["never", "never"]
    assert notified["phone"][:2] == ["0", "0"]
    assert "never" not in notified["phone"]
    states = drawn["fleet"][WIDE].rows("By target and provider")
    bad = ["None works"] * 6 + ["Some down"] * 3 + ["Ends soon", "In 14 days"]
    assert [row[0] for row in states] == [*bad, *["Fine"] * 5]
    assert states[9][1:3] == ["home", "anthropic"]
    assert states[10][1:3] == ["desk", "anthropic"]
    assert (
        drawn["fleet"][WIDE].panels["By target and provider"]["links"][9]
        == "/d/openclaw-auth-overview?var-datasource=prometheus&var-instance=all&var-target=home&var-provider=anthropic"
    )
    # Only the fleet's tables are wider than a phone, because of the column with the exporter's name.
    assert {name: pages[PHONE].scrolled() for name, pages in drawn.items()} == {
        "overview": set(),
        "fleet": {"What needs somebody", "By target and provider"},
    }
    assert not any(pages[WIDE].scrolled() for pages in drawn.values())
