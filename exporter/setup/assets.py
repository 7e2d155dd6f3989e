"""The shipped files: dashboards, rules, units and scripts, for users who installed a package.

In the wheel they are in ``exporter/assets``, in a checkout at their usual places. In both, the name of a file is its
path in the repository.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from exporter.lib.errors import ExpectedError
from exporter.lib.names import nearest

#: The shipped folders.
FOLDERS = ("dashboards", "deploy", "scripts/termux")


class AssetsError(ExpectedError):
    """A shipped file cannot be found, or the files cannot be written."""

    exit_code = os.EX_CANTCREAT


@cache
def _root() -> Traversable:
    packaged = resources.files("exporter") / "assets"
    if packaged.is_dir():
        return packaged
    return Path(__file__).resolve().parents[2]


def names() -> list[str]:
    """The name of every shipped file, like ``deploy/systemd/openclaw-auth-exporter.service``."""
    return sorted(name for folder in FOLDERS for name in _files(_root().joinpath(*folder.split("/")), folder))


def _files(folder: Traversable, prefix: str) -> Iterator[str]:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        name = f"{prefix}/{entry.name}"
        # Tests of the files and the scripts that generate them are not shipped (see pyproject.toml).
        if entry.name.startswith((".", "__")) or entry.name == "tests" or entry.name.endswith((".py", ".pyc")):
            continue
        if entry.is_dir():
            yield from _files(entry, name)
        else:
            yield name


def read(name: str) -> bytes:
    """The content of a shipped file, by its name or by the end of its name (``user/openclaw-auth-exporter.service``).

    Raises AssetsError if no file has that name, or several files do.
    """
    known = names()
    found = [name] if name in known else [file for file in known if file.endswith(f"/{name}")]
    if not found:
        alike = nearest(name, [*known, *(file.rpartition("/")[2] for file in known)], cutoff=0.6)
        end = f"; did you mean {alike!r}?" if alike else ": see `openclaw-auth-exporter assets list`"
        raise AssetsError(f"there is no shipped file {name!r}{end}")
    if len(found) > 1:
        raise AssetsError(f"{name!r} can be {' or '.join(found)}: name one of them")
    return _root().joinpath(*found[0].split("/")).read_bytes()


def export(directory: Path, force: bool = False) -> list[Path]:
    """Write every shipped file below ``directory`` and return the files written. Scripts become executable.

    Identical files are left alone. A file that differs may be the user's work: unless ``force``, nothing is written
    then. Raises AssetsError.
    """
    files = {directory / name: read(name) for name in names()}
    try:
        present = {path: path.read_bytes() for path in files if os.path.lexists(path)}
        changed = [path for path, content in present.items() if content != files[path]]
        if changed and not force:
            listed = ", ".join(str(path) for path in changed[:5]) + (" …" if len(changed) > 5 else "")
            raise AssetsError(f"{listed} differ from the shipped files; --force overwrites them")
        written = [path for path in files if path not in present or path in changed]
        for path in written:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[path])
            if files[path].startswith(b"#!"):
                path.chmod(path.stat().st_mode | 0o111)
    except OSError as error:
        raise AssetsError(f"{error.filename}: {error.strerror}") from None
    return written
