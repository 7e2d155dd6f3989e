"""``init``: a commented starting configuration, and the user's own systemd units; both can be undone.

What goes into the files is decided by pure functions of what was found on this host; ``write_config``
and ``write_units`` write.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from exporter.setup import assets

SERVICE = "openclaw-auth-exporter.service"
TIMER = "openclaw-auth-exporter-check.timer"
UNITS = (SERVICE, "openclaw-auth-exporter-check.service", TIMER)
#: Where the shipped user units expect the program: pipx and uv put it there.
EXPECTED_PROGRAM = "%h/.local/bin/openclaw-auth-exporter"
#: What of the shell's environment decides which OpenClaw is looked at; no secret is among it.
INHERITED = ("OPENCLAW_HOME", "OPENCLAW_STATE_DIR", "OPENCLAW_CONFIG_PATH", "OPENCLAW_AGENT_DIR", "XDG_STATE_HOME")
#: A start that is not ready by then has failed, seconds; systemd's own patience is 90.
START_TIMEOUT = 120.0


class InitError(Exception):
    """It cannot be done; the message says what to do, in a sentence for a person."""


# --- the configuration -----------------------------------------------------------------------


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where ``init`` writes without ``--config``: the user's own file."""
    named = environ.get("OPENCLAW_AUTH_EXPORTER_CONFIG")
    return Path(os.path.expanduser(named)) if named else _config_home(environ) / "openclaw-auth-exporter/config.json5"


def _config_home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"))


def starting_config(env_file: str | None, topic_file: Path | None) -> str:
    """The commented configuration, JSON5.

    ``env_file``: the file OpenClaw's service reads its keys from, where there is one. ``topic_file``: holds
    the ntfy topic for alarms, where they are wanted.
    """
    import json

    env = f", env_file: {json.dumps(env_file)}" if env_file else ""
    phone = f'{{ name: "phone", type: "ntfy", url: "https://ntfy.sh", topic_file: {json.dumps(str(topic_file))} }},'
    return _TEMPLATE.replace("@ENV@", env).replace(
        "@PHONE@", phone if topic_file else '// { name: "phone", type: "ntfy", url: "https://ntfy.sh", topic: "…" },'
    )


_TEMPLATE = """\
// The configuration of openclaw-auth-exporter. What is commented out is an example or the default.
//   openclaw-auth-exporter config check     says what is wrong with it
//   openclaw-auth-exporter config show      everything in effect, secrets redacted
//   openclaw-auth-exporter config schema    every key there is, for editors
{
  targets: [
    // This host: the openclaw command where it can be found, else its stores, else Claude Code's login.
    // env_file: the keys that OpenClaw's service reads and a shell does not, often ~/.openclaw/.env
    { name: "local", source: "auto"@ENV@ },
    // in a container:
    // { name: "box", source: "openclaw", command: ["docker", "exec", "gw", "openclaw"] },
    // on another host, over ssh with your own ssh configuration:
    // { name: "vps", source: "openclaw", ssh: "me@vps" },
    // a running gateway (openclaw plugins enable admin-http-rpc); its token stays in a file:
    // { name: "rack7", source: "gateway", url: "http://127.0.0.1:18789", token_file: "~/.config/rack7-token" },
  ],

  // How often to look where no store can be compared; beside OpenClaw it looks when the store changes.
  // interval: "5m",

  policy: {
    // From when on a deadline is a warning (exit code 2).
    // expiring_within: "24h",
    profiles: {
      // A setup-token pasted without --expires-in has no date anywhere. When was it made?
      // "anthropic:default": { issued_at: "2026-03-01" },
    },
  },

  // Who is told. Try them with `openclaw-auth-exporter notify test`.
  channels: [
    @PHONE@
    // { name: "team", type: "apprise", url_env: "TEAM_APPRISE_URL", min_severity: "warning" },
    // { name: "am", type: "alertmanager", urls: ["http://127.0.0.1:9093"] },
  ],
  // alerts: { remind_before: ["14d", "7d", "3d", "1d", "6h", "1h"], repeat_every: "6h" },

  // Asked while all is well, so that somebody notices when this host is gone: healthchecks.io and the like.
  // heartbeat: { url_file: "~/.config/heartbeat-url", every: "5m" },

  // The status page and /metrics. Beyond this host: a token, TLS or users_file first.
  // web: { listen: "127.0.0.1:10785" },
}
"""


def found_env_file() -> str | None:
    """OpenClaw's file of keys, where this user has one."""
    return "~/.openclaw/.env" if os.path.isfile(os.path.expanduser("~/.openclaw/.env")) else None


def write_config(path: Path, text: str, force: bool) -> Path | None:
    """Write the configuration, for its owner only. Raises InitError where it is there already.

    With ``force`` what is there is kept beside it; returns where.
    """
    from exporter.config.reading import parse

    parse(text, str(path))  # what we write is good
    kept = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if force and os.path.lexists(path):
            kept = path.with_name(f"{path.name}.before-{int(time.time())}")
            path.rename(kept)
        _write_new(path, text)
    except FileExistsError:
        raise InitError(
            f"{path} is there already and stays as it is; --force writes it anew and keeps it aside"
        ) from None
    except OSError as error:
        raise InitError(f"{error.filename}: {error.strerror}") from None
    return kept


def write_topic(path: Path) -> str:
    """The ntfy topic kept in ``path``: made up at random the first time, for whoever knows it can read it."""
    try:
        with contextlib.suppress(FileNotFoundError):
            return path.read_text(encoding="ascii").strip()
        topic = f"openclaw-{secrets.token_urlsafe(18)}"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_new(path, topic + "\n")
    except OSError as error:
        raise InitError(f"{error.filename}: {error.strerror}") from None
    return topic


