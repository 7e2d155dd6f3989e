"""Which provider's login serves a model, as ``openclaw.json`` has it: a program that runs the model signs in itself.

Pure. The rules are those of OpenClaw 2026.5 to 2026.9.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from exporter.lib.loose_json import items, mapping
from exporter.sources.store.config import is_filled, orders, provider_id, roster
from exporter.sources.store.credentials import own_provider
from exporter.verdict.logins import LENDERS, PROGRAMS


def served_by(config: object, agent: str, models: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The providers whose login serves the models (``provider/model``) of another provider, by that provider."""
    found: dict[str, dict[str, None]] = {}
    for model in models:
        provider = provider_id(model.partition("/")[0])
        lender = _lender(config, agent, provider, model)
        if lender:
            found.setdefault(provider, {})[lender] = None
    return {provider: tuple(lenders) for provider, lenders in found.items()}


def _lender(config: object, agent: str, provider: str, model: str) -> str | None:
    programs = [name for name in LENDERS.get(provider, ()) if name in PROGRAMS]
    if not programs:
        return None
    runtime = next(_runtimes(config, agent, provider, model), "auto")
    if runtime == "auto":
        lender = _of_profiles(config, provider)
        return lender if lender in programs else None
    return runtime if runtime in programs else None


def _runtimes(config: object, agent: str, provider: str, model: str) -> Iterator[str]:
    """The runtimes that the configuration sets for a model, the most exact first."""
    defaults, mine = mapping(config, "agents", "defaults"), mapping(mapping(roster(config)).get(agent))
    own, bare = own_provider(config, provider), model.partition("/")[2]
    settings: list[Mapping[str, Any]] = []
    for name in (model, f"{provider}/*"):
        settings += [mapping(scope, "models", name) for scope in (mine, defaults)]
    settings += [entry for entry in map(mapping, items(own.get("models"))) if entry.get("id") in (bare, model)]
    for setting in (*settings, own, mine, defaults):
        runtime = mapping(setting, "agentRuntime").get("id")
        if is_filled(runtime):
            yield runtime.strip().lower()


def _of_profiles(config: object, provider: str) -> str | None:
    """The provider of the profile that serves: the first one in the order, else the only one configured."""
    profiles = mapping(config, "auth", "profiles")
    names = {provider, *LENDERS.get(provider, ())}
    owners = {name: provider_id(mapping(entry).get("provider")) for name, entry in profiles.items()}
    fitting = [name for name, owner in owners.items() if owner in names]
    ordered = [name for name in orders(mapping(config, "auth").get("order")).get(provider, ()) if name in fitting]
    if ordered:
        return owners[ordered[0]]
    return owners[fitting[0]] if len(fitting) == 1 else None
