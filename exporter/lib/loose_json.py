"""Reads JSON of other programs: a value of an unexpected shape counts as absent, never as an error."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from exporter.lib.redact import safe_name


def integer(digits: str) -> float:
    """``parse_int`` for the json module: int() refuses thousands of digits, which must not cost the whole text."""
    return int(digits) if len(digits) < 300 else math.inf


def parse(text: str | bytes) -> Any:
    """The JSON value in ``text``. Raises ValueError, RecursionError."""
    return json.loads(text, parse_int=integer)


def mapping(value: object, *names: str) -> Mapping[str, Any]:
    """The object at ``names`` in ``value``; an empty one if there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def text(value: object) -> str | None:
    """A non-empty text, safe to show as a name."""
    return safe_name(value) if isinstance(value, str) and value else None


def texts(value: object) -> list[str]:
    return [found for found in map(text, items(value)) if found]


def number(value: object) -> float | None:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None


def seconds(milliseconds: object, latest: float = math.inf) -> float | None:
    """Unix seconds of a positive number of milliseconds up to ``latest``."""
    found = number(milliseconds)
    return found / 1000 if found is not None and 0 < found <= latest else None
