"""Whose login serves the models of a provider: another provider's may, as Claude Code's serves Anthropic's.

Read in the source of OpenClaw 2026.2 to 2026.9 (command-line runtimes and aliases of sign-ins).
"""

from __future__ import annotations

from collections.abc import Mapping

from exporter.model import Observation

#: Providers whose profiles also sign in to a provider's models, unless OpenClaw says otherwise.
LENDERS: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("claude-cli",),
    "byteplus-plan": ("byteplus",),
    "google": ("google-gemini-cli",),
    "minimax-cn": ("minimax",),
    "minimax-portal-cn": ("minimax-portal",),
    "openai": ("openai-codex", "codex-cli"),
    "volcengine-plan": ("volcengine",),
    "x-ai": ("xai",),
}

#: Providers whose login is kept by another program on the same host, and that program.
PROGRAMS = {"claude-cli": "Claude Code", "codex-cli": "Codex", "google-gemini-cli": "Gemini CLI"}

#: Providers that sign in through AWS, and never with a credential of OpenClaw's.
AWS = frozenset({"amazon-bedrock"})


def configured_lenders(observation: Observation, provider: str) -> tuple[str, ...]:
    """The providers whose login serves ``provider``, as OpenClaw reports or is configured."""
    return tuple(name for name in observation.served_by.get(provider, ()) if name != provider)


def lenders(observation: Observation, provider: str) -> tuple[str, ...]:
    """The providers whose login serves, or may serve, the models of ``provider``."""
    configured = configured_lenders(observation, provider)
    if configured or provider in observation.missing_providers:
        return configured  # OpenClaw knows the profiles of the others, and does not use them
    return LENDERS.get(provider, ())


def delegates(observation: Observation, provider: str) -> tuple[str, ...]:
    """The providers whose login serves ``provider`` in place of a credential of its own.

    Their trouble is the trouble of ``provider``, and they are in use if it is.
    """
    configured = configured_lenders(observation, provider)
    seen = {profile.provider for profile in observation.profiles}
    if configured or provider in seen:
        return configured
    return tuple(name for name in lenders(observation, provider) if name in seen)


def with_delegates(observation: Observation, providers: tuple[str, ...]) -> tuple[str, ...]:
    """``providers`` and those whose login serves them."""
    lent = [name for provider in providers for name in delegates(observation, provider)]
    return tuple(dict.fromkeys((*providers, *lent)))
