"""The settings of prompt caching are found where OpenClaw reads them."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.model import CacheSetting
from exporter.sources.store.cache_settings import cache_settings

PARAMS = {"params": {"cacheRetention": "long", "temperature": 1}}
MODEL = "anthropic/claude-opus-5"


def agents(**parts: Any) -> dict[str, Any]:
    return {"agents": parts}


@pytest.mark.parametrize(
    ("config", "found"),
    [
        (agents(defaults=PARAMS), CacheSetting("cacheRetention", "long", "agents.defaults")),
        (
            agents(defaults={"models": {MODEL: PARAMS}}),
            CacheSetting("cacheRetention", "long", f"agents.defaults, model {MODEL}", MODEL),
        ),
        (agents(list=[{"id": "main", **PARAMS}]), CacheSetting("cacheRetention", "long", "agent main")),
        (
            agents(entries={"main": {"models": {MODEL: PARAMS}}}),
            CacheSetting("cacheRetention", "long", f"agent main, model {MODEL}", MODEL),
        ),
        (
            agents(defaults={"params": {"cacheControlTtl": "5m"}}),
            CacheSetting("cacheControlTtl", "5m", "agents.defaults"),
        ),
    ],
)
def test_each_place(config: object, found: CacheSetting) -> None:
    assert cache_settings(config, "main") == (found,)


def test_an_agent_inherits_the_defaults_and_not_another_agents_settings() -> None:
    config = agents(defaults=PARAMS, list=[{"id": "main"}, {"id": "work", **PARAMS}])
    assert [setting.place for setting in cache_settings(config, "main")] == ["agents.defaults"]
    assert [setting.place for setting in cache_settings(config, "work")] == ["agents.defaults", "agent work"]


def test_a_model_may_be_named_by_its_alias() -> None:
    models = {MODEL: {"alias": "Opus"}, "opus": PARAMS}
    (found,) = cache_settings(agents(defaults={"models": models}), "main")
    assert (found.place, found.model) == ("agents.defaults, model opus", MODEL)


@pytest.mark.parametrize(
    "config",
    [
        *(None, [], {"agents": 1}, agents(defaults=[]), agents(defaults={"params": []})),
        agents(defaults={"params": {"cacheRetention": 5}}),
        agents(defaults={"models": {MODEL: {"params": {"cacheRetention": " "}}}}),
        agents(list=[{"id": "main", "models": [MODEL]}]),
    ],
)
def test_anything_else_is_no_setting(config: object) -> None:
    assert cache_settings(config, "main") == ()
