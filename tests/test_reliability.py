"""docs/reliability.md names a test for each fault, and each test of tests/faults."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
TEXT = (TESTS.parent / "docs/reliability.md").read_text(encoding="utf-8")
PARTS = re.split(r"^## (.+)$", TEXT, flags=re.MULTILINE)
SECTIONS = dict(zip(PARTS[1::2], PARTS[2::2], strict=True))


def rows(section: str) -> list[list[str]]:
    """The cells of each row of a section's table, without its two lines of headings."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


FAULTS = [row for heading, section in SECTIONS.items() if heading != "Figures" for row in rows(section)]


def names_in(path: Path) -> set[str]:
    """``FILE::NAME`` of each test in a file."""
    found = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    names = [node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {f"{path.relative_to(TESTS)}::{name}" for name in names if name.startswith("test_")}


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("row", FAULTS, ids=lambda row: row[0])
def test_every_fault_names_tests_that_exist(row: list[str]) -> None:
    assert len(row) == 3, "a row is: fault, what happens, test"
    assert named(row[2]), "name a test"
    for name in named(row[2]):
        path = TESTS / name.partition("::")[0]
        assert path.is_file(), f"{name}: there is no such file"
        assert name in names_in(path), f"{name}: there is no such test"


def test_every_test_of_faults_is_named() -> None:
    there = {name for path in (TESTS / "faults").glob("test_*.py") for name in names_in(path)}
    missing = sorted(there - {name for row in FAULTS for name in named(row[2])})
    assert not missing, f"docs/reliability.md has no row for {missing}"


def test_no_fault_has_two_rows() -> None:
    faults = [row[0] for row in FAULTS]
    assert len(faults) == len(set(faults))
