"""Interprets the auth store: parsed JSON to StoreFacts, and which changes of it matter. Pure.

The rules (which layer wins, what is eligible, what an order excludes, when a cooldown holds) are those of
OpenClaw 2026.2 to 2026.9, read in its source and tried on its releases. What OpenClaw ignores is ignored
here. Times in the store are Unix milliseconds.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from exporter.lib.bounds import require_bounded
from exporter.lib.known_secrets import remember
from exporter.lib.loose_json import mapping, number
from exporter.lib.redact import safe_name, safe_text
from exporter.model import CacheSetting, ObservedProfile, Unusable, Use
from exporter.sources.store.cache_settings import cache_settings
from exporter.sources.store.config import orders, provider_id
from exporter.sources.store.credentials import (
    Surroundings,
    date,
    own_provider,
    release_of,
    version_of,
    with_credential,
)
from exporter.sources.store.environment import Environment
from exporter.sources.store.runtimes import served_by
from exporter.sources.store.uses import CronJob, is_whole, providers_of, uses_of
from exporter.verdict.logins import LENDERS, PROGRAMS

_KINDS = ("oauth", "token", "api_key")  # in OpenClaw's order
#: Reasons whose cooldown is for one model only, if the store names one.
_OF_ONE_MODEL = frozenset({"rate_limit", "timeout", "model_not_found"})
#: Providers that rate-limit on their own: from 2026.4 on OpenClaw ignores stored cooldowns of theirs.
_NEVER_COOL = frozenset({"openrouter", "kilocode"})
#: OpenClaw's ranking of counted failures, used if no reason is stored.
_REASONS = (
    *("auth_permanent", "auth", "session_expired", "billing", "format", "model_not_found", "overloaded", "timeout"),
    *("rate_limit", "empty_response", "no_error_details", "unclassified", "unknown"),
)
_MAX_NAMED = 3  # variables in a note
_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SECRETS = frozenset({"key", "token", "access", "refresh", "idToken"})
#: What OpenClaw stores in place of a key that a provider does not need, or that is kept elsewhere.
NO_SECRETS = frozenset({"ollama-local", "custom-local", "secretref-managed", "minimax-oauth", "qwen-oauth", "aws-sdk"})


class StoreFacts(NamedTuple):
    """The facts about one agent in the store. No secrets. Times are Unix seconds."""

    profiles: tuple[ObservedProfile, ...] = ()
    #: The profiles that may serve each provider, if something restricts them.
    order: Mapping[str, tuple[str, ...]] = {}
    providers_in_use: tuple[str, ...] | None = None  # None: no configuration names a model
    uses: tuple[Use, ...] = ()
    notes: tuple[str, ...] = ()
    sees_uses: bool = False  # every use is known: the configuration and the cron jobs could be read
    served_by: Mapping[str, tuple[str, ...]] = {}  # provider -> whose logins serve its models
    borrowed_logins: frozenset[str] = frozenset()  # providers whose login another program keeps
    keyless_providers: frozenset[str] = frozenset()  # need no credential of OpenClaw's
    #: Providers in use whose only profiles are in a store that this OpenClaw no longer reads.
    stranded_providers: frozenset[str] = frozenset()
    version: str | None = None  # of the OpenClaw that wrote openclaw.json last
    cache_settings: tuple[CacheSetting, ...] = ()


class Layer(NamedTuple):
    """One store: its credentials as stored (with secrets!), order and usage."""

    profiles: Mapping[str, Mapping[str, Any]]
    order: Mapping[str, tuple[str, ...]]
    usage: Mapping[str, Mapping[str, Any]]
    skipped: int = 0


def layer(store: object, state: object) -> Layer | None:
    """The layer of ``store`` (credentials) and ``state`` (order, usage); either may hold both.

    None if ``store`` is not an auth store.
    """
    if not isinstance(store, Mapping) or not isinstance(store.get("profiles"), Mapping):
        return None
    require_bounded(len(store["profiles"]), "profiles")
    remember(store["profiles"], _SECRETS, NO_SECRETS)  # before a text of the store is shown
    found = {name: _credential(raw) for name, raw in store["profiles"].items()}
    profiles = {safe_name(name): credential for name, credential in found.items() if credential is not None}
    skipped = sum(credential is None for credential in found.values())
    order = {**orders(store.get("order")), **orders(mapping(state).get("order"))}
    usage = {**_usage(store), **_usage(state)}
    return Layer(profiles, {key: ids for key, ids in order.items() if ids}, usage, skipped)


def _credential(raw: object) -> Mapping[str, Any] | None:
    """A stored credential with its kind and provider normalised; None if OpenClaw ignores it."""
    if not isinstance(raw, Mapping):
        return None
    kind = raw.get("type", raw.get("mode"))
    kind = "api_key" if kind == "apiKey" else kind
    provider = provider_id(raw.get("provider"))
    return {**raw, "type": kind, "provider": provider} if kind in _KINDS and provider else None


def _usage(state: object) -> dict[str, Mapping[str, Any]]:
    usage = mapping(state, "usageStats")
    return {safe_name(name.strip()): entry for name, entry in usage.items() if isinstance(entry, Mapping)}


def merge(base: Layer | None, over: Layer | None) -> Layer | None:
    """An agent's own store ``over`` the one it inherits: whole profiles, orders and usage entries win."""
    if base is None or over is None:
        return over or base
    order = {**base.order, **over.order}
    for provider in {raw["provider"] for raw in over.profiles.values()}:
        if provider in base.order and provider not in over.order:
            # The agent's own profiles come before those of the inherited order.
            own = [name for name, raw in over.profiles.items() if raw["provider"] == provider]
            order[provider] = tuple(dict.fromkeys((*own, *base.order[provider])))
    profiles, usage = {**base.profiles, **over.profiles}, {**base.usage, **over.usage}
    return Layer(profiles, order, usage, base.skipped + over.skipped)


