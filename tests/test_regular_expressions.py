"""Every regular expression takes linear time: most are used on text from outside, on the daemon's event loop."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import hostile_patterns
import pytest

EXPORTER = Path(hostile_patterns.__file__).parent.parent / "exporter"
#: Modules that make patterns at run time, from parts that are escaped or checked.
MADE_AT_RUN_TIME = {"sources/openclaw/status.py", "sources/store/environment.py"}
#: The one module that makes the patterns that a person configures. It refuses those that may take long.
CONFIGURED = {"lib/user_pattern.py"}


def not_linear(folder: Path, timeout: float = 120.0) -> list[str]:
    """The patterns below ``folder`` that are not linear, found in a process that is ended if one never returns."""
    command = [sys.executable, hostile_patterns.__file__, str(folder)]
    try:
        printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=timeout).stdout
    except subprocess.TimeoutExpired as error:
        return [bytes(error.stdout or b"").decode().rpartition("\n")[2] + "never returns"]
    lines = printed.splitlines()
    assert lines
    return [line for line in lines if not line.endswith(" linear")]


def test_every_pattern_is_linear() -> None:
    """A pattern that is made at run time cannot be seen, so few are."""
    found = {line.removeprefix("exporter/") for line in not_linear(EXPORTER)}
    assert {line for line in found if line.split(":")[0] not in MADE_AT_RUN_TIME | CONFIGURED} == set()
    assert all(line.endswith("MADE AT RUN TIME") for line in found)


@pytest.mark.parametrize(
    "code",
    [
        're.search(r"(.*error.+)", "")',
        'X = re.compile(r"\\s*$")\nX.search("")',
        're.search(r"(\\d+)(?:ms|s)", "")',
        're.match(r"\\w+[a-z]+#", "")',
        're.search(rf"{__name__}.*", "")',
    ],
)
def test_pattern_that_is_not_linear_is_found(code: str, tmp_path: Path) -> None:
    (tmp_path / "hostile.py").write_text(f"import re\n{code}\n")
    assert len(not_linear(tmp_path)) == 1


def test_pattern_that_never_returns_is_found(tmp_path: Path) -> None:
    (tmp_path / "hostile.py").write_text('import re\nre.sub(r"(?:a|[^b]){0,900}c", "", "")\n')
    assert len(not_linear(tmp_path, timeout=0.4)) == 1


def test_pattern_used_at_the_beginning_only_may_begin_with_a_repetition(tmp_path: Path) -> None:
    (tmp_path / "harmless.py").write_text('import re\nX = re.compile(r"\\s*a")\nX.fullmatch("")\n')
    assert not_linear(tmp_path) == []
