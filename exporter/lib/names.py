"""The nearest known name, for "did you mean" in error messages."""

from __future__ import annotations

from collections.abc import Iterable

#: More known names than this are not listed.
MAX_LISTED = 20
#: Only this much of a name is compared: the comparison takes quadratic time.
_COMPARED = 128


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The known name most like ``name``; None if no similarity reaches ``cutoff`` (0 to 1)."""
    import difflib  # here: it is slow to import, and rarely needed

    return next(iter(difflib.get_close_matches(name[:_COMPARED], sorted(known), n=1, cutoff=cutoff)), None)


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about the unknown ``name``: the nearest known name, else the known names."""
    names = sorted(map(str, known))
    meant = nearest(name, names)
    if meant is not None:
        return f"; did you mean '{meant}'?"
    return f"; known: {', '.join(names)}" if 0 < len(names) <= MAX_LISTED else ""
