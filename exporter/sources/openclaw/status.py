"""What ``openclaw models status --json --check`` printed, read: bytes to JSON, JSON to an Observation.

Pure. Called by the openclaw source. Tolerant of anything: what is not understood is passed over and
counted in ``notes``; fields that carry masked secrets (labels, details, values) are never copied.
The fields are those of OpenClaw 2026.2 to 2026.9, as its releases print them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exporter.lib.loose_json import integer, items, mapping, seconds, text, texts
from exporter.lib.redact import ANSI, safe_text
from exporter.model import CheckError, Dialect, FailureReason, Observation, ObservedProfile, Unusable

_ATTEMPTS = 20_000  # places at which a JSON value may begin before we stop looking
_EFFORT = 8  # how many times the whole text may be read in vain
_WORD = re.compile(r"(?=.{1,48}\Z)[a-z]+(?:[_-][a-z]+)*")
_LAST_IDENTIFIER = re.compile(r"(?<![A-Za-z0-9_])[A-Z][A-Z0-9_]{0,127}(?![A-Za-z0-9_])")
#: OpenClaw's words for states, the more trouble the further right. Unknown words are worse than none.
_TROUBLE = (None, "static", "ok", "", "expiring", "missing", "expired")
#: Reasons that time alone does not mend. Of two entries about one profile they are the one to show.
_LASTING = frozenset({"auth", "auth_permanent", "session_expired", "billing"})


def extract_json(stdout: bytes) -> dict[str, Any]:
    """The status object in ``stdout``, between whatever log lines and colour codes are around it.

    That is the first object whose ``auth`` holds what OpenClaw's does (a log line may be JSON too), else
    one with any ``auth`` object, else one with ``ok: false`` and ``error``. Raises LookError
    INVALID_OUTPUT; takes time linear in the length, whatever the bytes are.
    """
    best: dict[str, Any] | None = None
    best_rank = 0
    for value in json_values(stdout):
        if isinstance(value, dict) and (rank := _likeness(value)) > best_rank:
            best, best_rank = value, rank
            if rank == _CERTAIN:
                break
    if best is None:
        raise CheckError(FailureReason.INVALID_OUTPUT, _what_is_wrong(stdout))
    return best


_CERTAIN = 3


def _likeness(value: Mapping[str, Any]) -> int:
    auth = value.get("auth")
    if isinstance(auth, dict):
        return _CERTAIN if auth.keys() & {"oauth", "providers", "unusableProfiles", "storePath"} else 2
    return 1 if value.get("ok") is False and "error" in value else 0


def json_values(stdout: bytes, opening: str = "{") -> Iterator[Any]:
    """Every outermost JSON value in ``stdout`` that begins with one of the characters ``opening``.

    Raises LookError INVALID_OUTPUT where the nesting is deeper than any program's own.
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


def _what_is_wrong(stdout: bytes) -> str:
    if not stdout.strip():
        return "the command printed nothing"
    return "what the command printed holds no complete JSON object with a model status"


def observe(
    payload: Mapping[str, Any],
    *,
    target: str,
    agent: str,
    observed_at: float,
    exit_code: int | None,
    version: str | None = None,
) -> Observation:
    """What ``payload`` says, in our words. ``observed_at`` in Unix seconds.

    Raises LookError INVALID_OUTPUT where there is no list of profiles at all: nothing was seen then,
    which is not the same as that there are none.
    """
    auth = payload.get("auth")
    oauth = mapping(mapping(auth).get("oauth"))
    providers = oauth.get("providers")
    if not isinstance(oauth.get("profiles"), list) and not isinstance(providers, list):
        raise CheckError(FailureReason.INVALID_OUTPUT, "the JSON has no list of profiles where OpenClaw puts it")
    assert isinstance(auth, Mapping)
    issues = [mapping(issue) for issue in items(auth.get("modelRouteIssues"))]
    indeterminate = [issue for issue in issues if issue.get("kind") == "indeterminate"]
    faulty = [issue for issue in issues if issue.get("kind") != "indeterminate"]
    routes = [mapping(route) for route in items(auth.get("runtimeAuthRoutes"))]
    faulty += [route for route in routes if route.get("status") == "unavailable"]
    missing = texts(auth.get("missingProvidersInUse"))
    models = _models_in_use(payload)
    serving = texts([route.get("authProvider") for route in routes])  # a runtime's may be another's than the model's
    in_use = _in_use(models, [*missing, *texts([issue.get("provider") for issue in issues]), *serving])
    order = _order(providers)
    profiles, passed_over = _profiles(oauth, auth)
    return Observation(
        target=target,
        agent=agent,
        source="openclaw",
        dialect=_dialect(auth),
        observed_at=observed_at,
        profiles=(*profiles, *_environment_credentials(auth, in_use)),
        providers_in_use=in_use or None,
        models_in_use=models,
        order=order,
        missing_providers=frozenset(missing),
        indeterminate_providers=frozenset(texts([issue.get("provider") for issue in indeterminate])),
        refreshing_providers=frozenset(
            texts([issue.get("provider") for issue in indeterminate if issue.get("evidence") == "profile"])
        ),
        faulty_providers=frozenset(texts([issue.get("provider") for issue in faulty])),
        openclaw_exit_code=exit_code,
        openclaw_version=version,
        blind_to=frozenset() if isinstance(auth.get("unusableProfiles"), list) else frozenset({"unusable"}),
        notes=(f"{passed_over} entries of OpenClaw's lists name no profile and were passed over",)
        if passed_over
        else (),
    )


def _dialect(auth: Mapping[str, Any]) -> Dialect:
    if "modelRouteIssues" in auth:
        return Dialect.ROUTES
    return Dialect.LISTING if "runtimeAuthRoutes" in auth else Dialect.STATUS


