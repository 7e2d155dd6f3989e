"""A remote host: a real sshd on loopback, and the ssh configuration to connect to it."""

from __future__ import annotations

import getpass
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from exporter.config import OpenClawTarget
from exporter.sources import InMemorySourceCache, SourceContext
from exporter.sources.openclaw.source import OpenClawSource

from .parts import free_port


@dataclass
class Box:
    """A remote host as the tests use it."""

    folder: Path
    runtime: Path  # short enough for socket paths; its name identifies our shared connections

    def source(self, destination: str = "box", **config: object) -> OpenClawSource:
        # ssh reads the configuration of the user, not the one in HOME, so a wrapper on PATH names ours.
        context = SourceContext(
            keyed_hash=lambda text: hashlib.sha256(text.encode()).hexdigest(),
            cache=InMemorySourceCache(time.time),
            environ={"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "XDG_RUNTIME_DIR": str(self.runtime)},
        )
        target = {"source": "openclaw", "ssh": destination, "command": [f"{self.folder}/remote/open claw"], **config}
        return OpenClawSource(OpenClawTarget.model_validate(target), context)

    def processes(self) -> str:
        return subprocess.run(["ps", "-ww", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout


def sshd() -> str:
    """Return the path of sshd; install it from the distribution if it is missing and we are root."""
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


@contextmanager
def opened(folder: Path, settings: str = "") -> Iterator[Box]:
    """Yield a running Box. ``settings`` are extra lines of its sshd_config."""
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
        f"PermitRootLogin prohibit-password\nKbdInteractiveAuthentication no\n{settings}"
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
    (folder / "bin").mkdir()
    (folder / "bin/ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F "{folder}/ssh_config" "$@"\n')
    (folder / "bin/ssh").chmod(0o755)
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
