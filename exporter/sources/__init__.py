"""Sources: the ways to ask OpenClaw about its credentials, behind one protocol.

A source does I/O and translates the answer into an Observation; it evaluates nothing. Each module or
package here is one source and bears its name in the configuration.
"""

from __future__ import annotations

import asyncio
import os
import pkgutil
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from exporter.config import Target
from exporter.lib import clock
from exporter.lib.known_secrets import KNOWN
from exporter.model import Observation
from exporter.verdict.invocation import Programs

_DENIED = re.compile(r"\b(?:EACCES|EPERM)\b|permission denied", re.I)


def denied(words: str) -> bool:
    """Whether a program reports that the operating system refused it a file."""
    return _DENIED.search(words) is not None


class SourceCache(Protocol):
    """Where a source keeps small texts between checks and runs. Never secrets."""

    def get_cached(self, key: str, max_age: float) -> str | None:
        """The text stored under ``key`` at most ``max_age`` seconds ago, else None."""

    def put_cached(self, key: str, text: str) -> None: ...


class InMemorySourceCache:
    """A cache that ends with the process."""

    def __init__(self, now: Callable[[], float] = clock.now) -> None:
        self._now = now
        self._entries: dict[str, tuple[float, str]] = {}

    def get_cached(self, key: str, max_age: float) -> str | None:
        stored_at, text = self._entries.get(key, (0.0, ""))
        return text if key in self._entries and 0 <= self._now() - stored_at <= max_age else None

    def put_cached(self, key: str, text: str) -> None:
        self._entries[key] = (self._now(), text)


@dataclass(frozen=True)
class SourceContext:
    """What every source is given."""

    #: Hex of a keyed hash, the only form in which anything derived from a secret leaves a source.
    keyed_hash: Callable[[str], str]
    cache: SourceCache = field(default_factory=InMemorySourceCache)
    now: Callable[[], float] = clock.now
    #: Bounds the processes that run at once, over all targets (``Source.slot``).
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    environ: Mapping[str, str] = field(default_factory=dict)


class Fingerprint(NamedTuple):
    """What of a target can be compared on this host, as a keyed hash."""

    hash: str
    #: False: something that matters is not in it, such as a store that cannot be read. Only a check shows that.
    is_complete: bool = True


class Source(Protocol):
    """One way to check one target, and whatever else depends on the kind of target.

    A source is a class that inherits from this one and is made of a target and a SourceContext.
    """

    #: The source's name in the configuration and in reports.
    kind: str
    #: What ``auto`` chose and why, for people; None for every other source.
    chosen: str | None = None

    async def agents(self) -> list[str]:
        """The agents to check, the default one first. Raises CheckError."""
        ...

    async def check(self, agent: str) -> Observation:
        """Check one agent once. Raises CheckError."""
        ...

    def fingerprint(self) -> Fingerprint | None:
        """Of what matters in the store on this host, and of the program that is asked; None if neither is here.

        Cheap enough for every few seconds. It may raise anything, and hang with the file system: then nothing is
        known.
        """
        return None

    def slot(self) -> AbstractAsyncContextManager[object]:
        """To be held while the source is asked. A source that starts processes waits here for those of others."""
        return nullcontext()

    async def aclose(self) -> None:
        """Release connections."""
        return

    def configured_agents(self) -> Sequence[str] | None:
        """The agents if the configuration alone decides them, else None."""
        return None

    def programs(self) -> Programs:
        """How a person on this host uses the target's programs."""
        return Programs()

    def renewal_obstacle(self, has_openclaw: bool) -> str | None:
        """Why no credential of this target can be renewed from this host, as a sentence; None if it can.

        ``has_openclaw``: the command ``openclaw`` is on PATH here.
        """
        return None


def as_typed(command: Sequence[str], environ: Mapping[str, str] | None) -> tuple[str, ...]:
    """``command`` as a person types it: its program by the name alone, if PATH finds that file by it.

    ``environ`` is None for another host.
    """
    program = command[0]
    name = os.path.basename(program)
    search = environ.get("PATH", os.defpath) if environ is not None else ""
    found = shutil.which(name, path=search) if "/" in program and search else None
    shown = name if found is not None and found == os.path.expanduser(program) else program
    return tuple(KNOWN.redact(word, of_ours=True) for word in (shown, *command[1:]))


def source_names() -> list[str]:
    """The names of all sources."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def source_class(name: str) -> type[Source]:
    """The class of the source ``name``: the one in its module (of a package: in ``source``) with that ``kind``."""
    module = import_module(f"{__name__}.{name}")
    if hasattr(module, "__path__"):
        module = import_module(f"{module.__name__}.source")
    for found in vars(module).values():
        if isinstance(found, type) and found.__module__ == module.__name__ and getattr(found, "kind", None) == name:
            return found
    raise LookupError(f"{module.__name__} has no class with kind = {name!r}")


def build(target: Target, context: SourceContext) -> Source:
    """The source of a configured target. Only its module is imported: a timer's ``check`` pays for no other."""
    make: Callable[[Any, SourceContext], Source] = source_class(target.source)
    return make(target, context)


def kind_of_variable(name: str) -> str:
    """The kind of credential that an environment variable holds, by its name."""
    return "token" if "OAUTH" in name or "TOKEN" in name else "api_key"