def facts(
    stored: Layer | None,
    config: Mapping[str, Any] | None,
    *,
    agent: str,
    is_json: bool,
    keyed_hash: Callable[[str], str],
    now: float,
    around: Surroundings | None = None,
    left_behind: Layer | None = None,
    version: str | None = None,
    jobs: Iterable[CronJob] | None = (),
    notes: Iterable[str] = (),
) -> StoreFacts:
    """The facts about ``agent``. ``is_json``: a release to 2026.5 wrote the store.

    ``left_behind``: the store of such a release beside a newer one, which OpenClaw no longer reads. ``version``:
    OpenClaw's; by default that of the release which wrote the configuration last.
    """
    version = version or version_of(config)
    stored, around = stored or Layer({}, {}, {}), around or Surroundings()
    modes = {} if is_json else _configured(config)
    profiles = []
    for name, raw in stored.profiles.items():
        usage = stored.usage.get(name, {})
        cools = is_json or raw["provider"] not in _NEVER_COOL
        profile = ObservedProfile(
            id=name,
            provider=raw["provider"],
            kind=raw["type"],
            unusable=_unusable(usage, now) if cools else None,
            last_used_at=date(usage.get("lastUsed")),
            error_count=_count(usage.get("errorCount")),
            last_error_at=date(usage.get("lastFailureAt")),
        )
        profile = with_credential(profile, raw, config, keyed_hash, around, is_json, release_of(version))
        if profile.reason_code is None and name in modes:
            profile = replace(profile, reason_code=_mismatch(raw, *modes[name]))
        profiles.append(profile)
    uses = uses_of(config, agent, jobs or (), inherits_fallbacks=is_json)
    providers, seen = providers_of(uses), {profile.provider for profile in profiles}
    lent = served_by(config, agent, (use.model for use in uses))
    lenders = {name for names in lent.values() for name in names} - seen
    skipped = (f"skipped {stored.skipped} entries of the store that are no credentials",) if stored.skipped else ()
    return StoreFacts(
        profiles=tuple(profiles),
        order=_effective_order(stored, config, now),
        providers_in_use=providers,
        uses=uses,
        sees_uses=config is not None and jobs is not None and is_whole(config),
        served_by=lent,
        borrowed_logins=frozenset(name for name in lenders & PROGRAMS.keys() if around.has_login(name) is not False),
        keyless_providers=frozenset(p for p in providers or () if own_provider(config, p).get("auth") == "aws-sdk"),
        stranded_providers=_stranded(left_behind, seen, providers),
        version=version,
        cache_settings=cache_settings(config, agent),
        notes=(*notes, *skipped, *_unsure(profiles, around.environment)),
    )


def _stranded(left_behind: Layer | None, seen: set[str], in_use: Iterable[str] | None) -> frozenset[str]:
    """The providers in use that only ``left_behind`` has profiles of."""
    left = {raw["provider"] for raw in left_behind.profiles.values()} if left_behind else set()
    if in_use is None:
        return frozenset(left - seen)
    # Importing a store also renames providers: openai-codex becomes openai.
    names = {provider: {provider, *LENDERS.get(provider, ())} for provider in in_use}
    return frozenset(provider for provider, own in names.items() if own & left and not own & seen)


def _unsure(profiles: Iterable[ObservedProfile], env: Environment) -> Iterator[str]:
    """A sentence about variables that are not set here, although the service may have them."""
    kept = [profile.reference for profile in profiles if profile.reference and profile.reason_code is None]
    named = {name for source, _, name in (ref.split(":", 2) for ref in kept) if source == "env"} | env.unset
    unknown = sorted(name for name in named if env.has(name) is None)
    if unknown:
        more = ", …" if len(unknown) > _MAX_NAMED else ""
        names = safe_text(", ".join(unknown[:_MAX_NAMED]))
        yield f"not set here, but maybe in the service's environment: {names}{more}; env_file shows it to the exporter"


