"""What the models that ``openclaw.json`` names are used for: a table of the places that name models. Pure.

The places are those of OpenClaw 2026.1 to 2026.9, read in its schemas and in its own list of them. To read a
further place, add its row. What is switched off uses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from exporter.lib.loose_json import items, mapping, text
from exporter.lib.redact import safe_name, safe_text
from exporter.model import Purpose, Use, most_important_first
from exporter.sources.store.config import agent_id, aliases, is_filled, provider_id, roster

#: In an agent's entry, or else in ``agents.defaults``.
_OF_AN_AGENT = {
    "heartbeat.model": Purpose.HEARTBEAT,
    "subagents.model": Purpose.SUB_AGENTS,
    "imageModel": Purpose.IMAGES,
    "pdfModel": Purpose.PDF_FILES,
    "voiceModel": Purpose.VOICE,
    "tts.summaryModel": Purpose.VOICE,
    "compaction.model": Purpose.COMPACTION,
    "compaction.memoryFlush.model": Purpose.MEMORY_FLUSH,
    "utilityModel": Purpose.UTILITY,
    "decisionModel": Purpose.DECISIONS,
    "tools.exec.reviewer.model": Purpose.REVIEWER,
    "embeddedAgent.cyberFailover.model": Purpose.FAILOVER,
    "imageGenerationModel": Purpose.IMAGE_GENERATION,
    "mediaModels.image": Purpose.IMAGE_GENERATION,
    "musicGenerationModel": Purpose.MUSIC_GENERATION,
    "mediaModels.music": Purpose.MUSIC_GENERATION,
    "videoGenerationModel": Purpose.VIDEO_GENERATION,
    "mediaModels.video": Purpose.VIDEO_GENERATION,
}
#: In the configuration itself. A hook runs one agent, the others serve every agent. ``*`` is any key or entry.
_OF_ALL_AGENTS = {
    "channels.modelByChannel.*.*": Purpose.CHANNEL,
    "channels.*.model": Purpose.CHANNEL,
    "channels.*.voice.model": Purpose.VOICE,
    "channels.*.voice.realtime.model": Purpose.VOICE,
    "channels.*.voice.tts.summaryModel": Purpose.VOICE,
    "channels.*.accounts.*.voice.model": Purpose.VOICE,
    "hooks.gmail.model": Purpose.HOOK,
    "hooks.mappings.*.model": Purpose.HOOK,
    "tools.exec.reviewer.model": Purpose.REVIEWER,
    "tools.media.models.*": Purpose.MEDIA,
    "tools.media.*.models.*": Purpose.MEDIA,
    "tools.media.*.preferredModel": Purpose.MEDIA,
    "messages.tts.summaryModel": Purpose.VOICE,
    "tts.summaryModel": Purpose.VOICE,
}
#: Purposes of which there may be several, told apart by a name.
_NAMED = (Purpose.CHANNEL, Purpose.HOOK)
_NONZERO = frozenset("123456789")


class CronJob(NamedTuple):
    """A cron job that is enabled and has models of its own. ``agent`` is empty for the default agent."""

    agent: str
    name: str
    models: tuple[str, ...]


class _Named(NamedTuple):
    """A model as the configuration has it, possibly by an alias."""

    model: str
    purpose: Purpose
    name: str = ""


def uses_of(
    config: object, agent: str, jobs: Iterable[CronJob] = (), *, inherits_fallbacks: bool = False
) -> tuple[Use, ...]:
    """What ``agent`` uses the models for that the configuration and cron jobs name, the most important first.

    No chat if no default model is configured: OpenClaw's choice then depends on its release.
    ``inherits_fallbacks``: an agent with its own model still has the defaults' fallbacks (seen on
    2026.2.9; on 2026.6.11 and 2026.9.6 it has only its own).
    """
    agents = roster(config)
    mine, defaults = mapping(agents, agent), mapping(config, "agents", "defaults")
    default_agent = next(iter(agents or ()), "main")
    found = [*_chat(mine.get("model"), defaults.get("model"), inherits_fallbacks)]
    for path, purpose in _OF_AN_AGENT.items():
        if purpose is not Purpose.HEARTBEAT or _has_heartbeat(mine, defaults, agents or {}):
            own = [*_settings(mine, path)] or _settings(defaults, path)
            found += [_Named(ref, purpose) for setting, _, _ in own for ref in _refs(setting)]
    for path, purpose in _OF_ALL_AGENTS.items():
        for setting, name, owner in _settings(config, path):
            # Hooks are off unless they are switched on.
            is_hooks = purpose is not Purpose.HOOK or mapping(config, "hooks").get("enabled") is True
            if is_hooks and (purpose is not Purpose.HOOK or agent == (owner or default_agent)):
                found += [_Named(ref, purpose, name if purpose in _NAMED else "") for ref in _refs(setting)]
    if mapping(config, "cron").get("enabled") is not False:
        for job in jobs:
            if agent == (job.agent or default_agent):
                found += [_Named(ref, Purpose.CRON_JOB, job.name) for ref in job.models]
    return _resolved(found, aliases(config))


def is_whole(config: object) -> bool:
    """Whether no other file, which is not read, holds a part of the configuration that may name models."""
    parts = [mapping(config), mapping(config, "agents"), mapping(config, "agents", "defaults")]
    parts += [mapping(config, name) for name in ("channels", "hooks", "tools")]
    return not any("$include" in part for part in parts)


def providers_of(uses: Iterable[Use]) -> tuple[str, ...] | None:
    """The providers of ``uses``; None without a chat model: OpenClaw's choice then depends on its release."""
    uses = tuple(uses)
    is_known = any(use.purpose.is_chat for use in uses)
    return tuple(dict.fromkeys(provider_id(use.provider) for use in uses)) if is_known else None


