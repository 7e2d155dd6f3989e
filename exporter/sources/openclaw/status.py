"""Reads the output of ``openclaw models status --json --check``: bytes to JSON, JSON to an Observation. Pure.

It tolerates anything: entries that it cannot read are skipped and counted in ``notes``. Fields that carry
masked secrets (labels, details, values) are never copied. The fields are those that OpenClaw 2026.1 to
2026.9 print.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from exporter.lib.bounds import require_bounded
from exporter.lib.loose_json import integer, items, mapping, seconds, text, texts
from exporter.lib.redact import ANSI, safe_text
from exporter.lib.shape import ANY, TEXT, Shape, misshapen
from exporter.model import (
    CheckError,
    Dialect,
    FailureReason,
    Observation,
    ObservedProfile,
    Purpose,
    Unusable,
    Use,
    most_important_first,
)
from exporter.model.release import (
    FIRST_WITH_AGENT_OPTION,
    LAST_WITH_REFRESH_STATUS,
    Release,
    newer_than_known,
)
from exporter.sources import kind_of_variable

_ATTEMPTS = 20_000  # positions at which a JSON value may begin before the search stops
_EFFORT = 8  # how many times the whole text may be read in vain
_WORD = re.compile(r"(?=.{1,48}\Z)[a-z]+(?:[_-][a-z]+)*")
_LAST_IDENTIFIER = re.compile(r"(?<![A-Za-z0-9_])[A-Z][A-Z0-9_]{0,127}(?![A-Za-z0-9_])")
#: OpenClaw's status words, from the best to the worst; "" stands for unknown words.
_TROUBLE = (None, "static", "ok", "", "expiring", "missing", "expired")
#: Reasons that time alone does not fix. Of two entries about one profile, these are shown.
_LASTING = frozenset({"auth", "auth_permanent", "session_expired", "billing"})


def extract_json(stdout: bytes) -> dict[str, Any]:
    """The status object in ``stdout``, among log lines and colour codes.

    It is the first object whose ``auth`` has OpenClaw's fields (a log line may be JSON too), else one
    with any ``auth`` object, else one with ``ok: false`` and ``error``, else one with ``auth``. Takes time
    linear in the length, whatever the bytes are. Raises CheckError INVALID_OUTPUT.
    """
    best: dict[str, Any] | None = None
    best_rank = 0
    for value in json_values(stdout):
        if isinstance(value, dict) and (rank := _likeness(value)) > best_rank:
            best, best_rank = value, rank
            if rank == _CERTAIN:
                break
    if best is None:
        problem = "no complete JSON object with a model status" if stdout.strip() else "nothing"
        raise CheckError(FailureReason.INVALID_OUTPUT, f"the command printed {problem}")
    return best


_CERTAIN = 4


def _likeness(value: Mapping[str, Any]) -> int:
    auth = value.get("auth")
    if isinstance(auth, dict):
        return _CERTAIN if auth.keys() & {"oauth", "providers", "unusableProfiles", "storePath"} else 3
    return 2 if value.get("ok") is False and "error" in value else int("auth" in value)


def json_values(stdout: bytes, opening: str = "{") -> Iterator[Any]:
    """Every outermost JSON value in ``stdout`` that begins with one of the characters ``opening``.

    Raises CheckError INVALID_OUTPUT if it is nested too deeply.
    """
    text = ANSI.sub("", stdout.decode("utf-8", "replace"))
    decoder = json.JSONDecoder(parse_int=integer)
    position, effort = 0, _EFFORT * len(text)
    begin = re.compile(f"[{re.escape(opening)}]")
    for _ in range(_ATTEMPTS):
        found = begin.search(text, position)
        if found is None or effort < 0:
            return
        try:
            value, position = decoder.raw_decode(text, found.start())
        except json.JSONDecodeError as error:
            effort -= error.pos - found.start()
            position = found.start() + 1
        except RecursionError:
            raise CheckError(FailureReason.INVALID_OUTPUT, "the output is nested too deeply to be OpenClaw's") from None
        else:
            yield value


def observe(
    payload: Mapping[str, Any],
    *,
    target: str,
    agent: str,
    observed_at: float,
    exit_code: int | None,
    version: str | None = None,
) -> Observation:
    """The Observation in ``payload``. ``observed_at`` is in Unix seconds. Raises CheckError like ``require_status``."""
    require_status(payload)
    auth = mapping(payload, "auth")
    oauth = mapping(auth, "oauth")
    providers = oauth.get("providers")
    issues = [mapping(issue) for issue in items(auth.get("modelRouteIssues"))]
    indeterminate = [issue for issue in issues if issue.get("kind") == "indeterminate"]
    faulty = [issue for issue in issues if issue.get("kind") != "indeterminate"]
    routes = [mapping(route) for route in items(auth.get("runtimeAuthRoutes"))]
    faulty += [route for route in routes if route.get("status") == "unavailable"]
    missing = texts(auth.get("missingProvidersInUse"))
    uses = _uses(payload)
    serving = texts([route.get("authProvider") for route in routes])  # may differ from the model's provider
    reported = [*missing, *_providers(issues), *serving]  # only OpenClaw knows every route
    in_use = tuple(dict.fromkeys((*(use.provider for use in uses), *reported))) if uses else ()
    profiles, skipped = _profiles(oauth, auth)
    notes = [f"skipped {skipped} entries of OpenClaw's lists that name no profile"] if skipped else []
    return Observation(
        target=target,
        agent=agent,
        source="openclaw",
        dialect=dialect_of(auth, version),
        observed_at=observed_at,
        profiles=(*profiles, *_environment_credentials(auth, in_use)),
        providers_in_use=in_use or None,
        uses=uses,
        order=_order(providers),
        missing_providers=frozenset(missing),
        indeterminate_providers=frozenset(_providers(indeterminate)),
        refreshing_providers=frozenset(_providers(i for i in indeterminate if i.get("evidence") == "profile")),
        unserved_providers=frozenset(_providers(i for i in indeterminate if i.get("evidence") == "synthetic")),
        faulty_providers=frozenset(_providers(faulty)),
        unavailable_runtimes=_unavailable_runtimes(routes),
        served_by=_served_by(routes),
        borrowed_logins=_borrowed(auth, routes),
        agent_dir=_folder(payload.get("agentDir")),
        openclaw_exit_code=exit_code,
        openclaw_version=version,
        blind_to=frozenset({"uses", *(() if isinstance(auth.get("unusableProfiles"), list) else ("unusable",))}),
        notes=(*notes, *newer_than_known(version)),
    )


def _folder(value: object) -> str | None:
    path = text(value)
    return path if path and path.startswith("/") and "\0" not in path and len(path) < 4096 else None


#: The containers that are read. A profile's entry may lack any fact, but it is an object.
_SHAPE: Shape = {
    "aliases": {},
    "fallbacks": [ANY],
    "imageFallbacks": [ANY],
    "auth": {
        "missingProvidersInUse": [TEXT],
        "modelRouteIssues": [{}],
        "oauth": {"profiles": [{}], "providers": [{"profiles": [{}], "effectiveProfiles": [{}]}]},
        "providers": [{"env": {}}],
        "runtimeAuthRoutes": [{}],
        "unusableProfiles": [{}],
    },
}


def require_status(payload: Mapping[str, Any]) -> None:
    """Raises CheckError INVALID_OUTPUT if a container is of the wrong type, or there is no list of profiles.

    Neither is an empty list.
    """
    wrong = misshapen(payload, _SHAPE)
    if wrong is not None:
        raise CheckError(FailureReason.INVALID_OUTPUT, f"OpenClaw's answer cannot be read: {wrong}")
    if not {"profiles", "providers"} & mapping(payload, "auth", "oauth").keys():
        raise CheckError(FailureReason.INVALID_OUTPUT, "the JSON has no list of profiles where OpenClaw puts it")


def dialect_of(auth: Mapping[str, Any], version: str | None) -> Dialect:
    """The dialect by the fields; releases that print the same fields are told apart by the ``version``."""
    if "modelRouteIssues" in auth:
        return Dialect.ROUTES
    rollups = map(mapping, items(mapping(auth, "oauth").get("providers")))
    if "runtimeAuthRoutes" in auth or any("effectiveProfiles" in rollup for rollup in rollups):
        return Dialect.LISTING
    release = Release.of(version)
    if release and FIRST_WITH_AGENT_OPTION <= release <= LAST_WITH_REFRESH_STATUS:
        return Dialect.STATUS
    return Dialect.DATES


def _uses(payload: Mapping[str, Any]) -> tuple[Use, ...]:
    """Every model that OpenClaw's check examines, the default first.

    All but the default are printed as the configuration has them, for example by an alias.
    """
    aliases = {alias.strip().lower(): model for alias, model in mapping(payload, "aliases").items() if text(model)}
    default = texts([payload.get("resolvedDefault"), payload.get("defaultModel")])[:1]
    images = texts([payload.get("imageModel")]) + texts(payload.get("imageFallbacks"))
    refs = [
        *((ref, Purpose.CHAT) for ref in default + texts(payload.get("fallbacks"))),
        *((ref, Purpose.IMAGES) for ref in images),
        *((ref, Purpose.UTILITY) for ref in texts([mapping(payload, "utilityModel").get("ref")])),
    ]
    uses = []
    for ref, purpose in refs:
        provider, slash, model = (text(aliases.get(ref.strip().lower())) or ref).strip().partition("/")
        if provider.strip() and slash:
            uses.append(Use(f"{provider.strip().lower()}/{model.strip()}", purpose))
    return tuple(dict.fromkeys(uses))


def with_other_uses(observation: Observation, payload: Mapping[str, Any]) -> Observation:
    """``observation`` with what ``payload`` says of models that OpenClaw's check does not examine.

    Where nothing shows what those are, every model that the configuration allows may be in use: their providers
    are, if they have a profile. Of providers that only the configuration showed to be in use, the environment's
    credentials are added; those whose credential is elsewhere are dropped.
    """
    auth, in_use, uses, notes = mapping(payload, "auth"), observation.providers_in_use, observation.uses, []
    if in_use is None:
        return observation
    if "uses" in observation.blind_to:
        stored, known = {profile.provider for profile in observation.profiles}, set(in_use)
        allowed = [Use(model, Purpose.UNKNOWN) for model in texts(payload.get("allowed")) if "/" in model]
        uses = most_important_first((*uses, *(u for u in allowed if u.provider in stored and u.provider not in known)))
        in_use = tuple(dict.fromkeys((*in_use, *(use.provider for use in uses))))
    known_profiles = {profile.id for profile in observation.profiles}
    added = [p for p in _environment_credentials(auth, in_use) if p.id not in known_profiles]
    profiles = (*observation.profiles, *added)
    elsewhere = _elsewhere(auth) - {profile.provider for profile in profiles} - _listed(auth)
    if elsewhere & set(in_use):
        names = ", ".join(sorted(elsewhere & set(in_use)))
        notes.append(f"the credentials of {safe_text(names)} are in OpenClaw's own configuration and are not checked")
    in_use = tuple(provider for provider in in_use if provider not in elsewhere)
    return replace(
        observation, uses=uses, providers_in_use=in_use, profiles=profiles, notes=(*observation.notes, *notes)
    )


def _elsewhere(auth: Mapping[str, Any]) -> frozenset[str]:
    """The providers whose credential OpenClaw finds in its configuration, not in a profile."""
    entries = [mapping(entry) for entry in items(auth.get("providers"))]
    return frozenset(
        texts([entry.get("provider") for entry in entries if mapping(entry, "effective").get("kind") == "models.json"])
    )


def _listed(auth: Mapping[str, Any]) -> frozenset[str]:
    """The providers that OpenClaw's check examines and reports."""
    return frozenset(
        (*texts(auth.get("missingProvidersInUse")), *_providers(map(mapping, items(auth.get("modelRouteIssues")))))
    )


