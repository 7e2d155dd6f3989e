"""The situations in ``tests/field``; ``tests/field/test_field.py`` describes their format."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

FIELD = Path(__file__).parent / "field"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def cases() -> list[Path]:
    return sorted(path.parent for path in FIELD.glob("*/case.json"))


def rendered(text: str, now: float) -> str:
    """JSON in which ``"@ms:-1h"`` has become the time an hour before ``now``, in Unix milliseconds."""

    def moment(found: re.Match[str]) -> str:
        return str(int((now + int(found[1]) * _UNITS[found[2]]) * 1000))

    return re.sub(r'"@ms:([+-]\d+)([smhd])"', moment, text)


def lay_out(folder: Path, into: Path, now: float) -> None:
    """Copy a case, or one of its looks, with its times rendered."""
    for file in folder.rglob("*"):
        path = into / file.relative_to(folder)
        if file.is_file() and not file.relative_to(folder).parts[0].startswith("look"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(rendered(file.read_text(), now))


def wanted(case: Path, *names: str) -> dict[str, Any]:
    """What the case wants under the first of ``names`` that it has, else of every source."""
    want: dict[str, dict[str, Any]] = json.loads((case / "case.json").read_text())["want"]
    return dict(next((want[name] for name in (*names, "every source") if name in want), {}))
