"""Imitates OpenClaw's evaluation of the profiles of a World: eligibility, order, status, roll-up.

It follows the source of 2026.1.29, 2026.2.9, 2026.6.11 and 2026.9.6 (``auth-health``, ``order``, ``credential-state``,
``usage-state``) and is compared with their output. Times here are integer milliseconds, as in OpenClaw.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from exporter.model import Dialect
from exporter.simulator.world import Profile, World

WARN_AFTER = 86_400_000
REFRESH_MARGIN = 300_000
#: The dialects of releases that know no ``effectiveProfiles``.
UNTIL_2026_5 = (Dialect.DATES, Dialect.STATUS)
MAX_DATE = 8_640_000_000_000_000  # the last moment a JavaScript Date can hold

#: Providers that rate-limit on their own: from 2026.6 on OpenClaw ignores their cooldowns.
_OWN_COOLDOWNS = frozenset({"openrouter", "kilocode"})
#: Reasons that may cool down one model and leave the others working.
_MODEL_SCOPED = frozenset({"rate_limit", "timeout", "model_not_found"})
_STATIC: dict[str, Any] = {"status": "static"}
_KIND_ORDER = {"oauth": 0, "token": 1, "api_key": 2}


def ms(seconds: float) -> int:
    """Whole milliseconds of seconds."""
    return round(seconds * 1000)


def by_locale(text: str) -> tuple[str, str]:
    """A sort key near JavaScript's localeCompare: accents and case decide only between equals."""
    if text.isascii():
        return text.casefold(), text
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return plain.casefold(), text


def unusable_until(world: World, profile: str, now: int, dialect: Dialect, model: str | None = None) -> int | None:
    """When the cooldown or disable that holds (for ``model``) ends; None if there is none."""
    usage = world.usage.get(profile)
    if usage is None:
        return None
    disabled = usage.disabled_until is not None and now < ms(usage.disabled_until)
    if dialect not in UNTIL_2026_5 and profile in world.profiles:
        if world.profiles[profile].provider in _OWN_COOLDOWNS:
            return None
        elsewhere = model and usage.cooldown_model and usage.cooldown_model != model
        if elsewhere and usage.cooldown_reason in _MODEL_SCOPED and not disabled:
            return None
    ends = [ms(end) for end in (usage.cooldown_until, usage.disabled_until) if end is not None and end > 0]
    return max(ends) if ends and now < max(ends) else None


def is_disabled(world: World, profile: str, now: int) -> bool:
    """Whether an unusable profile is disabled rather than cooling down."""
    usage = world.usage[profile]
    return usage.disabled_until is not None and now < ms(usage.disabled_until)


# --- one profile -----------------------------------------------------------------------------


def ineligible(profile: Profile, now: int) -> str | None:
    """Why a credential cannot be selected, as a reasonCode; None if it can (from 2026.4)."""
    if profile.kind == "oauth":
        return None if profile.secret or profile.refreshable else "missing_credential"
    if not profile.secret:
        return "missing_credential"
    if profile.kind == "token" and profile.expires is not None:
        at = ms(profile.expires)
        return "invalid_expires" if not 0 < at <= MAX_DATE else "expired" if at <= now else None
    return None


def _word(at: int | None, now: int, warn_after: int) -> str:
    if at is None or at <= 0:
        return "missing"
    return "expired" if at <= now else "expiring" if at - now <= warn_after else "ok"


def _until_2026_5(profile: Profile, now: int, dialect: Dialect) -> dict[str, Any]:
    at = None if profile.expires is None else ms(profile.expires)
    if profile.kind == "api_key" or (profile.kind == "token" and (at is None or at <= 0)):
        return {"status": "static"}
    word = _word(at, now, WARN_AFTER)
    facts: dict[str, Any] = {"status": word}
    counts_on_refresh = dialect is Dialect.STATUS and profile.kind == "oauth" and profile.refreshable
    if counts_on_refresh and word in ("expired", "expiring"):
        facts["status"] = "ok"
    if at is not None:
        facts["expiresAt"] = at
        if word != "missing":
            facts["remainingMs"] = at - now
    return facts


def _since_2026_6(profile: Profile, now: int, dialect: Dialect) -> dict[str, Any]:
    reason = ineligible(profile, now)
    if profile.kind == "api_key":
        return {"status": "missing", "reasonCode": reason} if reason and dialect is not Dialect.LISTING else _STATIC
    if reason:
        return {"status": "expired" if reason == "expired" else "missing", "reasonCode": reason}
    if profile.expires is None:
        return _STATIC if profile.kind == "token" else {"status": "missing"}
    at = ms(profile.expires)
    if not 0 < at <= MAX_DATE:
        return {"status": "missing"}
    refreshes = dialect is Dialect.GATEWAY and profile.kind == "oauth" and profile.refreshable
    word = _word(at, now, REFRESH_MARGIN if refreshes else WARN_AFTER)
    return {"status": word, "expiresAt": at, "remainingMs": at - now}


