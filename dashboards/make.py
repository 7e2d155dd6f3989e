"""Makes overview.json and fleet.json beside this file: ``python dashboards/make.py``.

What is asked of Prometheus is in findings.py, what panels are in panels.py, what both dashboards have in
frame.py, and each of them in a file of its own. A unit test compares the JSON with what this makes, so that
metrics, labels and sections of the runbook stay those of the program.
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
