"""deploy/grafana/alerting.yml has every alert of the shipped rules, in the shape that Grafana provisions.

tests/test_dashboards.py compares it with its generator; promtool's tests cover the expressions.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from exporter.setup import assets

#: The labels that Prometheus' own templates have beside those of a rule's series.
TEMPLATE = re.compile(r"{{-? (.*?) ?-?}}", re.DOTALL)
FUNCTIONS = {"humanizeTimestamp", "humanizePercentage", "humanizeDuration", "humanize"}


def shipped(name: str) -> Any:
    return yaml.safe_load(assets.read(name))


RULES = [
    rule
    for group in shipped("deploy/prometheus/openclaw-auth.rules.yml")["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
GRAFANA = [rule for group in shipped("deploy/grafana/alerting.yml")["groups"] for rule in group["rules"]]


def test_every_alert_is_there_with_its_expression_duration_and_severity() -> None:
    assert len(GRAFANA) == len(RULES) > 20
    for ours, theirs in zip(GRAFANA, RULES, strict=True):
        query, condition = ours["data"]
        assert query["model"]["expr"] == theirs["expr"].strip()
        assert query["model"]["instant"] is True
        assert (ours["condition"], condition["refId"], condition["datasourceUid"]) == ("C", "C", "__expr__")
        assert (ours["for"], ours.get("keepFiringFor")) == (theirs["for"], theirs.get("keep_firing_for"))
        assert ours["title"].startswith(theirs["alert"])
        fixed = {name: value for name, value in theirs["labels"].items() if "{{" not in value}
        assert ours["labels"] == fixed
        assert ours["annotations"].keys() == theirs["annotations"].keys()
        assert ours["annotations"]["runbook_url"] == theirs["annotations"]["runbook_url"]


def test_grafana_accepts_the_uids_and_titles() -> None:
    uids = [rule["uid"] for rule in GRAFANA]
    assert len(set(uids)) == len(uids) == len({rule["title"] for rule in GRAFANA})
    assert [uid for uid in uids if not re.fullmatch(r"[a-z-]{1,40}", uid)] == []


def test_texts_use_only_what_grafana_s_templates_have() -> None:
    for rule in GRAFANA:
        for text in rule["annotations"].values():
            assert "$value " not in text
            for inner in TEMPLATE.findall(text):
                words = set(re.findall(r"(?<![$.\w])[a-z]\w+", re.sub(r'"[^"]*"', "", inner), re.IGNORECASE))
                assert words <= FUNCTIONS | {"if", "else", "end", "with", "eq", "and", "or", "not"}, (
                    rule["uid"],
                    inner,
                )


def test_no_dollar_is_left_for_the_environment() -> None:
    """Grafana replaces variables in a provisioning file; of ours there is one."""
    for rule in GRAFANA:
        assert {query["datasourceUid"] for query in rule["data"]} == {"${OPENCLAW_AUTH_DATASOURCE_UID}", "__expr__"}
        assert not any("${" in text for text in rule["annotations"].values())
        assert not any("$" in text for text in (*rule["labels"].values(), rule["title"], rule["uid"]))
