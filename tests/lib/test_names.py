"""The end of a sentence about an unknown name."""

from __future__ import annotations

import pytest

from exporter.lib.names import MAX_LISTED, nearest, suggestion


@pytest.mark.parametrize(
    ("name", "known", "end"),
    [
        ("phnoe", ["team", "phone"], "; did you mean 'phone'?"),
        ("x", ["team", "phone"], "; known: phone, team"),
        ("x", [], ""),
        ("x", [f"rack{number}" for number in range(MAX_LISTED + 1)], ""),
        ("rak7", [f"rack{number}" for number in range(MAX_LISTED + 1)], "; did you mean 'rack7'?"),
    ],
)
def test_the_nearest_name_is_suggested_else_a_short_list(name: str, known: list[str], end: str) -> None:
    assert suggestion(name, known) == end


def test_a_huge_name_is_compared_by_its_beginning() -> None:
    """The comparison takes quadratic time, and the name may come from a stranger."""
    assert nearest("rack7" + "x" * 10_000_000, ["rack7" + "x" * 200]) == "rack7" + "x" * 200
