"""A person at a desk who runs ``reauth``: OpenClaw homes with failing credentials, stand-ins for programs that call the
providers' servers, and a search for leaked secrets.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reauth.typist import Typist

from .conftest import need
from .parts import RELEASES, TOKEN_PREFIX, Exporter, OpenClawHome

CURRENT, MIDDLE, EARLY, OLDEST = RELEASES
DAY = 86400.0
COLUMNS = 80
#: Invented secrets, as long as real ones; no twelve characters occur twice.
TOKEN = TOKEN_PREFIX + "".join(f"{n:03d}T" for n in range(23)) + "END"
KEY = "sk-ant-api03-" + "".join(f"{n:03d}K" for n in range(23)) + "END"
#: The tokens that a provider's server returns for a login.
ACCESS, REFRESH = ("".join(f"{n:03d}{letter}" for n in range(23)) + "END" for letter in "AR")
#: Parts that give a secret away: a piece of a wrapped line, and its end.
MARKS = [part.encode() for secret in (TOKEN, KEY, ACCESS, REFRESH) for part in (secret[20:50], secret[-23:])]
#: The token that was stored before the test; it may be anywhere in the home.
OLD = TOKEN_PREFIX + "A" * 95

CLAUDE = f"""#!/bin/sh
[ "$*" = setup-token ] || exit 64
[ -t 0 ] && [ -t 1 ] || {{ echo "claude: this is no terminal" >&2; exit 1; }}
echo "Opening https://claude.invalid/ in your browser"
echo "Your OAuth token (valid for 1 year):"
fold -w {COLUMNS} <<'TOKEN'
{TOKEN}
TOKEN
"""
#: Files that hold a secret rightly: the stand-ins that invent it, and OpenClaw's and Claude Code's stores.
STAND_INS = ("claude", "minimax.mjs")
BELONGS = ("auth-profiles.json", "openclaw-agent.sqlite", "openclaw.sqlite", ".credentials.json")


#: Claude Code, except for its login, which would call Anthropic's servers.
CLAUDE_CODE = f"""#!/bin/sh
[ "$*" = "auth login" ] || exec {{claude}} "$@"
[ -t 0 ] && [ -t 1 ] || {{{{ echo "claude: this is no terminal" >&2; exit 1; }}}}
echo "Browse to https://claude.invalid/login"
printf 'Paste the code here: '
read -r code
[ "$code" = right ] || {{{{ echo "Login failed."; exit 1; }}}}
ends=$(( ($(date +%s) + 28 * 86400) * 1000 ))
umask 077
cat >"$HOME/.claude/.credentials.json" <<LOGIN
{{{{"claudeAiOauth": {{{{"accessToken": "{ACCESS}", "refreshToken": "{REFRESH}", "expiresAt": $ends,
  "refreshTokenExpiresAt": $ends, "scopes": ["user:inference"], "subscriptionType": "max"}}}}}}}}
LOGIN
echo "Login successful."
"""
#: ``docker exec``, as strict as the real one. With -t it requires a terminal and gives the program one, without -t it
#: gives pipes, and without -i no input. It ends when the program does. It passes nothing of our environment.
DOCKER = """#!/bin/bash
no() {{ echo "docker: $1" >&2; exit 125; }}
[ "$1" = exec ] || no "$1 is not supported by this stand-in"
shift
case $1 in
  -it) [ -t 0 ] && [ -t 1 ] || no "the input device is not a TTY"; mode=terminal; shift;;
  -i) mode=pipe; shift;;
  -*) no "unknown flag: $1";;
  *) mode=nothing;;
esac
[ "$1" = gw ] || no "No such container: $1"
shift
inside=(env -i {environment} "$@")
case $mode in
  terminal) exec "${{inside[@]}}";;
  pipe)
    exec 3< <(cat)
    input=$!
    "${{inside[@]}}" <&3 3<&- > >(cat) 2> >(cat >&2)
    code=$?
    kill "$input" 2>/dev/null
    exit $code;;
  *) "${{inside[@]}}" </dev/null > >(cat) 2> >(cat >&2); exit $?;;
esac
"""
#: MiniMax's server, put before a release's own ``fetch``; the property is how OpenClaw's own tests do that. Its is the
#: OAuth login that all releases bring.
MINIMAX = rf"""
const real = globalThis.fetch;
let asked = 0;
globalThis.fetch = async (to, options) => {{
  const url = String(to?.url ?? to);
  if (!/^https:\/\/(api|account)\.minimax\.io\/oauth/.test(url)) return real(to, options);
  const sent = new URLSearchParams(options.body);
  const soon = Date.now() + 600_000;
  const answer = url.endsWith("/token")
    ? asked++ ? {{status: "success", access_token: "{ACCESS}", refresh_token: "{REFRESH}", expired_in: soon}}
              : {{status: "pending"}}
    : {{user_code: "ABCD", verification_uri: "https://minimax.invalid/", expired_in: soon, interval: 100,
        state: sent.get("state")}};
  return new Response(JSON.stringify(answer), {{headers: {{"content-type": "application/json"}}}});
}};
globalThis.fetch.mock = {{}};
"""


def wrapped(secret: str) -> str:
    """Return the secret as it is copied from a terminal that wrapped it."""
    return "\r".join(secret[at : at + COLUMNS] for at in range(0, len(secret), COLUMNS))


def program(path: Path, body: str) -> Path:
    """Write an executable file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(body)
    path.chmod(0o755)
    return path


# --- the search ------------------------------------------------------------------------------------


