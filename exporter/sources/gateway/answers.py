"""What a gateway's methods answered, read: payloads to an Observation, agents and usage windows.

Pure. Called by the gateway source. Tolerant of anything: what is not understood is passed over and
counted in ``notes``; names and mail addresses of accounts are never copied. The fields are those of
OpenClaw 2026.9.6, as it answers them and as its source has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from exporter.lib.loose_json import items, mapping, number, seconds, text
from exporter.lib.redact import safe_text
from exporter.model import CheckError, Dialect, FailureReason, Observation, ObservedProfile, UsageWindow
from exporter.sources.openclaw.status import merged

_MAX_WINDOWS = 200


def observe(payload: Mapping[str, Any], *, target: str, agent: str, observed_at: float) -> Observation:
    """What the payload of ``models.authStatus`` says, in our words. ``observed_at`` in Unix seconds.

    Credentials from the environment are among the profiles whether or not their provider is in use.
    Raises LookError: NOT_READY where the gateway says that it cannot tell yet (an empty list is then not
    "no profiles"), INVALID_OUTPUT where there is no list of providers.
    """
    entries, unavailable = payload.get("providers"), payload.get("unavailable")
    if unavailable and not entries:
        why = text(mapping(unavailable).get("message")) or "no reason given"
        raise CheckError(
            FailureReason.NOT_READY, f"the gateway cannot tell about its credentials yet: {safe_text(why)}"
        )
    if not isinstance(entries, list):
        raise CheckError(FailureReason.INVALID_OUTPUT, "models.authStatus answered without a list of providers")
    named = [entry for entry in map(mapping, entries) if text(entry.get("provider"))]
    passed_over = len(entries) - len(named)
    seen: dict[str, list[ObservedProfile]] = {}
    order: dict[str, tuple[str, ...]] = {}
    windows: list[UsageWindow] = []
    missing: set[str] = set()
    for entry in sorted(named, key=_is_alias):  # a provider's own entry before those that borrow its credentials
        provider = text(entry.get("provider")) or ""
        told = [_profile(mapping(item), provider) for item in items(entry.get("profiles"))]
        found = [*(profile for profile in told if profile), *_environment_key(entry, provider)]
        passed_over += told.count(None)
        known = set(seen) if _is_alias(entry) else ()
        for profile in found:
            if profile.id not in known:
                seen.setdefault(profile.id, []).append(profile)
        if not found and entry.get("status") == "missing":
            missing.add(provider)
        if isinstance(entry.get("profileOrder"), list):
            order[provider] = tuple(dict.fromkeys(filter(None, map(text, entry["profileOrder"]))))
        windows += _windows(provider, mapping(entry.get("usage")))
    notes = (f"{passed_over} entries of the gateway's lists name nothing and were passed over",) if passed_over else ()
    return Observation(
        target=target,
        agent=agent,
        source="gateway",
        dialect=Dialect.GATEWAY,
        observed_at=observed_at,
        profiles=tuple(twins[0] if len(twins) == 1 else merged(twins) for twins in seen.values()),
        order=order,
        missing_providers=frozenset(missing),
        usage=together(tuple(windows)),
        blind_to=frozenset({"unusable"}),
        notes=notes,
    )


def _is_alias(entry: Mapping[str, Any]) -> bool:
    lends = text(entry.get("authProvider"))
    return lends is not None and lends != entry.get("provider")


def _profile(item: Mapping[str, Any], provider: str) -> ObservedProfile | None:
    profile_id = text(item.get("profileId"))
    if profile_id is None:
        return None
    return ObservedProfile(
        id=profile_id,
        provider=provider,
        kind=text(item.get("type")) or "unknown",
        status=text(item.get("status")),
        reason_code=text(item.get("reasonCode")),
        expires_at=seconds(mapping(item.get("expiry")).get("at")),
    )


def _environment_key(entry: Mapping[str, Any], provider: str) -> Iterator[ObservedProfile]:
    """The credential the gateway's own environment holds for a provider, by the variable's name alone."""
    told = mapping(entry.get("apiKey"))
    variable = text(told.get("envVar"))
    if told.get("source") == "env" and variable and variable.isidentifier() and len(variable) <= 128:
        kind = "token" if "OAUTH" in variable or "TOKEN" in variable else "api_key"
        yield ObservedProfile(f"env:{variable}", text(entry.get("authProvider")) or provider, kind, status="static")


def roster_of(payload: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The agents in the payload of ``agents.list``, the default one first, each with its models in use.

    A fallback is told as it is written in the configuration: it may be an alias. Raises LookError
    INVALID_OUTPUT where there is no agent.
    """
    models: dict[str, tuple[str, ...]] = {}
    for entry in map(mapping, items(payload.get("agents"))):
        agent = text(entry.get("id"))
        if agent is not None:
            models.setdefault(agent, tuple(_models(entry)))
    if not models:
        raise CheckError(FailureReason.INVALID_OUTPUT, "agents.list answered without an agent")
    first = payload.get("defaultId")
    return {agent: models[agent] for agent in sorted(models, key=lambda agent: agent != first)}


