"""What the real-parts tests stand on: the parts, or a skip that says how to get them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from . import parts
from .machine import Machine, build_wheels, python_for_services

if TYPE_CHECKING:
    from .desk import Homes


def need(part: str) -> Path:
    """The executable of a real part: ``node``, ``openclaw-<release>``, ``claude-<version>``, ``prometheus``, …

    Where it is missing: a failure in CI (the environment has CI=true), elsewhere a skip.
    """
    found = parts.find(part)
    if found is not None:
        return found
    message = f"the real part {part} is missing: tests/real/install-parts.sh installs it"
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(message)
    pytest.skip(message)


class Worlds(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Side by side, what shares a world stays together: a module, and all that want the machine.

    (``--dist loadgroup`` would say it with marks; with pytest 9.2 its xdist 3.8 has no effect.)
    """

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0].rpartition("/")[2]
        return "machine" if module in ("test_systemd.py", "test_recipes.py") else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return Worlds(config, log)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our wheel, built from this tree, beside those of its dependencies."""
    return build_wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="session")
def booted(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """One machine for all tests that want a systemd, with two users and the kit in /srv/kit."""
    need("systemd-nspawn")
    python = python_for_services() if os.geteuid() == 0 else None
    if python is None:
        why = "a systemd of our own needs root, and a Python of this version that lies in nobody's home"
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail(why)
        pytest.skip(why)
    with Machine(python, request.getfixturevalue("wheels")) as machine:
        machine.run("openclaw-auth-exporter", "assets", "export", "/srv/kit")
        for name in ("alice", "bob"):
            machine.run("useradd", "--create-home", "--home-dir", f"/home/{name}", "--shell", "/bin/sh", name)
            machine.run("chmod", "700", f"/home/{name}")
        yield machine


@pytest.fixture
def machine(booted: Machine) -> Iterator[Machine]:
    """The machine with the shipped system units installed and nothing of ours running, before and after."""
    booted.reset()
    booted.run("sh", "-c", "cp /srv/kit/deploy/systemd/*.service /srv/kit/deploy/systemd/*.timer /etc/systemd/system/")
    booted.systemctl("daemon-reload")
    yield booted
    booted.reset()


@pytest.fixture
def session(machine: Machine) -> Iterator[dict[str, str]]:
    """Alice's own systemd, which logind would have started; how to reach it."""
    uid = machine.run("id", "-u", "alice").stdout.strip()
    runtime = f"/run/user/{uid}"
    machine.run("install", "-d", "-o", "alice", "-g", "alice", "-m", "700", runtime)
    machine.run(
        *("systemd-run", "--quiet", "--collect", "--unit=session", "--uid=alice", "--property=Delegate=yes"),
        *(f"--setenv=XDG_RUNTIME_DIR={runtime}", "--setenv=HOME=/home/alice"),
        *("--property=KillMode=mixed", "/lib/systemd/systemd", "--user"),
    )
    reach = {"XDG_RUNTIME_DIR": runtime}

    def is_up() -> bool:
        said = machine.run("systemctl", "--user", "is-system-running", user="alice", check=False, env=reach).stdout
        return said.strip() in ("running", "degraded")

    parts.wait_for("alice's systemd is up", is_up, 30)
    yield reach
    machine.systemctl("stop", "session.service", check=False)


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    from .desk import Homes  # which stands on this module

    return Homes(tmp_path_factory.mktemp("layouts"))


MakeHome = Callable[[str], parts.OpenClawHome]
Serve = Callable[..., parts.Exporter]


@pytest.fixture
def openclaw(tmp_path: Path) -> MakeHome:
    """Makes a private home of a release, with its default model set."""

    def make(release: str) -> parts.OpenClawHome:
        need("node")
        need(f"openclaw-{release}")
        world = parts.OpenClawHome(release, tmp_path / f"openclaw-{release}")
        world.set_model()
        return world

    return make


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts ``serve`` beside a home; it must end well when the test does, unless the test ended it."""
    with ExitStack() as stack:

        def start(world: parts.OpenClawHome, **config: Any) -> parts.Exporter:
            return stack.enter_context(parts.running(parts.Exporter(world, tmp_path / "exporter", **config)))

        yield start
