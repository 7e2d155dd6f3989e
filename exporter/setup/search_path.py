"""The directories of PATH that outlast the shell, for a unit that starts after it has ended.

fnm makes a directory for each shell, and Volta adds that of one Node version while it runs a program. Both have a
lasting directory with the same programs. nvm has none: its directory belongs to one version of Node.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

#: Directories that belong to a session.
_OF_A_SESSION = re.compile(r"/fnm_multishells/|^/run/user/")
_OF_VOLTA = re.compile(r"^(.*)/tools/image/(?:node|npm|yarn|pnpm)/")
_OF_ONE_VERSION = re.compile(r"/(?:\.?nvm/versions/node|node-versions|mise/installs/node)/(v?\d[^/]*)/")


class SearchPath(NamedTuple):
    """The lasting directories, and a sentence for each thing that someone should know."""

    directories: tuple[str, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return ":".join(self.directories)


def lasting(environ: Mapping[str, str]) -> SearchPath:
    """PATH without relative directories, and with lasting ones in place of those that end with the session."""
    given = [entry for entry in environ.get("PATH", "").split(":") if entry.startswith("/")]
    found: list[str] = []
    notes: list[str] = []
    for entry in given:
        instead = _instead(entry)
        if instead is None:
            notes.append(f"{entry} ends with this session, so the unit does not search it.")
            continue
        if instead != entry:
            notes.append(f"{entry} ends with this session: the unit searches {instead} instead.")
        found.append(instead)
    directories = tuple(dict.fromkeys(found))
    notes += _about_programs(given, directories)
    return SearchPath(directories, tuple(dict.fromkeys(notes)))


def _instead(entry: str) -> str | None:
    """The lasting directory with the same programs; None if there is none."""
    if volta := _OF_VOLTA.match(entry):
        shims = f"{volta[1]}/bin"
        return shims if os.path.isdir(shims) else entry
    if not _OF_A_SESSION.search(entry):
        return entry
    real = os.path.realpath(entry)
    if not os.path.isdir(real) or _OF_A_SESSION.search(real):
        return None
    return _alias_of(Path(real)) or real


def _alias_of(directory: Path) -> str | None:
    """fnm's ``aliases/default/bin`` if it leads to ``directory``, because it moves on when its owner upgrades Node."""
    for parent in directory.parents:
        if parent.name == "node-versions":
            alias = parent.parent / "aliases/default/bin"
            return str(alias) if os.path.realpath(alias) == str(directory) else None
    return None


def _about_programs(given: list[str], directories: tuple[str, ...]) -> list[str]:
    notes = []
    for name in ("openclaw", "node"):
        before = shutil.which(name, path=":".join(given))
        after = shutil.which(name, path=":".join(directories)) if directories else None
        if before and not after:
            notes.append(
                f"{name} is only in {os.path.dirname(before)}, which ends with this session. Install it where it "
                "stays, and run `openclaw-auth-exporter init --systemd` again."
            )
        if after and (version := _OF_ONE_VERSION.search(after)):
            notes.append(
                f"{name} belongs to Node {version[1]} ({os.path.dirname(after)}). After you change the version, run "
                "`openclaw-auth-exporter init --systemd` again."
            )
    return notes
