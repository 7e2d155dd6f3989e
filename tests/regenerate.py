"""Writes the tables in docs/ that are generated from the program, and the manual page. ``scripts/regenerate`` runs it.

A generated table stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import manual

from exporter.metrics.definitions import METRICS
from exporter.model import ConditionName

DOCS = Path(__file__).parent.parent / "docs"
_TABLE = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _table(*rows: Sequence[str]) -> str:
    heading, *rest = rows
    lines = [heading, ["---"] * len(heading), *rest]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _conditions() -> str:
    rows = ((f"`{name}`", d.when, d.severity, d.action) for name in ConditionName for d in [name.definition])
    return _table(("condition", "when", "severity", "what to do"), *rows)


def _sections() -> str:
    def cell(name: ConditionName) -> str:
        runbook, note = name.definition.runbook, name.definition.runbook_note
        return f"[{runbook}](#{runbook.lower()})" + (f". {note}" if note else "")

    rows = ((f"`{name}`", name.definition.severity, cell(name)) for name in ConditionName)
    return _table(("condition", "severity", "section"), *rows)


def _metrics() -> str:
    rows = ((f"`{m.name}`", m.type, ", ".join(f"`{label}`" for label in m.labels) or "-", m.help) for m in METRICS)
    return _table(("metric", "type", "labels", "meaning"), *rows)


TABLES: dict[str, Callable[[], str]] = {"conditions": _conditions, "sections": _sections, "metrics": _metrics}


def documents() -> Iterable[tuple[Path, str]]:
    """Every document with a generated table, and the text it should have."""
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if _TABLE.search(text):
            yield path, _TABLE.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", text)


if __name__ == "__main__":
    for path, text in documents():
        path.write_text(text, encoding="utf-8")
    manual.PAGE.parent.mkdir(exist_ok=True)
    manual.PAGE.write_text(manual.page(), encoding="utf-8")
