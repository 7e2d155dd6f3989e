"""The variables that the systemd unit of OpenClaw's gateway sets: a key in a shell alone does not reach the gateway.

``openclaw gateway install`` writes the unit, on Linux, to the folder of the user's units (2026.2 to 2026.9).
"""

from __future__ import annotations

import shlex
from pathlib import Path

from exporter.lib.env_file import parse_env_file
from exporter.lib.files import MIB, read_regular
from exporter.lib.known_secrets import remember

_UNITS = Path(".config", "systemd", "user")
_DEFAULT_HOME = ".openclaw"


def variables(state_dir: Path) -> frozenset[str] | None:
    """The names of the variables that the unit of the gateway with this ``state_dir`` sets.

    None if there is no unit, or if it cannot be told what the unit sets. Blocks.
    """
    profile = state_dir.name.removeprefix(_DEFAULT_HOME)
    if not state_dir.name.startswith(_DEFAULT_HOME) or (profile and not profile.startswith("-")):
        return None
    home = state_dir.parent
    unit = home / _UNITS / f"openclaw-gateway{profile}.service"
    try:
        parts = [unit, *sorted(unit.with_name(f"{unit.name}.d").glob("*.conf"))]
        return _set_by("\n".join(read_regular(part, MIB).decode() for part in parts), home)
    except (OSError, ValueError):
        return None


def _set_by(text: str, home: Path) -> frozenset[str]:
    """The names of the variables that a unit with its drop-ins sets. Raises OSError and ValueError if it is unclear."""
    given: dict[str, str] = {}
    passed = set[str]()
    files: list[str] = []
    for line in text.replace("\\\n", " ").splitlines():
        key, _, value = line.strip().partition("=")
        words = shlex.split(value) if key in ("Environment", "EnvironmentFile", "PassEnvironment") else []
        match key:
            case "Environment":
                pairs = (word.partition("=") for word in words)
                given = given | {name: text for name, _, text in pairs} if words else {}
            case "PassEnvironment":
                passed = passed | set(words) if words else set()
            case "EnvironmentFile":
                files = [*files, *words] if words else []
    remember(given)
    for file in files:
        path = Path(file.removeprefix("-").replace("%h", str(home)))
        if "%" in str(path):
            raise ValueError(file)
        try:
            given |= parse_env_file(read_regular(path, MIB).decode())
        except FileNotFoundError:
            if not file.startswith("-"):
                raise
    return frozenset(passed | {name for name, value in given.items() if value.strip()})