def _models_in_use(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """Every model an agent may turn to, as ``provider/model``, the default first. Empty: none was named.

    All but the default are printed as they are written in the configuration: by an alias, say.
    """
    aliases = {alias.strip().lower(): model for alias, model in mapping(payload.get("aliases")).items() if text(model)}
    refs = [
        *texts([payload.get("resolvedDefault"), payload.get("defaultModel")])[:1],
        *texts(payload.get("fallbacks")),
        *texts([payload.get("imageModel")]),
        *texts(payload.get("imageFallbacks")),
        *texts([mapping(payload.get("utilityModel")).get("ref")]),
    ]
    named = [(text(aliases.get(ref.strip().lower())) or ref).strip().partition("/") for ref in refs]
    return tuple(
        dict.fromkeys(f"{p.strip().lower()}/{model.strip()}" for p, slash, model in named if p.strip() and slash)
    )


def _in_use(models: Sequence[str], told: Sequence[str]) -> tuple[str, ...]:
    """The providers of ``models``, and those ``told`` of as in use: only OpenClaw knows every route it takes."""
    return tuple(dict.fromkeys((*(model.partition("/")[0] for model in models), *told))) if models else ()


def _order(providers: Any) -> dict[str, tuple[str, ...]]:
    order: dict[str, tuple[str, ...]] = {}
    for entry in map(mapping, items(providers)):
        provider, effective = text(entry.get("provider")), entry.get("effectiveProfiles")
        if provider and isinstance(effective, list):
            ids = texts([mapping(item).get("profileId") for item in effective])
            order[provider] = tuple(dict.fromkeys((*order.get(provider, ()), *ids)))
    return order


def _profiles(oauth: Mapping[str, Any], auth: Mapping[str, Any]) -> tuple[list[ObservedProfile], int]:
    """Every profile that is named anywhere, and how many entries name none."""
    entries = list(items(oauth.get("profiles")))
    listed = {mapping(entry).get("profileId") for entry in entries if text(mapping(entry).get("profileId"))}
    for rollup in map(mapping, items(oauth.get("providers"))):
        # The same entries again. They only count where the list above has lost one.
        for entry in (*items(rollup.get("profiles")), *items(rollup.get("effectiveProfiles"))):
            if isinstance(entry, Mapping) and text(entry.get("profileId")) and entry["profileId"] not in listed:
                entries.append(entry)
    seen: dict[str, list[ObservedProfile]] = {}
    passed_over = 0
    for entry in map(mapping, entries):
        profile = _profile(entry)
        if profile is None:
            passed_over += 1
        else:
            seen.setdefault(profile.id, []).append(profile)
    for entry in map(mapping, items(auth.get("unusableProfiles"))):
        profile_id = text(entry.get("profileId"))
        if not profile_id:
            passed_over += 1
            continue
        twins = seen.get(profile_id) or [
            ObservedProfile(id=profile_id, provider=_provider_of(entry, profile_id), kind="unknown")
        ]
        unusable = Unusable(
            kind=_word(entry.get("kind")) or "unknown",
            reason=_word(entry.get("reason")),
            until=seconds(entry.get("until")),
        )
        seen[profile_id] = [*twins, _with_unusable(twins[0], unusable)]
    return [merged(twins) for twins in seen.values()], passed_over


def _profile(entry: Mapping[str, Any]) -> ObservedProfile | None:
    profile_id = text(entry.get("profileId"))
    if not profile_id:
        return None
    return ObservedProfile(
        id=profile_id,
        provider=_provider_of(entry, profile_id),
        kind=_word(entry.get("type")) or "unknown",
        status=_word(entry.get("status")),
        reason_code=_word(entry.get("reasonCode")),
        expires_at=seconds(entry.get("expiresAt")),
    )


def _provider_of(entry: Mapping[str, Any], profile_id: str) -> str:
    return text(entry.get("provider")) or profile_id.split(":", 1)[0].strip() or "unknown"


def _with_unusable(profile: ObservedProfile, unusable: Unusable) -> ObservedProfile:
    return ObservedProfile(id=profile.id, provider=profile.provider, kind=profile.kind, unusable=unusable)


def merged(twins: Sequence[ObservedProfile]) -> ObservedProfile:
    """One profile out of entries that share an id: of each fact the one that means more trouble.

    The order of the entries does not matter.
    """
    worst = max(twins, key=_trouble)
    # An entry that says "expired" without a date is not softened by another one's date.
    told = [worst] if worst.status in ("expired", "missing") and worst.expires_at is None else twins
    dates = [twin.expires_at for twin in told if twin.expires_at is not None]
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
    word = profile.status if profile.status in _TROUBLE else ""
    soonest = -profile.expires_at if profile.expires_at is not None else -math.inf
    return (
        _TROUBLE.index(word),
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
    """Credentials of providers in use that come from the environment, by the variable's name alone."""
    found: dict[tuple[str, str], ObservedProfile] = {}
    for entry in map(mapping, items(auth.get("providers"))):
        provider = text(entry.get("provider"))
        names = _LAST_IDENTIFIER.findall(text(mapping(entry.get("env")).get("source")) or "")
        if provider and provider in in_use and names:
            kind = "token" if "OAUTH" in names[-1] or "TOKEN" in names[-1] else "api_key"
            found[provider, names[-1]] = ObservedProfile(f"env:{names[-1]}", provider, kind, status="static")
    return list(found.values())


def _word(value: Any) -> str | None:
    """One of OpenClaw's words. Ids are kept whatever they are; a word that looks like none is made safe."""
    word = text(value)
    return word if word is None or _WORD.fullmatch(word) else safe_text(word, 64) or None
