"""Report → text and JSON for people and scripts: a table, one line, Nagios output, an explanation, a calendar.

These views decide nothing and read no clock: time left is counted from ``now`` (Unix seconds), by
default the report's ``checked_at``. All but the JSON show unprintable characters as backslash escapes,
so that no id can control a terminal.
"""

from exporter.present.as_json import SCHEMA_VERSION, to_json
from exporter.present.explanation import explain
from exporter.present.line import to_line, to_nagios
from exporter.present.style import PLAIN, Style
from exporter.present.table import to_table
from exporter.present.words import visible

__all__ = ["PLAIN", "SCHEMA_VERSION", "Style", "explain", "to_json", "to_line", "to_nagios", "to_table", "visible"]
