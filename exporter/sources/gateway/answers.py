"""Parses a gateway's answers into an Observation, a list of agents, and usage windows. Pure.

It tolerates anything: entries that it cannot read are skipped and counted in ``notes``. Names and mail
addresses of accounts are never copied. The fields are those of OpenClaw 2026.9.6, observed and read in
its source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from exporter.lib.bounds import require_bounded
from exporter.lib.loose_json import items, mapping, number, seconds, text
from exporter.lib.redact import safe_text
from exporter.lib.shape import ANY, Shape, misshapen
from exporter.model import (
    CheckError,
    Dialect,
    FailureReason,
    Observation,
    ObservedProfile,
    Purpose,
    UsageWindow,
    Use,
    most_important_first,
)
from exporter.sources import kind_of_variable
from exporter.sources.openclaw.status import merged, profile_of
from exporter.verdict.logins import LENDERS, PROGRAMS

_MAX_WINDOWS = 200
#: The containers that are read. One of another type is not an empty one.
_STATUS: Shape = {"providers": [{"apiKey": {}, "profileOrder": [ANY], "profiles": [{"expiry": {}}]}]}
_ROSTER: Shape = {"agents": [{}]}


def observe(payload: Mapping[str, Any], *, target: str, agent: str, observed_at: float) -> Observation:
    """The Observation in the payload of ``models.authStatus``. ``observed_at`` is in Unix seconds.

    It has every credential of the environment, whether or not its provider is in use. Raises CheckError:
    NOT_READY if the gateway does not know its credentials yet (an empty list then does not mean that
    there are none), INVALID_OUTPUT if there is no list of providers.
    """
    entries, unavailable = payload.get("providers"), payload.get("unavailable")
    if unavailable and not entries:
        why = text(mapping(unavailable).get("message")) or "no reason given"
        raise CheckError(FailureReason.NOT_READY, f"the gateway does not know its credentials yet: {safe_text(why)}")
    if not isinstance(entries, list):
        raise CheckError(FailureReason.INVALID_OUTPUT, "models.authStatus answered without a list of providers")
    if wrong := misshapen(payload, _STATUS):
        raise CheckError(FailureReason.INVALID_OUTPUT, f"models.authStatus cannot be read: {wrong}")
    require_bounded(len(entries) + sum(len(items(mapping(entry).get("profiles"))) for entry in entries), "profiles")
    named = [entry for entry in map(mapping, entries) if text(entry.get("provider"))]
    skipped = len(entries) - len(named)
    seen: dict[str, list[ObservedProfile]] = {}
    order: dict[str, tuple[str, ...]] = {}
    windows: list[UsageWindow] = []
    missing: set[str] = set()
    for entry in sorted(named, key=_is_alias):  # a provider's own entry before those that borrow its credentials
        provider = text(entry.get("provider")) or ""
        own = map(mapping, items(entry.get("profiles")))
        listed = [profile_of(item, mapping(item, "expiry").get("at"), provider) for item in own]
        found = [*(profile for profile in listed if profile), *_environment_key(entry, provider)]
        skipped += listed.count(None)
        is_alias, own_ids = _is_alias(entry), set()
        for profile in found:
            if not is_alias or profile.id not in seen or profile.id in own_ids:
                own_ids.add(profile.id)
                seen.setdefault(profile.id, []).append(profile)
        if not found and entry.get("status") == "missing":
            missing.add(provider)
        if isinstance(entry.get("profileOrder"), list):
            order[provider] = tuple(dict.fromkeys(filter(None, map(text, entry["profileOrder"]))))
        windows += _windows(provider, mapping(entry, "usage"))
    notes = (f"skipped {skipped} entries of the gateway's lists that name nothing",) if skipped else ()
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
        blind_to=frozenset({"unusable", "uses"}),
        notes=notes,
    )


def _is_alias(entry: Mapping[str, Any]) -> bool:
    lends = text(entry.get("authProvider"))
    return lends is not None and lends != entry.get("provider")


def _environment_key(entry: Mapping[str, Any], provider: str) -> Iterator[ObservedProfile]:
    """The credential for a provider in the gateway's environment, known by its variable's name only."""
    key = mapping(entry, "apiKey")
    variable = text(key.get("envVar"))
    if key.get("source") == "env" and variable and variable.isidentifier() and len(variable) <= 128:
        owner = text(entry.get("authProvider")) or provider
        yield ObservedProfile(f"env:{variable}", owner, kind_of_variable(variable), status="static")


def roster_of(payload: Mapping[str, Any]) -> dict[str, tuple[Use, ...]]:
    """The agents in the payload of ``agents.list`` with what they use, the default agent first.

    A fallback is named as in the configuration, possibly by an alias. Raises CheckError INVALID_OUTPUT if
    there is no agent.
    """
    if wrong := misshapen(payload, _ROSTER):
        raise CheckError(FailureReason.INVALID_OUTPUT, f"agents.list cannot be read: {wrong}")
    require_bounded(len(items(payload.get("agents"))), "agents")
    uses: dict[str, tuple[Use, ...]] = {}
    for entry in map(mapping, items(payload.get("agents"))):
        agent = text(entry.get("id"))
        if agent is not None:
            uses.setdefault(agent, tuple(dict.fromkeys(_uses(entry))))
    if not uses:
        raise CheckError(FailureReason.INVALID_OUTPUT, "agents.list answered without an agent")
    first = payload.get("defaultId")
    return {agent: uses[agent] for agent in sorted(uses, key=lambda agent: agent != first)}


def _uses(entry: Mapping[str, Any]) -> Iterator[Use]:
    """Every model an agent may use, its default first.

    If another program runs the default, such as Claude Code, that provider's models are named as models of the program:
    its login serves them.
    """
    model = entry.get("model")
    parts = mapping(model)
    runtime = text(mapping(entry, "agentRuntime").get("id"))
    chat = [_run_by(runtime, ref) for ref in (model, parts.get("primary"), *items(parts.get("fallbacks")))]
    named = [*((ref, Purpose.CHAT) for ref in chat), (entry.get("utilityModel"), Purpose.UTILITY)]
    for ref, purpose in named:
        name = text(ref)
        if name and name.strip("/ "):
            yield Use(name, purpose)


def _run_by(runtime: str | None, model: object) -> object:
    provider, slash, name = (text(model) or "").partition("/")
    is_program = runtime in PROGRAMS and runtime in LENDERS.get(provider.strip().lower(), ())
    return f"{runtime}/{name}" if slash and is_program else model


def usage_of(payload: Mapping[str, Any]) -> tuple[tuple[UsageWindow, ...], str | None]:
    """The windows in the payload of ``usage.status``, and the providers' errors in one sentence."""
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
    """The windows of all ``parts``; of each window the first entry counts."""
    seen: dict[tuple[str, str], UsageWindow] = {}
    for window in (window for part in parts for window in part):
        seen.setdefault((window.provider, window.window), window)
    return tuple(seen.values())[:_MAX_WINDOWS]


