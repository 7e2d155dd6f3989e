"""Generates the dashboards and what is derived from the rules: ``python dashboards/make.py``.

findings.py holds the PromQL of the tables, panels.py the kinds of panels, frame.py the parts that both
dashboards share, and overview.py and fleet.py one dashboard each. alerting.py makes what is derived from the rules of
Prometheus: Grafana's alert rules, and the rules as JSON. Unit tests compare the files with the generated text, so that
metrics, labels and runbook sections stay those of the program.
"""

from __future__ import annotations

import json
from pathlib import Path

from alerting import alerting, rules_of_prometheus
from fleet import fleet
from overview import overview

#: A mixin and a chart can read only files of their own folder.
RULES_AS_JSON = ("../deploy/mixin/rules.json", "../deploy/helm/openclaw-auth-exporter/files/rules.json")


def texts() -> dict[str, str]:
    """The content of each file, by its name from this folder."""
    made = {"overview.json": overview(), "fleet.json": fleet()}
    dashboards = {name: json.dumps(each, indent=2, ensure_ascii=False) + "\n" for name, each in made.items()}
    rules = json.dumps(rules_of_prometheus(), indent=1, ensure_ascii=False) + "\n"
    return {**dashboards, "../deploy/grafana/alerting.yml": alerting(), **dict.fromkeys(RULES_AS_JSON, rules)}


if __name__ == "__main__":
    for name, text in texts().items():
        (Path(__file__).parent / name).write_text(text, encoding="utf-8")