class Leaks:
    """Searches the command lines and environments of the processes that start meanwhile, again and again.

    Those that were there before could not know a secret, and to read them all takes long on a busy machine.
    """

    def __init__(self) -> None:
        self._before = _processes()
        self.found: set[str] = set()
        self.rounds = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Leaks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            for number in _processes() - self._before:
                for name in ("cmdline", "environ"):
                    try:
                        content = Path(f"/proc/{number}/{name}").read_bytes()
                    except OSError:
                        continue
                    if any(mark in content for mark in MARKS):
                        self.found.add(content[:80].decode(errors="replace"))
            self.rounds += 1


def _processes() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def files_with_a_secret(since: float, *folders: Path) -> list[Path]:
    """Return the files that hold part of a secret, except the stores and the stand-ins."""
    found = []
    for folder in folders:
        for path in folder.rglob("*"):
            if not path.is_file() or path.is_symlink() or path.name.startswith(BELONGS) or path.name in STAND_INS:
                continue
            if path.stat().st_mtime >= since and any(mark in path.read_bytes() for mark in MARKS):
                found.append(path)
    return found


Profiles = Mapping[str, Mapping[str, Any]]

# --- homes and the desk ------------------------------------------------------------------------


class Homes:
    """Makes OpenClaw homes with failing credentials, without running commands.

    Every command costs seconds of CPU, so each release creates its databases once and every home gets a copy.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def empty(
        self, release: str, folder: Path, fallbacks: Sequence[str] = (), agents: Sequence[str] = (), **config: Any
    ) -> OpenClawHome:
        """Make a home that has only a configuration: Anthropic's model, ``fallbacks``, and further ``agents``."""
        need("node")
        need(f"openclaw-{release}")
        world = OpenClawHome(release, folder)
        model = "claude-opus-5" if world.version >= (2026, 7) else "claude-opus-4-6"
        configured: dict[str, Any] = {
            "defaults": {"model": {"primary": f"anthropic/{model}", "fallbacks": list(fallbacks)}}
        }
        if agents:
            others = [{"id": agent, "workspace": str(folder / f"workspace-{agent}")} for agent in agents]
            configured["list"] = [{"id": "main", "default": True}, *others]
        world.state.mkdir()
        (world.state / "openclaw.json").write_text(json.dumps({"agents": configured, **config}))
        return world

    def make(
        self,
        release: str,
        folder: Path,
        profiles: Profiles,
        usage: Profiles | None = None,
        *,
        agent: str = "main",
        **more: Any,
    ) -> OpenClawHome:
        """Make a home in which ``agent`` has ``profiles`` in its own store."""
        world = self.empty(release, folder, agents=() if agent == "main" else (agent,), **more)
        shutil.copytree(self.layout(release, agent), world.state, dirs_exist_ok=True)
        if agent == "main":
            world.write_store(profiles, usage)
            return world
        world.write_agent_store(agent, profiles, usage or {})
        return world

    def layout(self, release: str, agent: str) -> Path:
        """Return OpenClaw's folder without a configuration, in which ``agent`` has its own store."""
        layout = self._folder / f"{release}-{agent}"
        if not layout.exists():
            world = self.empty(release, self._folder / f"{layout.name}-makes", agents=("ops",))
            store = world.state / "agents" / agent / "agent/auth-profiles.json"
            if world.version < (2026, 6):
                store.parent.mkdir(parents=True)
                store.write_text(json.dumps({"version": 1, "profiles": {}}))
            else:
                world.paste_token(f"anthropic:{agent}", agent=agent)
            for config in world.state.glob("openclaw.json*"):
                config.unlink()
            world.state.rename(layout)
        return layout


class Desk:
    """A person at a terminal, with an OpenClaw home and a stand-in for Claude Code."""

    def __init__(self, world: OpenClawHome, folder: Path, *, has_claude: bool = True, **config: Any) -> None:
        self.world = world
        self.folder = folder
        self.began = time.time()
        self.path = f"{folder}/bin:{world.env['PATH']}"
        if has_claude:
            program(folder / "bin/claude", CLAUDE)
        target = {"name": "home", "source": "openclaw", "command": [str(world.command)], "agents": ["main"]}
        self.exporter = Exporter(world, folder / "exporter", **{"targets": [target], **config})

    @contextmanager
    def reauth(self, *args: str, path: str = "", **env: str) -> Iterator[Typist]:
        argv = self.exporter._argv("reauth", *args)
        search = f"{path}:{self.path}" if path else self.path
        with Typist(argv, {**self.world.env, "TERM": "xterm", "PATH": search, **env}, COLUMNS) as person:
            yield person

    def check_that_nothing_leaked(self, leaks: Leaks, *folders: Path) -> None:
        assert leaks.rounds > 2
        assert leaks.found == set()
        temporary = Path(self.world.env.get("TMPDIR", self.world.home))
        logs = [temporary, Path("/tmp/openclaw")]  # noqa: S108 - where OpenClaw writes its log
        assert files_with_a_secret(self.began, self.world.home, self.folder, *logs, *folders) == []


def notified(file: Path) -> set[tuple[str, str]]:
    """Return reason and provider of each alert that reached the channel of ``recording_channel``."""
    lines = file.read_text().split("\n") if file.exists() else []
    alerts = [alert for line in lines if line for alert in json.loads(line)["alerts"]]
    return {(alert["reason"], alert["provider"]) for alert in alerts}


def recording_channel(file: Path) -> dict[str, Any]:
    """Return the configuration of a channel that appends its messages to ``file``."""
    return {"name": "recorder", "type": "command", "command": ["/bin/sh", "-c", f"cat >> {file}; echo >> {file}"]}