def is_named(model: str) -> bool:
    """Whether ``model`` is ``provider/model``, not an alias."""
    return "/" in model.strip("/ ")


def by_credential(uses: Iterable[Use], payload: Mapping[str, Any]) -> tuple[Use, ...]:
    """``uses`` by the names of the providers under which their credentials are listed.

    The gateway does not say what an alias stands for: it counts as every provider with a profile, and no model.
    """
    entries = {text(entry.get("provider")): entry for entry in map(mapping, items(payload.get("providers")))}
    found = []
    for use in uses:
        if not is_named(use.model):
            names = [name for name, entry in entries.items() if name and items(entry.get("profiles"))]
            found += [replace(use, model=name) for name in names]
            continue
        provider, _, model = use.model.partition("/")
        provider = provider.strip().lower()
        entry = mapping(entries.get(provider))
        borrowed = text(entry.get("authProvider"))
        owner = borrowed if borrowed and not items(entry.get("profiles")) else provider
        found += [replace(use, model=f"{owner}/{model}")] if owner else []
    return most_important_first(found)


def only_in_use(observation: Observation, payload: Mapping[str, Any]) -> Observation:
    """``observation`` without what would mislead the verdict.

    Dropped are the environment's credentials for providers that are not in use, and providers in use whose
    credential only the gateway sees (in its configuration, in a vault).
    """
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
    note = f"the credentials of {', '.join(unseen)} are in OpenClaw's own configuration and cannot be seen"
    return replace(
        observation,
        profiles=profiles,
        providers_in_use=tuple(provider for provider in in_use if provider not in hidden),
        notes=(*observation.notes, safe_text(note)) if unseen else observation.notes,
    )
