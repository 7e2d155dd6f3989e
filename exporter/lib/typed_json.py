"""Dataclasses as JSON text and back, checked against their annotations.

pydantic is imported at first use, because its import takes 60 ms and not every command needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def dump(value: Any) -> str:
    """``value`` as JSON. Fields that have their default are left out."""
    kind: Any = type(value)
    text: str = _adapter(kind).dump_json(value, exclude_defaults=True).decode()
    return text


def load(kind: Callable[..., T], text: str) -> T:
    """The ``kind`` in ``text``. Raises ValueError if there is none."""
    value: T = _adapter(kind).validate_json(text)
    return value
