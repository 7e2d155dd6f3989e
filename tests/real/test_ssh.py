"""The openclaw source over a real sshd on loopback: answers, refusals, timeouts, and nothing left behind."""

from __future__ import annotations

import asyncio
import getpass
import hashlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from captured import verdict

from exporter.config import OpenClawTarget, StoreTarget
from exporter.model import LookError, Reason
from exporter.sources import BlankNotebook, Context
from exporter.sources.openclaw import OpenClawSource
from exporter.sources.store import StoreSource

from .conftest import MakeHome
from .parts import CURRENT

pytestmark = pytest.mark.real

SECRET = "PLANTED-SECRET-0123456789abcdef"
CAPTURE = json.loads((Path(__file__).parent.parent / "captures/openclaw-2026.9.6/token_ok_30d.json").read_text())

OPENCLAW = """#!/bin/sh
[ "$1" = --version ] && {{ echo "OpenClaw 2026.9.6 (eb377ac)"; exit; }}
printf '%s\\0' "$@" "$OPENCLAW_STATE_DIR" "$KEY" >"{folder}/seen"
case "$*" in
  *hang*) trap '' TERM; sleep 600 & echo "$$ $!" >"{folder}/pids"; while :; do sleep 600; done;;
esac
cat "{folder}/out"; exit 2
"""


