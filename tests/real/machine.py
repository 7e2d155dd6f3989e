"""A temporary machine with a real systemd as PID 1, which has our wheel installed and not the repository.

``boot-machine.sh`` creates it from this machine's file system; nsenter runs commands in it. The program has only its
locked dependencies there: neither the tests' libraries nor a network.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pip

from exporter.simulator.world import World

from .parts import folder as parts_folder
from .parts import wait_for

ROOT = Path(__file__).parent.parent.parent
HOME = "/opt/openclaw-auth-exporter"
PROGRAM = f"{HOME}/bin/openclaw-auth-exporter"
PYTHON = f"{HOME}/bin/python"
#: Paths inside the machine: our wheel with its dependencies' wheels, and the pip that installs them.
WHEELS, PIP = "/opt/our-wheels", "/opt/pip"
PARTS = "/opt/real-parts"
#: Path inside the machine of the stand-ins for OpenClaw's programs.
STAND_INS = "/srv/stand_ins"
#: Home of the machine's root: that of this machine, whose file system it has.
ROOT_HOME = pwd.getpwuid(0).pw_dir
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def python_for_services() -> str | None:
    """Return a Python of our version that services without a home can run, or None."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (f"{sys.base_prefix}/bin/{version}", f"/usr/local/bin/{version}", f"/usr/bin/{version}"):
        if os.access(candidate, os.X_OK) and not os.path.realpath(candidate).startswith((f"{ROOT_HOME}/", "/home/")):
            return candidate
    return None


def build_wheels(directory: Path) -> Path:
    """Build our wheel and those of its dependencies in ``directory``, as the Containerfile's first stage does."""
    stage = (ROOT / "deploy/container/Containerfile").read_text().split("\nFROM ")[1]
    with tempfile.TemporaryDirectory() as source:
        for line in re.findall(r"^COPY (.+)$", stage, re.MULTILINE):
            *names, to = line.split()
            for name in names:
                at = Path(source, to, name if to.endswith("/") else "")
                if (ROOT / name).is_dir():
                    shutil.copytree(ROOT / name, at, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / name, at)
        pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--wheel-dir", directory)
        locked = ("--require-hashes", "-r", "requirements/runtime.txt")
        for build in (locked, ("--no-deps", "--no-build-isolation", ".")):
            subprocess.run([*pip, *build], check=True, timeout=300, cwd=source)
    directory.chmod(0o755)  # other users install from it
    return directory


