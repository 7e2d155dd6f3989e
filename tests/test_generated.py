"""The generated tables in docs/ are those of the program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import manual
import pytest
from regenerate import TABLES, documents


@pytest.mark.parametrize(
    ("path", "text"), list(documents()), ids=lambda value: value.name if isinstance(value, Path) else ""
)
def test_generated_tables_are_current(path: Path, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of date: run scripts/regenerate"


def test_manual_page_is_current() -> None:
    assert manual.PAGE.read_text(encoding="utf-8") == manual.page(), (
        "the manual page is out of date: scripts/regenerate"
    )


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_manual_page_has_no_mistake_in_its_markup() -> None:
    checked = subprocess.run(
        ["groff", "-man", "-ww", "-z", "-Tutf8", str(manual.PAGE)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert checked.stderr == ""


def test_every_generated_table_has_its_place() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path, _ in documents())
    assert [name for name in TABLES if f"<!-- generated: {name} -->" not in texts] == []
