"""The launchd agent, the container file and the units; and the documents name files that exist."""

from __future__ import annotations

import plistlib
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from exporter import __version__
from exporter.setup import assets

ROOT = Path(__file__).parent.parent


def test_the_launchd_agent_starts_the_daemon_in_a_minimal_environment(tmp_path: Path) -> None:
    agent = plistlib.loads(assets.read("deploy/launchd/openclaw-auth-exporter.plist"))
    assert (agent["Label"], agent["RunAtLoad"], agent["KeepAlive"]) == (
        "openclaw-auth-exporter",
        True,
        {"SuccessfulExit": False},
    )
    assert agent["Umask"] == 0o077
    assert agent["HardResourceLimits"] == {"Core": 0}
    home = tmp_path / "a home"
    program = home / ".local/bin/openclaw-auth-exporter"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$$ $*" >&2\nexit 3\n')
    program.chmod(0o755)
    environ = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    started = subprocess.Popen(agent["ProgramArguments"], env=environ)
    assert started.wait(timeout=60) == 3
    # The same process id: launchd's SIGTERM reaches the daemon, not a shell around it.
    assert (home / "Library/Logs/openclaw-auth-exporter.log").read_text() == f"{started.pid} serve\n"


def test_the_container_builds_from_the_locks_and_starts_our_command() -> None:
    """Its build copies what the wheel needs and installs nothing without a hash; its health check uses our route."""
    text = assets.read("deploy/container/Containerfile").decode()
    copied = [name for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for name in line.split()[:-1]]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {"requirements", "pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    assert set(copied) == wanted | set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"])
    assert [name for name in copied if not (ROOT / name).exists()] == []
    installs = re.findall(r"-m pip (?:install|wheel) (.+)$", text, re.MULTILINE)
    assert len(installs) == 4
    assert [call for call in installs if not re.search("--require-hashes|--no-deps|--no-index", call)] == []
    (entry,) = re.findall(r'^ENTRYPOINT \["(.+)"\]$', text, re.MULTILINE)
    assert [entry] == list(project["project"]["scripts"])
    (health,) = re.findall(r'^    CMD \["python", "-c", "(.+)"\]$', text, re.MULTILINE)
    compile(health, "HEALTHCHECK", "exec")
    assert "'http://127.0.0.1:10785/-/healthy'" in health


@pytest.mark.parametrize("document", ["docs/install.md", "docs/recipes.md", "docs/runbook.md", "README.md"])
def test_files_named_in_documents_are_shipped(document: str) -> None:
    text = (ROOT / document).read_text()
    named = set(re.findall(r"\b(?:deploy|dashboards|scripts/termux)/[\w./@-]*[\w@]", text))
    assert named
    shipped = assets.names()
    assert not {name for name in named if not any(f"{known}/".startswith(f"{name}/") for known in shipped)}


def test_every_system_unit_is_in_the_document() -> None:
    text = (ROOT / "docs/install.md").read_text()
    units = {path.stem for path in (ROOT / "deploy/systemd").glob("*.service")}
    assert {unit for unit in units if unit.rstrip("@") not in text} == set()


def test_check_units_have_the_sandbox_of_their_daemon() -> None:
    """A check does the same work as the daemon, so it needs the same rights."""

    def sandbox(name: str) -> list[str]:
        lines = assets.read(f"deploy/systemd/{name}").decode().splitlines()
        begin = next(
            i for i, line in enumerate(lines) if line.startswith(("DynamicUser=", "User=", "Environment=PATH="))
        )
        return [line for line in lines[begin:] if "=" in line and not line.startswith(("#", "WantedBy="))]

    for tail in (".service", "@.service"):
        assert sandbox(f"openclaw-auth-exporter{tail}") == sandbox(f"openclaw-auth-exporter-check{tail}")
    assert sandbox("user/openclaw-auth-exporter.service") == sandbox("user/openclaw-auth-exporter-check.service")
    assert len(sandbox("openclaw-auth-exporter.service")) > 30


def test_no_unit_runs_with_a_path_of_this_machine() -> None:
    for name in assets.names():
        if name.startswith("deploy/systemd/"):
            for line in assets.read(name).decode().splitlines():
                if line.startswith("Exec"):
                    assert re.match(r"Exec\w+=(openclaw-auth-exporter|%h/\.local/bin/|/bin/kill |/bin/sh )", line), line


def test_the_chart_and_the_debian_package_have_the_exporter_s_version() -> None:
    chart = yaml.safe_load(assets.read("deploy/helm/openclaw-auth-exporter/Chart.yaml"))
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
    (read,) = re.findall(r"^VERSION=\$\((.+)\)$", (ROOT / "scripts/deb").read_text(), re.MULTILINE)
    asked = subprocess.run(["sh", "-c", read], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True)
    assert asked.stdout == f"{__version__}\n"
