"""Renders what ``openclaw models status --json --check`` would print about a World, and its exit code.

Each dialect is rendered as one release prints it (``RELEASES``). Tests compare every field with its output.
Missing is what needs OpenClaw's model catalogue: ``aliases``, ``allowed``, and the Codex routes of an
``openai`` model in use.
"""

from __future__ import annotations

from typing import Any

from exporter.model import Dialect
from exporter.simulator.health import (
    MAX_DATE,
    REFRESH_MARGIN,
    UNTIL_2026_5,
    WARN_AFTER,
    by_locale,
    is_disabled,
    ms,
    profile_health,
    profile_order,
    provider_health,
    unusable_until,
)
from exporter.simulator.world import Profile, World

#: The release that each dialect is rendered as.
RELEASES = {
    Dialect.DATES: "2026.1.29",
    Dialect.STATUS: "2026.2.9",
    Dialect.LISTING: "2026.6.11",
    Dialect.ROUTES: "2026.9.6",
}
#: The environment variables that hold a credential, with their provider. The first that is set wins.
ENV_PROVIDERS = {
    "ANTHROPIC_OAUTH_TOKEN": "anthropic",
    "ANTHROPIC_API_KEY": "anthropic",
    "OPENAI_API_KEY": "openai",
    "GEMINI_API_KEY": "google",
    "GROQ_API_KEY": "groq",
    "XAI_API_KEY": "xai",
    "OPENROUTER_API_KEY": "openrouter",
    "MISTRAL_API_KEY": "mistral",
}
#: From 2026.6 on a variable is also listed under these providers. The first that is set wins.
_ENV_ALIASES = {
    "anthropic-openai": ("ANTHROPIC_API_KEY",),
    "claude-cli": ("ANTHROPIC_OAUTH_TOKEN", "ANTHROPIC_API_KEY"),
}
#: Those of them that another provider's profiles serve too.
_PROFILE_ALIASES = {"claude-cli": "anthropic"}
_UTILITY_MODELS = {"anthropic": "anthropic/claude-haiku-4-5"}
_RECOVER_BY_LOGIN = frozenset({"auth", "auth_permanent", "session_expired"})

Health = dict[str, dict[str, Any]]


def status_json(
    world: World, now: float, dialect: Dialect | None = None, agent: str | None = None
) -> tuple[dict[str, Any], int]:
    """The JSON and the exit code at ``now`` (Unix seconds), as the release of ``dialect`` prints them.

    ``dialect`` defaults to the World's. ``agent`` is the value of ``--agent``.
    """
    dialect, at = dialect or world.dialect, ms(now)
    ordered = sorted(world.profiles.values(), key=lambda item: (by_locale(item.provider), by_locale(item.id)))
    health: Health = {profile.id: profile_health(profile, at, dialect) for profile in ordered}
    listed = {profile.provider for profile in ordered}
    sources = _provider_sources(world, at, dialect)
    if dialect in UNTIL_2026_5:
        listed |= set(world.providers_in_use()) | {ENV_PROVIDERS[name] for name in world.env if name in ENV_PROVIDERS}
    providers = [provider_health(world, provider, health, at, dialect) for provider in sorted(listed, key=by_locale)]
    evaluate = _EVALUATIONS.get(dialect, _evaluate_routes)
    verdict, exit_code = evaluate(world, health, providers, sources, at)

    home, agent_dir = world.home, f"{world.home}/.openclaw/agents/{agent or world.agents[0]}/agent"
    store = "auth-profiles.json" if dialect in UNTIL_2026_5 else "openclaw-agent.sqlite"
    with_login = [(s["provider"], s["profiles"]["oauth"] + s["profiles"]["token"], s.get("env")) for s in sources]
    oauth_env = {p: 1 for p, _, env in with_login if env and env["value"] == "OAuth (env)"}
    payload: dict[str, Any] = {
        "configPath": f"{home}/.openclaw/openclaw.json",
        **({"agentId": agent} if agent else {}),
        "agentDir": agent_dir,
        "defaultModel": world.model,
        "resolvedDefault": world.model,
        "fallbacks": list(world.fallbacks),
        "imageModel": world.image_model,
        "imageFallbacks": [],
        **({"utilityModel": _utility(world)} if dialect is Dialect.ROUTES else {}),
        **({"modelConfig": {"defaultSource": "defaults", "fallbacksSource": "defaults"}} if agent else {}),
        "aliases": {},
        "allowed": [],
        "auth": {
            "storePath": f"{agent_dir}/{store}",
            "shellEnvFallback": {"enabled": False, "appliedKeys": []},
            "providersWithOAuth": [
                f"{p} ({count + oauth_env.get(p, 0)})" for p, count, _ in with_login if count + oauth_env.get(p, 0)
            ],
            **verdict,
            "providers": sources,
            "unusableProfiles": _unusable_profiles(world, at, dialect),
            "oauth": {"warnAfterMs": WARN_AFTER, "profiles": list(health.values()), "providers": providers},
        },
    }
    return payload, exit_code


