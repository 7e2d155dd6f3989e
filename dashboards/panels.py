"""Grafana panels as dictionaries: the kinds that the dashboards use, and their places.

Field names are those of Grafana's schema (@grafana/schema, Dashboard); tests/real/test_dashboards.py
checks the result against it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.model import RUNBOOK

Json = dict[str, Any]

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
RED, ORANGE, BLUE, GREEN, GREY = "red", "orange", "blue", "green", "text"

#: The text for a time of 0: there is none, or it is unknown.
NO_MOMENT = {"0": ("–", GREY)}
#: The short name of each runbook section in a row of a table, and its colour.
PROBLEMS = {
    "OpenClawAuthExpired": ("Expired", RED),
    "OpenClawAuthMissing": ("Not usable", RED),
    "OpenClawAuthUnusable": ("Refused", RED),
    "OpenClawAuthExpiringVerySoon": ("Expires", ORANGE),
    "OpenClawAuthExpiringSoon": ("Expires", BLUE),
    "OpenClawAuthUndated": ("No date", BLUE),
    "OpenClawAuthNoUsableCredential": ("None works", RED),
    "OpenClawAuthCoolingDown": ("Cooldown", RED),
    "OpenClawAuthQuota": ("Quota", BLUE),
    "OpenClawAuthCheckFailing": ("Check fails", RED),
    "OpenClawAuthCheckStale": ("Not checked", RED),
    "OpenClawAuthReported": ("Unexplained", ORANGE),
    "OpenClawAuthClock": ("Wrong clock", ORANGE),
    "OpenClawAuthExporterDown": ("No exporter", RED),
    "OpenClawAuthConfigReloadFailed": ("Bad config", ORANGE),
    "OpenClawAuthStateFailed": ("Bad state", ORANGE),
    "OpenClawAuthHeartbeatStale": ("Heartbeat", ORANGE),
    "OpenClawAuthNotificationsDead": ("Undelivered", ORANGE),
    "OpenClawAuthNotificationsFailing": ("Notify fails", ORANGE),
    "OpenClawAuthNotificationsPilingUp": ("Piling up", ORANGE),
    "OpenClawAuthExporterAbsent": ("No data", RED),
}


# --- queries -----------------------------------------------------------------------------------


def instant(expression: str, legend: str = "__auto") -> Json:
    """A query at the end of the time range, as series."""
    return {"expr": expression, "instant": True, "range": False, "legendFormat": legend, "format": "time_series"}


def rows(expression: str) -> Json:
    """A query at the end of the time range, as the rows of a table with one column per label."""
    return {"expr": expression, "instant": True, "range": False, "format": "table"}


def over_time(expression: str, legend: str) -> Json:
    """A query over the time range."""
    return {"expr": expression, "instant": False, "range": True, "legendFormat": legend, "format": "time_series"}


# --- how values are shown ---------------------------------------------------------------------------


def words(texts: Mapping[str, tuple[str, str]]) -> list[Json]:
    """Value mappings: the text and the colour of each value."""
    options = {
        value: {"text": text, "color": color, "index": index}
        for index, (value, (text, color)) in enumerate(texts.items())
    }
    return [{"type": "value", "options": options}]


def steps(first: str, *more: tuple[float, str]) -> Json:
    """Thresholds: the colour below the first, then the colour from each one on."""
    found: list[Json] = [{"value": None, "color": first}]
    return {"mode": "absolute", "steps": found + [{"value": value, "color": color} for value, color in more]}


def link(title: str, url: str) -> list[Json]:
    """A data link. The runbook opens in a new tab, another dashboard in this one."""
    return [{"title": title, "url": url, "targetBlank": not url.startswith("/")}]


def runbook(section: str) -> list[Json]:
    """The link to a section of the runbook. ``${__value.raw}`` stands for the section that the cell names."""
    return link("What to do", f"{RUNBOOK}#{section.lower() if not section.startswith('$') else section}")


@dataclass(frozen=True)
class Column:
    """One column of a table: its field, its title, and its properties (of a fieldConfig override)."""

    field: str
    title: str
    properties: Mapping[str, Any]


def column(
    field: str, title: str, width: int | None = None, cell: Mapping[str, Any] | None = None, **more: Any
) -> Column:
    """A column ``width`` pixels wide; without a width it takes the remaining space."""
    properties: Json = {"custom.width": width} if width else {"custom.minWidth": 110}
    if cell is not None:
        properties["custom.cellOptions"] = dict(cell)
    return Column(field, title, {**properties, **more})


def moment(field: str, title: str, width: int = 88) -> Column:
    """A column of Unix milliseconds, shown relative to now: "in 3 hours"."""
    return column(field, title, width, unit="dateTimeFromNow", mappings=words(NO_MOMENT), **{"custom.align": "left"})


def problem_column(title: str = "Problem", width: int = 102) -> Column:
    """The column of the label ``problem``, as words that link to the runbook."""
    texts = {name.lower(): text for name, text in PROBLEMS.items()}
    return column(
        "problem", title, width, {"type": "color-text"}, mappings=words(texts), links=runbook("${__value.raw}")
    )


# --- panels ------------------------------------------------------------------------------------


def _panel(type: str, title: str, description: str, targets: Sequence[Json], **rest: Any) -> Json:
    lettered = [{"refId": chr(65 + i), "datasource": DATASOURCE, **target} for i, target in enumerate(targets)]
    return {
        "type": type,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": lettered,
        **rest,
    }


def stat(title: str, description: str, *queries: Json, **defaults: Any) -> Json:
    """A number or a word, or several with their names, on a coloured background."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "background_solid",
        "graphMode": "none",
        "justifyMode": "center",
        "orientation": "auto",
        "textMode": "value" if len(queries) == 1 else "value_and_name",
        "wideLayout": False,
    }
    overrides = defaults.pop("overrides", [])
    field_config = {"defaults": {"color": {"mode": "thresholds"}, **defaults}, "overrides": overrides}
    return _panel("stat", title, description, queries, options=options, fieldConfig=field_config)


