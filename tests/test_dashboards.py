"""The dashboard files match their generator, the metrics and the runbook, and fit a phone.

tests/real/test_dashboards.py checks the answers of their queries and Grafana's schema.
"""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.metrics.definitions import METRICS
from exporter.model import RUNBOOK
from exporter.setup import assets

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "dashboards"
NAMES = ("overview.json", "fleet.json")
DASHBOARDS = {name: json.loads((FOLDER / name).read_text()) for name in NAMES}
LABELS = {metric.name: {*metric.labels, "instance"} for metric in METRICS}
#: Of the series that the shipped rules record for the dashboards.
LABELS |= {
    "openclaw_auth:profile_deadline_timestamp_seconds:nearest": {"instance", "target", "provider", "profile"},
    "openclaw_auth:check_failures:increase5m": {"instance", "target", "agent", "reason"},
    "openclaw_auth:profile_expiry_timestamp_seconds:shown": {"instance", "target", "agent", "provider", "profile"},
}
VARIABLES = ("instance", "target", "agent", "provider", "profile")
#: The width of a table on a phone 390 px wide, without Grafana's margins and borders, in pixels.
PHONE = 372
#: No metric of the exporter knows a target that /probe has no answer for.
NOT_SHOWN = {"OpenClawAuthProbeFailing"}

each = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=NAMES)


def made(file: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(FOLDER))
    return runpy.run_path(str(FOLDER / file))


