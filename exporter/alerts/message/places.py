"""Where an alert is, in words: its target, its agents, and the exporter that watches them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from exporter.alerts.values import Alert, Message, SuppressedAlert
from exporter.config import DEFAULT_TARGET
from exporter.model import SHARED_AGENT, Report
from exporter.present.words import visible

#: How many agents are named.
_NAMED = 5


def place(alert: Alert | SuppressedAlert) -> str:
    """The name of the place in titles: the target, and its agent if the alert is about one of several."""
    agents = _agents_apart(alert)
    if len(agents) > 1:
        return f"{target_name(alert)} ({len(agents)} agents)"
    return f"{target_name(alert)}/{agents[0]}" if agents else target_name(alert)


def place_with_names(alert: Alert | SuppressedAlert) -> str:
    """The same with the names of several agents: ``home (main, work)``."""
    agents = _agents_apart(alert)
    return f"{target_name(alert)} ({', '.join(agents)})" if 1 < len(agents) <= _NAMED else place(alert)


def target_name(alert: Alert | SuppressedAlert) -> str:
    """The target's name in titles. Many hosts have one with the default name; there the exporter's name, which is its
    host's, takes its place.
    """
    is_default = alert.target == DEFAULT_TARGET and alert.exporter
    return visible(alert.exporter if is_default else alert.target, 1000)


def with_places(messages: Iterable[Message], report: Report) -> list[Message]:
    """The messages, in which each alert knows whether its target has other agents."""
    agents = {target.target: {agent.agent for agent in target.agents} for target in report.targets}

    def with_place(alert: Alert) -> Alert:
        others = agents.get(alert.target, set()).difference(alert.agents)
        return replace(alert, is_of_some=True) if others and named(alert.agents) else alert

    return [replace(message, alerts=tuple(map(with_place, message.alerts))) for message in messages]


def _agents_apart(alert: Alert | SuppressedAlert) -> list[str]:
    """The alert's agents, if it is about some of several. A single one other than the main agent is always named."""
    agents = named(alert.agents)
    is_of_some = isinstance(alert, Alert) and (alert.is_of_some or bool(alert.notes))
    return agents if is_of_some or (len(agents) == 1 and agents != [SHARED_AGENT]) else []


def subject_and_place(alert: Alert | SuppressedAlert) -> str:
    """``anthropic:default on home/main``; ``home/main`` for an alert about the target."""
    subject, name = visible(alert.profile or alert.provider or "", 128), target_name(alert)
    agents = named(alert.agents)
    if len(agents) == 1:
        name = f"{name}/{agents[0]}"
    elif agents:
        name = f"{name} ({listed('agent', agents)})"
    return f"{subject} on {name}" if subject else name


def subject(alert: Alert) -> str:
    """A short name for one alert among others: ``anthropic:default on home``, or the target."""
    name = visible(alert.profile or alert.provider or "", 128)
    return f"{name} on {place(alert)}" if name else place(alert)


def where(alert: Alert) -> str:
    """One line with everything that says where: target, agents, profile or provider, exporter."""
    parts = [f"Target {visible(alert.target, 64)}", listed("agent", named(alert.agents))]
    if alert.profile:
        parts.append(f"profile {visible(alert.profile, 128)}")
    elif alert.provider:
        parts.append(f"provider {visible(alert.provider, 64)}")
    if alert.exporter:
        parts.append(f"exporter {visible(alert.exporter, 64)}")
    return "; ".join(filter(None, parts)) + "."


def named(agents: Sequence[str]) -> list[str]:
    """The names to show; ``*`` stands for agents that could not be listed."""
    return [visible(agent, 60) for agent in agents if agent != "*"]


def listed(noun: str, names: Sequence[str]) -> str:
    """``agents a, b and 3 more``; empty without names."""
    if not names:
        return ""
    shown = list(names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{noun}{'s' if len(names) > 1 else ''} {', '.join(shown)}{more}"
