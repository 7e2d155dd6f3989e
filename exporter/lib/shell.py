"""Quotes words for shells, so that whatever a name contains arrives as one argument."""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=4096)  # every remedy of every check is made of a few words
def quote(word: str) -> str:
    """``word`` as one word of any POSIX shell and of fish, which also interprets ``\\`` in single quotes."""
    if re.fullmatch(r"[A-Za-z0-9_@+:,./-]+", word):
        return word
    return "".join(_QUOTED.get(part) or f"'{part}'" for part in re.split(r"(['\\])", word) if part) or "''"


_QUOTED = {"'": '"\'"', "\\": '"\\\\"'}


def quote_again(quoted: str) -> str:
    """A word that is already quoted for one shell, quoted for another shell in front of it."""
    if quote(quoted) == quoted:
        return quoted
    return quote(quoted) if re.search(r'["$`\\!\n]', quoted) else f'"{quoted}"'


def quote_path(path: str) -> str:
    """``path`` for an assignment or a command in a shell, which expands ``~`` only outside quotes."""
    return f"~/{quote(path[2:])}" if path.startswith("~/") and path != "~/" else quote(path)
