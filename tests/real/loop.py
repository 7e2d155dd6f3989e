"""The closed loop: a fault made in a real OpenClaw at some place, and the exporter and the person who deal with it.

A place is how OpenClaw is reached and whose store has the credential, such as ``ssh-own``. Stand-ins replace ``claude
setup-token``, the login servers and the container engine; ssh is a real sshd on loopback.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from situations import rendered

from . import box as boxes
from .desk import CLAUDE, DOCKER, MINIMAX, Homes, program
from .loop_faults import Fault, Profiles
from .parts import Exporter, OpenClawHome

SECOND_AGENT, NAME = "ops", "work"
#: How OpenClaw is reached: by its name, as a named home, on another host, in a container; its host and state folder.
REACHES = {
    "local": ("localhost", "~/.openclaw"),
    "named": ("localhost", f"~/.openclaw-{NAME}"),
    "ssh": ("box", "~/.openclaw"),
    "container": ("gw", None),
}
#: Whose store has the credential: the main agent's own, a second agent's own, or the main agent's, which the second
#: agent inherits.
HOLDERS = ("main", "own", "inherits")
PLACES = tuple(f"{reach}-{holder}" for reach in REACHES for holder in HOLDERS)


class NamedHome(OpenClawHome):
    """``openclaw --profile work``: the state is in ``~/.openclaw-work``."""

    @property
    def state(self) -> Path:
        return self.home / f".openclaw-{NAME}"


@dataclass(frozen=True, slots=True)
class Cell:
    """A home with a fault, the exporter that checks it, and the environment of the person's shell."""

    world: OpenClawHome
    fault: Fault
    agents: tuple[str, ...]  # the agents that are checked; the person is told about the last
    exporter: Exporter
    person: Mapping[str, str]
    place: tuple[str, str | None]  # host and OpenClaw's state folder, as the steps must name them

    def check(self) -> dict[str, Any]:
        """The JSON of ``check --json``."""
        finished = self.exporter.run("check", "--json", env=self.service)
        assert finished.returncode in (0, 1, 2), finished.stderr
        return dict(json.loads(finished.stdout))

    def wait(self) -> None:
        """Let the time pass until every cooldown and disable has ended."""
        holder = self.agents[0]
        ended = {"cooldownUntil": "@ms:-1m", "disabledUntil": "@ms:-1m"}
        usage = {
            profile: {name: ended.get(name, value) for name, value in state.items()}
            for profile, state in self.fault.usage.items()
        }
        _write_usage(self.world, holder, usage)

    def remove(self, profile: str, file: str) -> None:
        """Remove a profile from a store, as a person does with an editor."""
        path = Path(file.replace("~", str(self.world.home), 1))
        store = json.loads(path.read_text())
        del store["profiles"][profile]
        path.write_text(json.dumps(store))

    @property
    def service(self) -> dict[str, str]:
        """The variables that the exporter has in common with the person."""
        return {name: self.person[name] for name in ("PATH", "XDG_RUNTIME_DIR") if name in self.person}

    def configure(self, **config: Any) -> None:
        """Change the exporter's configuration."""
        self.exporter.config |= config
        self.exporter.config_file.write_text(json.dumps(self.exporter.config))

    def conditions(self, result: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The conditions of the last agent that are about the fault, or about the check itself; the worst first."""
        (target,) = result["targets"]
        agent = next((agent for agent in target["agents"] if agent["id"] == self.agents[-1]), target["agents"][0])
        return [c for c in agent["conditions"] if c["provider"] in (self.fault.provider, None)]


@contextlib.contextmanager
def made(homes: Homes, release: str, fault: Fault, place: str, folder: Path) -> Iterator[Cell]:
    """Make the fault at its place."""
    reach, _, holder = place.partition("-")
    world = (NamedHome if reach == "named" else OpenClawHome)(release, folder / "openclaw")
    world.state.mkdir()
    (world.state / "openclaw.json").write_text(json.dumps(_configuration(world, fault, holder, folder)))
    _write_store(homes, world, SECOND_AGENT if holder == "own" else "main", fault)
    if fault.server:
        world.env["NODE_OPTIONS"] = f"--import={program(folder / 'server.mjs', fault.server)}"
    program(folder / "tools/claude", CLAUDE)
    agents = {"main": ("main",), "own": (SECOND_AGENT,), "inherits": ("main", SECOND_AGENT)}[holder]
    with contextlib.ExitStack() as stack:
        target, person = _reached(stack, reach, world, folder)
        exporter = Exporter(
            world, folder / "exporter", targets=[{"name": "home", "agents": agents, "timeout": "4m", **target}]
        )
        person = {"HOME": str(folder), **person, "TERM": "xterm", "LANG": "C.UTF-8"}
        yield Cell(world, fault, agents, exporter, person, REACHES[reach])


def _configuration(world: OpenClawHome, fault: Fault, holder: str, folder: Path) -> dict[str, Any]:
    opus = "claude-opus-5" if world.version >= (2026, 7) else "claude-opus-4-6"
    model = {"primary": fault.primary or f"anthropic/{opus}", "fallbacks": list(fault.fallbacks)}
    config: dict[str, Any] = {"agents": {"defaults": {"model": model}}}
    if holder != "main":
        second = {"id": SECOND_AGENT, "workspace": str(folder / "workspace")}
        config["agents"]["list"] = [{"id": "main", "default": True}, second]
    if fault.server == MINIMAX and world.version < (2026, 3):  # there the login is a plugin that is off by default
        config["plugins"] = {"entries": {"minimax-portal-auth": {"enabled": True}}}
    return config


def _write_store(homes: Homes, world: OpenClawHome, agent: str, fault: Fault) -> None:
    """Write the fault's profiles to the agent's store, in the layout of the release."""
    profiles, usage = json.loads(rendered(json.dumps([fault.profiles, fault.usage]), time.time()))
    if not profiles:
        return
    if fault.has_old_store:
        old = world.state / "agents" / agent / "agent/auth-profiles.json"
        old.parent.mkdir(parents=True)
        old.write_text(json.dumps({"version": 1, "profiles": profiles, "usageStats": usage}))
        return
    if world.version >= (2026, 6):
        shutil.copytree(homes.layout(world.release, agent), world.state, dirs_exist_ok=True)
        if agent == "main":
            world.write_store(profiles, usage, config_auth=False)
            return
    world.write_agent_store(agent, profiles, usage)


def _write_usage(world: OpenClawHome, agent: str, usage: Profiles) -> None:
    profiles, state = world.stored_profiles(agent), json.loads(rendered(json.dumps(usage), time.time()))
    if agent == "main" and world.version >= (2026, 6):
        world.write_store(profiles, state, config_auth=False)
    else:
        world.write_agent_store(agent, profiles, state)


def _reached(
    stack: contextlib.ExitStack, reach: str, world: OpenClawHome, folder: Path
) -> tuple[dict[str, Any], dict[str, str]]:
    """The target of the exporter, and the variables of the person at the same host."""
    tools, there = folder / "tools", folder / "there/openclaw"
    variables = " ".join(f"{name}='{value}'" for name, value in world.env.items() if name != "HOME")
    if reach == "ssh":
        program(there, f'#!/bin/sh\nexec env {variables} {world.command} "$@"\n')
        (folder / "box").mkdir()
        far = f"SetEnv PATH={there.parent}:/usr/bin:/bin HOME={world.home}\n"
        box = stack.enter_context(boxes.opened(folder / "box", far))
        person = {"PATH": f"{tools}:{box.folder}/bin:/usr/bin:/bin", "XDG_RUNTIME_DIR": str(box.runtime)}
        return {"source": "openclaw", "ssh": "box", "command": ["openclaw"]}, person
    if reach == "container":
        inside = {**world.env, "PATH": f"{world.command.parent}:{world.env['PATH']}", "TERM": "xterm"}
        words = " ".join(f"{name}={value}" for name, value in inside.items())
        program(tools / "docker", DOCKER.format(environment=words))
        command = ["docker", "exec", "gw", "openclaw"]
        return {"source": "openclaw", "command": command}, {"PATH": f"{tools}:/usr/bin:/bin"}
    options = ["--profile", NAME] if reach == "named" else []
    path = f"{tools}:{world.command.parent}:{world.env['PATH']}"
    return {"source": "openclaw", "command": ["openclaw", *options]}, {**world.env, "PATH": path}
