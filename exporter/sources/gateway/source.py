"""The source ``gateway``: a running gateway's admin RPC, and its store if that is on this host.

``models.authStatus`` has profiles, dates and order. It has neither cooldowns nor the providers in use:
those come from the store and from ``agents.list``, which is cached. ``answers`` reads the payloads.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx

from exporter.config import GatewayTarget
from exporter.lib.addresses import is_loopback
from exporter.lib.redact import safe_text
from exporter.model import CheckError, FailureReason, Observation, Purpose, UsageWindow, Use, most_important_first
from exporter.model.release import newer_than_known
from exporter.sources import Source, SourceContext
from exporter.sources.gateway.answers import (
    by_credential,
    is_named,
    observe,
    only_in_use,
    roster_of,
    together,
    usage_of,
)
from exporter.sources.gateway.rpc import AdminRpc
from exporter.sources.store.config import aliases
from exporter.sources.store.local import LocalStore
from exporter.sources.store.paths import StorePaths
from exporter.sources.store.uses import providers_of, uses_of
from exporter.verdict.invocation import Invocation, Programs
from exporter.verdict.logins import PROGRAMS

#: How long the agents and their models are cached, and how long they are used if asking again fails,
#: seconds. A gateway that goes away ends both.
ROSTER_FOR = 900.0
ROSTER_AT_MOST = 86400.0
USAGE_FOR = 3600.0  # usage.status makes the gateway ask the providers over the network
VERSION_FOR = 3600.0
_SIDE_TIMEOUT = 15.0  # of a call for anything but the profiles, seconds
_NO_VERSION = "-"


class _More(NamedTuple):
    """What other calls than that for the profiles report."""

    uses: tuple[Use, ...]
    version: str | None
    windows: tuple[UsageWindow, ...]
    usage_error: str | None


class _Known(NamedTuple):
    """What an answer was read as: the same answer is not read again."""

    digest: bytes
    more: _More
    observation: Observation


class GatewaySource(Source):
    """Calls the admin RPC of one gateway."""

    kind = "gateway"

    def __init__(
        self, target: GatewayTarget, context: SourceContext, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._target = target
        self._context = context
        self._rpc = AdminRpc(target, transport)
        self._asking: dict[str, asyncio.Lock] = {name: asyncio.Lock() for name in ("roster", "usage", "version")}
        self._store = LocalStore(context)
        self._known: dict[str, _Known] = {}  # by agent
        self._keys: dict[str, str] = {}  # of the cache

    async def agents(self) -> list[str]:
        """The configured agents, or those of ``agents.list``, cached. Raises CheckError."""
        if self._target.agents != "all":
            return list(self._target.agents)
        return list(await self._roster())

    async def check(self, agent: str) -> Observation:
        """One call, and further calls for what is no longer cached. Raises CheckError."""
        known = self._known.get(agent)
        try:
            answer = await self._rpc.ask("models.authStatus", {"agentId": agent})
            now, digest = self._context.now(), answer.digest()
            payload, observation = {}, None
            if known is None or known.digest != digest:
                payload = answer.payload()
                observation = observe(payload, target=self._target.name, agent=agent, observed_at=now)
        except CheckError as error:
            if error.reason in (FailureReason.CONNECTION, FailureReason.NOT_READY, FailureReason.UNKNOWN_AGENT):
                # The gateway may come back with other agents or another release.
                self._forget("roster", "version")
            raise
        more = await self._more(agent)
        if observation is None and known is not None:
            if known.more == more:
                return replace(known.observation, observed_at=now)
            payload = answer.payload()
            observation = observe(payload, target=self._target.name, agent=agent, observed_at=now)
        assert observation is not None
        in_use = by_credential(more.uses, payload)
        observation = replace(
            observation,
            uses=in_use,
            providers_in_use=providers_of(in_use),
            notes=(
                *(*observation.notes, *newer_than_known(more.version)),
                *(*_unknown_models(more.uses), *_unseen_logins(in_use, observation)),
            ),
            openclaw_version=more.version,
            usage=together(observation.usage, more.windows),
            usage_error=more.usage_error,
        )
        if self._target.state_dir is not None:  # what its store adds may change by itself
            return only_in_use(await self._completed(observation), payload)
        observation = only_in_use(observation, payload)
        self._known[agent] = _Known(digest, more, observation)
        return observation

    async def _more(self, agent: str) -> _More:
        """What other calls report, in one turn if all of it is cached."""
        if self._recall("roster", ROSTER_FOR) and self._recall("version", VERSION_FOR) and not self._target.usage:
            return _More(await self._uses(agent), await self._version(), (), None)
        uses, version, (windows, error) = await asyncio.gather(self._uses(agent), self._version(), self._usage())
        return _More(uses, version, windows, error)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._rpc.aclose()

    def configured_agents(self) -> Sequence[str] | None:
        return None if self._target.agents == "all" else self._target.agents

    def programs(self) -> Programs:
        is_here = is_loopback(self._target.url)
        host = None if is_here else urlsplit(self._target.url).hostname
        return Programs(Invocation(state_dir=self._target.state_dir, host=host))

    def renewal_obstacle(self, has_openclaw: bool) -> str | None:
        if not is_loopback(self._target.url):
            return "Its gateway runs on another host. Run this there:"
        return None if has_openclaw else "There is no `openclaw` on PATH here. Run this where the gateway runs:"

    # --- further calls -------------------------------------------------------------------------------

    async def _roster(self) -> dict[str, tuple[Use, ...]]:
        """The agents and what they use, from the cache or the gateway. Raises CheckError."""
        async with self._asking["roster"]:
            known = _cached_roster(self._recall("roster", ROSTER_FOR))
            if known is not None:
                return known
            try:
                roster = roster_of(await self._rpc.call("agents.list", {}, _SIDE_TIMEOUT))
            except CheckError:
                # The known agents stay: each has its own check then, and its own failure.
                older = _cached_roster(self._recall("roster-before", ROSTER_AT_MOST))
                if older is None:
                    raise
                return older
            for key in ("roster", "roster-before"):
                self._note(key, _to_cache(roster))
            return roster

    async def _uses(self, agent: str) -> tuple[Use, ...]:
        """What ``agent`` uses, by the models' names if the configuration resolves aliases; empty if unknown."""
        try:
            uses = (await self._roster()).get(agent, ())
        except CheckError:
            return ()
        paths = await self._store_paths(agent)
        if paths is None or all(is_named(use.model) for use in uses):
            return uses
        known = aliases(await self._store.config(paths))
        return tuple(replace(use, model=known.get(use.model.strip().lower(), use.model)) for use in uses)

    async def _version(self) -> str | None:
        async with self._asking["version"]:
            known = self._recall("version", VERSION_FOR)
            if known is None:
                try:
                    version = (await self._rpc.call("status", {}, _SIDE_TIMEOUT)).get("runtimeVersion")
                except CheckError:
                    version = None
                known = safe_text(version, 64) if isinstance(version, str) and version else _NO_VERSION
                self._note("version", known)
            return None if known == _NO_VERSION else known

    async def _usage(self) -> tuple[tuple[UsageWindow, ...], str | None]:
        """The quota windows and the error about them. Both are cached for an hour."""
        if not self._target.usage:
            return (), None
        async with self._asking["usage"]:
            cached = self._recall("usage", USAGE_FOR)
            if cached is None:
                try:
                    windows, error = usage_of(await self._rpc.call("usage.status", {}, _SIDE_TIMEOUT))
                except CheckError as failure:
                    windows, error = (), failure.message
                cached = json.dumps([[[w.provider, w.window, w.used_ratio, w.resets_at] for w in windows], error])
                self._note("usage", cached)
            return _cached_usage(cached)

    # --- the cache -----------------------------------------------------------------------------------

    def _key(self, what: str) -> str:
        if what not in self._keys:
            identity = json.dumps([self._target.name, self._target.url])
            self._keys[what] = f"gateway-{what}:{self._context.keyed_hash(identity)}"
        return self._keys[what]

    def _recall(self, what: str, max_age: float) -> str | None:
        return self._context.cache.get_cached(self._key(what), max_age) or None

    def _note(self, what: str, text: str) -> None:
        self._context.cache.put_cached(self._key(what), text)

    def _forget(self, *keys: str) -> None:
        for key in keys:
            if self._recall(key, ROSTER_AT_MOST) is not None:
                self._note(key, "")

    # --- the store -----------------------------------------------------------------------------------

    async def _completed(self, observation: Observation) -> Observation:
        """``observation`` with what the gateway's store adds, if it is on this host."""
        paths = await self._store_paths(observation.agent)
        if paths is None:
            return observation
        if observation.providers_in_use is not None:
            # agents.list does not name image models; the configuration does.
            config = await self._store.config(paths)
            images = [use for use in uses_of(config, observation.agent, inherits_fallbacks=False) if _is_image(use)]
            uses = most_important_first((*observation.uses, *images))
            in_use = (*observation.providers_in_use, *(use.provider for use in images))
            observation = replace(observation, uses=uses, providers_in_use=tuple(dict.fromkeys(in_use)))
        return await self._store.complete(observation, paths)

    async def _store_paths(self, agent: str) -> StorePaths | None:
        """The places of the gateway's store; None if it is not on this host."""
        if self._target.state_dir is None:
            return None
        home = (self._context.environ or os.environ).get("HOME", "")  # the other variables are not the gateway's
        return await self._store.locate({"HOME": home}, self._target.state_dir, agent)