def _models(entry: Mapping[str, Any]) -> Iterator[str]:
    """Everything an agent may turn to, its default first."""
    model, utility = entry.get("model"), entry.get("utilityModel")
    told = mapping(model)
    refs = [model, told.get("primary"), *items(told.get("fallbacks")), utility]
    yield from dict.fromkeys(ref for ref in filter(None, map(text, refs)) if ref.strip("/ "))


def usage_of(payload: Mapping[str, Any]) -> tuple[tuple[UsageWindow, ...], str | None]:
    """The windows in the payload of ``usage.status``, and a sentence about the providers that told none."""
    windows: list[UsageWindow] = []
    errors: list[str] = []
    for entry in map(mapping, items(payload.get("providers"))):
        provider = text(entry.get("provider"))
        if provider is None:
            continue
        windows += _windows(provider, entry)
        if isinstance(entry.get("error"), str):
            errors.append(f"{provider}: {safe_text(entry['error'], 80)}")
    return together(tuple(windows)), safe_text("; ".join(errors), 400) or None


def _windows(provider: str, usage: Mapping[str, Any]) -> Iterator[UsageWindow]:
    for window in map(mapping, items(usage.get("windows"))):
        label, used = window.get("label"), number(window.get("usedPercent"))
        if isinstance(label, str) and label.strip() and used is not None and used >= 0:
            yield UsageWindow(provider, safe_text(label, 64), used / 100, seconds(window.get("resetAt")))


def together(*parts: tuple[UsageWindow, ...]) -> tuple[UsageWindow, ...]:
    """Each window once; the first word about it counts."""
    seen: dict[tuple[str, str], UsageWindow] = {}
    for window in (window for part in parts for window in part):
        seen.setdefault((window.provider, window.window), window)
    return tuple(seen.values())[:_MAX_WINDOWS]


def is_named(model: str) -> bool:
    """Whether it is ``provider/model``, and no alias."""
    return "/" in model.strip("/ ")


def providers_in_use(models: tuple[str, ...], payload: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The providers of ``models``, by the name under which their credentials are listed. None: not seen.

    Which provider's an alias is cannot be seen: it may be any that has a profile.
    """
    entries = {text(entry.get("provider")): entry for entry in map(mapping, items(payload.get("providers")))}
    names = []
    for model in models:
        if not is_named(model):
            names += [name for name, entry in entries.items() if name and items(entry.get("profiles"))]
            continue
        provider = model.split("/", 1)[0].strip().lower()
        entry = mapping(entries.get(provider))
        borrowed = text(entry.get("authProvider"))
        names.append(borrowed if borrowed and not items(entry.get("profiles")) else provider)
    return tuple(dict.fromkeys(filter(None, names))) or None


def only_in_use(observation: Observation, payload: Mapping[str, Any]) -> Observation:
    """Without the environment's credentials of providers that no route uses, and without calling a provider
    in use whose credential is where nobody but the gateway can see it (its configuration, a vault)."""
    in_use = observation.providers_in_use
    if in_use is None:
        return observation
    profiles = tuple(p for p in observation.profiles if not p.id.startswith("env:") or p.provider in in_use)
    seen = {profile.provider for profile in profiles}
    hidden = {
        name
        for entry in map(mapping, items(payload.get("providers")))
        for name in (text(entry.get("provider")), text(entry.get("authProvider")))
        if name is not None and name not in seen and entry.get("apiKey")
    }
    unseen = [provider for provider in in_use if provider in hidden]
    note = f"what serves {', '.join(unseen)} is in OpenClaw's own configuration and cannot be seen"
    return replace(
        observation,
        profiles=profiles,
        providers_in_use=tuple(provider for provider in in_use if provider not in hidden),
        notes=(*observation.notes, safe_text(note)) if unseen else observation.notes,
    )