def _providers(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    return texts([entry.get("provider") for entry in entries])


def _unavailable_runtimes(routes: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """``PROVIDER: REASON`` for each provider whose models OpenClaw cannot run, for example without a plugin."""
    broken = [route for route in routes if route.get("status") == "unavailable"]
    named = ((text(route.get("provider")), text(route.get("runtimeDetail"))) for route in broken)
    return tuple(safe_text(f"{provider}: {why.rstrip('.')}") for provider, why in named if provider and why)


def _served_by(routes: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """The providers whose login serves another provider's models, by that provider."""
    found: dict[str, dict[str, None]] = {}
    for route in routes:
        provider, lender = text(route.get("provider")), text(route.get("authProvider"))
        if provider and lender and provider != lender:
            found.setdefault(provider, {})[lender] = None
    return {provider: tuple(lenders) for provider, lenders in found.items()}


def _borrowed(auth: Mapping[str, Any], routes: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """The providers whose login another program keeps: OpenClaw calls it synthetic."""
    named = [(entry.get("provider"), entry) for entry in map(mapping, items(auth.get("providers")))]
    named += [(route.get("authProvider"), route) for route in routes]
    return frozenset(texts([name for name, entry in named if mapping(entry, "effective").get("kind") == "synthetic"]))


def version_decides(payload: Mapping[str, Any]) -> bool:
    """Whether the release decides if a login needs a person: its date is near or past, and the fields do not tell."""
    auth = mapping(payload, "auth")
    if dialect_of(auth, None) is not Dialect.DATES:
        return False
    listed = map(mapping, items(mapping(auth, "oauth").get("profiles")))
    return any(entry.get("type") == "oauth" and entry.get("status") in ("expiring", "expired") for entry in listed)


def _order(providers: Any) -> dict[str, tuple[str, ...]]:
    order: dict[str, dict[str, None]] = {}
    for entry in map(mapping, items(providers)):
        provider, effective = text(entry.get("provider")), entry.get("effectiveProfiles")
        if provider and isinstance(effective, list):
            ids = texts([mapping(item).get("profileId") for item in effective])
            order.setdefault(provider, {}).update(dict.fromkeys(ids))
    return {provider: tuple(ids) for provider, ids in order.items()}


def _profiles(oauth: Mapping[str, Any], auth: Mapping[str, Any]) -> tuple[list[ObservedProfile], int]:
    """Every profile that any list names, and the number of entries that name none."""
    entries = [*map(mapping, items(oauth.get("profiles")))]
    listed = {text(entry.get("profileId")) for entry in entries} | {None}
    for rollup in map(mapping, items(oauth.get("providers"))):
        # These repeat the list above; they matter only if it lacks one.
        more = map(mapping, (*items(rollup.get("profiles")), *items(rollup.get("effectiveProfiles"))))
        entries += [entry for entry in more if text(entry.get("profileId")) not in listed]
    require_bounded(len(entries) + len(items(auth.get("unusableProfiles"))), "profiles")
    seen: dict[str, list[ObservedProfile]] = {}
    skipped = 0
    for entry in entries:
        profile = profile_of(entry, entry.get("expiresAt"))
        if profile is None:
            skipped += 1
        else:
            seen.setdefault(profile.id, []).append(profile)
    for entry in map(mapping, items(auth.get("unusableProfiles"))):
        profile_id = text(entry.get("profileId"))
        if not profile_id:
            skipped += 1
            continue
        unlisted = [ObservedProfile(profile_id, _provider_of(entry, profile_id), "unknown")]
        twins = seen.setdefault(profile_id, unlisted)
        kind, reason = _word(entry.get("kind")) or "unknown", _word(entry.get("reason"))
        unusable = Unusable(kind, reason, seconds(entry.get("until")))
        twins.append(ObservedProfile(profile_id, twins[0].provider, twins[0].kind, unusable=unusable))
    by_runtime, by_credential = _maskers(auth)
    return [_masked(merged(twins), by_runtime, by_credential) for twins in seen.values()], skipped


def _maskers(auth: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """The providers that a runtime such as Codex serves, and those of which OpenClaw has a runtime's credential.

    From such a credential, OpenClaw 2026.9 makes up what it prints about every profile of the provider (read in its
    source: ``runtimeCredentialsByProvider``): a login becomes a token or a key, without a date or with another one.
    """
    routes = map(mapping, items(auth.get("runtimeAuthRoutes")))
    entries = map(mapping, items(auth.get("providers")))
    synthetic = (e for e in entries if "syntheticAuth" in e or mapping(e, "effective").get("kind") == "synthetic")
    return set(texts([r.get("authProvider") for r in routes if r.get("runtime")])), set(_providers(synthetic))


def _masked(profile: ObservedProfile, by_runtime: set[str], by_credential: set[str]) -> ObservedProfile:
    """``profile`` without what may be a runtime's. Inside a Codex-backed run it is a token without a date."""
    if profile.kind not in ("token", "api_key") or profile.status not in ("ok", "expiring", "expired", "static"):
        return profile
    is_bare = profile.kind == "token" and profile.status == "static" and profile.expires_at is None
    if profile.provider in by_credential or (is_bare and profile.provider in by_runtime):
        return replace(profile, status=None, reason_code=None, expires_at=None, is_masked=True)
    return profile


def profile_of(entry: Mapping[str, Any], expires_at: object, provider: str = "") -> ObservedProfile | None:
    """The profile in an entry of a list, its date in Unix milliseconds; None if it names none."""
    profile_id = text(entry.get("profileId"))
    if not profile_id:
        return None
    return ObservedProfile(
        id=profile_id,
        provider=provider or _provider_of(entry, profile_id),
        kind=_word(entry.get("type")) or "unknown",
        status=_word(entry.get("status")),
        reason_code=_word(entry.get("reasonCode")),
        expires_at=seconds(expires_at),
    )


def _provider_of(entry: Mapping[str, Any], profile_id: str) -> str:
    return text(entry.get("provider")) or profile_id.split(":", 1)[0].strip() or "unknown"


def merged(twins: Sequence[ObservedProfile]) -> ObservedProfile:
    """One profile out of entries that share an id: of each fact the worse one, whatever their order."""
    worst = max(twins, key=_trouble)
    # Another entry's date must not soften an entry that is "expired" without a date.
    dated = [worst] if worst.status in ("expired", "missing") and worst.expires_at is None else twins
    dates = [twin.expires_at for twin in dated if twin.expires_at is not None]
    down = [twin.unusable for twin in twins if twin.unusable is not None]
    codes = sorted(twin.reason_code for twin in twins if twin.reason_code)
    kinds = sorted(twin.kind for twin in twins if twin.kind != "unknown")
    return ObservedProfile(
        id=worst.id,
        provider=worst.provider,
        kind=worst.kind if worst.kind != "unknown" or not kinds else kinds[0],
        status=worst.status,
        reason_code=worst.reason_code or (codes[0] if codes else None),
        expires_at=min(dates, default=None),
        unusable=max(down, key=_how_long, default=None),
    )


def _trouble(profile: ObservedProfile) -> tuple[object, ...]:
    soonest = -profile.expires_at if profile.expires_at is not None else -math.inf
    return (
        _TROUBLE.index(profile.status if profile.status in _TROUBLE else ""),
        profile.reason_code or "",
        soonest,
        profile.kind != "unknown",
        profile.kind,
        profile.provider,
        profile.status or "",
    )


def _how_long(unusable: Unusable) -> tuple[object, ...]:
    return (
        unusable.reason in _LASTING,
        unusable.kind == "disabled",
        unusable.reason is not None,
        math.inf if unusable.until is None else unusable.until,
        unusable.reason or "",
        unusable.kind,
    )


def _environment_credentials(auth: Mapping[str, Any], in_use: Sequence[str]) -> list[ObservedProfile]:
    """The environment's credentials for providers in use, known by their variables' names only."""
    found: dict[tuple[str, str], ObservedProfile] = {}
    used = frozenset(in_use)
    for entry in map(mapping, items(auth.get("providers"))):
        provider = text(entry.get("provider"))
        names = _LAST_IDENTIFIER.findall(text(mapping(entry, "env").get("source")) or "")
        if provider and provider in used and names:
            kind = kind_of_variable(names[-1])
            found[provider, names[-1]] = ObservedProfile(f"env:{names[-1]}", provider, kind, status="static")
    return list(found.values())


def _word(value: Any) -> str | None:
    """One of OpenClaw's words, made safe if it does not look like one."""
    word = text(value)
    return word if word is None or _WORD.fullmatch(word) else safe_text(word, 64) or None