def _mismatch(raw: Mapping[str, Any], provider: str, mode: str) -> str | None:
    if provider != raw["provider"]:
        return "provider_mismatch"
    return None if mode in ("", raw["type"]) or (mode, raw["type"]) == ("oauth", "token") else "mode_mismatch"


def _unusable(usage: Mapping[str, Any], now: float) -> Unusable | None:
    """The cooldown or disable that holds at ``now``, as ``models status`` reports it."""
    disabled, cooldown, blocked = (date(usage.get(f"{word}Until")) for word in ("disabled", "cooldown", "blocked"))
    until = max((date for date in (disabled, cooldown, blocked) if date is not None), default=0.0)
    if until <= now:
        return None
    if disabled is not None and disabled > now:
        return Unusable("disabled", _word(usage.get("disabledReason")), until)
    reason, model = _word(usage.get("cooldownReason")), usage.get("cooldownModel")
    if blocked is not None and blocked > now:
        reason = reason or "rate_limit"
        model = usage.get("blockedModel") if usage.get("blockedScope") == "model" else None
    elif reason not in _OF_ONE_MODEL:
        model = None
    reason = reason or _counted(usage.get("failureCounts"))
    return Unusable("cooldown", reason, until, safe_name(model) if isinstance(model, str) and model else None)


def _counted(counts: object) -> str | None:
    """The most frequent reason: old releases store nothing else about a cooldown."""
    if not isinstance(counts, Mapping):
        return None
    known = {reason: _count(counts.get(reason)) or 0 for reason in _REASONS}
    best = max(_REASONS, key=lambda reason: known[reason])  # of equal counts the first
    return best if known[best] else None


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _count(value: object) -> int | None:
    found = number(value)
    return int(found) if found is not None and found >= 0 else None


def _configured(config: object) -> dict[str, tuple[str, str]]:
    """The provider and mode of each profile in ``auth.profiles``."""
    profiles = mapping(config, "auth", "profiles")
    return {
        safe_name(name): (
            provider_id(entry.get("provider")),
            mode if isinstance(mode := entry.get("mode"), str) else "",
        )
        for name, entry in profiles.items()
        if isinstance(entry, Mapping)
    }


def _effective_order(stored: Layer, config: object, now: float) -> dict[str, tuple[str, ...]]:
    """The profiles that OpenClaw tries for each provider, in order, if something restricts them.

    That is the store's order, else the configuration's, else the profiles that the configuration names. An
    order that names no existing profile is ignored: OpenClaw then tries all.
    """
    named = defaultdict[str, list[str]](list)
    for name, (provider, _) in _configured(config).items():
        named[provider].append(name)
    explicit = {**orders(mapping(config, "auth").get("order")), **stored.order}
    order = {
        provider: ids
        for provider, ids in explicit.items()
        if not ids or not stored.profiles.keys().isdisjoint(ids) or provider not in {*stored.order, *named}
    }
    for provider, names in named.items():
        there = [name for name in names if name in stored.profiles]
        if there and provider not in explicit:
            order[provider] = tuple(sorted(there, key=lambda name: _rank(stored, name, now)))
    return order


def _rank(stored: Layer, name: str, now: float) -> tuple[float, ...]:
    """A sort key without an explicit order: logins first, then valid access tokens, then least recent use."""
    raw = stored.profiles[name]
    ends = date(raw.get("expires"))
    is_past = raw["type"] == "oauth" and ends is not None and ends <= now
    return (_KINDS.index(raw["type"]), is_past, number(stored.usage.get(name, {}).get("lastUsed")) or 0)


# --- changes that matter ---------------------------------------------------------------------------

_USAGE_THAT_MATTERS = tuple(
    f"{word}{what}" for word in ("cooldown", "disabled", "blocked") for what in ("Until", "Reason", "Model", "Scope")
)
_CONFIG_THAT_MATTERS = ("auth", "agents", "models", "env", "channels", "hooks", "tools", "cron", "messages", "tts")


def what_matters(payload: object) -> object:
    """The part of a store or its state whose change is worth a check: not when and how often it was used."""
    if not isinstance(payload, Mapping):
        return payload
    entries = mapping(payload, "usageStats").items()
    usage = {name: kept for name, entry in entries if (kept := _kept(entry, _USAGE_THAT_MATTERS))}
    found = {"usage": usage, "profiles": payload.get("profiles"), "order": payload.get("order")}
    # A gateway creates the state at its first use: a state without anything that matters equals none.
    return {name: value for name, value in found.items() if value} or None


def what_matters_in_config(config: object) -> object:
    return _kept(config, _CONFIG_THAT_MATTERS)


def _kept(value: object, names: Collection[str]) -> dict[str, Any]:
    return {name: value[name] for name in names if value.get(name) is not None} if isinstance(value, Mapping) else {}