def _unknown_models(uses: tuple[Use, ...]) -> tuple[str, ...]:
    names = safe_text(", ".join(use.model for use in uses if not is_named(use.model)))
    note = f"the providers of {names} cannot be seen: every provider with a profile counts as in use"
    return (note,) if names else ()


def _to_cache(roster: Mapping[str, tuple[Use, ...]]) -> str:
    return json.dumps({agent: [[use.model, use.purpose] for use in uses] for agent, uses in roster.items()})


def _unseen_logins(uses: tuple[Use, ...], observation: Observation) -> tuple[str, ...]:
    """A sentence about logins that a gateway does not report, because another program keeps them."""
    seen = {profile.provider for profile in observation.profiles}
    names = sorted({use.provider for use in uses if use.provider in PROGRAMS} - seen)
    programs = " and ".join(f"{PROGRAMS[name]} ({name})" for name in names)
    return (f"a gateway does not report the login of {programs}",) if names else ()


@functools.lru_cache(maxsize=4096)
def _cached_roster(text: str | None) -> dict[str, tuple[Use, ...]] | None:
    try:
        agents = json.loads(text or "{}").items()
        found = {str(agent): tuple(Use(model, Purpose(name)) for model, name in uses) for agent, uses in agents}
    except (ValueError, TypeError, AttributeError):
        return None
    return found or None


def _cached_usage(text: str) -> tuple[tuple[UsageWindow, ...], str | None]:
    try:
        rows, error = json.loads(text)
        return tuple(UsageWindow(*row) for row in rows), error
    except (ValueError, TypeError):
        return (), None


def _is_image(use: Use) -> bool:
    return use.purpose is Purpose.IMAGES
