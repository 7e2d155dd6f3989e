"""Generates overview.json and fleet.json beside this file: ``python dashboards/make.py``.

findings.py holds the PromQL of the tables, panels.py the kinds of panels, frame.py the parts that both
dashboards share, and overview.py and fleet.py one dashboard each. A unit test compares the JSON with the
generated text, so that metrics, labels and runbook sections stay those of the program.
"""

from __future__ import annotations

import json
from pathlib import Path

from fleet import fleet
from overview import overview


def texts() -> dict[str, str]:
    """The content of each file, by its name."""
    made = {"overview.json": overview(), "fleet.json": fleet()}
    return {name: json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n" for name, dashboard in made.items()}


if __name__ == "__main__":
    for name, text in texts().items():
        (Path(__file__).parent / name).write_text(text, encoding="utf-8")
