"""``config check`` warns of profiles whose provider needs no credential by ``policy.providers``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exporter.config import Config
from exporter.daemon.preflight import needless_credentials, warnings


def configured(home: Path, **target: Any) -> Config:
    policy = {"providers": {"amazon-bedrock": {"credential": "none"}}}
    return Config.model_validate({"targets": [{"name": "home", **target}], "policy": policy})


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    agent = tmp_path / ".openclaw" / "agents" / "main" / "agent"
    agent.mkdir(parents=True)
    key = {"type": "api_key", "provider": "amazon-bedrock", "key": "made-up"}
    profiles = {"amazon-bedrock:old": key, "openai:default": {**key, "provider": "openai"}}
    (agent / "auth-profiles.json").write_text(json.dumps({"version": 1, "profiles": profiles}))
    return tmp_path / ".openclaw"


def sentence(profile: str) -> str:
    return f"policy.providers: amazon-bedrock needs no credential, but home has the profile {profile}: nothing about it"


@pytest.mark.parametrize(
    "target",
    [
        {"source": "store"},
        {"source": "auto"},
        {"source": "openclaw"},
        {"source": "gateway", "state_dir": "~/.openclaw"},
    ],
)
def test_profile_of_a_provider_that_needs_none_is_a_warning(state: Path, target: dict[str, Any]) -> None:
    [warning] = needless_credentials(configured(state, **target))
    assert warning == sentence("amazon-bedrock:old") + " is reported"


def test_profile_of_several_agents_is_named_once_among_the_other_warnings(state: Path) -> None:
    work = state / "agents" / "work" / "agent"
    work.mkdir(parents=True)
    key = {"type": "api_key", "provider": "amazon-bedrock", "key": "made-up"}
    (work / "auth-profiles.json").write_text(json.dumps({"version": 1, "profiles": {"amazon-bedrock:new": key}}))
    found = warnings(configured(state, source="store"))
    assert [found.count(sentence(f"amazon-bedrock:{name}") + " is reported") for name in ("old", "new")] == [1, 1]
    assert not any("openai" in warning for warning in found)


@pytest.mark.parametrize(
    "target",
    [
        {"source": "openclaw", "ssh": "me@vps"},
        {"source": "openclaw", "command": ["docker", "exec", "gw", "openclaw"]},
        {"source": "gateway"},
        {"source": "claude"},
        {"source": "store", "state_dir": "/nowhere"},
    ],
)
def test_store_that_is_elsewhere_or_cannot_be_read_gives_no_warning(state: Path, target: dict[str, Any]) -> None:
    assert needless_credentials(configured(state, **target)) == []


def test_key_in_the_env_file_is_a_warning(state: Path, tmp_path: Path) -> None:
    (tmp_path / "service.env").write_text("ZAI_API_KEY=made-up-1\n")
    (state / "openclaw.json").write_text(json.dumps({"agents": {"defaults": {"model": "zai/glm"}}}))
    target = {"name": "home", "source": "openclaw", "env_file": str(tmp_path / "service.env")}
    policy = {"providers": {"zai": {"credential": "none"}}}
    [warning] = needless_credentials(Config.model_validate({"targets": [target], "policy": policy}))
    assert "home has the profile env:ZAI_API_KEY" in warning
    assert "made-up-1" not in warning


def test_nothing_is_read_without_the_policy(state: Path) -> None:
    assert needless_credentials(Config()) == []
