"""Regular expressions that a person configures, for text from outside: none takes long, whatever the text is. Pure.

Python's ``re`` tries one way to match after another, and lets no other thread run meanwhile. How many ways there are is
known from the expression alone: one with too many is refused before it is used. Every expression that is not ours is
made here.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import comb
from typing import Any

#: The longest expression, and the longest text that one can match, in characters.
MAX_LENGTH = 256
#: A repeat that varies and has a higher limit counts as unbounded.
MAX_BOUND = 16
#: How many unbounded repeats may follow each other.
MAX_UNBOUNDED = 3
#: How many ways to match a text of MAX_LENGTH characters there may be: three unbounded repeats and five choices.
MAX_WAYS = 5 * comb(MAX_LENGTH + MAX_UNBOUNDED, MAX_UNBOUNDED)
#: How many parts an expression may have with its fixed repeats written out.
MAX_PARTS = 256

_parser: Any = importlib.import_module("re._parser")
_REPEATS = {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}

#: How many ways there are to match, by how many of the unbounded repeats are on the way.
_Ways = Counter[int]
_ONE: _Ways = Counter({0: 1})

_TOO_MANY_UNBOUNDED = (
    f"has more than {MAX_UNBOUNDED} repeats without a limit of at most {MAX_BOUND}, which takes too long: "
    r"write how often, like \d{1,3} instead of \d+"
)
_TOO_MANY_WAYS = (
    "can match in too many ways, which takes too long: write fewer optional parts, repeats and alternatives"
)


@dataclass(frozen=True, slots=True)
class UserPattern:
    """An expression that takes little time. ``user_pattern`` makes it."""

    _compiled: re.Pattern[str]

    def matches(self, text: str) -> bool:
        """Whether it matches the whole ``text``. It never matches one of more than MAX_LENGTH characters."""
        return len(text) <= MAX_LENGTH and self._compiled.fullmatch(text) is not None


@functools.lru_cache(maxsize=256)
def user_pattern(expression: str) -> UserPattern:
    """The pattern of an expression, made once.

    Raises ValueError with a sentence, which does not quote the expression, if it is none or may take long.
    """
    if len(expression) > MAX_LENGTH:
        raise ValueError(f"is longer than {MAX_LENGTH} characters: write a shorter regular expression")
    try:
        _check(_parser.parse(expression))
        return UserPattern(re.compile(expression))
    except re.error as error:
        raise ValueError(f"is no regular expression: {error.msg}") from None
    except (OverflowError, RecursionError):
        raise ValueError("has numbers that are too large, or too many groups inside each other") from None


def _check(parts: Any) -> None:
    """Raises ValueError if matching may take long."""
    if _size(parts) > MAX_PARTS:
        raise ValueError(f"repeats more than {MAX_PARTS} parts: write lower numbers in braces")
    _ways(parts)


def _ways(parts: Iterable[Any]) -> _Ways:
    """The ways to match all ``parts``. Raises ValueError for a part that is refused."""
    ways = _ONE
    for part in parts:
        ways = _both(ways, _ways_of(str(part[0]), part[1]))
    return ways


def _ways_of(name: str, value: Any) -> _Ways:
    """The ways to match one part."""
    if name in _REPEATS:
        return _ways_of_repeat(*value)
    if name in ("GROUPREF", "GROUPREF_EXISTS"):
        raise ValueError(r"refers to a group, like \1, which takes too long: write the text or the class itself")
    if name in ("ASSERT", "ASSERT_NOT") and _has(value[1], _varies):
        raise ValueError("has a repeat inside (?=…), (?!…), (?<=…) or (?<!…), which takes too long: write it outside")
    if name == "BRANCH":
        return _bounded(sum((_ways(branch) for branch in value[1]), Counter()))
    return functools.reduce(_both, map(_ways, _inside(name, value)), _ONE)


def _ways_of_repeat(least: int, most: int, inner: Any) -> _Ways:
    inner_ways = _ways(inner)
    if least == most and least > 1:
        return inner_ways if inner_ways == _ONE else functools.reduce(_both, [inner_ways] * least, _ONE)
    if most > 1 and _has(inner, _varies):
        raise ValueError(
            "has a repeat inside a repeat, which takes too long: "
            "write one repeat of all the characters, like [a-z0-9-]+ instead of ([a-z0-9]+-?)+"
        )
    if most > MAX_BOUND:
        if _has(inner, _is_branch):
            raise ValueError(
                "has alternatives inside a repeat, which takes too long: "
                f"write a class, like [a-z]+ instead of (dev|prod)+, or a limit of at most {MAX_BOUND}, like {{1,2}}"
            )
        return Counter({1: 1})
    times = [_ONE]
    for _ in range(most):
        times.append(_both(times[-1], inner_ways))
    return _bounded(sum(times[least:], Counter()))


def _both(first: _Ways, second: _Ways) -> _Ways:
    """The ways to match two parts, one after the other."""
    if second == _ONE:
        return first
    ways: _Ways = Counter()
    for unbounded, count in first.items():
        for more, times in second.items():
            ways[unbounded + more] += count * times
    return _bounded(ways)


def _bounded(ways: _Ways) -> _Ways:
    if max(ways) > MAX_UNBOUNDED:
        raise ValueError(_TOO_MANY_UNBOUNDED)
    if sum(count * comb(MAX_LENGTH + unbounded, unbounded) for unbounded, count in ways.items()) > MAX_WAYS:
        raise ValueError(_TOO_MANY_WAYS)
    return ways


def _inside(name: str, value: Any) -> list[Any]:
    """The sequences of parts inside a part."""
    if name in _REPEATS:
        return [value[2]]
    if name == "SUBPATTERN":
        return [value[3]]
    if name == "BRANCH":
        return list(value[1])
    if name in ("ASSERT", "ASSERT_NOT"):
        return [value[1]]
    if name == "ATOMIC_GROUP":
        return [value]
    return []


def _has(parts: Iterable[Any], fits: Callable[[str, Any], bool]) -> bool:
    """Whether a part, or one inside it, fits."""
    return any(
        fits(str(part[0]), part[1]) or any(_has(inner, fits) for inner in _inside(str(part[0]), part[1]))
        for part in parts
    )


def _is_branch(name: str, _: Any) -> bool:
    return name == "BRANCH"


def _varies(name: str, value: Any) -> bool:
    """Whether a part is a repeat that can match a different number of times."""
    return name in _REPEATS and value[0] != value[1]


def _size(parts: Iterable[Any]) -> int:
    """The number of parts, with what a repeat needs at least written out."""
    total = 0
    for part in parts:
        name, value = str(part[0]), part[1]
        inner = sum(_size(sequence) for sequence in _inside(name, value))
        total += 1 + (max(1, inner) * value[0] if name in _REPEATS else inner)
    return total
