"""The generated tables in docs/ are those of the program."""

from __future__ import annotations

from pathlib import Path

import pytest
from regenerate import TABLES, documents


@pytest.mark.parametrize(
    ("path", "text"), list(documents()), ids=lambda value: value.name if isinstance(value, Path) else ""
)
def test_generated_tables_are_current(path: Path, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of date: run scripts/regenerate"


def test_every_generated_table_has_its_place() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path, _ in documents())
    assert [name for name in TABLES if f"<!-- generated: {name} -->" not in texts] == []
