"""``init``: writes a commented starting configuration and the user's systemd units. Both can be undone.

Pure functions make the contents from the facts of this host; ``write_config`` and ``write_units`` write them.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from exporter.config import ConfigError, Web, find_credential, parse
from exporter.config.reading import read_text
from exporter.lib.errors import ExpectedError
from exporter.lib.files import MIB, read_regular
from exporter.setup import assets, search_path
from exporter.setup.homes import FoundHome

SERVICE = "openclaw-auth-exporter.service"
TIMER = "openclaw-auth-exporter-check.timer"
UNITS = (SERVICE, "openclaw-auth-exporter-check.service", TIMER)
_STARTING_CONFIG = Path(__file__).with_name("starting-config.json5")
#: Where the shipped user units expect the program. pipx and uv install it there.
EXPECTED_PROGRAM = "%h/.local/bin/openclaw-auth-exporter"
#: Variables of the shell that decide which OpenClaw is checked. None of them holds a secret.
INHERITED = ("OPENCLAW_HOME", "OPENCLAW_STATE_DIR", "OPENCLAW_CONFIG_PATH", "OPENCLAW_AGENT_DIR", "XDG_STATE_HOME")
#: Seconds after which a start has failed. systemd itself waits 90.
START_TIMEOUT = 120.0


class InitError(ExpectedError):
    """The set-up cannot be done. The message says what to do."""


class FileNotWrittenError(InitError):
    """A file is already there, or cannot be created."""

    exit_code = os.EX_CANTCREAT


# --- the configuration -----------------------------------------------------------------------


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """The file that ``init`` writes without ``--config``: the user's own."""
    named = environ.get("OPENCLAW_AUTH_EXPORTER_CONFIG")
    return Path(os.path.expanduser(named)) if named else _config_home(environ) / "openclaw-auth-exporter/config.json5"


def _config_home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"))


def starting_config(
    env_file: str | None, topic_file: Path | None, homes: Sequence[FoundHome] = (), *, checks_homes: bool = False
) -> str:
    """The commented configuration, JSON5.

    ``env_file`` is the file from which OpenClaw's service reads its keys, if there is one. ``topic_file`` holds the
    ntfy topic for notifications, if the user wants them. ``homes`` are further homes of OpenClaw, commented out unless
    ``checks_homes``.
    """
    text = _STARTING_CONFIG.read_text(encoding="utf-8")
    if homes:
        mark = "" if checks_homes else "// "
        lines = [f"    {mark}{_as_json5(home.target)}," for home in homes]
        known = '    { name: "local", source: "auto" },\n'
        text = text.replace(
            known, "\n".join([f"{known}    // OpenClaw homes that init found on this host:", *lines, ""])
        )
    if env_file:
        text = text.replace('source: "auto"', f'source: "auto", env_file: {json.dumps(env_file)}')
    if topic_file:
        phone = f'name: "phone", type: "ntfy", url: "https://ntfy.sh", topic_file: {json.dumps(str(topic_file))}'
        text = re.sub(r'// \{ name: "phone".*', lambda _: f"{{ {phone} }},", text)
    return text


def _as_json5(target: Mapping[str, object]) -> str:
    return "{ " + ", ".join(f"{key}: {json.dumps(value)}" for key, value in target.items()) + " }"


def topic_link(topic: str) -> str:
    """The address that opens the topic in the ntfy app, or in a browser without the app."""
    return f"https://ntfy.sh/{topic}"


def qr_code(text: str) -> str:
    """``text`` as a QR code of block characters, for the camera of a phone."""
    import segno

    drawn = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out=drawn, border=2, compact=True)
    return drawn.getvalue()


def page_address(web: Web) -> str:
    """Where the status page is once the daemon runs."""
    if web.external_url:
        return web.external_url
    every = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what someone configured
    host = every.get(web.host, f"[{web.host}]" if ":" in web.host else web.host)
    return f"{'https' if _has_tls(web) else 'http'}://{host}:{web.port}/"


def _has_tls(web: Web) -> bool:
    if not web.config_file:
        return bool(web.tls.cert_file)
    from exporter.config.web_config_file import parse_web_config  # PyYAML, which few have

    try:
        path = find_credential(web.config_file)
        return parse_web_config(read_text(path, 1, "a web configuration"), path).tls is not None
    except ConfigError:
        return False  # the daemon reports it


def found_env_file() -> str | None:
    """OpenClaw's file of keys, if this user has one."""
    return "~/.openclaw/.env" if os.path.isfile(os.path.expanduser("~/.openclaw/.env")) else None


def write_config(path: Path, text: str, force: bool) -> Path | None:
    """Write the configuration, readable only by its owner. Raises FileNotWrittenError if the file exists.

    With ``force``, an existing file is renamed; returns its new path.
    """
    parse(text, str(path))  # never write an invalid file
    kept = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if force and os.path.lexists(path):
            kept = path.with_name(f"{path.name}.before-{int(time.time())}")
            path.rename(kept)
        _write_new(path, text)
    except FileExistsError:
        raise FileNotWrittenError(
            f"{path} already exists and was not changed; --force replaces it and keeps the old file beside it"
        ) from None
    except OSError as error:
        raise FileNotWrittenError(f"{error.filename}: {error.strerror}") from None
    return kept


