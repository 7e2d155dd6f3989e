"""Ids of messages and silences: unique, and sorted by creation even if the clock is set back."""

from __future__ import annotations

import secrets

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {char: value for value, char in enumerate(_ALPHABET)}
_RANDOM = 80  # bits


def next_ulid(now: float, last: str | None) -> str:
    """A ULID (26 characters: milliseconds, then 80 random bits) that sorts after ``last``."""
    number = (max(0, int(now * 1000)) << _RANDOM) | secrets.randbits(_RANDOM)
    if last is not None:
        number = max(number, _number(last) + 1)
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))


def _number(ulid: str) -> int:
    number = 0
    for char in ulid:
        number = (number << 5) | _VALUES[char]
    return number
