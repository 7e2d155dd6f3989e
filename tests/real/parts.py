"""The real parts as objects: an OpenClaw in a private home, and our daemon beside it.

Everything runs on free loopback ports below a test's folder, and is ended by process id.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
from prometheus_client.parser import text_string_to_metric_families

from exporter.lib.durations import parse_duration

RELEASES = ("2026.9.6", "2026.6.11", "2026.5.12", "2026.2.9")
CURRENT = RELEASES[0]
#: Timeout of an OpenClaw command in seconds. They take 1 to 9 on an idle machine.
COMMAND_TIMEOUT = 300.0
#: Prefix of a setup-token; the body after it is the secret part.
TOKEN_PREFIX = "sk-ant-oat01-"

T = TypeVar("T")


def folder() -> Path:
    """Return the folder where install-parts.sh puts the npm parts (by the same rule)."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(os.environ.get("OAE_REAL_PARTS") or f"{cache}/openclaw-auth-exporter/real-parts")


def find(part: str) -> Path | None:
    """Return the executable of ``node``, ``openclaw-<release>``, ``claude-<version>``, ``prometheus``, …, or None.

    For ``grafana-<version>`` and ``page-<number>``, which are libraries, return their folder. ``ntfy`` is the newest
    one, ``ntfy-2.11`` an old one. ``exporter-toolkit`` is the folder of its examples, ``schemas`` that of npm's.
    ``deploy`` is the Python with the tools for deploy/, ``container-base`` the archive of a Debian with Python.
    """
    if part == "container-base":
        return (folder() / "container-base.tar") if (folder() / "container-base.tar").exists() else None
    if part == "deploy":
        home = folder() / part
        return home / "bin/python" if (home / "installed-from").exists() else None
    if part == "schemas":
        home = folder() / part
        return home / "node_modules" if (home / ".complete").exists() else None
    if part == "exporter-toolkit":
        home = folder() / part
        source = home / "usr/share/gocode/src/github.com/prometheus/exporter-toolkit/web/testdata"
        return source if (home / ".complete").exists() else None
    if part.startswith("ntfy"):
        home = folder() / part
        return home / "usr/bin/ntfy" if (home / ".complete").exists() else None
    if part.startswith(("grafana-", "page-")):
        home = folder() / part
        return home / "node_modules" if (home / ".complete").exists() else None
    if part == "node" or part.startswith(("openclaw-", "claude-")):
        home = folder() / part
        found = home / "node_modules/.bin" / part.partition("-")[0]
        return found if (home / ".complete").exists() and found.exists() else None
    on_path = shutil.which(part)
    return Path(on_path) if on_path else None


def wait_for(what: str, poll: Callable[[], T | None], seconds: float) -> T:
    """Call ``poll`` until its result is neither None nor False, and return that. Fails after ``seconds``."""
    ends = time.monotonic() + seconds
    while True:
        found = poll()
        if found is not None and found is not False:
            return found
        if time.monotonic() > ends:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.25)


