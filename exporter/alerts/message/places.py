"""Where an alert is, in words: its target, its agents, and the exporter that watches them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.alerts.values import Alert, SuppressedAlert
from exporter.config import DEFAULT_TARGET
from exporter.present.words import visible

#: How many agents are named.
_NAMED = 5


def place(alert: Alert | SuppressedAlert) -> str:
    """The name of the place in titles: the target.

    Many hosts have a target with the default name, so there the exporter's name, which is its host's, takes its
    place. If the alert is about one of several agents, ``/agent`` follows.
    """
    is_default = alert.target == DEFAULT_TARGET and alert.exporter
    name = visible(alert.exporter if is_default else alert.target, 1000)
    agents = named(alert.agents)
    notes = alert.notes if isinstance(alert, Alert) else ()
    return f"{name}/{agents[0]}" if notes and len(agents) == 1 else name


def subject_and_place(alert: Alert | SuppressedAlert) -> str:
    """``anthropic:default on home/main``; ``home/main`` for an alert about the target."""
    subject, name = visible(alert.profile or alert.provider or "", 128), place(alert)
    agents = named(alert.agents)
    if len(agents) == 1 and not name.endswith(f"/{agents[0]}"):
        name = f"{name}/{agents[0]}"
    elif len(agents) > 1:
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
