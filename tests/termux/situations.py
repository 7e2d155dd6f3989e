"""What the Termux scripts call in the simulated Termux, and the phone that the situations of the tests begin with.

Each module of tests has a class of situations. It is run there with this machine's /bin/sh; tests/real/test_termux.py
runs all of them again with each shell that a phone may have.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from termux.phone import Phone

URL = "http://host.example:10785"
EXPIRED = "EXPIRED anthropic:default on home/main 3 h ago"
EXPIRING = "EXPIRING anthropic:default on home/main in 20 h"
EXPIRED_TITLE = "OpenClaw: EXPIRED anthropic:default"

ASK_URL = [
    *("curl", "--silent", "--show-error", "--fail", "--location", "--max-redirs", "0", "--globoff"),
    *("--netrc-optional", "--proto", "=http,https"),
    *("--connect-timeout", "10", "--max-time", "20"),
    f"{URL}/api/v1/status?format=line",
]
ASK_SSH = [
    *("ssh", "-n", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=10"),
    *("-o", "ServerAliveCountMax=2", "-o", "ControlMaster=no", "--", "me@host"),
    "openclaw-auth-exporter check --line",
]
REAUTH = ["ssh", "-t", "-o", "ConnectTimeout=10", "--", "me@host", "openclaw-auth-exporter reauth"]
REMOVE = ["termux-notification-remove", "openclaw-auth"]
SILENT = ["termux-toast", "Silent for 8 hours, unless there is other or worse trouble."]
PATH_CHECK = ["ssh", "-n", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "--", "me@host"]
FIND = [*PATH_CHECK, "command -v openclaw-auth-exporter"]
LIST = [*PATH_CHECK, "ls -d ~/.local/bin/openclaw-auth-exporter ~/.venv/bin/openclaw-auth-exporter 2>/dev/null"]
TEST = [
    *("termux-notification", "-i", "openclaw-auth-test", "--priority", "high", "-t", "OpenClaw: test"),
    *("-c", "Trouble on the host is shown like this. Swipe this away."),
]
SENT = "A test notification was sent. If you do not see it, run: openclaw-auth test\n"
#: What curl and ssh print in these tests when they fail.
CURL_ERROR, SSH_ERROR = "curl: no answer today", "ssh: no answer today"


def schedule(phone: Phone) -> list[str]:
    words = "--job-id 10785 --period-ms 1800000 --network any --battery-not-low true --persisted true"
    return ["termux-job-scheduler", "--script", str(phone.programs / "job"), *words.split()]


def session(phone: Phone) -> list[str]:
    words = "am startservice --user 0 -n com.termux/com.termux.app.TermuxService -a com.termux.service_execute -d"
    return [*words.split(), f"com.termux.file:{phone.programs}/reauth"]


def notification(
    phone: Phone, title: str, content: str, priority: str = "high", *, url: bool = True, ssh: bool = True
) -> list[str]:
    """The words of the call that shows the notification."""
    argv = ["termux-notification", "-i", "openclaw-auth", "--alert-once", "--priority", priority]
    argv += ["-t", title, "-c", content, "--on-delete", f"{phone.button} dismiss"]
    if ssh:
        argv += ["--button1", "Re-authenticate", "--button1-action", f"{phone.button} session"]
    if url:
        argv += ["--button2", "Open page", "--button2-action", f"{phone.button} page"]
    return [*argv, "--button3", "Silence 8 h", "--button3-action", f"{phone.button} silence"]


def expired(phone: Phone, checked: str = "10:00") -> list[str]:
    return notification(phone, EXPIRED_TITLE, f"{EXPIRED}\nChecked 2026-11-23 {checked}")


class Situations:
    """The phones that a situation begins with. The module of the tests names the shell, by its fixture ``shell``."""

    @pytest.fixture
    def phone(self, tmp_path: Path, shell: Path) -> Phone:
        """A phone with the scripts installed, HTTP for the status, ssh for re-authentication, and status OK."""
        phone = Phone(tmp_path, shell)
        phone.answers("curl", "OK\n")
        phone.answers("ssh", "/usr/bin/openclaw-auth-exporter\n")
        assert phone.install(f"URL={URL}", "SSH=me@host").returncode == 0
        phone.calls()
        return phone

    @pytest.fixture
    def alarmed(self, phone: Phone) -> Phone:
        """The same phone, showing a notification of an expired profile."""
        phone.answers("curl", EXPIRED + "\n")
        assert phone.do("job").returncode == 0
        assert phone.calls() == [ASK_URL, expired(phone)]
        return phone
