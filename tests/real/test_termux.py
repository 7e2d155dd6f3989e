"""The Termux scripts with every shell that a phone may have, in Termux's paths, with the real curl, and linted.

tests/termux defines the situations and runs them with this machine's /bin/sh.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from termux.phone import SCRIPTS, Phone
from termux.situations import EXPIRED
from termux.test_buttons import ButtonSituations
from termux.test_installing import InstallSituations
from termux.test_job import JobSituations

from . import parts
from .conftest import need
from .files import DAY, FilesHome, store_target
from .test_ntfy import TOPIC, Ntfy

pytestmark = pytest.mark.real

#: The target of /bin/sh runs them in the unit tests already.
SHELLS = [shell for shell in ("dash", "busybox", "bash", "mksh") if Path("/bin/sh").resolve().name != shell]
WORLD = Path(__file__).parent / "termux-world.sh"
FILES = "/data/data/com.termux/files"
PARSERS = (["dash", "-n"], ["busybox", "sh", "-n"], ["mksh", "-n"], ["bash", "--posix", "-n"])


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> Path:
    return need(request.param).resolve()


class TestShells(JobSituations, ButtonSituations, InstallSituations):
    """Each situation with each shell."""


@pytest.mark.parametrize("script", sorted(SCRIPTS.iterdir()), ids=lambda script: script.name)
def test_linted(script: Path) -> None:
    commands: list[list[str | Path]] = [[need("shellcheck"), "-s", "sh", "-S", "style", script]]
    commands += [[need(parser), *options, script] for parser, *options in PARSERS]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


class Handler(BaseHTTPRequestHandler):
    """Answers ``/api/v1/status`` well or badly, by the first part of the path."""

    endless = 0

    def do_GET(self) -> None:
        kind, _, rest = self.path.lstrip("/").partition("/")
        html = b"<html>\n<body>\nOK\n</body>\n</html>\n"
        status, body, length = {
            "well": (200, b"OK\n", None),
            "expired": (200, EXPIRED.encode() + b"\n", None),
            "portal": (200, html, None),
            "redirect": (302, b"OK\n", None),
            "unauthorized": (401, b"OK\n", None),
            "cut": (200, b"OK", 1000),
            "endless": (200, b"OK", None),
        }[kind]
        assert rest == "api/v1/status?format=line", self.path
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/well/api/v1/status?format=line")
        if kind != "endless":
            self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)
        with contextlib.suppress(OSError):
            while kind == "endless":
                self.wfile.write(b" OK" * 30_000)
                Handler.endless += 90_000

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def ntfy(tmp_path: Path) -> Iterator[Ntfy]:
    with Ntfy("ntfy", tmp_path / "ntfy").running() as server:
        yield server


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_real_curl(tmp_path: Path, server: str) -> None:
    device = Phone(tmp_path, need("dash"))
    curl = device.prefix / "bin/curl"
    curl.unlink()
    curl.symlink_to(need("curl"))
    answers = {}
    kinds = ("well", "expired", "portal", "redirect", "unauthorized", "cut", "endless")
    for url in (*(f"{server}/{kind}" for kind in kinds), f"http://127.0.0.1:{parts.free_port()}"):
        device.install(f"URL={url}")
        answers[url.rpartition("/")[2]] = device.do("job").stdout
    assert answers.pop("well") == "OK\n"
    assert answers.pop("expired") == f"{EXPIRED}\n"
    assert len(answers) == 6
    assert set(answers.values()) == {""}
    assert 0 < Handler.endless < 100_000_000  # the server hangs up


def test_kit_and_ntfy_on_one_phone_say_the_same(ntfy: Ntfy, tmp_path: Path) -> None:
    """The exporter, ntfy and curl are real. The kit asks by HTTP, and by ssh, whose other end is the real command."""
    world = FilesHome(tmp_path / "host")
    world.write_tokens({"anthropic:default": time.time() - 3600})
    channels = [{"name": "phone", "type": "ntfy", "url": ntfy.url, "topic": TOPIC}]
    exporter = parts.Exporter(
        world,
        tmp_path / "exporter",
        targets=[{**store_target(world), "interval": "1s"}],
        channels=channels,
        alerts={"group_wait": "0s"},
    )
    device = Phone(tmp_path / "phone", need("dash"))
    binaries = device.prefix / "bin"
    (binaries / "curl").unlink()
    (binaries / "curl").symlink_to(need("curl"))
    (binaries / "ssh").unlink()
    environment = " ".join(f"{name}={shlex.quote(value)}" for name, value in world.env.items())
    command = shlex.join(exporter._argv("check", "--line"))
    (binaries / "ssh").write_text(
        f'#!/bin/sh\nfor last; do :; done\n[ "$last" = "openclaw-auth-exporter check --line" ] ||'
        f" exit 255\nexec /usr/bin/env -i {environment} {command}\n"
    )
    (binaries / "ssh").chmod(0o755)

    def kit(way: str) -> tuple[str, list[list[str]]]:
        """What the job says after an installation, and what both did with the notification."""
        device.install(way)
        said = device.do("job").stdout
        calls = [call for call in device.calls() if call[0].startswith("termux-notification")]
        return said, [call for call in calls if "openclaw-auth-test" not in call]

    with parts.running(exporter):
        parts.wait_for("the alert on ntfy", lambda: len(ntfy.titles()) == 1, 60)
        (title,) = ntfy.titles()
        assert title.startswith("No anthropic credential works on ")
        for way in (f"URL={exporter.url}", "SSH=me@host"):
            said, shown = kit(way)
            assert said.startswith("EXPIRED anthropic:default"), way
            assert {name for name, *_ in shown} == {"termux-notification"}, way
            assert all("anthropic:default" in " ".join(call) for call in shown), way
        world.write_tokens({"anthropic:default": time.time() + 90 * DAY})
        parts.wait_for("its end on ntfy", lambda: "works again until" in ntfy.titles()[0], 60)
        said, (removed,) = kit("SSH=me@host")
        assert (said, removed) == ("OK\n", ["termux-notification-remove", "openclaw-auth"])
        assert kit(f"URL={exporter.url}") == ("OK\n", [])


def test_in_termux_s_paths(tmp_path: Path, shell: Path) -> None:
    """Install, notify, tap, boot and uninstall, as a user with an empty environment; the shebangs work only there."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        (pytest.fail if os.environ.get("CI", "").lower() in ("true", "1") else pytest.skip)("needs root and unshare")
    device = Phone(tmp_path / "phone", shell)
    device.answers("curl", EXPIRED + "\n")
    device.answers("ssh", "/usr/bin/openclaw-auth-exporter\n")
    # The stand-ins find the phone by their environment, which is empty here, and each other by their build path.
    standin, date = device.prefix / "libexec/standin", device.prefix / "bin/date"
    text = standin.read_text().partition("\n")[2].replace('os.environ["TERMUX_PHONE"]', repr(FILES))
    python = Path(sys.executable).resolve().relative_to(Path(sys.base_prefix).resolve())
    standin.write_text(f"#!/python/{python} -SsE\n{text}")
    date.write_text(date.read_text().replace("/bin/sh", f"{FILES}/usr/bin/sh").replace("$TERMUX_PHONE", FILES))
    for link in (device.prefix / "bin").iterdir():
        if link.is_symlink():
            target = link.resolve()
            link.unlink()
            link.symlink_to(f"{FILES}/usr/libexec/standin" if target == standin else target)
    button = f"'{FILES}/usr/bin/sh' '{FILES}/home/.local/share/openclaw-auth/openclaw-auth'"
    script = f"""
set -e
cd {FILES}/home
{FILES}/download/install.sh URL=http://host:10785 SSH=me@host
.local/share/openclaw-auth/job
unset PATH
{FILES}/usr/bin/sh -c "{button} session"
{FILES}/usr/bin/sh -c "{button} silence"
.termux/boot/openclaw-auth
.shortcuts/openclaw-auth
.local/share/openclaw-auth/reauth
.local/share/openclaw-auth/install.sh --uninstall
"""
    (device.root / "script").write_text(script)
    done = subprocess.run(
        [WORLD, device.root, shell, sys.base_prefix, "script"], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stderr, done.returncode) == ("", 0)
    names = [call[0] for call in device.calls()]
    assert names == [
        *("termux-job-scheduler", "curl", "termux-notification", "ssh", "termux-notification"),  # installed
        *("curl", "termux-notification"),  # the job
        "am",
        *("termux-notification-remove", "termux-toast"),  # silence
        *("termux-job-scheduler", "curl"),  # boot
        *("curl", "termux-toast", "termux-dialog"),  # the widget
        *("ssh", "curl", "termux-toast"),  # reauth
        *("termux-job-scheduler", "termux-notification-remove"),
    ]
    assert [path for path in device.home.rglob("*") if path.is_file()] == []
