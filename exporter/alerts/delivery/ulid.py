"""Ids of messages and silences: unique, and sorted by creation even if the clock is set back."""

from __future__ import annotations

import secrets

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: To the digits that ``int`` knows.
_TO_DIGITS = str.maketrans(_ALPHABET, "0123456789ABCDEFGHIJKLMNOPQRSTUV")
_RANDOM = 80  # bits


def next_ulid(now: float, last: str | None) -> str:
    """A ULID (26 characters: milliseconds, then 80 random bits) that sorts after ``last``."""
    number = (max(0, int(now * 1000)) << _RANDOM) | secrets.randbits(_RANDOM)
    if last is not None:
        number = max(number, int(last.translate(_TO_DIGITS), 32) + 1)
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))
