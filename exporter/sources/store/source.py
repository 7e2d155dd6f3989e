"""The source ``store``: OpenClaw's auth stores, read directly, for hosts where no command can run.

OpenClaw calls its store private, so this only reads it. There is no status or exit code of OpenClaw in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from exporter.config import StoreTarget
from exporter.lib.durations import format_duration
from exporter.lib.env_file import read_env_file
from exporter.lib.loose_json import mapping
from exporter.lib.redact import safe_text
from exporter.lib.threads import IsolatedThread
from exporter.model import CheckError, Dialect, FailureReason, Observation, ObservedProfile
from exporter.sources import Fingerprint, Source, SourceContext, kind_of_variable
from exporter.sources.store.config import agent_id, is_filled, roster
from exporter.sources.store.credentials import Surroundings, configured_key, own_provider, release_of
from exporter.sources.store.environment import credentials, rotation_keys
from exporter.sources.store.facts import StoreFacts
from exporter.sources.store.paths import StorePaths, stamp, unreadable
from exporter.sources.store.reader import StoreReader, require_readable
from exporter.verdict.invocation import Invocation, Programs

#: Providers that need no credential, or keep it outside the store.
_ELSEWHERE = frozenset(
    {"amazon-bedrock", "claude-cli", "codex-cli", "google-vertex", "lmstudio", "ollama", "sglang", "vllm"}
)

_Answer = TypeVar("_Answer")


class StoreSource(Source):
    """Reads the stores of one OpenClaw on this host."""

    kind = "store"

    def __init__(self, target: StoreTarget, context: SourceContext) -> None:
        self._target = target
        self._context = context
        self._reader = StoreReader(context.keyed_hash, context.now)
        self._watched: dict[str, StorePaths] = {}
        self._thread = IsolatedThread("store")

    async def agents(self) -> list[str]:
        """The target's agents, else those in openclaw.json, else those with a folder.

        Raises CheckError if there is no state folder, or this user may not read it.
        """
        return await self._in_time(self._agents)

    async def check(self, agent: str) -> Observation:
        """What is stored for ``agent``. Raises CheckError like StoreReader.read, and UNKNOWN_AGENT."""
        return await self._in_time(lambda: self._check(agent))

    def fingerprint(self) -> Fingerprint | None:
        """Of the stores of the agents checked so far. Raises CheckError for an env_file that cannot be read."""
        watched = self._watched or {"main": self._paths(self._environ(), None, "main")}
        return self._reader.fingerprint(tuple(watched.values()))

    def configured_agents(self) -> Sequence[str] | None:
        return None if self._target.agents == "all" else self._target.agents

    def programs(self) -> Programs:
        return Programs(Invocation(state_dir=self._target.state_dir), env_file=self._target.env_file)

    def renewal_obstacle(self, has_openclaw: bool) -> str | None:
        return None if has_openclaw else "There is no `openclaw` on PATH here. Run this where the store is used:"

    async def _in_time(self, work: Callable[[], _Answer]) -> _Answer:
        try:
            return await self._thread.run(work, self._target.timeout)
        except TimeoutError:
            took = format_duration(self._target.timeout)
            raise CheckError(FailureReason.TIMEOUT, f"the store could not be read within {took}") from None

    def _environ(self) -> dict[str, str]:
        """The service's environment, which may say where the store is."""
        file = self._target.env_file
        return {**self._context.environ, **(read_env_file(file) if file else {})}

    def _paths(self, environ: Mapping[str, str], config: Mapping[str, Any] | None, agent: str) -> StorePaths:
        folder = mapping(roster(config), agent).get("agentDir")
        own = folder if is_filled(folder) else None
        return StorePaths.from_environment(environ, self._target.state_dir, agent, own)

    def _config(self, paths: StorePaths) -> Mapping[str, Any] | None:
        try:
            return self._reader.config(paths)
        except CheckError:
            return None  # the check notes it

    def _agents(self) -> list[str]:
        environ = self._environ()
        paths = self._paths(environ, None, "main")
        require_readable(paths.state_dir)
        config = self._config(paths)
        if self._target.agents != "all":
            found = list(self._target.agents)
        else:
            found = _folders(paths) if config is None else list(roster(config) or ("main",))
        self._watched = {agent: self._paths(environ, config, agent) for agent in found}
        return found

    def _check(self, agent: str) -> Observation:
        environ = self._environ()
        config = self._config(self._paths(environ, None, agent))
        paths = self._paths(environ, config, agent)
        require_readable(paths.state_dir)
        known = roster(config)
        is_known = agent in known if known else agent == "main" or stamp(paths.agent_dir) is not None
        if agent_id(agent) != agent or not is_known:
            sentence = f"there is no agent {safe_text(agent, 80)!r} in {paths.state_dir}"
            raise CheckError(FailureReason.UNKNOWN_AGENT, sentence)
        observed_at = self._context.now()
        service = read_env_file(self._target.env_file) if self._target.env_file else None
        facts = self._reader.read(paths, agent, service)
        self._watched[agent] = paths
        around = self._reader.surroundings(paths, service)
        profiles = (*facts.profiles, *self._outside(facts, around, config))
        in_use, elsewhere = _in_use(facts, config, {profile.provider for profile in profiles})
        notes = facts.notes
        if elsewhere:
            names = safe_text(", ".join(elsewhere))
            notes = (*notes, f"the credentials of {names} are not in the store and are not checked")
        return Observation(
            target=self._target.name,
            agent=agent,
            source=self.kind,
            dialect=Dialect.STORE,
            observed_at=observed_at,
            profiles=profiles,
            providers_in_use=in_use,
            uses=facts.uses,
            order=facts.order,
            missing_providers=facts.stranded_providers,
            served_by=facts.served_by,
            borrowed_logins=facts.borrowed_logins,
            keyless_providers=facts.keyless_providers,
            needs_doctor=bool(facts.stranded_providers),
            openclaw_version=facts.version,
            blind_to=frozenset() if facts.sees_uses else frozenset({"uses"}),
            cache_settings=facts.cache_settings,
            notes=notes,
            agent_dir=str(paths.agent_dir),
        )

    def _outside(
        self, facts: StoreFacts, around: Surroundings, config: Mapping[str, Any] | None
    ) -> Iterator[ObservedProfile]:
        """The credentials for providers in use in the service's environment and in openclaw.json."""
        env, stored = around.environment, {profile.provider for profile in facts.profiles}
        for provider in facts.providers_in_use or ():
            serving = [*credentials(env, provider, release_of(facts.version))][:1]
            further = [*rotation_keys(env, provider)] if serving or provider not in stored else []
            for name in (*serving, *further):
                yield ObservedProfile(
                    f"env:{name}",
                    provider,
                    kind_of_variable(name),
                    reason_code=None if serving else "rotation_only",
                    has_refresh_token=False,
                    secret_hash=self._context.keyed_hash(env.variables[name].strip()),
                )
            if key := configured_key(config, provider, around):
                yield key


