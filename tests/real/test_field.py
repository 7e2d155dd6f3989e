"""One home gets one verdict from the command, the gateway and the store of each real release.

The homes are the situations of ``tests/field`` in the layout that the release gives them: those that have a
``status-RELEASE.json`` (from 2026.6 on ``status-RELEASE-doctor.json``), so that the release is known to accept them.
Sources of which a situation wants the same must agree to the last condition. By default the gateway, which takes long
to start, is asked about a few situations; OAE_FIELD=all asks it about all that it can start with.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from situations import cases, lay_out, wanted

from .conftest import need
from .desk import Homes
from .gateway import TOKEN, Gateway
from .parts import CURRENT, RELEASES, Exporter, OpenClawHome

pytestmark = pytest.mark.real

CASES = {case.name: case for case in cases() if (case / "state").exists()}
#: Providers whose plugin is part of a release. A gateway downloads the others when it starts.
BUNDLED = {"anthropic", "claude-cli", "github-copilot", "minimax-portal", "ollama", "openai", "openai-codex", "xai"}
#: The situations that the gateway is asked about by default: a disable, a login, a second agent.
WITH_GATEWAY = {"copilot-order", "login-never-refreshed", "named-profile"}
#: condition, severity, provider, profile
Found = tuple[str, str, str | None, str | None]


def reads_json(release: str) -> bool:
    """Whether the release reads the situations' ``auth-profiles.json``; the others convert it."""
    return tuple(map(int, release.split("."))) < (2026, 6)


def layout(release: str) -> str:
    """The name of the release in a situation, for a home that it can read."""
    return release if reads_json(release) else f"{release}-doctor"


def runs() -> list[tuple[str, str]]:
    known = ((release, name) for release in RELEASES for name in CASES)
    return [(release, name) for release, name in known if (CASES[name] / f"status-{layout(release)}.json").exists()]


def needs_doctor(release: str, name: str) -> bool:
    """Whether the release's own conversion decides. The others are written in its layout, which takes no time."""
    about, config = CASES[name] / "case.json", CASES[name] / "state/openclaw.json"
    has_word = layout(release) in json.loads(about.read_text())["want"]
    return not reads_json(release) and (has_word or '"agentRuntime"' in config.read_text())


def has_gateway(release: str, name: str) -> bool:
    config = (CASES[name] / "state/openclaw.json").read_text()
    providers = set(re.findall(r'"([a-z-]+)/[^"/]+"', config))
    is_chosen = name in WITH_GATEWAY or os.environ.get("OAE_FIELD") == "all"
    return release == CURRENT and is_chosen and providers <= BUNDLED


def make_home(homes: Homes, release: str, name: str, folder: Path) -> tuple[OpenClawHome, list[str]]:
    """The situation's state folder as this release keeps it, and the agents that have a store."""
    need("node")
    need(f"openclaw-{release}")
    world = OpenClawHome(release, folder)
    lay_out(CASES[name] / "state", world.state, time.time())
    world.env |= json.loads((CASES[name] / "case.json").read_text()).get("environ", {})
    if needs_doctor(release, name):
        world.run("doctor", "--fix", "--non-interactive")
    stores = {path.parent.parent.name: path for path in world.state.glob("agents/*/agent/auth-profiles.json")}
    for agent in sorted(stores, key=lambda agent: agent == "main"):
        stored = json.loads(stores[agent].read_text())
        profiles, usage, order = stored["profiles"], stored.get("usageStats", {}), stored.get("order")
        if not reads_json(release):
            stores[agent].unlink()
            shutil.copytree(homes.layout(release, agent), world.state, dirs_exist_ok=True)
        if agent == "main" and not reads_json(release):
            world.write_store(profiles, usage, order, config_auth=False)
        elif world.version >= (2026, 4):  # 2026.2 has the layout of the situations
            world.write_agent_store(agent, profiles, usage)
    return world, sorted(stores) or ["main"]


@contextmanager
def targets(world: OpenClawHome, agents: list[str], *, gateway: bool) -> Iterator[list[dict[str, Any]]]:
    """The home as a target of each source; the target's name is the source's."""
    state_dir = str(world.state)
    found: list[dict[str, Any]] = [
        {"source": "openclaw", "command": [str(world.command)]},
        {"source": "store", "state_dir": state_dir},
    ]
    running = Gateway(world) if gateway else None
    try:
        if running:
            running.start()
            running.wait_until_ready()
            found.append({"source": "gateway", "url": running.url, "token": TOKEN, "state_dir": state_dir})
        yield [{"name": target["source"], "agents": agents, "timeout": "120s", **target} for target in found]
    finally:
        if running:
            running.end(signal.SIGTERM)


def conditions(agent: Mapping[str, Any]) -> set[Found]:
    """An agent's conditions, without what is about the source itself."""
    found = {(c["condition"], c["severity"], c["provider"], c["profile"]) for c in agent["conditions"]}
    return {condition for condition in found if condition[0] != "partial_view"}


@pytest.mark.parametrize(("release", "name"), runs())
def test_every_source_has_the_verdict_of_the_situation(homes: Homes, tmp_path: Path, release: str, name: str) -> None:
    about = json.loads((CASES[name] / "case.json").read_text())
    world, agents = make_home(homes, release, name, tmp_path / "openclaw")
    with targets(world, agents, gateway=has_gateway(release, name)) as made:
        policy = about.get("policy", {})
        _, result = Exporter(world, tmp_path / "exporter", targets=made, policy=policy).check()
    shown = json.dumps(result["targets"], indent=1)
    verdicts: dict[str, list[tuple[int, set[Found]]]] = {}
    for target in result["targets"]:
        # A store does not say which release reads it, unless the release has converted it.
        is_told = target["name"] != "store" or needs_doctor(release, name)
        want = wanted(CASES[name], *([layout(release)] if is_told else []), target["name"])
        verdict = [(agent["exit_code"], conditions(agent)) for agent in target["agents"]]
        (main,) = (agent for agent in target["agents"] if agent["id"] == about.get("agent", "main"))
        names = {condition for condition, *_ in conditions(main)}
        exits = want["exit"] if isinstance(want["exit"], list) else [want["exit"]]
        assert main["exit_code"] == exits[-1], shown
        assert set(want.get("must", ())) <= names, shown
        assert not set(want.get("never", ())) & names, shown
        assert verdicts.setdefault(json.dumps(want), verdict) == verdict, shown
