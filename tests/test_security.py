"""docs/security.md names a test for each promise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_reliability import named, names_in, rows

TESTS = Path(__file__).parent
TEXT = (TESTS.parent / "docs/security.md").read_text(encoding="utf-8")
PARTS = re.split(r"^## (.+)$", TEXT, flags=re.MULTILINE)
SECTIONS = dict(zip(PARTS[1::2], PARTS[2::2], strict=True))
PROMISES = [row for heading in ("What is promised", "Least privilege") for row in rows(SECTIONS[heading])]


@pytest.mark.parametrize("row", PROMISES, ids=lambda row: row[0])
def test_every_promise_names_tests_that_exist(row: list[str]) -> None:
    assert named(row[-1]), "name a test"
    for name in named(row[-1]):
        path = TESTS / name.partition("::")[0]
        assert path.is_file(), f"{name}: there is no such file"
        assert name in names_in(path), f"{name}: there is no such test"


def test_every_attacker_is_described() -> None:
    attackers = rows(SECTIONS["Who might attack"])
    assert len(attackers) >= 5
    assert all(len(row) == 3 and all(row) for row in attackers)
