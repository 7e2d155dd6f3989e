"""Report → text and JSON for people and scripts: a table, one line, Nagios output, an explanation, a calendar.

These views decide nothing and read no clock: time left is counted from ``now`` (Unix seconds), by
default the report's ``checked_at``. All but the JSON show unprintable characters as backslash escapes,
so that no id can control a terminal. A view is imported when it is first used: a command shows one of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporter.present.as_json import SCHEMA_VERSION, to_json
    from exporter.present.explanation import explain
    from exporter.present.line import to_line, to_nagios
    from exporter.present.style import PLAIN, Style
    from exporter.present.table import to_table
    from exporter.present.words import visible

__all__ = ["PLAIN", "SCHEMA_VERSION", "Style", "explain", "to_json", "to_line", "to_nagios", "to_table", "visible"]
_MODULES = {
    "as_json": ("SCHEMA_VERSION", "to_json"),
    "explanation": ("explain",),
    "line": ("to_line", "to_nagios"),
    "style": ("PLAIN", "Style"),
    "table": ("to_table",),
    "words": ("visible",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
