"""Reads agents, aliases and the order of profiles from ``openclaw.json`` as OpenClaw 2026.2 to 2026.9 do. Pure.

It tolerates anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from exporter.lib.loose_json import items, mapping
from exporter.lib.redact import safe_name


def provider_id(value: object) -> str:
    """A provider as OpenClaw spells it; empty if ``value`` names none."""
    return safe_name(value.strip().lower()) if isinstance(value, str) else ""


def is_filled(value: object) -> TypeGuard[str]:
    """Whether ``value`` is a text that is not blank."""
    return isinstance(value, str) and bool(value.strip())


def orders(raw: object) -> dict[str, tuple[str, ...]]:
    """Lists of profile ids by provider, from a store or from ``auth.order``."""
    return {
        provider_id(provider): tuple(dict.fromkeys(safe_name(name.strip()) for name in ids if is_filled(name)))
        for provider, ids in mapping(raw).items()
        if isinstance(ids, list) and provider_id(provider)
    }


def roster(config: object) -> dict[str, Mapping[str, Any]] | None:
    """The agents of ``agents.entries`` (from 2026.8) or ``agents.list``, by id, the default first.

    None if the configuration lists none.
    """
    agents = mapping(config, "agents")
    entries, default = agents.get("entries"), None
    found: dict[str, Mapping[str, Any]] = {}
    listed = (mapping(entry) for entry in items(agents.get("list")))
    named = entries.items() if isinstance(entries, Mapping) else [(entry.get("id"), entry) for entry in listed]
    for name, entry in named:
        name = agent_id(name)
        if name and isinstance(entry, Mapping):
            found.setdefault(name, entry)
            default = name if entry.get("default") is True and default is None else default
    first = default or ("main" if "main" in found and isinstance(entries, Mapping) else None)
    return {name: found[name] for name in dict.fromkeys((*([first] if first else []), *found))} or None


def agent_id(name: object) -> str:
    """An agent's id as OpenClaw spells it, which is also its folder's name."""
    return re.sub(r"[^a-z0-9_-]+", "-", name.strip().lower()).strip("-")[:64] if isinstance(name, str) else ""


def aliases(config: object) -> dict[str, str]:
    """The models by their aliases in lower case."""
    return {
        alias.strip().lower(): name
        for name, entry in mapping(config, "agents", "defaults", "models").items()
        if isinstance(alias := mapping(entry).get("alias"), str)
    }
