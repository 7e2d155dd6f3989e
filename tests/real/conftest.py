"""Fixtures of the tests with real parts. A missing part skips the test with a hint how to install it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from . import disks, parts
from .machine import Machine, build_wheels, python_for_services

if TYPE_CHECKING:
    from .desk import Homes


def need(part: str) -> Path:
    """Return the executable of a real part: ``node``, ``openclaw-<release>``, ``claude-<version>``, ``prometheus``, …

    If it is missing, the test fails in CI (the environment has CI=true) and is skipped elsewhere.
    """
    found = parts.find(part)
    if found is not None:
        return found
    message = f"the real part {part} is missing: tests/real/install-parts.sh installs it"
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(message)
    pytest.skip(message)


class Worlds(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Distributes modules over the workers; a module stays together, and so do the modules that use the machine.

    The two longest modules are distributed by release; each release has layouts that its tests share.

    (``--dist loadgroup`` would need only marks, but xdist 3.8 ignores them with pytest 9.2.)
    """

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0].rpartition("/")[2]
        if module in ("test_closed_loop.py", "test_field.py"):
            return nodeid.partition("[")[2].partition("-")[0]
        return "machine" if module in ("test_systemd.py", "test_recipes.py", "test_deb.py") else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return Worlds(config, log)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with our wheel, built from this tree, and the wheels of its dependencies."""
    return build_wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="session")
def booted(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """One machine for all tests that need systemd, with two users and the exported assets in /srv/assets."""
    need("systemd-nspawn")
    python = python_for_services() if os.geteuid() == 0 else None
    if python is None:
        why = "booting a systemd needs root, and a Python of this version outside every home directory"
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail(why)
        pytest.skip(why)
    with Machine(python, request.getfixturevalue("wheels")) as machine:
        machine.run("openclaw-auth-exporter", "assets", "export", "/srv/assets")
        for name in ("alice", "bob"):
            machine.run("useradd", "--create-home", "--home-dir", f"/home/{name}", "--shell", "/bin/sh", name)
            machine.run("chmod", "700", f"/home/{name}")
        yield machine


@pytest.fixture
def machine(booted: Machine) -> Iterator[Machine]:
    """The machine with the shipped system units installed; nothing of ours runs before and after."""
    booted.reset()
    units = " ".join(f"/srv/assets/deploy/systemd/*.{kind}" for kind in ("service", "socket", "timer"))
    booted.run("sh", "-c", f"cp {units} /etc/systemd/system/")
    booted.systemctl("daemon-reload")
    yield booted
    booted.reset()


@pytest.fixture
def session(machine: Machine) -> Iterator[dict[str, str]]:
    """Alice's user systemd, which logind would start on a real host; yields the environment to reach it."""
    uid = machine.run("id", "-u", "alice").stdout.strip()
    runtime = f"/run/user/{uid}"
    machine.run("install", "-d", "-o", "alice", "-g", "alice", "-m", "700", runtime)
    machine.run(
        *("systemd-run", "--quiet", "--collect", "--unit=session", "--uid=alice", "--property=Delegate=yes"),
        *(f"--setenv=XDG_RUNTIME_DIR={runtime}", "--setenv=HOME=/home/alice"),
        *("--property=KillMode=mixed", "/lib/systemd/systemd", "--user"),
    )
    environ = {"XDG_RUNTIME_DIR": runtime}

    def is_up() -> bool:
        state = machine.run("systemctl", "--user", "is-system-running", user="alice", check=False, env=environ).stdout
        return state.strip() in ("running", "degraded")

    parts.wait_for("alice's systemd to be up", is_up, 30)
    yield environ
    machine.systemctl("stop", "session.service", check=False)


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    from .desk import Homes  # desk imports this module

    return Homes(tmp_path_factory.mktemp("layouts"))


MakeHome = Callable[[str], parts.OpenClawHome]
Serve = Callable[..., parts.Exporter]


@pytest.fixture
def openclaw(tmp_path: Path) -> MakeHome:
    """Returns a function that makes a private home of a release, with its default model set."""

    def make(release: str) -> parts.OpenClawHome:
        need("node")
        need(f"openclaw-{release}")
        world = parts.OpenClawHome(release, tmp_path / f"openclaw-{release}")
        world.set_model()
        return world

    return make


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Returns a function that starts ``serve`` beside a home. It must exit with 0, unless the test ended it."""
    with ExitStack() as stack:

        def start(world: parts.OpenClawHome, **config: Any) -> parts.Exporter:
            return stack.enter_context(parts.running(parts.Exporter(world, tmp_path / "exporter", **config)))

        yield start


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    with disks.small(tmp_path / "disk") as disk:
        yield disk