def models_in_use(world: World, dialect: Dialect) -> list[tuple[str, str]]:
    """(provider, model) of the default model, fallbacks and image model; from 2026.8 the utility model too."""
    refs = [world.model, *world.fallbacks, world.image_model]
    if dialect is Dialect.ROUTES:
        refs.append(_utility(world)["ref"])
    split = [ref.partition("/") for ref in refs if ref]
    return list(dict.fromkeys((provider, model) for provider, _, model in split))


def _utility(world: World) -> dict[str, Any]:
    if world.utility_model:
        return {"ref": world.utility_model, "source": "configured"}
    return {"ref": _UTILITY_MODELS.get(world.model.partition("/")[0]), "source": "provider-default"}


# --- where each provider's credential comes from ------------------------------------------------------


def env_variable(world: World, provider: str) -> str | None:
    """The environment variable that serves a provider."""
    return next((name for name, served in ENV_PROVIDERS.items() if served == provider and name in world.env), None)


def masked(secret: str) -> str:
    """A secret as OpenClaw prints it. It is still secret: our output must not contain it."""
    kept = 8 if len(secret) > 16 else 2 if len(secret) > 6 else 1
    return f"{secret[:kept]}...{secret[-kept:]}" if secret else "missing"


def remaining(milliseconds: int) -> str:
    """A remaining time as OpenClaw's labels print it."""
    minutes = int(milliseconds / 60_000 + 0.5)
    if minutes < 60:
        return f"{max(1, minutes)}m" if milliseconds > 0 else "0m"
    hours = int(minutes / 60 + 0.5)
    return f"{hours}h" if hours < 48 else f"{int(hours / 24 + 0.5)}d"


def _label(world: World, profile: Profile, now: int, dialect: Dialect) -> str:
    if profile.kind == "oauth":
        base = f"{profile.id}=OAuth" + (f" ({profile.email})" if profile.email else "")
    else:
        base = f"{profile.id}={'token:' if profile.kind == 'token' else ''}{masked(profile.secret or '')}"
    until = unusable_until(world, profile.id, now, dialect)
    if until is None:
        return base
    kind, reason = "cooldown", world.usage[profile.id].disabled_reason
    if is_disabled(world, profile.id, now):
        kind = f"disabled:{reason}" if reason else "disabled"
    return f"{base} [{kind} {remaining(until - now)}]"


def _provider_sources(world: World, now: int, dialect: Dialect) -> list[dict[str, Any]]:
    """``auth.providers``: the providers with a profile or a variable."""
    own: dict[str, list[Profile]] = {}
    for profile in world.profiles.values():
        own.setdefault(profile.provider, []).append(profile)
    variables = {provider: name for provider in ENV_PROVIDERS.values() if (name := env_variable(world, provider))}
    if dialect not in UNTIL_2026_5:
        for provider, names in _ENV_ALIASES.items():
            if given := [name for name in names if name in world.env]:
                variables[provider] = given[0]
    path = {
        Dialect.DATES: "agents/main/agent/auth-profiles.json",
        Dialect.STATUS: "agents/main/agent/auth-profiles.json",
        Dialect.LISTING: "agents/main/agent/openclaw-agent.sqlite",
    }.get(dialect, "state/openclaw.sqlite")
    result = []
    for provider in sorted(own.keys() | variables.keys(), key=by_locale):
        profiles = own.get(_PROFILE_ALIASES.get(provider, provider), [])
        kinds = [profile.kind for profile in profiles]
        entry: dict[str, Any] = {
            "provider": provider,
            "effective": {"kind": "profiles", "detail": f"~/.openclaw/{path}"},
            "profiles": {
                "count": len(profiles),
                "oauth": kinds.count("oauth"),
                "token": kinds.count("token"),
                "apiKey": kinds.count("api_key"),
                "labels": [_label(world, profile, now, dialect) for profile in profiles],
            },
        }
        name = variables.get(provider)
        if name is not None:
            value = "OAuth (env)" if "OAUTH_TOKEN" in name else masked(world.env[name])
            entry["env"] = {"value": value, "source": f"env: {name}"}
            if not profiles:
                entry["effective"] = {"kind": "env", "detail": value}
        result.append(entry)
    return result


def _unusable_profiles(world: World, now: int, dialect: Dialect) -> list[dict[str, Any]]:
    result = []
    for profile_id, usage in world.usage.items():
        until = unusable_until(world, profile_id, now, dialect)
        if until is None:
            continue
        kind = "disabled" if is_disabled(world, profile_id, now) else "cooldown"
        profile = world.profiles.get(profile_id)
        routes = dialect is Dialect.ROUTES
        reason = usage.cooldown_reason if routes and kind == "cooldown" else usage.disabled_reason
        entry: dict[str, Any] = {"profileId": profile_id}
        if profile is not None:
            entry["provider"] = profile.provider
        entry["kind"] = kind
        if reason is not None:
            entry["reason"] = reason
        if routes:
            entry["recoveryHint"] = _recovery_hint(
                kind, reason, profile.provider if profile else profile_id, profile_id
            )
        result.append(entry | {"until": until, "remainingMs": until - now})
    return sorted(result, key=lambda entry: int(entry["remainingMs"]))


