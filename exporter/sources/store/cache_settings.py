"""Finds the settings of prompt caching in ``openclaw.json``, each with the models that it is for. Pure.

The places and their names are those of OpenClaw 2026.2 to 2026.9 (its pages "Anthropic" and "Prompt caching").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from exporter.lib.loose_json import mapping
from exporter.lib.redact import safe_name, safe_text
from exporter.model import CacheSetting
from exporter.sources.store.config import aliases, is_filled, roster

_NAMES = ("cacheRetention", "cacheControlTtl")


def cache_settings(config: object, agent: str) -> tuple[CacheSetting, ...]:
    """The settings that ``agent`` has or inherits, the widest first."""
    return tuple(_cache_settings(config, agent))


def _cache_settings(config: object, agent: str) -> Iterator[CacheSetting]:
    defaults, own = mapping(config, "agents", "defaults"), mapping(roster(config), agent)
    known = aliases(config)
    for place, entry in (("agents.defaults", defaults), (f"agent {agent}", own)):
        yield from _of_params(entry, place, "")
        for name, model in mapping(entry, "models").items():
            if isinstance(name, str):
                ref = known.get(name.strip().lower(), name).strip()
                yield from _of_params(mapping(model), f"{place}, model {safe_text(name, 80)}", safe_name(ref))


def _of_params(entry: Mapping[str, Any], place: str, model: str) -> Iterator[CacheSetting]:
    params = mapping(entry, "params")
    for name in _NAMES:
        if is_filled(value := params.get(name)):
            yield CacheSetting(name, safe_text(value, 20), place, model)
