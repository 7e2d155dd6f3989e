"""Escapes what a terminal, a log or a phone must not receive from other programs: the one place for it.

Everything that ``str.isprintable`` refuses becomes a backslash escape: control characters (with ESC, CR and LF),
characters that reverse or hide text, line separators, lone surrogates and unassigned ones.
"""

from __future__ import annotations

import re

#: In the text of a JSON document these are inside strings, because indentation has only spaces and newlines.
_CANDIDATES = re.compile(r"[^\n -~]")


def one_line(text: str) -> str:
    """``text`` as one line."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def each_line(text: str) -> str:
    """``text`` with its newlines, and everything else that is unprintable escaped."""
    return "\n".join(map(one_line, text.split("\n")))


def without_surrogates(text: str) -> str:
    """``text`` as UTF-8 and SQLite can store it: lone surrogates are backslash escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def json_text(text: str) -> str:
    """A JSON document in which unprintable characters are JSON's own escapes, so it is still the same document."""
    return _CANDIDATES.sub(_json_escape, text)


def _json_escape(found: re.Match[str]) -> str:
    char = found[0]
    if char.isprintable():
        return char
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
