"""The container, built and run by podman: it is ready and healthy, writes only where it may, and ends when asked.

Its base is a Debian 12 under the name of the Containerfile's image, because no registry with images is needed here.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import need
from .machine import ROOT
from .parts import wait_for

pytestmark = pytest.mark.real

BASE = "docker.io/library/python:3.13-slim"
IMAGE = "openclaw-auth-exporter"
#: As docs/install.md runs it, but without a network.
OPTIONS = ("--init", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=none")
STATE = "/var/lib/openclaw-auth-exporter"


class Podman:
    """podman with a storage of its own."""

    def __init__(self, folder: Path) -> None:
        self._words = [str(need("podman")), "--root", str(folder / "s"), "--runroot", str(folder / "r")]
        self._words += ["--runtime", str(need("runc"))]  # crun refuses the cgroups of some machines
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        # podman's own defaults are more than this machine may allow.
        self.limits = (f"--ulimit=nofile={files}:{files}", "--ulimit=nproc=1000:1000")

    def __call__(
        self, *words: str | Path, check: bool = True, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self._words, *words], capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT
        )
        if check:
            assert done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def start(self, *words: str | Path) -> str:
        """Start a container of our image and return its id."""
        return self("run", "--detach", "--pull=never", *self.limits, *OPTIONS, *words).stdout.strip()

    def get(self, container: str, path: str) -> str:
        script = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:10785{path}').read().decode(), end='')"
        return self("exec", container, "python", "-c", script, check=False).stdout

    def stop(self, container: str) -> int:
        """The exit code of a container that SIGTERM ends; 137 if it has to be killed."""
        self("stop", "--time=20", container)
        code = self("inspect", "--format={{.State.ExitCode}}", container).stdout
        self("rm", "--force", "--volumes", container)
        return int(code)


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    base = need("container-base")
    folder = Path(tempfile.mkdtemp(prefix="pod"))  # podman allows only short paths
    podman = Podman(folder)
    try:
        podman("import", base, BASE, timeout=300)
        options = ("--format=docker", "--pull=never", "--network=host", *podman.limits)
        podman("build", *options, "--file", "deploy/container/Containerfile", "--tag", IMAGE, ".", timeout=600)
        yield podman
    finally:
        podman("rm", "--all", "--force", check=False)
        podman("unmount", "--all", check=False)
        subprocess.run(["umount", "--quiet", folder / "s/overlay"], check=False)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.json5"
    file.write_text(json.dumps({"targets": [{"name": "home", "source": "simulated"}], "web": {"listen": ":10785"}}))
    for path in (file, *file.parents):
        if path.owner() == "root" and path.is_relative_to("/tmp") and path != Path("/tmp"):  # noqa: S108 - above tmp_path
            path.chmod(0o755)
    return file


def test_ready_healthy_read_only_and_ended_by_sigterm(podman: Podman, config: Path) -> None:
    where = f"{config}:/etc/openclaw-auth-exporter/config.json5:ro"
    container = podman.start("--volume", f"state:{STATE}", "--volume", where, IMAGE)
    wait_for("readiness", lambda: podman.get(container, "/-/ready") == "Ready.\n", 60)
    assert podman("healthcheck", "run", container, check=False).returncode == 0
    assert podman("exec", container, "id", "-u").stdout == "65532\n"
    for path, is_writable in ((STATE, True), ("/tmp", True), ("/etc", False), ("/usr", False)):  # noqa: S108 - in the container
        assert (podman("exec", container, "touch", f"{path}/x", check=False).returncode == 0) == is_writable, path
    assert podman("exec", container, IMAGE, "check", "--line").stdout == "OK\n"
    assert podman.stop(container) == 0


def test_an_unhealthy_container_is_noticed(podman: Podman, config: Path) -> None:
    where = f"{config}:/etc/openclaw-auth-exporter/config.json5:ro"
    container = podman.start("--volume", where, IMAGE, "serve", "--web.listen-address=127.0.0.1:10786")
    wait_for("the start", lambda: "listening on" in podman("logs", container).stderr, 60)
    assert podman("healthcheck", "run", container, check=False).returncode == 1
    assert podman.stop(container) == 0


def test_the_demo_runs(podman: Podman) -> None:
    container = podman.start(IMAGE, "demo")
    wait_for("profiles", lambda: podman.get(container, "/metrics").count("openclaw_auth_profile_info{") > 3, 60)
    assert podman.stop(container) == 0
