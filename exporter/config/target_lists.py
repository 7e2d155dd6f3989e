"""The lists of ``targets_from``: reads them when they change, and keeps the last good version of each.

A list that cannot be used changes nothing: the targets of its last good version stay. That version is also kept in the
state directory: a restart while a list is bad must not end the alerts of its targets.
"""

from __future__ import annotations

import asyncio
import fnmatch
import glob
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from exporter.config.models import Config
from exporter.config.target_list import MAX_LIST, targets_of
from exporter.config.targets import GatewayTarget, HttpList, ListDefaults
from exporter.config.values import ConfigError, expand
from exporter.lib.files import MIB, read_regular, text_of, why_unusable

#: The file of the last good versions.
FILE = "target-lists.json"
#: How long one request for a list may take, in seconds.
REQUEST_LIMIT = 10.0
#: The largest such file, in bytes.
MAX_KEPT = 256 * MIB

_Identity = tuple[object, ...]


class _Place(NamedTuple):
    """One list: a file, or a URL."""

    key: str  # the same as long as the place is the same, and without secrets
    shown: str  # for people
    defaults: ListDefaults
    read: Callable[[], str]  # raises ConfigError
    identify: Callable[[], _Identity | None]  # differs once it is to be read again; None: nothing is known
    is_requested: bool = False


@dataclass
class _List:
    """What is known of one list."""

    identity: _Identity | None = None  # of what was read last
    defaults: ListDefaults | None = None  # it was read with these
    text: str | None = None  # the last good version
    targets: list[GatewayTarget] = field(default_factory=list)  # of that version
    problem: str | None = None  # why a newer one cannot be used