def write_topic(path: Path) -> str:
    """The ntfy topic in ``path``, generated at random if the file is missing: anyone who knows a topic can read it."""
    try:
        with contextlib.suppress(FileNotFoundError):
            return read_regular(path, MIB).decode("ascii").strip()
        topic = f"openclaw-{secrets.token_urlsafe(18)}"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_new(path, topic + "\n")
    except OSError as error:
        raise FileNotWrittenError(f"{error.filename}: {error.strerror}") from None
    return topic


def _write_new(path: Path, text: str) -> None:
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


# --- the units -------------------------------------------------------------------------------


def unit_files(program: list[str], environ: Mapping[str, str], config_file: Path) -> dict[str, str]:
    """The shipped user units unchanged, and a drop-in for each service with the settings of this host.

    Returns contents by path below ``~/.config/systemd/user``. ``program`` is the command line of the exporter.
    ``environ`` is the shell's environment: with its PATH the unit finds the same openclaw as the user.
    """
    files = {}
    for unit in UNITS:
        text = files[unit] = assets.read(f"deploy/systemd/user/{unit}").decode()
        if unit.endswith(".service"):
            files[f"{unit}.d/10-init.conf"] = _drop_in(text, program, environ, config_file)
    return files


def _drop_in(unit: str, program: list[str], environ: Mapping[str, str], config_file: Path) -> str:
    lines = [
        "# Written by `openclaw-auth-exporter init --systemd`, which overwrites it. Write your own changes elsewhere."
    ]
    lines.append("[Service]")
    variables = {name: environ[name] for name in INHERITED if environ.get(name)}
    variables["PATH"] = str(search_path.lasting(environ))
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
    """A word, quoted for a unit file (systemd.syntax, "Quoting"; systemd.unit, "Specifiers")."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def own_program() -> list[str]:
    """The command line that starts this program from any directory."""
    named = shutil.which(sys.argv[0]) if os.path.basename(sys.argv[0]) == "openclaw-auth-exporter" else None
    beside = os.path.join(os.path.dirname(sys.executable), "openclaw-auth-exporter")
    script = named or (beside if os.access(beside, os.X_OK) else None)
    # The link is not resolved: pipx keeps the link in ~/.local/bin when it upgrades.
    return [os.path.abspath(script)] if script else [sys.executable, "-m", "exporter.cli"]


def require_systemd() -> None:
    """Check that the user's own systemd answers. Raises InitError with advice if it does not."""
    if shutil.which("systemctl") is None:
        raise InitError("systemctl was not found: without systemd, start `openclaw-auth-exporter serve` yourself")
    version = _systemctl("show", "--property=Version")
    if version.returncode:
        raise InitError(
            "your systemd user instance cannot be reached. Log in as this user (ssh, not su or sudo), or as root: "
            "`loginctl enable-linger USER`, then set XDG_RUNTIME_DIR=/run/user/UID. "
            f"systemctl printed: {version.stderr.strip()[:300]}"
        )


def write_units(config_file: Path, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Write the units and their drop-ins over those of an older release. Raises InitError."""
    directory = _config_home(environ) / "systemd/user"
    files = {directory / name: text for name, text in unit_files(own_program(), environ, config_file).items()}
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FileNotWrittenError(f"{error.filename}: {error.strerror}") from None
    return list(files)


def chosen_unit(environ: Mapping[str, str] = os.environ) -> str:
    """The unit to run: the timer if this user has enabled it instead of the daemon, else the daemon."""
    directory = _config_home(environ) / "systemd/user"
    timer, daemon = directory / f"timers.target.wants/{TIMER}", directory / f"default.target.wants/{SERVICE}"
    return TIMER if timer.is_symlink() and not daemon.is_symlink() else SERVICE


def start(unit: str) -> None:
    """Enable and restart the daemon or the timer. Returns when it is ready. Raises InitError."""
    for words in (("daemon-reload",), ("enable", "--quiet", unit), ("restart", unit)):
        done = _systemctl(*words)
        if done.returncode:
            raise InitError(
                f"`systemctl --user {' '.join(words)}` failed; see `journalctl --user -u {unit} -e`. "
                f"systemctl printed: {done.stderr.strip()[:300]}"
            )


def lingers(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this user's units keep running after logout."""
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
    """The shell command that removes a file we wrote, or restores the old one."""
    return shlex.join(["mv", str(kept), str(path)] if kept else ["rm", str(path)])


def undo_units(files: list[Path]) -> list[str]:
    """The shell commands that stop and remove what ``write_units`` wrote."""
    ours = {path.parent if path.parent.suffix == ".d" else path for path in files}
    return [
        f"systemctl --user disable --now {SERVICE} {TIMER}",
        shlex.join(["rm", "-r", *sorted(map(str, ours))]),
        "systemctl --user daemon-reload",
    ]
