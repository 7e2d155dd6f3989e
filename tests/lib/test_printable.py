"""What a terminal, a log or a phone must not receive is escaped; JSON stays the same document."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from exporter.lib.printable import each_line, json_text, one_line

ANY = st.text(st.characters(exclude_categories=()), max_size=40)


@given(ANY)
def test_a_line_and_lines_are_printable(text: str) -> None:
    assert one_line(text).isprintable()
    lines = each_line(text).split("\n")
    assert len(lines) == text.count("\n") + 1
    assert all(line.isprintable() for line in lines)


@given(st.dictionaries(ANY, ANY))
def test_json_without_unprintable_characters_is_the_same_document(value: dict[str, str]) -> None:
    shown = json_text(json.dumps(value, indent=2, ensure_ascii=False))
    assert all(line.isprintable() for line in shown.split("\n"))
    assert json.loads(shown) == value


def test_examples() -> None:
    assert one_line("läßt 漢 😀") == "läßt 漢 😀"
    assert one_line("a\r\nb\x1b[31m\u202e\x9b\ud800") == r"a\r\nb\x1b[31m\u202e\x9b\ud800"
    assert json_text('"läßt 漢 😀 \u202e\x7f\U000e0041"') == r'"läßt 漢 😀 \u202e\u007f\udb40\udc41"'