def cron_jobs(payload: object) -> list[CronJob]:
    """The enabled jobs with models of their own in ``jobs.json``."""
    jobs = []
    for job in map(mapping, items(mapping(payload).get("jobs"))):
        run = mapping(job, "payload")
        models = tuple(name for name in (run.get("model"), *items(run.get("fallbacks"))) if is_filled(name))
        if models and run.get("kind") == "agentTurn" and job.get("enabled") is not False:
            agent = agent_id(job.get("agentId"))
            name = safe_text(text(job.get("name")) or text(job.get("id")) or "?", 60)
            jobs.append(CronJob(agent, name, models))
    return jobs


def _chat(own: object, default: object, inherits_fallbacks: bool) -> Iterator[_Named]:
    """The default model and its fallbacks: an agent's ``own`` setting over the ``default``."""
    primary, fallbacks = _model(own)
    default_primary, default_fallbacks = _model(default)
    if fallbacks is None and (primary is None or inherits_fallbacks):
        fallbacks = default_fallbacks
    for name in (primary or default_primary, *(fallbacks or ())):
        if name:
            yield _Named(name, Purpose.CHAT)


def _has_heartbeat(
    mine: Mapping[str, Any], defaults: Mapping[str, Any], agents: Mapping[str, Mapping[str, Any]]
) -> bool:
    """Whether an agent has a heartbeat.

    If an agent's entry has one, only such agents do. Without, those of the defaults are for all agents (from
    2026.5; up to 2026.2 only for the default agent). An interval of 0 is off.
    """
    if any(entry.get("heartbeat") for entry in agents.values()) and not mine.get("heartbeat"):
        return False
    every = mapping(mine, "heartbeat").get("every", mapping(defaults, "heartbeat").get("every", "30m"))
    return isinstance(every, str) and not _NONZERO.isdisjoint(every)


def _settings(value: object, path: str) -> list[tuple[object, str, str]]:
    """The settings at ``path``, each with a name that tells it apart and the agent that it is for, or blanks.

    Nothing below what is switched off.
    """
    found: list[tuple[object, str, str]] = [(value, "", "")]
    *_, parent, _ = ("", *path.split("."))
    for part in path.split("."):
        step: list[tuple[object, str, str]] = []
        for here, name, owner in found:
            if _is_off(here):
                continue
            if isinstance(here, Mapping):
                entries = here.items() if part == "*" else [(part, here[part])] if here.get(part) is not None else []
                step += [(below, name or (key if part == "*" else ""), owner) for key, below in entries]
            elif part == "*":
                for entry in map(mapping, items(here)):
                    title = (
                        text(entry.get("id")) or text(entry.get("name")) or text(mapping(entry, "match").get("path"))
                    )
                    step.append((entry, name or title or "", agent_id(entry.get("agentId"))))
        found = step
    return [(setting, safe_text(name or parent, 60), owner) for setting, name, owner in found]


def _is_off(value: object) -> bool:
    return isinstance(value, Mapping) and (value.get("enabled") is False or value.get("mode") == "off")


def _refs(setting: object) -> list[str]:
    """The models in a setting: a name, an object with a primary model and fallbacks, or a provider and its model."""
    primary, fallbacks = _model(setting)
    provider, model = mapping(setting).get("provider"), mapping(setting).get("model")
    if is_filled(provider):
        primary = f"{provider.strip()}/{model.strip()}" if is_filled(model) else f"{provider.strip()}/"
    return [name for name in (primary, *(fallbacks or ())) if name]


def _model(value: object) -> tuple[str | None, list[str] | None]:
    """The primary model and the fallbacks of a model setting, which is a name or an object."""
    if isinstance(value, str):
        return value.strip() or None, None
    primary, fallbacks = mapping(value).get("primary"), mapping(value).get("fallbacks")
    names = [name.strip() for name in fallbacks if isinstance(name, str)] if isinstance(fallbacks, list) else None
    return (primary.strip() or None if isinstance(primary, str) else None), names


def _resolved(found: Iterable[_Named], known: Mapping[str, str]) -> tuple[Use, ...]:
    """The uses of models that are named by their provider, or by an alias of one that is."""
    uses = []
    for name, purpose, label in found:
        ref = known.get(name.strip().lower(), name).strip().partition("@")[0]
        if "/" in ref:
            uses.append(Use(safe_name(ref).removesuffix("/"), purpose, label))
    return most_important_first(uses)
