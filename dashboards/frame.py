"""The parts that both dashboards share: variables, links, and the panels that are in both."""

from __future__ import annotations

from typing import Any

from findings import VARIABLES, needs, plain, series
from panels import (
    BLUE,
    DATASOURCE,
    GREEN,
    ORANGE,
    RED,
    Json,
    column,
    moment,
    problem_column,
    rows,
    steps,
    table,
    words,
)

from exporter.model import RUNBOOK

#: The version of @grafana/schema. Older Grafana reads it as it is, newer Grafana migrates it.
SCHEMA_VERSION = 42
TAG = "openclaw-auth"
TARGET, PROFILE = "instance, target", "instance, target, provider, profile"
FILLED = {"type": "color-background", "mode": "basic"}

_URGENCY = {"1": ("Now", RED), "2": ("Soon", ORANGE), "3": ("Later", BLUE)}
#: The colours of the age of the last check, seconds.
CHECK_AGE = steps(GREEN, (3600, ORANGE), (3 * 3600, RED))


def needs_table(title: str, show_exporter: bool) -> Json:
    columns = [
        column("urgency", "When", 54, FILLED, mappings=words(_URGENCY)),
        problem_column(),
        column("where", "Where", **{"custom.minWidth": 128}),
        moment("Value", "Until"),
    ]
    return table(
        title,
        "Every problem that needs a person, the most urgent first. Now: replies fail, or the state is unknown. Until: "
        "when it ends or ended, or when it was last known. The problem links to the runbook.",
        [rows(needs())],
        [*columns, column("instance", "Exporter", 150)] if show_exporter else columns,
        sort=[("When", False), ("Until", False)],
        empty="Nothing needs attention.",
    )


def oldest_check() -> str:
    """Seconds since the last successful check of the target that was checked least recently."""
    return f"time() - min({series('check_last_success_timestamp_seconds')})"


def dashboard(uid: str, title: str, description: str, since: str, panels: list[Json]) -> Json:
    """A whole dashboard. ``since`` is the beginning of its time range."""
    queries = {name: _label_values(name, index) for index, name in enumerate(VARIABLES)}
    return {
        "__inputs": [_INPUT],
        "__requires": _requirements(panels),
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["openclaw", TAG],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "",
        "time": {"from": since, "to": "now"},
        "timepicker": {},
        "refresh": "1m",
        "annotations": {"list": [_new_deadlines()]},
        "templating": {"list": [_datasource(), *(_variable(name, query) for name, query in queries.items())]},
        "links": [
            _link("dashboards", "OpenClaw credentials", tags=[TAG], includeVars=True),
            _link("link", "Runbook", url=RUNBOOK, icon="doc", targetBlank=True),
        ],
        "panels": panels,
    }


#: What an import by hand asks for: the value with which the variable of the data source starts. Grafana writes it in
#: place of its name. Where the file is provisioned, the name is no data source, and the variable takes the first one.
_INPUT = {
    "name": "DS_PROMETHEUS",
    "label": "Prometheus",
    "description": "The Prometheus that scrapes the exporter",
    "type": "datasource",
    "pluginId": "prometheus",
    "pluginName": "Prometheus",
}
_PANEL_NAMES = {"bargauge": "Bar gauge", "stat": "Stat", "table": "Table", "timeseries": "Time series"}


def _requirements(panels: list[Json]) -> list[Json]:
    """What an import by hand requires: Grafana, the data source, and each kind of panel."""
    everything = [one for panel in panels for one in (panel, *panel.get("panels", []))]
    kinds = sorted({panel["type"] for panel in everything} - {"row"})
    grafana = {"type": "grafana", "id": "grafana", "name": "Grafana", "version": "12.0.0"}
    source = {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "12.0.0"}
    return [
        grafana,
        source,
        *({"type": "panel", "id": kind, "name": _PANEL_NAMES[kind], "version": ""} for kind in kinds),
    ]


def _label_values(name: str, index: int) -> str:
    """The values of a label, among the series that the variables before it select."""
    metric = "exit_code" if name in ("instance", "target", "agent") else "profile_info"
    return f"label_values({plain(metric, **{before: f'~${before}' for before in VARIABLES[:index]})}, {name})"


def _variable(name: str, query: str) -> Json:
    """A variable that allows several values; all are selected at first."""
    return {
        "type": "query",
        "name": name,
        "label": "Exporter" if name == "instance" else name.capitalize(),
        "datasource": DATASOURCE,
        "query": {"qryType": 1, "query": query, "refId": f"variable-{name}"},
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
        "options": [],
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "hide": 0,
        "skipUrlSync": False,
    }


def _datasource() -> Json:
    """The variable for the Prometheus data source. Everything refers to it."""
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Prometheus",
        "query": "prometheus",
        "current": {"text": f"${{{_INPUT['name']}}}", "value": f"${{{_INPUT['name']}}}"},
        "options": [],
        "includeAll": False,
        "multi": False,
        "refresh": 1,
        "regex": "",
        "hide": 0,
        "skipUrlSync": False,
    }


def _link(type: str, title: str, **rest: Any) -> Json:
    plain_link = {
        "tags": [],
        "url": "",
        "icon": "external link",
        "tooltip": "",
        "asDropdown": False,
        "includeVars": False,
        "keepTime": False,
        "targetBlank": False,
    }
    return {"type": type, "title": title, **plain_link, **rest}


def _new_deadlines() -> Json:
    """Marks each renewal of a credential on the time axis."""
    changed = f"changes({series('profile_expiry_timestamp_seconds')}[2m]) > 0"
    return {
        "name": "New deadline",
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "blue",
        "target": {"refId": "Anno", "expr": f"max by (instance, target, profile) ({changed})"},
        "step": "60s",
        "titleFormat": "New deadline",
        "textFormat": "{{target}} · {{profile}} ({{instance}})",
        "tagKeys": "target,profile,instance",
        "useValueForTime": False,
    }
