"""Checks that JSON of another program has objects and lists where they are expected.

``loose_json`` reads a value of an unexpected type as absent. That is right for a detail. For a container it
would turn "cannot be read" into "there are none", so containers are checked first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The expected shape of a value: a mapping of keys for an object, a list of one shape for a list, TEXT for a
#: text, ANY for anything. Keys that are absent from the value are not checked, nor are keys that the shape does
#: not name.
Shape = Mapping[str, Any] | list[Any] | type[Any]
TEXT, ANY = str, object


def misshapen(value: object, shape: Shape, path: str = "") -> str | None:
    """Where ``value`` differs from ``shape`` first, in words: ``auth.providers is not a list``; None if nowhere."""
    if shape is ANY:
        return None
    if shape is TEXT:
        return None if isinstance(value, str) else f"{path} is not a text"
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{path} is not a list"
        found = (misshapen(item, shape[0], f"{path}[{index}]") for index, item in enumerate(value))
        return next(filter(None, found), None)
    if not isinstance(value, Mapping) or not isinstance(shape, Mapping):
        return f"{path or 'the answer'} is not an object"
    within = f"{path}." if path else ""
    found = (misshapen(value[key], part, f"{within}{key}") for key, part in shape.items() if key in value)
    return next(filter(None, found), None)
