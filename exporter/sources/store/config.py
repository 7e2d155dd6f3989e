"""Reads agents, models and the order of profiles from ``openclaw.json`` as OpenClaw 2026.2 to 2026.9 do. Pure.

It tolerates anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from exporter.lib.loose_json import items, mapping
from exporter.lib.redact import safe_name
from exporter.model import Purpose, Use, most_important_first


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


def uses_of(config: object, agent: str, *, inherits_fallbacks: bool) -> tuple[Use, ...]:
    """What the models that the configuration names for ``agent`` are used for, the most important first.

    Nothing if no model is configured: OpenClaw's choice then depends on its release.
    ``inherits_fallbacks``: an agent with its own model still has the defaults' fallbacks (seen on
    2026.2.9; on 2026.6.11 and 2026.9.6 it has only its own).
    """
    defaults = mapping(config, "agents", "defaults")
    mine = mapping(roster(config), agent)
    primary, fallbacks = _model(mine.get("model"))
    default_primary, default_fallbacks = _model(defaults.get("model"))
    image, image_fallbacks = _model(defaults.get("imageModel"))
    utility, _ = _model(mine.get("utilityModel", defaults.get("utilityModel")))
    if fallbacks is None and (primary is None or inherits_fallbacks):
        fallbacks = default_fallbacks
    wanted = [
        *((name, Purpose.CHAT) for name in (primary or default_primary, *(fallbacks or ()))),
        *((name, Purpose.IMAGES) for name in (image, *(image_fallbacks or ()))),
        (utility, Purpose.UTILITY),
    ]
    known = aliases(config)
    named = [(known.get(name.lower(), name).partition("@")[0], purpose) for name, purpose in wanted if name]
    return most_important_first(Use(safe_name(ref), purpose) for ref, purpose in named if "/" in ref)


def providers_of(uses: Iterable[Use]) -> tuple[str, ...] | None:
    """The providers of ``uses``; None without a chat model: OpenClaw's choice then depends on its release."""
    uses = tuple(uses)
    is_known = any(use.purpose.is_chat for use in uses)
    return tuple(dict.fromkeys(provider_id(use.provider) for use in uses)) if is_known else None


def _model(value: object) -> tuple[str | None, list[str] | None]:
    """The primary model and the fallbacks of a model setting, which is a name or an object."""
    if isinstance(value, str):
        return value.strip() or None, None
    primary, fallbacks = mapping(value).get("primary"), mapping(value).get("fallbacks")
    names = [name.strip() for name in fallbacks if isinstance(name, str)] if isinstance(fallbacks, list) else None
    return (primary.strip() or None if isinstance(primary, str) else None), names


def aliases(config: object) -> dict[str, str]:
    """The models by their aliases in lower case."""
    return {
        alias.strip().lower(): name
        for name, entry in mapping(config, "agents", "defaults", "models").items()
        if isinstance(alias := mapping(entry).get("alias"), str)
    }