def bars(title: str, description: str, query: Json, **defaults: Any) -> Json:
    """One bar per series, with its name in front."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "displayMode": "basic",
        "orientation": "horizontal",
        "namePlacement": "left",
        "text": {"titleSize": 13, "valueSize": 14},
        "valueMode": "color",
        "showUnfilled": True,
        "sizing": "manual",
        "minVizHeight": 16,
        "minVizWidth": 8,
        "maxVizHeight": 28,
    }
    field_config = {"defaults": {"color": {"mode": "thresholds"}, "min": 0, **defaults}, "overrides": []}
    return _panel("bargauge", title, description, [query], options=options, fieldConfig=field_config)


def lines(title: str, description: str, queries: Sequence[Json], stacked: bool = False, **defaults: Any) -> Json:
    """Series over the time range. ``stacked`` draws bars on top of each other."""
    custom: Json = {"drawStyle": "line", "lineWidth": 2, "fillOpacity": 0, "showPoints": "never", "spanNulls": False}
    if stacked:
        custom |= {"drawStyle": "bars", "lineWidth": 0, "fillOpacity": 80, "stacking": {"mode": "normal", "group": "A"}}
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    overrides = defaults.pop("overrides", [])
    field_config = {
        "defaults": {"color": {"mode": "palette-classic"}, "custom": custom, **defaults},
        "overrides": overrides,
    }
    return _panel("timeseries", title, description, queries, options=options, fieldConfig=field_config)


def override(name: str, **properties: Any) -> Json:
    """Properties for the series ``name`` only."""
    listed = [{"id": id, "value": value} for id, value in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": listed}


def fixed(color: str) -> Json:
    """One colour for every value."""
    return {"mode": "fixed", "fixedColor": color}


def table(
    title: str,
    description: str,
    queries: Sequence[Json],
    columns: Sequence[Column],
    sort: Sequence[tuple[str, bool]] = (),
    empty: str = "Nothing",
) -> Json:
    """A table of these columns, sorted by (title, descending). Several queries are joined by their labels."""
    order = {column.field: index for index, column in enumerate(columns)}
    titles = {column.field: column.title for column in columns}
    # If only the first query returns series, Grafana may name its value as if it were the only one.
    if "Value #A" in order:
        order["Value"], titles["Value"] = order["Value #A"], titles["Value #A"]
    transformations: list[Json] = [{"id": "merge", "options": {}}] if len(queries) > 1 else []
    transformations += [
        {"id": "filterFieldsByName", "options": {"include": {"names": list(order)}}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {},
                "indexByName": order,
                "renameByName": titles,
            },
        },
    ]
    overrides = [override(column.title, **column.properties) for column in columns]
    custom = {"align": "left", "cellOptions": {"type": "auto"}, "inspect": False, "filterable": False, "wrapText": True}
    defaults = {"color": {"mode": "thresholds"}, "custom": custom, "noValue": empty}
    options = {
        "frameIndex": 0,
        "showHeader": True,
        "cellHeight": "sm",
        "enablePagination": True,
        "sortBy": [{"displayName": title, "desc": descending} for title, descending in sort],
    }
    field_config = {"defaults": defaults, "overrides": overrides}
    return _panel(
        "table", title, description, queries, options=options, fieldConfig=field_config, transformations=transformations
    )


def row(title: str) -> Json:
    """A heading across the dashboard. The panels below it are folded: they are queried when someone opens it."""
    return {"type": "row", "title": title, "collapsed": True, "panels": []}


def placed(*panels: tuple[Json, int, int, int, int]) -> list[Json]:
    """The panels with ids, each placed by x, y, width and height on Grafana's grid of 24 columns.

    Those after a row are folded into it. On a screen narrower than 768 px Grafana stacks them by y, then x.
    """
    found: list[Json] = []
    into, folded = found, 0  # the heights of the panels that are folded do not count
    for index, (panel, x, y, w, h) in enumerate(panels, start=1):
        numbered = {"id": index, **panel, "gridPos": {"x": x, "y": y - folded, "w": w, "h": h}}
        if panel["type"] == "row":
            folded = y - (found[-1]["gridPos"]["y"] + 1) if into is not found else 0
            numbered["gridPos"]["y"] = y - folded
            found.append(numbered)
            into = numbered["panels"]
        else:
            into.append(numbered)
    return found
