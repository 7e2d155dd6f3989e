"""Reads an environment file (``~/.openclaw/.env``, systemd's EnvironmentFile) without executing it.

With it, a command gets the variables that the service has.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from exporter.lib.files import MIB, read_regular, why_unusable
from exporter.lib.known_secrets import remember
from exporter.model import CheckError, FailureReason

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_DOUBLE_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SINGLE_QUOTED = re.compile(r"'([^']*)'")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def read_env_file(path: str) -> dict[str, str]:
    """The variables in the file at ``path``, which may begin with ``~``.

    Raises CheckError PERMISSION if this user may not read it, OTHER if there is no such file. The sentence
    names the path, never a value.
    """
    try:
        content = read_regular(Path(path).expanduser(), MIB)
    except PermissionError:
        raise CheckError(FailureReason.PERMISSION, f"env_file {path}: this user may not read it") from None
    except (OSError, RuntimeError) as error:
        why = why_unusable(error) if isinstance(error, OSError) else "its user has no home directory"
        raise CheckError(FailureReason.OTHER, f"env_file {path}: {why}") from None
    return parse_env_file(os.fsdecode(content))


def parse_env_file(text: str) -> dict[str, str]:
    """The ``KEY=VALUE`` lines of ``text``, with optional ``export``, quotes and comments. Others are ignored.

    From then on, no text repeats a value that is a secret by its name.
    """
    variables = {}
    for line in text.removeprefix("\ufeff").split("\n"):
        assignment = _ASSIGNMENT.fullmatch(line)
        if assignment and "\0" not in line:
            variables[assignment[1]] = _value(assignment[2].strip())
    remember(variables)
    return variables


def _value(raw: str) -> str:
    if quoted := _SINGLE_QUOTED.match(raw):
        return quoted[1]
    if quoted := _DOUBLE_QUOTED.match(raw):
        return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), quoted[1])
    return "" if raw.startswith("#") else re.split(r"\s#", raw, maxsplit=1)[0].rstrip()