class Machine:
    """A context manager that boots the machine and removes it afterwards. ``wheels``: from ``build_wheels``."""

    def __init__(self, python: str, wheels: Path) -> None:
        self._python = python
        self._wheels = wheels
        self._folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self._cgroup = f"machine-{os.getpid()}-{self._folder.name[-6:].lower().replace('_', '0')}"
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def __enter__(self) -> Machine:
        try:
            self._boot()
            self._install()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _boot(self) -> None:
        binds = [
            f"--bind-ro={self._wheels}:{WHEELS}",
            f"--bind-ro={Path(pip.__file__).parent}:{PIP}/pip",
            f"--tmpfs={ROOT}",
        ]
        if parts_folder().is_dir():
            binds.append(f"--bind-ro={parts_folder()}:{PARTS}")
        argv: list[str | Path] = ["unshare", "--mount", "--propagation", "private"]
        argv += [Path(__file__).with_name("boot-machine.sh"), self._folder, self._cgroup, *binds]
        self._log = self._folder.with_name(f"{self._folder.name}.log")
        with self._log.open("wb") as log:
            self._nspawn = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def is_up() -> bool:
            assert self._nspawn is not None
            assert self._nspawn.poll() is None, f"systemd-nspawn ended:\n{self._log.read_text(errors='replace')}"
            children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
            self._leader = int(children[0]) if children else 0
            if not self._leader:
                return False
            state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
            return state in ("running", "degraded")

        wait_for("systemd to be up", is_up, 60)

    def _install(self) -> None:
        """Install the wheel as a person would: into a virtual environment, with a link on the PATH."""
        self.install(HOME)
        self.run("ln", "-s", PROGRAM, "/usr/local/bin/openclaw-auth-exporter")
        found = self.run(PYTHON, "-c", "import exporter, sys; print(exporter.__file__, *sys.path)").stdout
        assert found.startswith(f"{HOME}/lib/")
        assert str(ROOT) not in found
        assert self.run("ls", "-A", str(ROOT)).stdout == ""

    def install(self, home: str, user: str | None = None) -> None:
        """Make a virtual environment with the wheels and nothing else."""
        self.run(self._python, "-m", "venv", "--without-pip", home, user=user)
        install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-warn-script-location")
        where = ("--no-index", "--find-links", WHEELS, "openclaw-auth-exporter")
        self.run(
            f"{home}/bin/python", *install, *where, user=user, env={"PYTHONPATH": PIP, "PIP_CONFIG_FILE": "/dev/null"}
        )

    def __exit__(self, *error: object) -> None:  # the mounts of boot-machine.sh disappear with its last process
        if self._nspawn is not None:
            self._nspawn.send_signal(signal.SIGTERM)  # asks PID 1 to power off
            try:
                self._nspawn.wait(timeout=20)
            except subprocess.TimeoutExpired:
                if self._leader:
                    os.kill(self._leader, signal.SIGKILL)
                self._nspawn.kill()
                self._nspawn.wait()
        for hierarchy in ("systemd", "unified", "."):
            at = Path("/sys/fs/cgroup") / hierarchy / self._cgroup
            if at.is_dir():
                for below, _, _ in os.walk(at, topdown=False):
                    with contextlib.suppress(OSError):
                        os.rmdir(below)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._log.unlink(missing_ok=True)

    # --- inside ----------------------------------------------------------------------------------

    def run(
        self,
        *argv: str,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        input: bytes = b"",
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root or ``user``. With ``check``, a non-zero exit code fails the test."""
        home = f"/home/{user}" if user else ROOT_HOME
        who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        words = {"PATH": PATH, "HOME": home, "LANG": "C.UTF-8", "USER": user or "root", **(env or {})}
        finished = subprocess.run(
            [
                *("nsenter", f"--target={self._leader}", "--all", "--root", "--wd"),
                *("env", "-i", *(f"{name}={value}" for name, value in words.items()), *who, *argv),
            ],
            input=input,
            capture_output=True,
            timeout=120,
            check=False,
        )
        done = subprocess.CompletedProcess(
            argv,
            finished.returncode,
            finished.stdout.decode(errors="replace"),
            finished.stderr.decode(errors="replace"),
        )
        if check:
            assert done.returncode == 0, f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def write_bytes(self, path: str, content: bytes, mode: str = "644", owner: str = "root") -> None:
        """Write a file inside, and create its parent folders."""
        self.run(
            *("sh", "-c", 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1" && chown "$3" "$1"'),
            *("sh", path, mode, owner),
            input=content,
        )

    def write(self, path: str, text: str, mode: str = "644", owner: str = "root") -> None:
        self.write_bytes(path, text.encode(), mode, owner)

    def get(self, url: str) -> str:
        """Return the body of a URL, requested from inside. An error status fails the test."""
        script = "import sys, urllib.request as u; sys.stdout.write(u.urlopen(sys.argv[1], timeout=20).read().decode())"
        return self.run(PYTHON, "-c", script, url).stdout

    def systemctl(self, *words: str, check: bool = True) -> str:
        return self.run("systemctl", *words, check=check).stdout.strip()

    def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.systemctl("show", unit, f"--property={name}", "--value")

    def drop_in(self, unit: str, text: str) -> None:
        """Write settings of a unit beside the shipped file."""
        self.write(f"/etc/systemd/system/{unit}.d/test.conf", text)
        self.systemctl("daemon-reload")

    def journal(self, unit: str) -> str:
        """Return the journal of the unit since boot, including systemd's lines about it."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", "--quiet", "--output=cat", f"--unit={unit}").stdout

    def metric(self, name: str, port: int = 10785) -> float | None:
        """Return the only sample of a metric of the daemon inside, or None."""
        text = self.get(f"http://127.0.0.1:{port}/metrics")
        found = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        assert len(found) <= 1, found
        return float(found[0]) if found else None

    def configure(self, config: object, path: str = "/etc/openclaw-auth-exporter/config.json5") -> None:
        self.write(path, json.dumps(config))

    # --- monitored programs ---------------------------------------------------------------------

    def stand_in(self, user: str, world: World) -> None:
        """Put the simulated ``openclaw`` on the PATH, with its world in the user's state folder, which it writes to."""
        self._copy_stand_ins()
        self.run("install", "-d", "-o", user, "-g", user, f"/home/{user}/.openclaw")
        self.write(f"/home/{user}/.openclaw/world.json", world.to_json(), owner=user)
        command = (
            "#!/bin/sh\n"
            'touch "$HOME/.openclaw/touched" || exit 70\n'
            f'exec {PYTHON} {STAND_INS} --world "$HOME/.openclaw/world.json" openclaw "$@"\n'
        )
        self.write("/usr/local/bin/openclaw", command, mode="755")

    def _copy_stand_ins(self) -> None:
        for file in (ROOT / "tests/stand_ins").glob("*.py"):
            self.write(f"{STAND_INS}/{file.name}", file.read_text())

    def gateway(self, world: World, token: str, address: str = "127.0.0.1") -> None:
        """Run a simulated gateway as a service at an address of the machine's loopback interface."""
        script = (
            "import sys, uvicorn\n"
            "from pathlib import Path\n"
            "from stand_ins.server import gateway_app\n"
            "from exporter.simulator.world import World\n"
            "world = World.load(Path(f'/srv/{sys.argv[1]}.json'))\n"
            "uvicorn.run(gateway_app(world, sys.argv[2]), host=sys.argv[1], port=18789, log_level='error')\n"
        )
        self._copy_stand_ins()
        self.write(f"/srv/{address}.json", world.to_json())
        self.write("/srv/gateway.py", script)
        unit = f"gateway-{address}"
        self.systemctl("stop", f"{unit}.service", check=False)
        self.run("systemd-run", "--quiet", "--collect", f"--unit={unit}", PYTHON, "/srv/gateway.py", address, token)

    def reset(self) -> None:
        """Stop, disable and remove everything of ours, with state and configuration, and empty alice's home."""
        self.run("find", "/home/alice", "-mindepth", "1", "-delete")
        units = "openclaw-auth-exporter*"
        self.systemctl("stop", units, check=False)
        self.systemctl("reset-failed", check=False)
        self.run(
            *("sh", "-c", "rm -rf $1", "sh"),
            "/etc/openclaw-auth-exporter /etc/systemd/system/openclaw-auth-exporter* "
            "/etc/systemd/system/*.wants/openclaw-auth-exporter* /var/cache/openclaw-auth-exporter* "
            "/var/lib/openclaw-auth-exporter* /var/lib/private/openclaw-auth-exporter* "
            "/var/lib/systemd/timers/*openclaw-auth-exporter*",
        )
        self.systemctl("daemon-reload")
