"""Renders a gateway's answers about a World (2026.9.6): ``models.authStatus`` and the other methods.

Their shapes are those of recorded answers of a real gateway. ``stand_ins.server`` serves them.
"""

from __future__ import annotations

from typing import Any

from exporter.model import Dialect, FailureReason
from exporter.simulator.health import by_locale, ms, profile_health, provider_health
from exporter.simulator.status import ENV_PROVIDERS, env_variable, remaining
from exporter.simulator.world import Fault, World

_DISPLAY_NAMES = {"anthropic": "Claude", "openrouter": "OpenRouter"}
NOT_READY = {
    "code": "PREPARED_MODEL_AUTH_UNAVAILABLE",
    "message": "Model authentication status is unavailable. Refresh Models after setup finishes; "
    "restart the Gateway if it persists.",
}


def gateway_json(world: World, now: float) -> dict[str, Any]:
    """The payload of ``models.authStatus`` at ``now`` (Unix seconds), which has no cooldowns."""
    at = ms(now)
    if Fault.NOT_READY in world.faults or world.broken is FailureReason.NOT_READY:
        return {"ts": at, "providers": [], "unavailable": dict(NOT_READY)}
    ordered = sorted(world.profiles.values(), key=lambda item: (by_locale(item.provider), by_locale(item.id)))
    health = {profile.id: profile_health(profile, at, Dialect.GATEWAY) for profile in ordered}
    by_env = {ENV_PROVIDERS[name] for name in world.env if name in ENV_PROVIDERS}
    names = {profile.provider for profile in ordered} | by_env
    names |= {entry.provider for entry in world.configured.values() if entry.mode in ("oauth", "token")}
    providers = [_provider(world, name, health, at) for name in sorted(names, key=by_locale)]
    capabilities = [{"provider": name, "apiKeySupported": True, "quickApiKeySetup": True} for name in sorted(names)]
    return {"ts": at, "providers": providers, "providerCapabilities": capabilities}


def _provider(world: World, name: str, health: dict[str, dict[str, Any]], now: int) -> dict[str, Any]:
    rolled = provider_health(world, name, health, now, Dialect.GATEWAY)
    effective = rolled["effectiveProfiles"]
    dated = [entry for entry in effective if entry["type"] == "oauth"]
    dated = dated or [entry for entry in effective if entry["type"] == "token"]
    expects_login = any(entry.provider == name and entry.mode == "oauth" for entry in world.configured.values())
    status, ends = rolled["status"], [rolled["expiresAt"]] if "expiresAt" in rolled else []
    if dated:
        words = {entry["status"] for entry in dated}
        status = next(word for word in ("expired", "missing", "expiring", "ok", "static") if word in words)
        ends = [entry["expiresAt"] for entry in dated if "expiresAt" in entry]
    elif expects_login:
        status, ends = "missing", []
    variable = env_variable(world, name)
    if variable and status == "missing" and all(entry["type"] == "api_key" for entry in rolled["profiles"]):
        status = "static"
    return {
        "provider": name,
        "authProvider": name,
        "displayName": _DISPLAY_NAMES.get(name, name),
        "status": status,
        **({"expiry": _expiry(min(ends), now)} if ends else {}),
        "profiles": [_profile(world, entry, now) for entry in rolled["profiles"]],
        **({"profileOrder": list(world.order[name])} if name in world.order else {}),
        **({"apiKey": {"source": "env", "envVar": variable}} if variable else {}),
    }


def _profile(world: World, entry: dict[str, Any], now: int) -> dict[str, Any]:
    email = world.profiles[entry["profileId"]].email
    return {
        "profileId": entry["profileId"],
        "type": entry["type"],
        "status": entry["status"],
        **({"reasonCode": entry["reasonCode"]} if "reasonCode" in entry else {}),
        "source": "inherited",
        **({"expiry": _expiry(entry["expiresAt"], now)} if "expiresAt" in entry else {}),
        **({"email": email} if email else {}),
        "logoutSupported": True,
    }


def _expiry(at: int, now: int) -> dict[str, Any]:
    return {"at": at, "remainingMs": at - now, "label": remaining(at - now)}


def agents_list_json(world: World) -> dict[str, Any]:
    """The payload of ``agents.list``: the model routes of each agent."""
    model: dict[str, Any] = {"primary": world.model}
    if world.fallbacks:
        model["fallbacks"] = list(world.fallbacks)
    return {
        "defaultId": world.agents[0],
        "ownership": "sole",
        "selectionRequired": False,
        "mainKey": "main",
        "scope": "per-sender",
        "agents": [
            {
                "id": agent,
                "workspace": f"{world.home}/.openclaw/workspace",
                "workspaceGit": False,
                "thinkingDefault": "high",
                "model": model,
                "defaultPermissionMode": "full",
            }
            for agent in world.agents
        ],
    }


def health_json(world: World, now: float) -> dict[str, Any]:
    """The payload of ``health``."""
    return {
        "ok": True,
        "ts": ms(now),
        "durationMs": 5,
        "defaultAgentId": world.agents[0],
        "agents": [{"agentId": agent, "isDefault": agent == world.agents[0]} for agent in world.agents],
    }


def usage_json(world: World, now: float) -> dict[str, Any]:
    """The payload of ``usage.status`` on a host that cannot reach the providers."""
    names = sorted({profile.provider for profile in world.profiles.values()}, key=by_locale)
    return {
        "updatedAt": ms(now),
        "providers": [
            {
                "provider": name,
                "displayName": _DISPLAY_NAMES.get(name, name),
                "windows": [],
                "error": "fetch failed" if name == "openai" else "Unsupported provider",
            }
            for name in names
        ],
    }
