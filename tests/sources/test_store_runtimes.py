"""Whose login serves the models of a provider."""

from __future__ import annotations

import pytest

from exporter.sources.store.runtimes import served_by

MODEL = "anthropic/claude-opus-4-7"
CLI = {"agentRuntime": {"id": "claude-cli"}}


@pytest.mark.parametrize(
    "config",
    [
        {"agents": {"defaults": {"models": {MODEL: CLI}}}},
        {"agents": {"defaults": {"models": {"anthropic/*": CLI}}}},
        {"agents": {"defaults": CLI}},
        {"agents": {"entries": {"main": {"models": {MODEL: CLI}}}}},
        {"models": {"providers": {"Anthropic": CLI}}},
        {"models": {"providers": {"anthropic": {"models": [{"id": "claude-opus-4-7", **CLI}]}}}},
        {"auth": {"profiles": {"anthropic:claude-cli": {"provider": "claude-cli", "mode": "oauth"}}}},
    ],
)
def test_configuration_says_that_claude_code_runs_a_model(config: object) -> None:
    assert served_by(config, "main", [MODEL]) == {"anthropic": ("claude-cli",)}


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"agents": {"defaults": {"models": {MODEL: {"agentRuntime": {"id": "openclaw"}}}, **CLI}}},
        {"auth": {"profiles": {"a": {"provider": "claude-cli"}, "b": {"provider": "anthropic"}}}},
        {"models": {"providers": {"openai": CLI}}},
    ],
)
def test_other_configurations_run_the_model_themselves(config: object) -> None:
    assert served_by(config, "main", [MODEL]) == {}