def panels_of(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Every panel, also those in folded rows, and the rows."""
    return [one for panel in dashboard["panels"] for one in (panel, *panel.get("panels", []))]


def expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in panels_of(dashboard):
        yield from (target["expr"] for target in panel.get("targets", []))
    yield from (variable["query"]["query"] for variable in dashboard["templating"]["list"][1:])
    yield from (annotation["target"]["expr"] for annotation in dashboard["annotations"]["list"])


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


def test_files_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = made("make.py", monkeypatch)["texts"]()
    assert tuple(texts) == (*NAMES, "../deploy/grafana/alerting.yml", *made("make.py", monkeypatch)["RULES_AS_JSON"])
    for name, text in texts.items():
        assert (FOLDER / name).read_text() == text, f"python dashboards/make.py brings {name} up to date"


def test_package_contains_only_the_json() -> None:
    assert [name for name in assets.names() if name.startswith("dashboards/")] == [
        f"dashboards/{name}" for name in sorted(NAMES)
    ]


@each
def test_dashboard_can_be_imported_and_provisioned(dashboard: dict[str, Any]) -> None:
    assert "id" not in dashboard
    (asked,) = dashboard["__inputs"]
    assert (asked["type"], asked["pluginId"]) == ("datasource", "prometheus")
    required = {(one["type"], one["id"]) for one in dashboard["__requires"]}
    kinds = {("panel", panel["type"]) for panel in panels_of(dashboard) if panel["type"] != "row"}
    assert required == {("grafana", "grafana"), ("datasource", "prometheus"), *kinds}
    first, *rest = dashboard["templating"]["list"]
    assert (first["type"], first["name"], first["query"]) == ("datasource", "datasource", "prometheus")
    assert tuple(variable["name"] for variable in rest) == VARIABLES
    # The answer to the import is the first value of the variable, and stands nowhere else.
    name = f"${{{asked['name']}}}"
    assert first["current"] == {"text": name, "value": name}
    assert sum(name in text for text in strings(dashboard)) == 2
    ours = {"type": "prometheus", "uid": "${datasource}"}
    drawn = [panel for panel in panels_of(dashboard) if panel["type"] != "row"]
    assert len(drawn) > 10
    asking = [*drawn, *rest, *dashboard["annotations"]["list"], *(t for panel in drawn for t in panel["targets"])]
    assert all(one["datasource"] == ours for one in asking)
    assert "openclaw-auth" in dashboard["tags"]


def test_uids_are_stable() -> None:
    assert [dashboard["uid"] for dashboard in DASHBOARDS.values()] == ["openclaw-auth-overview", "openclaw-auth-fleet"]


@each
def test_metrics_and_their_labels_exist(dashboard: dict[str, Any]) -> None:
    seen = set()
    for expression in expressions(dashboard):
        for name, matchers in re.findall(r"\b(openclaw_auth_\w+)(?:\{([^}]*)\})?", expression):
            seen.add(name)
            labels = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", matchers))
            assert labels <= LABELS[name], f"{name}{{{matchers}}}"
    assert len(seen) > 12


@each
def test_every_query_is_filtered_by_every_variable_that_applies(dashboard: dict[str, Any]) -> None:
    for panel in panels_of(dashboard):
        for target in panel.get("targets", []):
            wanted = {label for label in VARIABLES if f'{label}=~"${label}"' in target["expr"]}
            first = re.search(r"(openclaw_auth[_:][\w:]+)\{", target["expr"])
            assert first is not None
            assert wanted >= LABELS[first[1]] & set(VARIABLES), panel["title"]


def test_recorded_series_are_recorded_by_the_shipped_rules_and_missed_aloud() -> None:
    """Without the rules such a panel is empty, and must not look as if all were well."""
    rules = (ROOT / "deploy/prometheus/openclaw-auth.rules.yml").read_text()
    used = set()
    for panel in (panel for dashboard in DASHBOARDS.values() for panel in panels_of(dashboard)):
        found = {name for t in panel.get("targets", []) for name in re.findall(r"openclaw_auth:[\w:]+", t["expr"])}
        used |= found
        # Without these there are more rows, and rows without their date.
        if found - {"openclaw_auth:provider_unused", "openclaw_auth:profile_expiry_timestamp_seconds:shown"}:
            assert "rules have recorded no" in panel["fieldConfig"]["defaults"]["noValue"], panel["title"]
    assert len(used) == 4
    assert all(f"- record: {name}\n" in rules for name in used)


@each
def test_an_empty_panel_does_not_claim_that_all_is_well(dashboard: dict[str, Any]) -> None:
    for panel in panels_of(dashboard):
        text = panel.get("fieldConfig", {}).get("defaults", {}).get("noValue", "")
        assert not re.search(r"(?i)\b(well|fine|good|healthy|never|no check failed)\b", text), panel["title"]


@each
def test_long_lists_are_bounded_and_have_pages(dashboard: dict[str, Any]) -> None:
    for panel in panels_of(dashboard):
        if panel["type"] == "table":
            assert panel["options"]["enablePagination"]
        if panel["type"] == "bargauge":
            assert re.match(r"topk\(|sort(_desc)?\((avg|count) by \((provider|version)\)", panel["targets"][0]["expr"])


@each
def test_rows_are_folded(dashboard: dict[str, Any]) -> None:
    rows = [panel for panel in dashboard["panels"] if panel["type"] == "row"]
    assert rows
    assert all(row["collapsed"] and row["panels"] for row in rows)
    assert [panel["type"] for panel in dashboard["panels"][-len(rows) :]] == ["row"] * len(rows)


def test_every_useful_metric_is_on_a_dashboard() -> None:
    shown = {
        name for d in DASHBOARDS.values() for text in expressions(d) for name in re.findall(r"openclaw_auth_\w+", text)
    }
    not_shown = {
        "openclaw_auth_profile_errors",
        "openclaw_auth_profile_unusable",  # until when and why is shown
        "openclaw_auth_unusable_profiles",  # the profiles themselves are shown
        "openclaw_auth_openclaw_exit_code",  # the verdict is shown
        "openclaw_auth_checks_total",
        "openclaw_auth_check_failures_total",  # as the rules record it
        "openclaw_auth_exporter_task_restarts_total",  # the heartbeat and /-/healthy report a task that is down
    }
    assert {metric.name for metric in METRICS} - shown == not_shown, (
        "add the metric to a panel in dashboards/, or name it here with a reason"
    )


def test_list_of_problems_has_every_alert_and_its_section(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = made("panels.py", monkeypatch)["PROBLEMS"]
    handbook = (ROOT / "docs/runbook.md").read_text()
    sections = set(re.findall(r"^### (OpenClawAuth\w+)$", handbook, re.MULTILINE))
    assert problems.keys() == sections - NOT_SHOWN
    for dashboard in DASHBOARDS.values():
        table = next(panel for panel in dashboard["panels"] if panel["title"].startswith("What needs"))
        asked = re.findall(r'"problem", "(\w+)"', table["targets"][0]["expr"])
        assert set(asked) == {name.lower() for name in problems}


@each
def test_links_lead_to_sections_of_the_runbook(dashboard: dict[str, Any]) -> None:
    handbook = (ROOT / "docs/runbook.md").read_text()
    anchors = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", handbook, re.MULTILINE)}
    links = [text for text in strings(dashboard) if text.startswith("http")]
    assert len(links) > 3
    for url in links:
        page, _, anchor = url.partition("#")
        assert page == RUNBOOK
        assert anchor in anchors | {"", "${__value.raw}"}, url


@each
def test_panels_do_not_overlap(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels_of(dashboard):
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        if panel["type"] == "row":
            taken = {cell for cell in taken if cell[1] < place["y"]}  # as if the rows before were still folded
        assert not cells & taken, f"{panel['title']} is on top of another panel"
        assert max(x for x, _ in cells) < 24
        taken |= cells
    whole = panels_of(dashboard)
    assert [panel["id"] for panel in whole] == list(range(1, len(whole) + 1))
    titles = [panel["title"] for panel in whole]
    assert len(set(titles)) == len(titles)
    assert all(panel["description"] for panel in whole if panel["type"] != "row")
    # A phone stacks them by y, then x: the list of problems comes after the summary.
    order = sorted(dashboard["panels"], key=lambda panel: (panel["gridPos"]["y"], panel["gridPos"]["x"]))
    first = [panel["title"] for panel in order[:3]]
    assert any(title.startswith("What needs") for title in first)
    assert first[0] in ("Right now", "Targets")


@each
def test_tables_fit_a_phone(dashboard: dict[str, Any]) -> None:
    """All columns but the one that names the exporter of a fleet's row, which is at the far right."""
    tables = [panel for panel in panels_of(dashboard) if panel["type"] == "table"]
    assert len(tables) >= 5
    for panel in tables:
        widths = []
        for override in panel["fieldConfig"]["overrides"]:
            given = {one["id"]: one["value"] for one in override["properties"]}
            widths.append(given.get("custom.width") or given["custom.minWidth"])
        assert sum(widths[:4] if len(widths) == 5 and widths[4] == 150 else widths) <= PHONE, panel["title"]
