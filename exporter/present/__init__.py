"""Report → what people and scripts read: JSON, a table, one line, Nagios output, an explanation.

Pure views: nothing is decided here. There is no clock either: what is left is counted from ``now``
(Unix seconds), by default the report's ``checked_at``. All but the JSON show characters that cannot
be printed as backslash escapes, so no id reaches a terminal's controls.
"""

from exporter.present.as_json import SCHEMA_VERSION, to_json
from exporter.present.explanation import explain
from exporter.present.line import to_line, to_nagios
from exporter.present.table import to_table
from exporter.present.words import visible

__all__ = ["SCHEMA_VERSION", "explain", "to_json", "to_line", "to_nagios", "to_table", "visible"]
