"""The kit: dashboards, rules, units and scripts for whoever installed from a package.

In the wheel they lie in ``exporter/assets``; a checkout has them where they are made. Their names are
their paths in the repository in both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

#: What is shipped; a folder that is not there yet is no error.
FOLDERS = ("dashboards", "deploy", "scripts/termux")


class AssetsError(Exception):
    """What was asked of the kit cannot be done; the message is a sentence for a person."""


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
        # The kit's own tests and makers are no part of it (nor of the wheel: see pyproject.toml).
        if entry.name.startswith((".", "__")) or entry.name == "tests" or entry.name.endswith((".py", ".pyc")):
            continue
        if entry.is_dir():
            yield from _files(entry, name)
        else:
            yield name


def read(name: str) -> bytes:
    """A shipped file by its name, or by its end where only one has it (``user/openclaw-auth-exporter.service``).

    Raises KitError for a name that nothing has, or several.
    """
    known = names()
    found = [name] if name in known else [one for one in known if one.endswith(f"/{name}")]
    if not found:
        raise AssetsError(f"nothing shipped is named {name!r}: see `openclaw-auth-exporter assets list`")
    if len(found) > 1:
        raise AssetsError(f"{name!r} is {' and '.join(found)}: say which")
    return _root().joinpath(*found[0].split("/")).read_bytes()


def export(directory: Path, force: bool = False) -> list[Path]:
    """Write every shipped file below ``directory``; what was written. Scripts are made executable.

    What is there already and the same stays. A file that differs is somebody's work: with any of
    those nothing is written, unless ``force``. Raises KitError.
    """
    files = {directory / name: read(name) for name in names()}
    try:
        # What differs is told before anything is written.
        present = {path: path.read_bytes() for path in files if os.path.lexists(path)}
        changed = [path for path, content in present.items() if content != files[path]]
        if changed and not force:
            listed = ", ".join(str(path) for path in changed[:5]) + (" …" if len(changed) > 5 else "")
            raise AssetsError(f"{listed} would be overwritten and differ from what is shipped; --force overwrites")
        written = [path for path in files if path not in present or path in changed]
        for path in written:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[path])
            if files[path].startswith(b"#!"):
                path.chmod(path.stat().st_mode | 0o111)
    except OSError as error:
        raise AssetsError(f"{error.filename}: {error.strerror}") from None
    return written