def _write_new(path: Path, text: str) -> None:
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


# --- the units -------------------------------------------------------------------------------


def unit_files(program: list[str], environ: Mapping[str, str], config_file: Path) -> dict[str, str]:
    """The shipped user units unchanged, and beside each service a drop-in with what is this host's.

    By their paths below ``~/.config/systemd/user``. ``program``: the command's words; ``environ``: the
    shell's, whose PATH finds the same openclaw for the unit as for the person.
    """
    files = {}
    for unit in UNITS:
        text = files[unit] = assets.read(f"deploy/systemd/user/{unit}").decode()
        if unit.endswith(".service"):
            files[f"{unit}.d/10-init.conf"] = _drop_in(text, program, environ, config_file)
    return files


def _drop_in(unit: str, program: list[str], environ: Mapping[str, str], config_file: Path) -> str:
    lines = [
        "# Written by `openclaw-auth-exporter init --systemd`, which replaces it. Your own changes: another drop-in."
    ]
    lines.append("[Service]")
    variables = {name: environ[name] for name in INHERITED if environ.get(name)}
    # Relative folders would be other folders there.
    variables["PATH"] = ":".join(dict.fromkeys(p for p in environ.get("PATH", "").split(":") if p.startswith("/")))
    if config_file != Path(os.path.expanduser("~/.config")) / "openclaw-auth-exporter/config.json5":
        variables["OPENCLAW_AUTH_EXPORTER_CONFIG"] = str(config_file.absolute())
    for name, value in sorted(variables.items()):
        if value.isprintable():
            lines.append(f"Environment={_quoted(f'{name}={value}')}")
    if program != [os.path.expanduser("~/.local/bin/openclaw-auth-exporter")]:
        words = " ".join(_quoted(word).replace("$", "$$") for word in program)
        for line in unit.splitlines():
            key, _, command = line.partition("=")
            if key.startswith("Exec") and EXPECTED_PROGRAM in command:
                lines += [f"{key}=", f"{key}={command.replace(EXPECTED_PROGRAM, words)}"]
    return "\n".join(lines) + "\n"


def _quoted(word: str) -> str:
    """A word as systemd reads it back (systemd.syntax, "Quoting"; systemd.unit, "Specifiers")."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def own_program() -> list[str]:
    """The words that start this program again, from anywhere."""
    named = shutil.which(sys.argv[0]) if os.path.basename(sys.argv[0]) == "openclaw-auth-exporter" else None
    beside = os.path.join(os.path.dirname(sys.executable), "openclaw-auth-exporter")
    script = named or (beside if os.access(beside, os.X_OK) else None)
    # Not resolved: what pipx links into ~/.local/bin stays there when it upgrades.
    return [os.path.abspath(script)] if script else [sys.executable, "-m", "exporter.cli"]


def require_systemd() -> None:
    """Raises InitError, with what to do, where the user's own systemd cannot be reached."""
    if shutil.which("systemctl") is None:
        raise InitError("systemctl was not found: without systemd, run `openclaw-auth-exporter serve` yourself")
    asked = _systemctl("show", "--property=Version")
    if asked.returncode:
        raise InitError(
            "your own systemd cannot be reached. Log in as this user (ssh, not su or sudo), or as root: "
            "`loginctl enable-linger USER`, then set XDG_RUNTIME_DIR=/run/user/UID. "
            f"systemctl said: {asked.stderr.strip()[:300]}"
        )


def write_units(config_file: Path, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Write the units and their drop-ins; what is of an older release is replaced. Raises InitError."""
    directory = _config_home(environ) / "systemd/user"
    files = {directory / name: text for name, text in unit_files(own_program(), environ, config_file).items()}
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InitError(f"{error.filename}: {error.strerror}") from None
    return list(files)


def chosen(environ: Mapping[str, str] = os.environ) -> str:
    """What is to run: the daemon, but the timer where this user has enabled that and not the daemon."""
    directory = _config_home(environ) / "systemd/user"
    timer, daemon = directory / f"timers.target.wants/{TIMER}", directory / f"default.target.wants/{SERVICE}"
    return TIMER if timer.is_symlink() and not daemon.is_symlink() else SERVICE


def start(unit: str) -> None:
    """Enable the daemon or the timer and start it anew; returns when it is ready. Raises InitError."""
    for words in (("daemon-reload",), ("enable", "--quiet", unit), ("restart", unit)):
        done = _systemctl(*words)
        if done.returncode:
            raise InitError(
                f"`systemctl --user {' '.join(words)}` failed; see `journalctl --user -u {unit} -e`. "
                f"It said: {done.stderr.strip()[:300]}"
            )


def lingers(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this user's units run without a login."""
    user = environ.get("USER") or environ.get("LOGNAME")
    return bool(user) and Path(f"/var/lib/systemd/linger/{user}").exists()


def _systemctl(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["systemctl", "--user", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 1, "", f"no answer within {START_TIMEOUT:g} s")


# --- undoing ---------------------------------------------------------------------------------


def undo_config(path: Path, kept: Path | None) -> str:
    """The shell command that takes away a file we wrote, or brings back what was there."""
    return shlex.join(["mv", str(kept), str(path)] if kept else ["rm", str(path)])


def undo_units(files: list[Path]) -> list[str]:
    """The shell commands that stop and remove what ``write_units`` wrote."""
    ours = {path.parent if path.parent.suffix == ".d" else path for path in files}
    return [
        f"systemctl --user disable --now {SERVICE} {TIMER}",
        shlex.join(["rm", "-r", *sorted(map(str, ours))]),
        "systemctl --user daemon-reload",
    ]
