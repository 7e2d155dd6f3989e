"""Completes another source's observation with facts from the store. Pure."""

from __future__ import annotations

from dataclasses import replace

from exporter.lib.redact import safe_text
from exporter.model import Dialect, Observation, ObservedProfile, Purpose, Unusable, Use, most_important_first
from exporter.sources.store.facts import StoreFacts

#: How far apart two dates of one credential may be, seconds: they are rounded differently.
_SAME_DATE = 1.0
_MAX_NAMED = 3  # profiles in a note


def complete(observation: Observation, facts: StoreFacts) -> Observation:
    """``observation`` with the facts that its source lacks and the store has.

    Only profiles that are the same in both are completed: same id, provider and kind, and the same date if
    both have one (a login's may have moved on). No seen fact changes; no profile is added or removed.
    Cooldowns are filled in if the source cannot see them. If the store knows every profile, the source
    no longer counts as blind to them. Of the purposes of models, those that the source reports itself stand.
    """
    known = {profile.id: profile for profile in facts.profiles}
    is_blind = "unusable" in observation.blind_to
    profiles, unknown, differing = [], 0, []
    for seen in observation.profiles:
        stored = known.get(seen.id)
        if seen.is_masked and stored is not None and stored.provider == seen.provider.lower():
            seen = replace(seen, kind=stored.kind, expires_at=stored.expires_at, is_masked=False)
        if stored is None or (stored.provider, stored.kind) != (seen.provider.lower(), seen.kind):
            unknown += not seen.id.startswith("env:")
        elif not _is_same_date(seen, stored):
            unknown += 1
            differing.append(safe_text(seen.id, 80))
        else:
            seen = _completed(seen, stored, observation.observed_at, is_blind)
        profiles.append(seen)
    notes = observation.notes
    if differing:
        names = ", ".join(sorted(differing)[:_MAX_NAMED]) + (", …" if len(differing) > _MAX_NAMED else "")
        notes = (*notes, f"the store has another date for {names} and was ignored for these profiles")
    knows_routes = observation.dialect in (Dialect.LISTING, Dialect.ROUTES)
    uses, in_use = _uses(observation, facts)
    known_now = {*(() if unknown else ("unusable",)), *(("uses",) if facts.sees_uses else ())}
    return replace(
        observation,
        profiles=tuple(profiles),
        providers_in_use=in_use,
        uses=uses,
        order={**facts.order, **observation.order},
        served_by=observation.served_by if knows_routes else {**facts.served_by, **observation.served_by},
        borrowed_logins=observation.borrowed_logins | (frozenset() if knows_routes else facts.borrowed_logins),
        keyless_providers=observation.keyless_providers | facts.keyless_providers,
        needs_doctor=observation.needs_doctor or bool(facts.stranded_providers),
        blind_to=observation.blind_to - known_now,
        cache_settings=facts.cache_settings,
        notes=(*notes, *(note for note in facts.notes if note not in notes)),
    )


def _uses(observation: Observation, facts: StoreFacts) -> tuple[tuple[Use, ...], tuple[str, ...] | None]:
    """What the models are used for, and the providers in use."""
    in_use = observation.providers_in_use
    if in_use is None:
        return facts.uses, facts.providers_in_use
    reported = {Purpose.CHAT, *(use.purpose for use in observation.uses)}
    more = [use for use in facts.uses if use.purpose not in reported]
    added = (use.provider for use in more if use.provider in (facts.providers_in_use or ()))
    return most_important_first((*observation.uses, *more)), tuple(dict.fromkeys((*in_use, *added)))


def _is_same_date(seen: ObservedProfile, stored: ObservedProfile) -> bool:
    if seen.expires_at is None or stored.expires_at is None:
        return True
    later = stored.expires_at - seen.expires_at
    return abs(later) < _SAME_DATE or (seen.kind == "oauth" and later > 0)


def _completed(seen: ObservedProfile, stored: ObservedProfile, observed_at: float, is_blind: bool) -> ObservedProfile:
    date = seen.expires_at
    if date is None and seen.status == "expired" and stored.expires_at is not None:
        # From 2026.4 on OpenClaw prints an expired profile without its date.
        date = stored.expires_at if stored.expires_at <= observed_at else None
    unusable = seen.unusable
    if unusable is None:
        unusable = stored.unusable if is_blind else None
    elif stored.unusable is not None and _is_same_trouble(unusable, stored.unusable):
        unusable = replace(
            unusable,
            reason=unusable.reason or stored.unusable.reason,
            model=unusable.model or stored.unusable.model,
            until=unusable.until if unusable.until is not None else stored.unusable.until,
        )
    is_unresolved = seen.reason_code is None and stored.reason_code == "unresolved_ref"
    return replace(
        seen,
        reason_code=stored.reason_code if is_unresolved else seen.reason_code,
        reference=seen.reference or stored.reference,
        expires_at=date,
        has_refresh_token=stored.has_refresh_token if seen.has_refresh_token is None else seen.has_refresh_token,
        secret_hash=seen.secret_hash or stored.secret_hash,
        unusable=unusable,
        last_used_at=stored.last_used_at if seen.last_used_at is None else seen.last_used_at,
        owner=stored.owner if seen.owner is None else seen.owner,
        error_count=stored.error_count if seen.error_count is None else seen.error_count,
        last_error_at=stored.last_error_at if seen.last_error_at is None else seen.last_error_at,
    )


def _is_same_trouble(seen: Unusable, stored: Unusable) -> bool:
    if seen.kind != stored.kind or (seen.reason and seen.reason != stored.reason):
        return False
    return seen.until is None or stored.until is None or abs(seen.until - stored.until) < _SAME_DATE
