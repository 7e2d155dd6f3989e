"""A real systemd as PID 1 of a throw-away machine that has our wheel installed and not the repository.

``boot-machine.sh`` makes it out of this machine's own file system; commands get in through nsenter. Our program
has the wheels that pip chose for it there and nothing else: neither the tests' libraries nor a network.
"""

from __future__ import annotations

import contextlib
import json
import os
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
#: Our wheel and its dependencies', and the pip that installs them, seen inside.
WHEELS, PIP = "/opt/our-wheels", "/opt/pip"
PARTS = "/opt/real-parts"
#: The stand-ins for OpenClaw's programs, copied into the machine.
STAND_INS = "/srv/stand_ins"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def python_for_services() -> str | None:
    """A Python of our version that services without a home can run; None where there is none."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (f"{sys.base_prefix}/bin/{version}", f"/usr/local/bin/{version}", f"/usr/bin/{version}"):
        if os.access(candidate, os.X_OK) and not os.path.realpath(candidate).startswith(("/root/", "/home/")):
            return candidate
    return None


def build_wheels(directory: Path) -> Path:
    """Build our wheel and its dependencies' in ``directory``, as the Containerfile's first stage does."""
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
    directory.chmod(0o755)  # whoever installs them there reads them
    return directory


class Machine:
    """Use it in a ``with``: booted inside, gone afterwards. ``wheels`` is what ``build_wheels`` made."""

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

        wait_for("systemd is up", is_up, 60)

    def _install(self) -> None:
        """The wheel, as a person would: a virtual environment, and a link on the PATH."""
        self.install(HOME)
        self.run("ln", "-s", PROGRAM, "/usr/local/bin/openclaw-auth-exporter")
        found = self.run(PYTHON, "-c", "import exporter, sys; print(exporter.__file__, *sys.path)").stdout
        assert found.startswith(f"{HOME}/lib/")
        assert str(ROOT) not in found
        assert self.run("ls", "-A", str(ROOT)).stdout == ""

    def install(self, home: str, user: str | None = None) -> None:
        """A virtual environment with the wheels and nothing else."""
        self.run(self._python, "-m", "venv", "--without-pip", home, user=user)
        install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-warn-script-location")
        where = ("--no-index", "--find-links", WHEELS, "openclaw-auth-exporter")
        self.run(
            f"{home}/bin/python", *install, *where, user=user, env={"PYTHONPATH": PIP, "PIP_CONFIG_FILE": "/dev/null"}
        )

    def __exit__(self, *error: object) -> None:  # what boot-machine.sh mounted goes with its last process
        if self._nspawn is not None:
            self._nspawn.send_signal(signal.SIGTERM)  # it asks PID 1 to power off
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
        """A command inside, as root or ``user``, to its end; with ``check`` a non-zero exit code fails the test."""
        home = f"/home/{user}" if user else "/root"
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
        """A file inside, with the folders above it."""
        self.run(
            *("sh", "-c", 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1" && chown "$3" "$1"'),
            *("sh", path, mode, owner),
            input=content,
        )

    def write(self, path: str, text: str, mode: str = "644", owner: str = "root") -> None:
        self.write_bytes(path, text.encode(), mode, owner)

    def get(self, url: str) -> str:
        """The body of a URL inside; an error status fails the test."""
        script = "import sys, urllib.request as u; sys.stdout.write(u.urlopen(sys.argv[1], timeout=20).read().decode())"
        return self.run(PYTHON, "-c", script, url).stdout

    def systemctl(self, *words: str, check: bool = True) -> str:
        return self.run("systemctl", *words, check=check).stdout.strip()

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.systemctl("show", unit, f"--property={name}", "--value")

    def drop_in(self, unit: str, text: str) -> None:
        """Settings for a unit, beside the shipped file."""
        self.write(f"/etc/systemd/system/{unit}.d/test.conf", text)
        self.systemctl("daemon-reload")

    def journal(self, unit: str) -> str:
        """What the unit and systemd about it wrote, since boot."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", "--quiet", "--output=cat", f"--unit={unit}").stdout

    def metric(self, name: str, port: int = 10785) -> float | None:
        """The one sample of a metric of the daemon inside; None while there is none."""
        text = self.get(f"http://127.0.0.1:{port}/metrics")
        found = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        assert len(found) <= 1, found
        return float(found[0]) if found else None

    def configure(self, config: object, path: str = "/etc/openclaw-auth-exporter/config.json5") -> None:
        self.write(path, json.dumps(config))

    # --- what is watched there ---------------------------------------------------------------------

    def stand_in(self, user: str, world: World) -> None:
        """The simulator's ``openclaw`` on the PATH, over a world in the user's state folder, which it writes to."""
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
        """A simulated gateway at an address of the machine's loopback interface, as a service of its own."""
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
        """Nothing of ours runs, is enabled, has state or is configured any more; alice's home is empty."""
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
