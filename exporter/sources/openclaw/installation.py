"""The files behind an openclaw command on this host, and what changes when an update replaces them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from exporter.sources.store.paths import Stamp, stamp

#: How many folders above a program its package.json may be: dist/entry.js lies one below it, bin/openclaw too.
_PACKAGE_DEPTH = 3


def programs(command: Sequence[str], path: str) -> Iterator[Path]:
    """The files that ``command`` runs, without symbolic links: its program, and what it passes to node or npx.

    ``path`` is the PATH to search. A word that is no file names none.
    """
    for word in command:
        if not word.startswith("-") and (found := shutil.which(word, path=path) or _file(word)):
            yield Path(os.path.realpath(found))


def _file(word: str) -> str | None:
    return word if "/" in word and os.path.isfile(word) else None


def identity(command: Sequence[str], path: str) -> list[tuple[str, Stamp]]:
    """The programs and their packages, each with a stamp. It differs once another OpenClaw answers."""
    found = []
    for program in programs(command, path):
        found.append((str(program), stamp(program)))
        packages = (folder / "package.json" for folder in program.parents[:_PACKAGE_DEPTH])
        found += next(([(str(package), at)] for package in packages if (at := stamp(package))), [])
    return found
