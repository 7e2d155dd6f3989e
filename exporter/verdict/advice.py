"""Advice about credentials that work: what costs money or will hurt later. Info for ``explain``, never a condition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from exporter.lib.durations import iso
from exporter.verdict.inputs import VerdictInputs
from exporter.verdict.provider import ProviderProfiles

_WEEK = 7 * 86400.0
_MAX_NAMED = 5  # profiles in a sentence
#: Kinds of credentials that a subscription pays for.
_SUBSCRIPTIONS = {"token": "a setup-token", "oauth": "a login"}
#: The old name's values and what the new name calls them (OpenClaw's page "Anthropic").
_RETENTION = {"5m": "short", "1h": "long"}


def advice(inputs: VerdictInputs, providers: ProviderProfiles, serving: Mapping[str, str]) -> tuple[str, ...]:
    """Sentences, each with what to do. ``serving``: the kind of credential that serves each provider in use."""
    if not inputs.was_observed:
        return ()
    found = (
        *_about_caching(inputs, serving),
        *_about_order(inputs),
        *_about_dates(inputs, providers),
        *_about_shell(inputs),
    )
    return tuple(dict.fromkeys(found))


def _about_caching(inputs: VerdictInputs, serving: Mapping[str, str]) -> Iterator[str]:
    """Anthropic's prompt caching is for API keys only, and one setting has a new name."""
    kind = _SUBSCRIPTIONS.get(serving.get("anthropic", ""))
    models = {model.lower() for model in inputs.observation.models_in_use if model.lower().startswith("anthropic/")}
    for setting in inputs.observation.cache_settings:
        if setting.name == "cacheControlTtl":
            new = _RETENTION.get(setting.value)
            value = f'cacheRetention: "{new}"' if new else "cacheRetention"
            yield f"cacheControlTtl ({setting.place}) is the old name of a setting: write {value} in its place"
        elif kind and models and setting.value != "none" and setting.is_for(models):
            yield (
                f"cacheRetention ({setting.place}) has no effect: {kind} serves anthropic, and Anthropic caches "
                "prompts for API keys only; remove it, or use an API key for that model"
            )


def _about_order(inputs: VerdictInputs) -> Iterator[str]:
    """An order that names a profile which is gone is shorter than it seems."""
    there = {profile.id for profile in inputs.observation.profiles}
    for provider, ids in sorted(inputs.observation.order.items()):
        gone = [name for name in ids if name not in there]
        if gone and len(gone) < len(ids):
            yield f"the order of {provider} names profiles that do not exist: {_names(gone)}; remove them from it"


def _about_dates(inputs: VerdictInputs, providers: ProviderProfiles) -> Iterator[str]:
    """Credentials that all end in one week leave nothing to fall back on."""
    ends = defaultdict[str, dict[str, float]](dict)
    usable = defaultdict[str, int](int)
    for profile in providers:
        if profile.is_usable and inputs.is_in_use(profile.provider) and not inputs.profile_policy(profile.id).ignore:
            usable[profile.provider] += 1
            if profile.deadline is not None and profile.deadline > inputs.now:
                ends[profile.provider][profile.id] = profile.deadline
    for provider, dates in sorted(ends.items()):
        first, last = min(dates.values()), max(dates.values())
        if len(dates) > 1 and len(dates) == usable[provider] and last - first <= _WEEK:
            yield (
                f"all credentials of {provider} end within one week, from {iso(first)} to {iso(last)}: "
                f"{_names(sorted(dates, key=dates.__getitem__))}; renew one of them earlier, so that one works when "
                "the others end"
            )


def _about_shell(inputs: VerdictInputs) -> Iterator[str]:
    """A key in a shell does not reach a gateway that runs as a service, whatever a check in that shell says."""
    if names := inputs.observation.only_here:
        verb, them = ("are", "them") if len(names) > 1 else ("is", "it")
        yield (
            f"{_names(list(names))} {verb} set in the environment of this check, but in no file of OpenClaw's service, "
            f"so its gateway may work without {them}; write {them} into .env in OpenClaw's folder"
        )


def _names(ids: list[str]) -> str:
    return ", ".join(ids[:_MAX_NAMED]) + (", …" if len(ids) > _MAX_NAMED else "")