def free_port() -> int:
    """Return a loopback TCP port that was free a moment ago."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes_of(home: Path) -> dict[int, str]:
    """Return the processes of a private ``home`` (by HOME in their environment): process id → command line."""
    mark = f"HOME={home}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment, command = (entry / "environ").read_bytes(), (entry / "cmdline").read_bytes()
        except OSError:  # the process ended meanwhile, or is not ours
            continue
        if mark in environment.split(b"\0"):
            found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found


class OpenClawHome:
    """One OpenClaw release in a private home, set up by its own commands where it has them."""

    def __init__(self, release: str, tmp_path: Path) -> None:
        command, node = find(f"openclaw-{release}"), find("node")
        assert command is not None, f"openclaw {release} is not installed"
        assert node is not None, "node is not installed"
        self.release = release
        self.version = tuple(map(int, release.split(".")))
        self.command = command
        self.home = tmp_path / "home"
        self.home.mkdir(parents=True)
        # Node and OpenClaw keep compiled code there. Without it, 2026.2.9 takes 22 s of CPU to start.
        temporary = folder() / f"openclaw-{release}" / "tmp"
        temporary.mkdir(exist_ok=True)
        # A new environment, not a copy: no *_API_KEY or other variable of ours gets in.
        self.env = {
            "HOME": str(self.home),
            "TMPDIR": str(temporary),
            "PATH": f"{node.parent}:/usr/local/bin:/usr/bin:/bin",
            "NO_COLOR": "1",
            "npm_config_fetch_retries": "0",  # for a plugin that is not there, doctor --fix asks npm for minutes
        }

    @property
    def state(self) -> Path:
        return self.home / ".openclaw"

    def run(self, *args: str, input: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``openclaw ARGS``. With ``check``, a non-zero exit code fails the test."""
        finished = subprocess.run(
            [self.command, *args],
            env=self.env,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )
        if check:
            assert finished.returncode == 0, f"openclaw {' '.join(args)}: {finished.stdout}{finished.stderr}"
        return finished

    def set_model(self) -> None:
        """Set the default model, so that anthropic is in use."""
        model = "claude-opus-5" if self.version >= (2026, 7) else "claude-opus-4-6"
        self.run("models", "set", f"anthropic/{model}")

    def paste_token(
        self, profile: str, expires_in: str | None = None, *, token: str | None = None, agent: str | None = None
    ) -> None:
        """Run ``openclaw models auth paste-token`` with the token on standard input.

        The prompts before 2026.6 read keys and need the Enter key's \\r. 2026.2 pastes for the main agent only, so for
        another agent this method writes the file in the same format.
        """
        secret = token or TOKEN_PREFIX + "A" * 80
        if agent and self.version < (2026, 3):
            path = self.state / "agents" / agent / "agent/auth-profiles.json"
            until = {"expires": int((time.time() + parse_duration(expires_in)) * 1000)} if expires_in else {}
            pasted = {profile: {"type": "token", "provider": "anthropic", "token": secret, **until}}
            _replace_json(path, {"version": 1, "profiles": {**self.stored_profiles(agent), **pasted}})
            return
        enter = "\n" if self.version >= (2026, 6) else "\r"
        owner = ["--agent", agent] if agent else []
        options = ["--expires-in", expires_in] if expires_in else []
        where = ["--provider", "anthropic", "--profile-id", profile, *options]
        self.run("models", "auth", *owner, "paste-token", *where, input=secret + enter)
        assert profile in self.stored_profiles(agent), f"paste-token left no {profile}"

    def set_order(self, *profiles: str) -> None:
        """Run ``openclaw models auth order set`` for the main agent's anthropic."""
        self.run("models", "auth", "order", "set", "--agent", "main", "--provider", "anthropic", *profiles)

    def add_agent(self, name: str) -> None:
        """Run ``openclaw agents add``. The agent inherits main's profiles; 2026.2 copies them at first use."""
        self.run("agents", "add", name, "--non-interactive", "--workspace", str(self.home / f"workspace-{name}"))

    def status(self, agent: str = "main") -> tuple[int, dict[str, Any]]:
        """Return exit code and JSON of ``openclaw models status --json --check``."""
        finished = self.run("models", "status", "--json", "--check", "--agent", agent, check=False)
        return finished.returncode, json.loads(finished.stdout[finished.stdout.index("{") :])

    # --- the stores ------------------------------------------------------------------------------

    def stored_profiles(self, agent: str | None = None) -> dict[str, Any]:
        """Return the profiles in the agent's own store, or in the shared one."""
        profiles: dict[str, Any] = {}
        for _, table, _, text in self._rows(agent or "main"):
            if table == "store":
                profiles |= json.loads(text)["profiles"]
        return profiles

    def write_store(
        self,
        profiles: Mapping[str, Mapping[str, Any]],
        usage: Mapping[str, Mapping[str, Any]] | None = None,
        order: Mapping[str, Sequence[str]] | None = None,
        config_auth: bool = True,
    ) -> None:
        """Replace the main agent's profiles, usageStats and order, in the layout of this release.

        ``config_auth`` also names the profiles in ``auth.profiles`` of the configuration, as pasting does.
        """
        store = {"version": 1, "profiles": profiles}
        state: dict[str, Any] = {"version": 1}
        if usage:
            state["usageStats"] = usage
        if order:
            state["order"] = order
        rows = self._rows("main")
        if not rows:
            self.paste_token("anthropic:default")  # creates the layout
            rows = self._rows("main")
        shared = any(path.parent.name == "state" for path, table, _, _ in rows if table == "store")
        for path in {path for path, _, _, _ in rows}:
            if path.suffix == ".json":
                _replace_json(path, {**store, **state})
                if self.version >= (2026, 4):  # which keeps the state in a file of its own
                    _replace_json(path.with_name("auth-state.json"), state)
            elif path.parent.name == "state":
                self._write_rows(path, "config_machine_state", "authProfiles.", store, state)
            else:
                own = {"version": 1, "profiles": {}} if shared else store
                self._write_rows(path, "auth_profile", "primary", own, state)
        if config_auth:
            path = self.state / "openclaw.json"
            config = json.loads(path.read_text())
            config.setdefault("auth", {})["profiles"] = {
                name: {"provider": profile["provider"], "mode": profile["type"]} for name, profile in profiles.items()
            }
            _replace_json(path, config)

    def write_agent_store(
        self, agent: str, profiles: Mapping[str, Mapping[str, Any]], usage: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Replace the profiles and usageStats of an agent's own store, whose layout exists from 2026.6 on."""
        store, state = {"version": 1, "profiles": profiles}, {"version": 1, "usageStats": usage}
        own = self.state / "agents" / agent / "agent"
        if self.version >= (2026, 6):
            self._write_rows(own / "openclaw-agent.sqlite", "auth_profile", "primary", store, state)
            return
        own.mkdir(parents=True, exist_ok=True)
        _replace_json(own / "auth-profiles.json", {**store, **state})
        if self.version >= (2026, 4):
            _replace_json(own / "auth-state.json", state)

    def write_usage(self, usage: Mapping[str, Mapping[str, Any]]) -> None:
        """Replace only usageStats, as a gateway does after each request."""
        self.write_store(self.stored_profiles(), usage, config_auth=False)

    def _rows(self, agent: str) -> list[tuple[Path, str, str, str]]:
        """Return (file, ``store`` or ``state``, key, JSON) of each existing store, the shared one first."""
        own = self.state / "agents" / agent / "agent"
        found = []
        if (own / "auth-profiles.json").exists():
            found.append((own / "auth-profiles.json", "store", "", (own / "auth-profiles.json").read_text()))
        tables = {
            self.state / "state/openclaw.sqlite": {
                "store": "SELECT state_key, value_json FROM config_machine_state WHERE state_key='authProfiles.store'",
                "state": "SELECT state_key, value_json FROM config_machine_state WHERE state_key='authProfiles.state'",
            },
            own / "openclaw-agent.sqlite": {
                "store": "SELECT store_key, store_json FROM auth_profile_store",
                "state": "SELECT state_key, state_json FROM auth_profile_state",
            },
        }
        for path, queries in tables.items():
            if not path.exists():
                continue
            with closing(sqlite3.connect(path, timeout=10)) as database:
                for table, query in queries.items():
                    try:
                        found += [(path, table, key, text) for key, text in database.execute(query)]
                    except sqlite3.OperationalError as error:
                        if "no such table" not in str(error):
                            raise
        return found

    @staticmethod
    def _write_rows(path: Path, table: str, key: str, store: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        now = int(time.time() * 1000)
        rows = {"store": store, "state": state}
        with closing(sqlite3.connect(path, timeout=10)) as database, database:
            for which, value in rows.items():
                name = table if table == "config_machine_state" else f"{table}_{which}"
                row_key = f"{key}{which}" if table == "config_machine_state" else key
                database.execute(f"INSERT OR REPLACE INTO {name} VALUES (?, ?, ?)", (row_key, json.dumps(value), now))


def _replace_json(path: Path, value: Mapping[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(value, indent=2))
    fresh.chmod(0o600)
    fresh.replace(path)


class Exporter:
    """openclaw-auth-exporter beside an OpenClaw home: its commands and its daemon."""

    def __init__(self, world: OpenClawHome, directory: Path, **config: Any) -> None:
        self.world = world
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.state_dir = directory / "state"
        self.port = free_port()
        self.config_file = directory / "config.json5"
        self.config = {
            "targets": [{"name": "home", "source": "openclaw", "command": [str(world.command)]}],
            "state_dir": str(self.state_dir),
            "web": {"listen": f"127.0.0.1:{self.port}"},
            **config,
        }
        self.config_file.write_text(json.dumps(self.config))
        self.log = directory / "log"
        self.url = f"http://127.0.0.1:{self.port}"
        self.daemon: subprocess.Popen[bytes] | None = None

    def give_web_token(self, token: str) -> None:
        """Give the daemon and ``reauth`` the token for requests that change something."""
        self.config["web"] = {**self.config["web"], "token": token}
        self.config_file.write_text(json.dumps(self.config))

    def _argv(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "exporter.cli", *args, "--config", str(self.config_file)]

    def run(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run one command."""
        return subprocess.run(
            self._argv(*args),
            env={**self.world.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )

    def check(self, *args: str) -> tuple[int, dict[str, Any]]:
        """Return exit code and JSON of ``check --json``, which must agree."""
        finished = self.run("check", "--json", *args)
        assert finished.returncode in (0, 1, 2), finished.stderr
        result = json.loads(finished.stdout)
        assert result["exit_code"] == finished.returncode
        assert isinstance(result, dict)
        return finished.returncode, result

    # --- the daemon ------------------------------------------------------------------------------

    def start(self) -> None:
        """Start ``serve`` and wait until it is ready."""
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(
                self._argv("serve"), env=self.world.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_for(f"serve to be ready; its log:\n{self.log.read_text()}", self._is_ready, 30)

    def _is_ready(self) -> bool:
        assert self.daemon is not None
        assert self.daemon.poll() is None, f"serve ended at once:\n{self.log.read_text()}"
        try:
            return httpx.get(f"{self.url}/-/ready", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def send(self, number: signal.Signals) -> None:
        assert self.daemon is not None
        self.daemon.send_signal(number)

    def stop(self) -> int:
        """Send SIGTERM and return the exit code. No process may be left."""
        self.send(signal.SIGTERM)
        assert self.daemon is not None
        code = self.daemon.wait(timeout=30)
        try:
            wait_for("all processes to end", lambda: not processes_of(self.world.home), 5)
        except AssertionError:
            raise AssertionError(f"still running after serve ended: {processes_of(self.world.home)}") from None
        return code

    def end(self) -> None:
        """Kill everything that is left; called by the fixture."""
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait()
        for pid in processes_of(self.world.home):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def get(self, path: str) -> str:
        answer = httpx.get(f"{self.url}{path}", trust_env=False)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.text

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Return the samples of /metrics by name and labels. No series may occur twice."""
        found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for family in text_string_to_metric_families(self.get("/metrics")):
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in found, f"twice in /metrics: {key}"
                found[key] = sample.value
        return found

    def value(self, name: str, **labels: str) -> float | None:
        """Return the only sample of ``openclaw_auth_NAME`` with these labels, or None."""
        full = f"openclaw_auth_{name}"
        found = [
            value for (n, have), value in self.samples().items() if n == full and labels.items() <= dict(have).items()
        ]
        assert len(found) <= 1, f"{len(found)} samples of {full} with {labels}"
        return found[0] if found else None

    def wait_for_check(self, checks: int = 1) -> None:
        """Wait until the main agent has been checked ``checks`` times."""
        wait_for(
            f"{checks} checks of home/main; log:\n{self.log.read_text()}",
            lambda: (self.value("checks_total", target="home", agent="main") or 0) >= checks,
            60,
        )


@contextmanager
def running(exporter: Exporter) -> Iterator[Exporter]:
    """Run the daemon during a ``with``. It must exit with 0 and leave nothing running."""
    try:
        exporter.start()
        yield exporter
        assert exporter.stop() == 0, exporter.log.read_text()
    finally:
        exporter.end()