def _folders(paths: StorePaths) -> list[str]:
    """``main``, and the agents that have a folder."""
    folder = paths.state_dir / "agents"
    try:
        found = sorted(entry.name for entry in folder.iterdir() if stamp(entry / "agent"))
    except (FileNotFoundError, NotADirectoryError):
        found = []
    except PermissionError:  # the agents that cannot be seen are not fine
        raise CheckError(FailureReason.PERMISSION, f"{folder}: this user may not read it") from None
    except OSError as error:
        raise unreadable(folder, f"cannot be read: {(error.strerror or 'error').lower()}") from None
    return ["main", *(name for name in found if name != "main" and agent_id(name) == name)]


def _in_use(
    facts: StoreFacts, config: Mapping[str, Any] | None, seen: set[str]
) -> tuple[tuple[str, ...] | None, list[str]]:
    """The providers in use whose credentials a store would have, and the others, which are never missing."""
    if facts.providers_in_use is None:
        return None, []
    elsewhere = [
        provider
        for provider in facts.providers_in_use
        if provider not in seen
        and (provider in _ELSEWHERE or any(own_provider(config, provider).get(key) for key in ("apiKey", "headers")))
    ]
    return tuple(provider for provider in facts.providers_in_use if provider not in elsewhere), elsewhere