@dataclass
class Box:
    folder: Path
    runtime: Path  # short, for sockets; its name tells our shared connections from anybody else's

    def source(self, destination: str = "box", **config: object) -> OpenClawSource:
        # ssh reads the configuration of the user, not of HOME: ours comes in by a wrapper on PATH.
        context = Context(
            keyed_hash=lambda text: hashlib.sha256(text.encode()).hexdigest(),
            notebook=BlankNotebook(time.time),
            environ={"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "XDG_RUNTIME_DIR": str(self.runtime)},
        )
        target = {"source": "openclaw", "ssh": destination, "command": [f"{self.folder}/remote/open claw"], **config}
        return OpenClawSource(OpenClawTarget.model_validate(target), context)

    def processes(self) -> str:
        return subprocess.run(["ps", "-ww", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def sshd() -> str:
    """The server's path; installed from the distribution where it is missing and we may."""
    found = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    if not found and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "-y", "--no-install-recommends", "openssh-server"]
        subprocess.run(["apt-get", "update"], check=False, capture_output=True)
        subprocess.run(
            install, check=True, capture_output=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        )
        found = shutil.which("sshd", path="/usr/sbin")
    assert found, "this test needs OpenSSH's sshd (openssh-server)"
    return found


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("box")
    folder.chmod(0o755)
    server = sshd()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd refuses to start without it
    for key in ("host", "id", "stranger"):
        subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", folder / key], check=True)
    port = free_port()
    (folder / "authorized").write_text((folder / "id.pub").read_text())
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/authorized\nPasswordAuthentication no\nUsePAM no\n"
        "PermitRootLogin prohibit-password\nKbdInteractiveAuthentication no\n"
    )
    key_type, key = (folder / "host.pub").read_text().split()[:2]
    (folder / "known").write_text(f"[127.0.0.1]:{port} {key_type} {key}\n")
    (folder / "unknown").write_text("")
    (folder / "ssh_config").write_text(
        f"Host nobody\n  Port {free_port()}\nHost unknown\n  UserKnownHostsFile {folder}/unknown\n"
        f"Host stranger\n  IdentityFile {folder}/stranger\nHost * !stranger\n  IdentityFile {folder}/id\n"
        f"Host *\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n  IdentitiesOnly yes\n"
        f"  IdentityAgent none\n  UserKnownHostsFile {folder}/known\n  GlobalKnownHostsFile /dev/null\n"
        "  StrictHostKeyChecking yes\n"
    )
    (folder / "remote").mkdir()
    (folder / "out").write_text(CAPTURE["stdout"])
    (folder / "bin").mkdir()
    files = {"remote/open claw": OPENCLAW.format(folder=folder)}
    files["bin/ssh"] = f'#!/bin/sh\nexec {shutil.which("ssh")} -F "{folder}/ssh_config" "$@"\n'
    for name, body in files.items():
        (folder / name).write_text(body)
        (folder / name).chmod(0o755)
    log = (folder / "log").open("wb")
    process = subprocess.Popen([server, "-D", "-e", "-f", folder / "sshd_config"], stderr=log)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        runtime = Path(tempfile.mkdtemp(prefix="b-", dir="/tmp"))
        yield Box(folder, runtime)
        assert list(runtime.iterdir()) == []
        runtime.rmdir()
    finally:
        process.terminate()
        process.wait()
        log.close()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


async def test_a_look(box: Box) -> None:
    (box.folder / "env").write_text(f"KEY={SECRET}\n")
    hostile = "it's \\'; $(touch x) `touch y` \n\"é"
    source = box.source(env_file=str(box.folder / "env"), state_dir="/st ate")
    try:
        observation = await source.look(hostile)
        assert [profile.id for profile in observation.profiles] == ["anthropic:default"]
        assert (observation.openclaw_exit_code, observation.openclaw_version) == (2, "2026.9.6")
        seen = (box.folder / "seen").read_text().split("\0")
        assert seen[:-1] == ["models", "status", "--json", "--check", "--agent", hostile, "/st ate", SECRET]
        assert str(box.runtime) in box.processes()  # the connection is kept for the next look
    finally:
        await source.aclose()
    assert str(box.runtime) not in box.processes()


async def test_the_values_of_the_env_file_are_in_no_command_line(box: Box) -> None:
    (box.folder / "env").write_text(f"KEY={SECRET}\n")
    (box.folder / "pids").unlink(missing_ok=True)
    source = box.source(env_file=str(box.folder / "env"))
    looking = asyncio.create_task(source.look("hang"))
    try:
        async with asyncio.timeout(60):
            while not (box.folder / "pids").exists():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        processes = box.processes()
        assert str(box.folder / "env") in processes
        assert SECRET not in processes
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await source.aclose()


@pytest.mark.parametrize("how", ["timeout", "cancelled", "connection killed"])
async def test_nothing_is_left_on_the_remote_host(box: Box, how: str) -> None:
    (box.folder / "pids").unlink(missing_ok=True)
    source = box.source(timeout="5s" if how == "timeout" else "600s")
    looking = asyncio.create_task(source.look("hang"))
    async with asyncio.timeout(60):
        while not (box.folder / "pids").exists() or not (box.folder / "pids").read_text().strip():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    pids = [int(word) for word in (box.folder / "pids").read_text().split()]
    if how == "cancelled":
        looking.cancel()
    if how == "connection killed":
        lines = [line for line in box.processes().splitlines() if f"ssh: {box.runtime}" in line]
        for line in lines:
            os.kill(int(line.split()[0]), 9)
        assert lines
    [outcome] = await asyncio.gather(looking, return_exceptions=True)
    expected = {"timeout": Reason.TIMEOUT, "connection killed": Reason.CONNECTION}.get(how)
    assert isinstance(outcome, asyncio.CancelledError) if expected is None else isinstance(outcome, LookError)
    assert expected is None or (isinstance(outcome, LookError) and outcome.reason is expected)
    async with asyncio.timeout(30):
        while any(map(alive, pids)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        while f"{box.folder}/remote" in box.processes():  # noqa: ASYNC110 - the guards over there
            await asyncio.sleep(0.05)
    await source.aclose()


@pytest.mark.parametrize(
    ("destination", "reason"),
    [("nobody", Reason.CONNECTION), ("unknown", Reason.CONNECTION), ("stranger", Reason.UNAUTHORIZED)],
)
async def test_what_ssh_says_has_its_reason(box: Box, destination: str, reason: Reason) -> None:
    source = box.source(destination)
    with pytest.raises(LookError) as caught:
        await source.look("main")
    await source.aclose()
    assert caught.value.reason is reason


async def test_a_command_that_is_not_there(box: Box) -> None:
    source = box.source(command=["no-such-openclaw"])
    with pytest.raises(LookError) as caught:
        await source.look("main")
    await source.aclose()
    assert caught.value.reason is Reason.COMMAND_NOT_FOUND


async def test_the_real_openclaw_over_ssh_is_the_one_here(box: Box, openclaw: MakeHome) -> None:
    """The same home seen by the command, over ssh and by the store: one verdict."""
    world = openclaw(CURRENT)
    world.paste_token("anthropic:default", "12h")
    remote = ["env", *(f"{name}={value}" for name, value in world.env.items()), str(world.command)]
    over_ssh = box.source(command=remote)
    context = Context(keyed_hash=lambda text: text[::-1], environ=world.env)
    here = OpenClawSource(
        OpenClawTarget.model_validate({"source": "openclaw", "command": [str(world.command)]}), context
    )
    store = StoreSource(StoreTarget.model_validate({"source": "store", "state_dir": str(world.state)}), context)
    told = []
    try:
        for source in (here, over_ssh, store):
            assert await source.agents() == ["main"]
            report = verdict(await source.look("main"))
            (profile,) = report.profiles
            said = {(c.name, c.severity, c.provider, c.profile) for c in report.conditions}
            told.append((report.exit_code, said, profile.status, profile.expires_at, profile.basis))
    finally:
        await over_ssh.aclose()
    assert told[0][0] == 2
    assert told[1] == told[0]
    assert told[2] == told[0]