class TargetLists:
    """All lists of one configuration. For one thread at a time; nothing here is to run on an event loop."""

    def __init__(
        self, directory: Path | None, now: Callable[[], float] = time.monotonic, *, keeps: bool = True
    ) -> None:
        """``directory`` is that of the state, if any; ``keeps``: the last good versions are written there.

        ``now`` decides when a URL is requested again.
        """
        self._file = directory / FILE if directory is not None else None
        self._keeps = keeps
        self._now = now
        self._lists: dict[str, _List] = {}
        self._matches: dict[str, list[str]] = {}  # the files of each pattern
        self._kept: dict[str, str] | None = None  # what the file holds, once it was read
        self._unlisted: list[str] = []  # a sentence for each pattern whose directory cannot be listed
        self._left_out: list[str] = []  # a sentence for each target whose name another one has

    def apply(self, config: Config, *, again: bool = True) -> Config:
        """``config`` with the targets of its lists. ``again``: request those from URLs although it is not time yet."""
        self._refresh(config, again)
        listed: dict[str, GatewayTarget] = {}
        left_out: list[str] = []
        taken = {target.name for target in config.targets}
        for known in self._lists.values():
            for target in known.targets:
                if target.name in taken or target.name in listed:
                    left_out.append(f"targets_from: a second target is named {target.name}: it is left out")
                else:
                    listed[target.name] = target
        self._left_out = left_out
        if not config.targets_from:
            return config
        return config.model_copy(update={"targets": [*config.targets, *listed.values()]})

    def poll(self, config: Config) -> Config | None:
        """``config`` with the targets of its lists if these have changed, else None."""
        before = {key: known.targets for key, known in self._lists.items()}
        self._refresh(config, again=False)
        same = before.keys() == self._lists.keys() and all(
            known.targets is before[key] for key, known in self._lists.items()
        )
        return None if same else self.apply(config, again=False)

    @property
    def problems(self) -> list[str]:
        """A sentence for each list that cannot be used as it is, and for each target that is left out.

        Those of the last complete reading: another thread may ask meanwhile.
        """
        return [*(known.problem for known in self._lists.values() if known.problem), *self._unlisted, *self._left_out]

    @property
    def unknown(self) -> list[str]:
        """The sentences of the lists of which there is no good version at all."""
        unread = [known.problem for known in self._lists.values() if known.problem and known.text is None]
        return [*unread, *(sentence for sentence in self._unlisted if not self._lists)]

    def _refresh(self, config: Config, again: bool) -> None:
        unlisted: list[str] = []
        found: dict[str, _List] = {}
        for place in self._places(config, unlisted):
            if place.key not in found:
                found[place.key] = self._updated(place, again)
        self._lists, self._unlisted = found, unlisted
        self._keep()

    def _places(self, config: Config, unlisted: list[str]) -> Iterator[_Place]:
        """Every list. Patterns whose directory cannot be listed are added to ``unlisted``."""
        for number, entry in enumerate(config.targets_from):
            where = f"targets_from[{number}]"
            if isinstance(entry, HttpList):
                key = f"url:{hashlib.sha256(entry.url.encode()).hexdigest()}"
                due = partial(self._turn, entry.refresh_interval)
                yield _Place(key, where, entry.defaults, partial(_request, entry), due, is_requested=True)
                continue
            for pattern in entry.paths:
                for file in self._files(str(expand(pattern)), where, unlisted):
                    path = Path(file)
                    yield _Place(file, f"{where}: {file}", entry.defaults, partial(_read, path), partial(_state, path))

    def _turn(self, every: float) -> _Identity:
        return (int(self._now() / every),)

    def _files(self, pattern: str, where: str, unlisted: list[str]) -> list[str]:
        """The files of a pattern; those that it matched last if its directory cannot be listed now."""
        if not glob.has_magic(pattern):
            return [pattern]
        directory, last = os.path.split(pattern)
        try:
            names = fnmatch.filter(os.listdir(directory or "."), last)
        except OSError as error:
            unlisted.append(f"{where}: {directory}: {why_unusable(error)}: what it held last stays")
            if pattern not in self._matches:
                with suppress(ValueError):
                    self._matches[pattern] = json.loads(self._read_kept().get(f"pattern:{pattern}", "[]"))
        else:
            visible = sorted(name for name in names if not name.startswith("."))
            self._matches[pattern] = [os.path.join(directory, name) for name in visible]
        return self._matches.get(pattern, [])

    def _updated(self, place: _Place, again: bool) -> _List:
        known = self._lists.get(place.key) or _List()
        identity = place.identify()
        has_same_defaults = known.defaults == place.defaults
        is_due = identity is None or identity != known.identity or (again and place.is_requested)
        if not is_due and has_same_defaults:
            return known
        try:
            text = place.read()
            if text == known.text and has_same_defaults:
                return _List(identity, place.defaults, text, known.targets)
            return _List(identity, place.defaults, text, targets_of(text, place.defaults))
        except ConfigError as error:
            why = "; ".join(error.problems)
        good = self._last_good(place, known, has_same_defaults)
        count = len(good.targets)
        stays = f"its last good version stays ({count} target{'' if count == 1 else 's'})"
        stays = stays if good.text is not None else "no good version of it is known"
        return _List(identity, place.defaults, good.text, good.targets, f"{place.shown}: {why}: {stays}")

    def _last_good(self, place: _Place, known: _List, has_same_defaults: bool) -> _List:
        if known.text is not None and has_same_defaults:
            return known
        text = known.text or self._read_kept().get(place.key)
        with suppress(ConfigError):
            if text is not None:
                return _List(text=text, targets=targets_of(text, place.defaults))
        return known if has_same_defaults else _List()

    # --- the last good versions ------------------------------------------------------------

    def _read_kept(self) -> dict[str, str]:
        if self._kept is None:
            self._kept = {}
            with suppress(OSError, ValueError):
                if self._file is not None:
                    found: Any = json.loads(read_regular(self._file, MAX_KEPT))
                    self._kept = {key: text for key, text in found.items() if isinstance(text, str)}
        return self._kept

    def _keep(self) -> None:
        good = {key: known.text for key, known in self._lists.items() if known.text is not None}
        good |= {f"pattern:{pattern}": json.dumps(files) for pattern, files in self._matches.items()}
        if self._file is None or not self._keeps or not good or good == self._read_kept():
            return
        temporary = self._file.with_name(f".{FILE}.{os.getpid()}")
        with suppress(OSError):  # a state that cannot be written is reported by those who need it more
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump(good, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._file)
            self._kept = good


def _state(path: Path) -> _Identity | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> str:
    try:
        return text_of(read_regular(path, MAX_LIST * MIB))
    except OSError as error:
        raise ConfigError("", [why_unusable(error)]) from None
    except UnicodeDecodeError as error:
        raise ConfigError("", [f"is not UTF-8 text (byte {error.start})"]) from None


def _request(entry: HttpList) -> str:
    from exporter.lib import http  # takes a moment to import

    token = entry.read_secret("token")

    async def request() -> http.Response:
        async with http.Client(ca_file=expand(entry.ca_file) if entry.ca_file else None) as client:
            headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
            limit = MAX_LIST * MIB
            return await client.send("GET", entry.url, timeout=REQUEST_LIMIT, headers=headers, max_body=limit)

    try:
        response = asyncio.run(request())
    except http.RequestError as error:
        raise ConfigError("", [error.message]) from None
    if not response.is_success:
        raise ConfigError("", [http.status_text(response.status)])
    try:
        return text_of(response.body)
    except UnicodeDecodeError:
        raise ConfigError("", ["the answer is not UTF-8 text"]) from None
