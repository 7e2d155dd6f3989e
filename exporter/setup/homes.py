"""The OpenClaw homes of this host beside the user's own: named ones, and for root those of other users.

OpenClaw as root would make a second, empty home, so another user's is reached as that user.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

#: How many homes are proposed.
MOST = 20
#: The names that ``openclaw --profile`` takes, in small letters.
_PROFILE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
#: What OpenClaw makes in a home that is in use.
_SIGNS = ("openclaw.json", "agents")
#: Where npm, pnpm, bun and Volta put a user's own programs.
_OWN_PROGRAMS = (".local/bin", ".npm-global/bin", ".local/share/pnpm", ".bun/bin", ".volta/bin", "bin")


@dataclass(frozen=True, slots=True)
class FoundHome:
    """A home and the target that checks it."""

    folder: Path
    name: str
    command: tuple[str, ...]

    @property
    def target(self) -> Mapping[str, object]:
        return {"name": self.name, "source": "openclaw", "command": list(self.command)}


def find_homes(home: Path, users: Iterable[tuple[str, Path]] = ()) -> list[FoundHome]:
    """The named homes below ``home``, and every home of ``users``, each with the folder of that user. Blocks."""
    found = [FoundHome(folder, profile, _as_profile(profile)) for folder, profile in _homes(home) if profile]
    for user, theirs in users:
        for folder, profile in _homes(theirs):
            name = f"{user}-{profile}" if profile else user
            found.append(FoundHome(folder, name, (*_as_user(user, theirs), *_as_profile(profile))))
    unique = {one.name: one for one in reversed(found) if one.name != "local"}
    return sorted(unique.values(), key=lambda one: str(one.folder))[:MOST]


def other_users() -> list[tuple[str, Path]]:
    """The users of this host with a folder, beside this one, if this one is root; else none: their homes are theirs."""
    if os.geteuid() != 0:
        return []
    import pwd

    own = Path(os.path.expanduser("~"))
    folders = {Path(user.pw_dir): user.pw_name for user in reversed(pwd.getpwall()) if _USER.fullmatch(user.pw_name)}
    return [(name, folder) for folder, name in folders.items() if folder not in (own, Path("/"))]


def _homes(home: Path) -> Iterator[tuple[Path, str]]:
    """Each home of OpenClaw in ``home`` with its name; the usual one has none."""
    try:
        folders = sorted(
            folder for folder in home.glob(".openclaw*") if any((folder / sign).exists() for sign in _SIGNS)
        )
    except OSError:
        return
    for folder in folders:
        name = folder.name.removeprefix(".openclaw")
        if not name:
            yield folder, ""
        elif _PROFILE.fullmatch(name[1:]) and name[0] == "-":
            yield folder, name[1:]


def _as_profile(profile: str) -> tuple[str, ...]:
    return ("openclaw", "--profile", profile) if profile else ("openclaw",)


def _as_user(user: str, home: Path) -> tuple[str, ...]:
    """The words before a command that runs as ``user``. A ``runuser`` of root needs no password and no session."""
    given = [f"HOME={home}"]
    if shutil.which("openclaw") is None:
        folders = (home / folder for folder in _OWN_PROGRAMS)
        if (folder := next((one for one in folders if os.access(one / "openclaw", os.X_OK)), None)) is not None:
            given.append(f"PATH={folder}:/usr/local/bin:/usr/bin:/bin")
    wrapper = ("sudo", "-u", user) if sys.platform == "darwin" else ("runuser", "-u", user, "--")
    return (*wrapper, "env", *given)