def _recovery_hint(kind: str, reason: str | None, provider: str, profile_id: str) -> str:
    if reason in _RECOVER_BY_LOGIN:
        command = f"openclaw models auth login --provider {provider} --profile-id '{profile_id}'"
        return f"Re-authenticate with `{command}`."
    if kind == "disabled" and reason == "billing":
        return "Top up credits (provider billing) or switch provider."
    return "Wait for cooldown or switch provider."


# --- the exit code --------------------------------------------------------------------------------------

Evaluation = tuple[dict[str, Any], int]


def _evaluate_status(
    world: World, health: Health, providers: list[dict[str, Any]], sources: list[dict[str, Any]], now: int
) -> Evaluation:
    """To 2026.4: every OAuth and token profile counts, in use or not. Cooldowns do not count."""
    served = {source["provider"] for source in sources}
    missing = sorted(set(world.providers_in_use()) - served, key=by_locale)
    words = {entry["status"] for entry in health.values() if entry["type"] != "api_key"}
    exit_code = 1 if missing or words & {"expired", "missing"} else 2 if "expiring" in words else 0
    return {"missingProvidersInUse": missing}, exit_code


def _evaluate_listing(
    world: World, health: Health, providers: list[dict[str, Any]], sources: list[dict[str, Any]], now: int
) -> Evaluation:
    """2026.6 and 2026.7: the roll-up of each provider in use counts, unless a variable serves it too."""

    def usable(profile_id: str) -> bool:
        return health[profile_id]["status"] in ("ok", "expiring", "static")

    in_use = {p for p in world.providers_in_use() if env_variable(world, p) is None}
    missing = [p for p in in_use if not any(map(usable, profile_order(world, p, now, Dialect.LISTING)))]
    words = {entry["status"] for entry in providers if entry["provider"] in in_use}
    exit_code = 1 if missing or words & {"expired", "missing"} else 2 if "expiring" in words else 0
    return {"missingProvidersInUse": sorted(missing, key=by_locale), "runtimeAuthRoutes": []}, exit_code


def _evaluate_routes(
    world: World, health: Health, providers: list[dict[str, Any]], sources: list[dict[str, Any]], now: int
) -> Evaluation:
    """From 2026.8: only the credential that each model in use would get counts."""
    issues, missing, expiring = [], set(), False
    for provider, model in models_in_use(world, Dialect.ROUTES):
        available, selected, evidence = _route(world, provider, model, now)
        if available is None:
            issues.append(
                {
                    "kind": "indeterminate",
                    "provider": provider,
                    "model": model,
                    **({"evidence": evidence} if evidence else {}),
                    "message": f"Auth readiness could not be confirmed for {provider}/{model}.",
                }
            )
        elif not available:
            missing.add(provider)
        elif selected is not None:
            expiring = expiring or health[selected]["status"] == "expiring"
    exit_code = 1 if issues or missing else 2 if expiring else 0
    return {
        "missingProvidersInUse": sorted(missing, key=by_locale),
        "modelRouteIssues": issues,
        "runtimeAuthRoutes": [],
    }, exit_code


_EVALUATIONS = {
    Dialect.DATES: _evaluate_status,
    Dialect.STATUS: _evaluate_status,
    Dialect.LISTING: _evaluate_listing,
}


def _ready(profile: Profile, now: int) -> bool | None:
    """Whether a credential works; None if only a refresh would show it."""
    at = None if profile.expires is None else ms(profile.expires)
    if profile.kind == "api_key":
        return bool(profile.secret)
    if profile.kind == "token":
        return bool(profile.secret) and (at is None or now < at <= MAX_DATE)
    if profile.secret and at is not None and now + REFRESH_MARGIN < at <= MAX_DATE:
        return True
    if not profile.refreshable:
        return False
    return True if profile.provider == "openai" else None


def _route(world: World, provider: str, model: str, now: int) -> tuple[bool | None, str | None, str | None]:
    """(availability, selected profile, evidence) of one model in use."""
    order = profile_order(world, provider, now, Dialect.ROUTES, model)
    ready = {id: _ready(world.profiles[id], now) for id in order}
    able = [id for id in order if ready[id] is not False]
    clear = [id for id in able if unusable_until(world, id, now, Dialect.ROUTES, model) is None]
    if clear:
        chosen = clear[0]
        if ready[chosen] is None:
            chosen = next((id for id in clear if ready[id]), chosen)
        return ready[chosen], chosen, "profile"
    if able or provider in world.order:
        return False, None, "profile"
    if not order and env_variable(world, provider) is not None:
        return True, None, "environment"
    known = any(entry.provider == provider for entry in world.configured.values())
    known = known or any(profile.provider == provider for profile in world.profiles.values())
    return (False, None, "profile") if known else (None, None, None)
