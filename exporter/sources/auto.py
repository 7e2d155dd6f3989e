"""The source ``auto``, the default: the openclaw command, else its store, else Claude Code.

It reports its choice with the reason, and when the choice has changed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from exporter.config import AutoTarget, ClaudeTarget, OpenClawTarget, StoreTarget, Target
from exporter.lib.env_file import read_env_file
from exporter.lib.threads import IsolatedThread
from exporter.model import CheckError, FailureReason, Observation
from exporter.sources import Fingerprint, Source, SourceContext, build
from exporter.sources.store.paths import StorePaths, stamp
from exporter.verdict.invocation import Programs

#: How long a note reports that the choice has changed, and how long the last choice is kept, seconds.
NOTE_CHANGE_FOR = 86400.0
KEEP_CHOICE_FOR = 60 * 86400.0
#: For looking what is on this host, in seconds.
PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen source, and the reason for a person to read."""

    kind: str
    reason: str
    program: str = "openclaw"  # the command's name


class AutoSource(Source):
    """Chooses again whenever the agents are asked for. The chosen source does the checks."""

    kind = "auto"  # until something is chosen

    def __init__(self, target: AutoTarget, context: SourceContext) -> None:
        self._target = target
        self._context = context
        self._source: Source | None = None
        self._program = "openclaw"
        self._choosing = asyncio.Lock()
        self._thread = IsolatedThread("auto")

    async def agents(self) -> list[str]:
        """The chosen source's agents. Raises CheckError; COMMAND_NOT_FOUND if there is nothing to choose."""
        return await (await self._choose()).agents()

    async def check(self, agent: str) -> Observation:
        """The chosen source's check, with a note for a day after the choice has changed. Raises CheckError."""
        observation = await (self._source or await self._choose()).check(agent)
        changed = self._context.cache.get_cached(self._key("changed"), NOTE_CHANGE_FOR)
        return replace(observation, notes=(*observation.notes, changed)) if changed else observation

    def fingerprint(self) -> Fingerprint | None:
        """The chosen source's, and what would be chosen now; before the first choice, of what would be chosen."""
        source = self._source
        try:
            choice = choose(self._target, self._environment())
        except CheckError as error:
            kind = error.reason.value
        else:
            kind = choice.kind
            source = source or build(_target_of(kind, self._target, choice.program), self._context)
        found = source.fingerprint() if source else None
        return found and found._replace(hash=self._context.keyed_hash(f"{kind} {found.hash}"))

    def slot(self) -> AbstractAsyncContextManager[object]:
        """The chosen source's; one for a process before the first choice."""
        return self._source.slot() if self._source else self._context.slots

    async def aclose(self) -> None:
        """Close the chosen source."""
        if self._source is not None:
            await self._source.aclose()

    def configured_agents(self) -> Sequence[str] | None:
        return None if self._target.agents == "all" else self._target.agents

    def programs(self) -> Programs:
        """The chosen source's; the command's before the first choice."""
        return (self._source or build(_target_of("openclaw", self._target), self._context)).programs()

    def renewal_obstacle(self, has_openclaw: bool) -> str | None:
        return self._source.renewal_obstacle(has_openclaw) if self._source else None

    async def _choose(self) -> Source:
        async with self._choosing:
            self.chosen = None
            choice = await self._thread.run(
                lambda: choose(self._target, self._environment()), min(self._target.timeout, PATIENCE)
            )
            if self._source is None or (self.kind, self._program) != (choice.kind, choice.program):
                await self.aclose()
                self._source = build(_target_of(choice.kind, self._target, choice.program), self._context)
            self._record(choice)
            self.kind, self._program, self.chosen = choice.kind, choice.program, f"{choice.kind}: {choice.reason}"
            return self._source

    def _record(self, choice: Choice) -> None:
        cache, key = self._context.cache, self._key("choice")
        before = cache.get_cached(key, KEEP_CHOICE_FOR)
        if before and before != choice.kind:
            cache.put_cached(self._key("changed"), f"the source changed from {before} to {choice.kind}")
        if before != choice.kind:
            cache.put_cached(key, choice.kind)

    def _environment(self) -> dict[str, str]:
        environ = dict(self._context.environ or os.environ)
        return environ | read_env_file(self._target.env_file) if self._target.env_file else environ

    def _key(self, what: str) -> str:
        return f"auto-{what}:{self._context.keyed_hash(self._target.name)}"


def choose(target: AutoTarget, environ: Mapping[str, str]) -> Choice:
    """The source to use on this host with ``environ``.

    Raises CheckError COMMAND_NOT_FOUND, which says where it searched and what to configure.
    """
    path = environ.get("PATH", os.defpath)
    for program in ("openclaw", "clawdbot"):
        if command := shutil.which(program, path=path):
            return Choice("openclaw", f"{command} is on PATH", program)
    state_dir, store = _store(target, environ)
    if store is not None:
        return Choice("store", f"openclaw is not on PATH, and {store} is there")
    from exporter.sources.claude import credentials_file  # costs start-up time

    command, credentials = shutil.which("claude", path=path), credentials_file(environ)
    if command or stamp(credentials):
        where = f"{command} is on PATH" if command else f"{credentials} is there"
        return Choice("claude", f"there is no OpenClaw, and {where}")
    raise CheckError(
        FailureReason.COMMAND_NOT_FOUND,
        f"nothing to check: no `openclaw` on PATH, no auth store in {state_dir}, no `claude` on PATH, "
        f'no {credentials}; configure a target with source "openclaw" and its full command, '
        '"store" with its state_dir, "gateway" with its url, or "claude"',
    )


def _store(target: AutoTarget, environ: Mapping[str, str]) -> tuple[Path, Path | None]:
    """OpenClaw's state folder, and a file or folder in it that is a store, if there is one."""
    paths = StorePaths.from_environment(environ, target.state_dir, "main")
    folders = [paths.agent_dir, paths.shared_dir]
    try:
        folders += sorted(entry / "agent" for entry in (paths.state_dir / "agents").iterdir())
    except PermissionError:
        return paths.state_dir, paths.state_dir  # the check then reports that this user may not read it
    except (OSError, ValueError):
        pass
    names = ("openclaw-agent.sqlite", "auth-profiles.json")
    candidates = [paths.shared_database, *(folder / name for folder in folders for name in names)]
    return paths.state_dir, next(filter(stamp, candidates), None)


def _target_of(kind: str, target: AutoTarget, program: str = "openclaw") -> Target:
    given = {name: getattr(target, name) for name in AutoTarget.model_fields if name != "source"}
    if kind == "claude":
        return ClaudeTarget(source="claude", **{key: given[key] for key in given if key in ClaudeTarget.model_fields})
    if kind == "store":
        return StoreTarget(source="store", **given)
    return OpenClawTarget(source="openclaw", command=[program], **given)