def profile_health(profile: Profile, now: int, dialect: Dialect) -> dict[str, Any]:
    """One element of ``oauth.profiles``."""
    facts = (_until_2026_5 if dialect in UNTIL_2026_5 else _since_2026_6)(profile, now, dialect)
    label = f"{profile.id} ({profile.email})" if profile.email else profile.id
    return {
        "profileId": profile.id,
        "provider": profile.provider,
        "type": profile.kind,
        **facts,
        "source": "store",
        "label": label,
    }


# --- the order of a provider's profiles ----------------------------------------------------------


def _eligible(world: World, profile_id: str, provider: str, now: int) -> bool:
    profile = world.profiles.get(profile_id)
    if profile is None or profile.provider != provider:
        return False
    configured = world.configured.get(profile_id)
    if configured is not None:
        modes = {"oauth", "token"} if profile.kind == "token" else {profile.kind}
        if configured.provider != provider or configured.mode not in modes:
            return False
    return ineligible(profile, now) is None


def profile_order(world: World, provider: str, now: int, dialect: Dialect, model: str | None = None) -> list[str]:
    """The profiles OpenClaw would try for a provider, best first (2026.6 and later)."""
    explicit = world.order.get(provider)
    configured = [id for id, entry in world.configured.items() if entry.provider == provider]
    stored = [id for id, profile in world.profiles.items() if profile.provider == provider]
    base = explicit if explicit is not None else configured or stored
    able = [id for id in dict.fromkeys(base) if _eligible(world, id, provider, now)]
    by_hand = bool(explicit)
    if base and not able and not any(id in world.profiles for id in base):
        able, by_hand = [id for id in stored if _eligible(world, id, provider, now)], False
    ends = {}
    if world.usage:
        ends = {id: end for id in able if (end := unusable_until(world, id, now, dialect, model)) is not None}
    ready = [id for id in able if id not in ends]
    if not by_hand:
        ready.sort(key=lambda id: _preference(world, id, now, dialect))
    return ready + sorted(ends, key=lambda id: ends[id])


def _preference(world: World, profile_id: str, now: int, dialect: Dialect) -> tuple[int, bool, float]:
    profile, usage = world.profiles[profile_id], world.usage.get(profile_id)
    expired = False
    if dialect is not Dialect.LISTING and profile.kind == "oauth" and profile.expires is not None:
        expired = 0 < ms(profile.expires) <= now
    return _KIND_ORDER[profile.kind], expired, (usage.last_used if usage else None) or 0.0


def effective_profiles(
    world: World, provider: str, health: dict[str, dict[str, Any]], now: int, dialect: Dialect
) -> list[dict[str, Any]]:
    """``effectiveProfiles`` of a provider: those of its order, else all."""
    own = {id: entry for id, entry in health.items() if entry["provider"] == provider}
    explicit = world.order.get(provider)
    if explicit is not None and not explicit:
        return []
    ordered = [own[id] for id in profile_order(world, provider, now, dialect) if id in own]
    if ordered:
        return ordered
    return list(own.values()) if explicit is None else [own[id] for id in explicit if id in own]


# --- the roll-up of a provider ---------------------------------------------------------------------


def provider_health(
    world: World, provider: str, health: dict[str, dict[str, Any]], now: int, dialect: Dialect
) -> dict[str, Any]:
    """One element of ``oauth.providers``."""
    own = [entry for entry in health.values() if entry["provider"] == provider]
    result: dict[str, Any] = {"provider": provider, "status": "missing", "profiles": own}
    counted = own
    if dialect not in UNTIL_2026_5:
        counted = result["effectiveProfiles"] = effective_profiles(world, provider, health, now, dialect)
    if not counted:
        return result
    dated = [entry for entry in counted if entry["type"] != "api_key"]
    words = {entry["status"] for entry in dated}
    if not dated:
        lost = dialect not in (*UNTIL_2026_5, Dialect.LISTING) and any(e["status"] == "missing" for e in counted)
        result["status"] = "missing" if lost else "static"
        return result
    if dialect in UNTIL_2026_5 and "missing" in words:
        words = words | {"expired"}
    result["status"] = next((word for word in ("expired", "missing", "expiring") if word in words), "ok")
    ends = [entry["expiresAt"] for entry in dated if "expiresAt" in entry]
    if ends:
        result["expiresAt"], result["remainingMs"] = min(ends), min(ends) - now
    return result
