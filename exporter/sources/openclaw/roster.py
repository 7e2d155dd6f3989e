"""The agents that ``openclaw agents list --json`` prints, and how to ask about one without ``--agent``. Pure.

``models status`` has the option ``--agent`` from 2026.1.30 on. Before, it reports on the agent ``main``, or on
the one whose folder is in the environment (observed on 2026.1.24-3 and 2026.1.29).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from exporter.lib import command
from exporter.lib.bounds import require_bounded
from exporter.lib.loose_json import items, mapping, text
from exporter.lib.redact import ANSI, bounded_name
from exporter.model import CheckError, FailureReason

#: The agent that a release without ``--agent`` reports on.
MAIN = "main"
#: The names of OpenClaw's program: before 2026.1.29 it was clawdbot.
PROGRAMS = ("openclaw", "openclaw.mjs", "clawdbot")

# $1: the agent's folder. Then the command. An agent without a store of its own has that of main, and asking about its
# folder could create one.
_FOR_FOLDER = """\
if [ -e "$1/auth-profiles.json" ]; then OPENCLAW_AGENT_DIR=$1 CLAWDBOT_AGENT_DIR=$1; export OPENCLAW_AGENT_DIR \
CLAWDBOT_AGENT_DIR; fi; shift; exec "$@"
"""


class ListedAgent(NamedTuple):
    """One entry of the list: its folder and its model, if they are printed."""

    id: str
    folder: str | None = None
    model: str | None = None


def listed(value: Any) -> list[ListedAgent]:
    """The agents in one JSON value of the output, the default one first; empty if it is no list of agents."""
    entries = value.get("agents") if isinstance(value, Mapping) else value
    named = [entry for entry in map(mapping, items(entries)) if text(entry.get("id"))]
    require_bounded(len(named), "agents")
    named.sort(key=lambda entry: entry.get("isDefault") is not True)
    found = (
        ListedAgent(bounded_name(entry["id"]), text(entry.get("agentDir")), text(entry.get("model"))) for entry in named
    )
    return list({agent.id: agent for agent in reversed(list(found))}.values())[::-1]


def to_cache(agents: Sequence[ListedAgent], marker: str | None) -> str:
    """The agents as a text. ``marker`` names the state of OpenClaw's configuration."""
    return json.dumps({"agents": agents, "config": marker})


def from_cache(cached: str | None, marker: str | None) -> list[ListedAgent]:
    """The agents in a text of ``to_cache``; empty if the configuration has changed since."""
    try:
        entry = mapping(json.loads(cached or "{}"))
        return [ListedAgent(*fields) for fields in items(entry.get("agents"))] if entry.get("config") == marker else []
    except (ValueError, TypeError):
        return []


def lacks_agent_option(finished: command.Finished) -> bool:
    """Whether this release has no ``--agent``."""
    printed = ANSI.sub("", (finished.stderr[:65536] + finished.stdout[:65536]).decode("utf-8", "replace"))
    return finished.exit_code != 0 and "unknown option '--agent'" in printed


def command_for(words: Sequence[str], agent: ListedAgent) -> list[str]:
    """``words`` (a command that ends in openclaw) as a command that reports on ``agent`` without ``--agent``.

    Raises CheckError COMMAND_ERROR if its folder cannot be passed to the program.
    """
    positions = [index for index, word in enumerate(words) if os.path.basename(word) in PROGRAMS]
    if agent.folder is None or not positions:
        raise CheckError(
            FailureReason.COMMAND_ERROR,
            f"this release of OpenClaw cannot be asked about the agent {agent.id}: `models status` has no --agent "
            'before 2026.1.30; update OpenClaw, or read its store with source: "store"',
        )
    before, program = words[: positions[-1]], words[positions[-1] :]
    return [*before, "sh", "-c", _FOR_FOLDER, "sh", agent.folder, *program]
