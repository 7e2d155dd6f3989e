"""The Termux scripts in a simulated Termux. Each test asserts every call to the outside exactly.

``Situations`` is run here with this machine's /bin/sh; tests/real/test_termux.py runs it again with
each shell a phone may have.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from termux.phone import NOW, SCRIPTS, Phone

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


@pytest.fixture
def shell() -> Path:
    return Path("/bin/sh").resolve()


class Situations:
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

    # --- the job: one notification, kept up to date ----------------------------------------------

    def test_ok_costs_one_request(self, phone: Phone) -> None:
        done = phone.do("job")
        assert (done.returncode, done.stdout, done.stderr) == (0, "OK\n", "")
        assert phone.calls() == [ASK_URL]

    @pytest.mark.parametrize(
        ("line", "title", "priority"),
        [
            (EXPIRED, EXPIRED_TITLE, "high"),
            ("UNUSABLE openai:x on home/main (billing), and 3 more", "OpenClaw: UNUSABLE openai:x", "high"),
            ("MISSING anthropic on home/main", "OpenClaw: MISSING anthropic", "high"),
            (EXPIRING, "OpenClaw: EXPIRING anthropic:default", "default"),
            ("UNKNOWN home/main (timeout)", "OpenClaw: UNKNOWN home/main", "default"),
            ("EXPIRED 'a' \"b\" $(touch pwned) `id` \\ é on x", "OpenClaw: EXPIRED 'a'", "high"),
        ],
    )
    def test_each_status_has_its_notification(self, phone: Phone, line: str, title: str, priority: str) -> None:
        phone.answers("curl", line + "\n")
        assert phone.do("job").stdout == line + "\n"
        content = f"{line}\nChecked 2026-11-23 10:00"
        assert phone.calls() == [ASK_URL, notification(phone, title, content, priority)]
        assert not (phone.home / "pwned").exists()

    def test_the_notification_is_updated_and_then_removed(self, alarmed: Phone) -> None:
        alarmed.later(hours=0.5)
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL, expired(alarmed, "10:30")]
        alarmed.answers("curl", "OK\n")
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL, REMOVE]
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL]

    def test_a_worse_status_makes_a_sound_and_a_better_one_does_not(self, phone: Phone) -> None:
        phone.answers("curl", EXPIRING)
        phone.do("job")
        phone.calls()
        phone.answers("curl", EXPIRED)
        phone.do("job")
        assert phone.calls() == [ASK_URL, REMOVE, expired(phone)]
        phone.answers("curl", EXPIRING)
        phone.do("job")
        assert [call[0] for call in phone.calls()] == ["curl", "termux-notification"]

    def test_a_notification_that_could_not_be_shown_is_tried_again(self, phone: Phone) -> None:
        phone.answers("curl", EXPIRED)
        phone.answers("termux-notification", "", 1)
        assert phone.do("job").returncode == 1
        phone.answers("termux-notification", "")
        phone.calls()
        assert phone.do("job").returncode == 0
        assert phone.calls() == [ASK_URL, expired(phone)]

    def test_by_ssh_alone(self, tmp_path: Path, shell: Path) -> None:
        phone = Phone(tmp_path, shell)
        phone.answers("ssh", EXPIRED + "\n", 1)  # 1 is the check's own exit code
        done = phone.install("SSH=me@host", "COMMAND=~/.local/bin/openclaw-auth-exporter")
        assert (done.returncode, done.stdout) == (0, f"Installed. The status now:\n{EXPIRED}\n{SENT}")
        content = f"{EXPIRED}\nChecked 2026-11-23 10:00"
        assert phone.calls() == [
            schedule(phone),
            [*ASK_SSH[:-1], "~/.local/bin/openclaw-auth-exporter check --line"],
            notification(phone, EXPIRED_TITLE, content, url=False),
            [*PATH_CHECK, "command -v ~/.local/bin/openclaw-auth-exporter"],
            TEST,
        ]

    def test_by_http_alone_there_is_no_button_for_ssh(self, tmp_path: Path, shell: Path) -> None:
        phone = Phone(tmp_path, shell)
        phone.answers("curl", EXPIRED)
        phone.install(f"URL={URL}/")
        content = f"{EXPIRED}\nChecked 2026-11-23 10:00"
        assert phone.calls() == [schedule(phone), ASK_URL, notification(phone, EXPIRED_TITLE, content, ssh=False), TEST]

    # --- no answer -------------------------------------------------------------------------------

    #: What curl printed and its exit code.
    NO_ANSWER = (
        ("", 6),  # offline: no name is resolved
        ("", 28),  # the host sleeps
        ("EXPIRED anthropic:def", 18),  # cut off on the way
        # a captive portal: 200, and a page
        ("<html>\n<body>\nSign in to Hotel Wi-Fi\nOK\n</body>\n</html>\n", 0),
        ("<!doctype html><title>OK</title>", 0),
        ("OK\n<script>1</script>\n", 0),
        ("OK<br>", 0),
        # something else that answers
        ("OKAY\n", 0),
        ("ok\n", 0),
        ("EXPIRED\tx\n", 0),
        ("OK \x1b[2Jgone\n", 0),
        ("OK\r\n", 0),
        ("Unknown format: use json (the default) or line.\n", 22),
        ("\n\n", 0),
        ("EXPIRED " + "x" * 3000 + "\nOK\n" * 3000, 0),
    )
    #: What ssh printed and its exit code.
    NO_ANSWER_BY_SSH = (
        ("", 255),  # asleep, unreachable, host key not known
        ("", 127),  # no such command there
        ("OK\n", 255),  # the connection broke
        ("Welcome to host!\nOK\n", 0),  # a login shell that talks
        ("", 124),  # our own time limit
        ("", 78),  # its configuration is wrong
    )

    def test_is_no_news_and_makes_no_noise(self, alarmed: Phone) -> None:
        """Offline, host asleep, or captive portal: the notification stays, and nothing is called or written."""
        state = (alarmed.state / "last").read_text()
        alarmed.later(hours=5.9)
        for out, code in self.NO_ANSWER:
            alarmed.answers("curl", out, code)
            done = alarmed.do("job")
            assert (done.returncode, done.stdout) == (0, ""), (out, code)
            assert alarmed.calls() == [ASK_URL], (out, code)
            assert (alarmed.state / "last").read_text() == state, (out, code)

    def test_nor_by_ssh(self, tmp_path: Path, shell: Path) -> None:
        phone = Phone(tmp_path, shell)
        phone.answers("ssh", "", 255)
        done = phone.install("SSH=me@host")
        assert done.returncode == 0
        assert done.stdout.splitlines() == [
            "Installed. The status now:",
            "No answer yet (see above). The job tries again.",
            f"ssh cannot run openclaw-auth-exporter on me@host: {SSH_ERROR}",
            SENT.rstrip(),
        ]
        assert done.stderr == f"openclaw-auth: {SSH_ERROR}\n"
        version = [*PATH_CHECK, "openclaw-auth-exporter --version"]
        assert phone.calls() == [schedule(phone), ASK_SSH, FIND, LIST, version, TEST]
        phone.later(hours=5.9)
        for out, code in self.NO_ANSWER_BY_SSH:
            phone.answers("ssh", out, code)
            assert (phone.do("job").stdout, phone.calls()) == ("", [ASK_SSH]), (out, code)

    def test_is_reported_after_some_hours_with_the_last_known_status(self, alarmed: Phone) -> None:
        alarmed.answers("curl", "", 6)
        alarmed.later(hours=6)
        alarmed.do("job")
        content = f"No answer from {URL}: {CURL_ERROR}.\nLast known: {EXPIRED}"
        shown = notification(alarmed, "OpenClaw: not checked since 2026-11-23 10:00", content)
        assert alarmed.calls() == [ASK_URL, shown]
        alarmed.later(hours=1)
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL, shown]  # the same, word by word: a silent update
        alarmed.answers("curl", "OK\n")
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL, REMOVE]

    def test_is_no_alarm_where_all_was_well(self, phone: Phone) -> None:
        phone.answers("curl", "", 6)
        phone.later(hours=5.9)
        phone.do("job")
        assert phone.calls() == [ASK_URL]
        phone.later(hours=0.2)
        phone.do("job")
        content = f"No answer from {URL}: {CURL_ERROR}.\nLast known: OK"
        title = "OpenClaw: not checked since 2026-11-23 10:00"
        shown = notification(phone, title, content, "default")
        assert phone.calls() == [ASK_URL, shown]
        # What is then learned is heard.
        phone.answers("curl", EXPIRING)
        phone.do("job")
        assert [call[0] for call in phone.calls()] == ["curl", REMOVE[0], "termux-notification"]

    def test_no_answer_can_be_swiped_away(self, phone: Phone) -> None:
        phone.answers("curl", "", 6)
        phone.later(hours=6)
        phone.do("job")
        phone.tap(phone.calls()[-1], "on-delete")
        phone.calls()
        phone.do("job")
        assert phone.calls() == [ASK_URL]
        phone.answers("curl", EXPIRING)
        phone.do("job")
        assert [call[0] for call in phone.calls()] == ["curl", "termux-notification"]

    def test_never_an_answer_counts_from_the_first_question(self, tmp_path: Path, shell: Path) -> None:
        phone = Phone(tmp_path, shell)
        phone.answers("curl", "", 7)
        phone.install(f"URL={URL}", "SSH=me@host", "STALE_HOURS=1")
        phone.calls()
        phone.later(hours=1)
        phone.do("job")
        title, content = "OpenClaw: not checked since 2026-11-23 10:00", f"No answer from {URL}: {CURL_ERROR}."
        assert phone.calls() == [ASK_URL, notification(phone, title, content, "default")]

    def test_a_clock_set_back_counts_anew(self, phone: Phone) -> None:
        phone.answers("curl", "", 6)
        phone.set_clock(NOW - 86_400)
        phone.do("job")
        phone.later(hours=6)
        phone.do("job")
        content = f"No answer from {URL}: {CURL_ERROR}.\nLast known: OK"
        title = "OpenClaw: not checked since 2026-11-22 10:00"
        assert phone.calls() == [ASK_URL, ASK_URL, notification(phone, title, content, "default")]

    def test_state_that_is_not_ours_is_forgotten(self, alarmed: Phone) -> None:
        for name in ("last", "shown", "silence"):
            (alarmed.state / name).write_text("$(touch pwned) a[`touch pwned`]\n")
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL, expired(alarmed)]
        assert not (alarmed.home / "pwned").exists()

    # --- buttons ---------------------------------------------------------------------------------

    def test_silence_holds_for_8_hours(self, alarmed: Phone) -> None:
        alarmed.tap(expired(alarmed), "button3-action")
        assert alarmed.calls() == [REMOVE, SILENT]
        alarmed.later(hours=7.9)
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL]
        alarmed.later(hours=0.1)
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL, expired(alarmed, "18:00")]

    def test_swiping_away_hides_the_same_trouble_for_2_hours(self, alarmed: Phone) -> None:
        alarmed.tap(expired(alarmed), "on-delete")
        assert alarmed.calls() == []
        alarmed.later(hours=1.9)
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL]
        alarmed.later(hours=0.1)
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL, expired(alarmed, "12:00")]

    @pytest.mark.parametrize("action", ["button3-action", "on-delete"])
    @pytest.mark.parametrize("line", ["UNUSABLE openai:x on home/main (billing)", "UNKNOWN home/main (timeout)"])
    def test_other_trouble_is_heard_during_a_silence(self, alarmed: Phone, action: str, line: str) -> None:
        alarmed.tap(expired(alarmed), action)
        alarmed.calls()
        alarmed.answers("curl", line)
        alarmed.do("job")
        assert [call[0] for call in alarmed.calls()] == ["curl", "termux-notification"]
        # The first trouble again: still silenced, and what is over is no longer shown.
        alarmed.answers("curl", EXPIRED)
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL, REMOVE]
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL]

    def test_silence_holds_for_no_answer_too(self, alarmed: Phone) -> None:
        alarmed.tap(expired(alarmed), "button3-action")
        alarmed.answers("curl", "", 6)
        alarmed.later(hours=7)
        alarmed.calls()
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL]

    def test_silence_ends_when_it_gets_worse(self, phone: Phone) -> None:
        phone.answers("curl", EXPIRING)
        phone.do("job")
        shown = phone.calls()[-1]
        phone.tap(shown, "button3-action")
        phone.calls()
        phone.do("job")
        assert phone.calls() == [ASK_URL]
        phone.answers("curl", EXPIRED)
        phone.do("job")
        assert phone.calls() == [ASK_URL, expired(phone)]

    def test_silence_ends_when_all_is_well(self, alarmed: Phone) -> None:
        alarmed.tap(expired(alarmed), "button3-action")
        alarmed.answers("curl", "OK")
        alarmed.do("job")
        alarmed.answers("curl", EXPIRED)
        alarmed.calls()
        alarmed.do("job")
        assert alarmed.calls() == [ASK_URL, expired(alarmed)]

    def test_silence_does_not_outlive_a_clock_set_back(self, alarmed: Phone) -> None:
        alarmed.tap(expired(alarmed), "button3-action")
        alarmed.calls()
        alarmed.set_clock(NOW - 86_400)
        alarmed.do("job")
        assert [call[0] for call in alarmed.calls()] == ["curl", "termux-notification"]

    def test_the_page_opens(self, alarmed: Phone) -> None:
        alarmed.tap(expired(alarmed), "button2-action")
        assert alarmed.calls() == [["termux-open-url", f"{URL}/"]]

    def test_re_authenticating_opens_a_session(self, alarmed: Phone) -> None:
        alarmed.tap(expired(alarmed), "button1-action")
        assert alarmed.calls() == [session(alarmed)]
        # What the session runs:
        alarmed.answers("curl", "OK\n")
        assert alarmed.run(alarmed.programs / "reauth").returncode == 0
        assert alarmed.calls() == [REAUTH, ASK_URL, REMOVE, ["termux-toast", "OK"]]

    def test_where_no_session_can_be_opened_the_widget_is_named(self, alarmed: Phone) -> None:
        alarmed.answers("am", "Error: Not found; no service started.\n", 1)
        alarmed.tap(expired(alarmed), "button1-action")
        toast = ["termux-toast", "Tap the widget openclaw-auth to re-authenticate."]
        assert alarmed.calls() == [session(alarmed), toast]

    def test_re_authenticating_that_fails_leaves_the_session_open(self, alarmed: Phone) -> None:
        alarmed.answers("ssh", "", 255)
        assert alarmed.do("reauth").returncode == 255
        assert alarmed.calls() == [REAUTH, ASK_URL, expired(alarmed), ["termux-toast", EXPIRED]]

    # --- the widget ------------------------------------------------------------------------------

    def widget(self, phone: Phone) -> str:
        done = phone.run(phone.home / ".shortcuts/openclaw-auth")
        assert done.returncode == 0, done.stderr
        return done.stdout

    DIALOG = (
        *("termux-dialog", "sheet", "-t", EXPIRED_TITLE),
        *("-v", "Re-authenticate,Open the page,Silence for 8 hours"),
    )

    def test_widget_toasts_and_asks_nothing_where_all_is_well(self, phone: Phone) -> None:
        assert self.widget(phone) == "OK\n"
        assert phone.calls() == [ASK_URL, ["termux-toast", "OK"]]

    @pytest.mark.parametrize(
        ("chosen", "then"),
        [
            ("Re-authenticate", [REAUTH, ASK_URL, "expired", ["termux-toast", EXPIRED]]),
            ("Open the page", [["termux-open-url", f"{URL}/"]]),
            ("Silence for 8 hours", [REMOVE, SILENT]),
            ("", []),
        ],
    )
    def test_widget_runs_the_chosen_action(self, phone: Phone, chosen: str, then: list[list[str] | str]) -> None:
        phone.answers("curl", EXPIRED)
        code, index = (0, 0) if chosen else (-2, -1)
        phone.answers("termux-dialog", f'{{\n  "code": {code},\n  "text": "{chosen}",\n  "index": {index}\n}}\n')
        assert self.widget(phone).splitlines()[0] == EXPIRED
        assert phone.calls() == [
            *(ASK_URL, expired(phone), ["termux-toast", EXPIRED], list(self.DIALOG)),
            *(expired(phone) if call == "expired" else call for call in then),
        ]

    def test_widget_shows_the_last_known_status(self, alarmed: Phone) -> None:
        alarmed.answers("curl", "<html>", 0)
        alarmed.later(hours=2)
        reason = "no status line in the answer (captive portal, wrong URL, noisy login shell?)"
        text = f"No answer: {reason}. Last known (2026-11-23 10:00): {EXPIRED}"
        assert self.widget(alarmed) == text + "\n"
        assert alarmed.calls() == [ASK_URL, ["termux-toast", text], list(self.DIALOG)]

    def test_widget_without_ssh_offers_no_session(self, tmp_path: Path, shell: Path) -> None:
        phone = Phone(tmp_path, shell)
        phone.answers("curl", EXPIRED)
        phone.install(f"URL={URL}")
        phone.calls()
        self.widget(phone)
        assert phone.calls()[-1][-1] == "Open the page,Silence for 8 hours"
        done = phone.do("reauth")
        assert done.returncode == 78
        assert "openclaw-auth-exporter reauth" in done.stderr

    # --- installing: what a new user may meet ----------------------------------------------------

    @staticmethod
    def without_the_path(folder: Path, shell: Path) -> Phone:
        """A phone whose ssh does not find the exporter on the host, where it is in ~/.local/bin."""
        phone = Phone(folder, shell)
        phone.answers("curl", "OK\n")
        phone.answers("ssh", "")  # "command -v" finds nothing …
        script = phone.prefix / "bin/ssh"
        standin = script.resolve()
        script.unlink()
        script.write_text(  # … and there is something to list
            f'#!/bin/sh\n"{phone.prefix}/libexec/ssh" "$@"\n'
            'case "$*" in *"ls -d"*) echo /home/me/.local/bin/openclaw-auth-exporter ;; esac\n'
        )
        script.chmod(0o755)
        (phone.prefix / "libexec/ssh").symlink_to(standin)
        return phone

    def test_a_path_that_ssh_lacks_is_said_with_what_to_run(self, tmp_path: Path, shell: Path) -> None:
        phone = self.without_the_path(tmp_path, shell)
        done = phone.install(f"URL={URL}", "SSH=me@host")
        assert done.stdout.splitlines()[2:] == [
            "On me@host, ssh does not find openclaw-auth-exporter: its shell does not have /home/me/.local/bin on its "
            "PATH. Run this instead:",
            f"  sh install.sh URL={URL} SSH=me@host COMMAND=/home/me/.local/bin/openclaw-auth-exporter",
            SENT.rstrip(),
        ]

    def test_what_to_run_keeps_the_name_and_every_setting(self, tmp_path: Path, shell: Path) -> None:
        phone = self.without_the_path(tmp_path, shell)
        (phone.home / "ca.pem").write_text("a certificate")
        settings = (f"URL={URL}", "SSH=me@host", "STALE_HOURS=9", f"CA={phone.home}/ca.pem")
        advice = f"  sh install.sh NAME=cabin {' '.join(settings)} COMMAND=/home/me/.local/bin/openclaw-auth-exporter"
        assert advice in phone.install("NAME=cabin", *settings).stdout.splitlines()
        assert advice in phone.install("NAME=cabin").stdout.splitlines()

    def test_notification_that_cannot_be_sent_ends_the_installation(self, tmp_path: Path, shell: Path) -> None:
        phone = Phone(tmp_path, shell)
        phone.answers("curl", "OK\n")
        phone.answers("termux-notification", "", 1)
        done = phone.install(f"URL={URL}")
        assert (done.returncode, done.stdout) == (69, "Installed. The status now:\nOK\n")
        assert "is the app Termux:API installed and allowed to run?" in done.stderr

    @pytest.mark.parametrize(("reply", "code"), [("y", 0), ("n", 69)])
    def test_test_asks_whether_android_shows_it(self, phone: Phone, reply: str, code: int) -> None:
        done = phone.answer(phone.prefix / "bin/openclaw-auth", "test", reply=reply)
        assert done.returncode == code
        assert ("Settings > Apps > Termux:API > Notifications" in done.stderr) == (code == 69)
        assert phone.calls() == [TEST]

    def test_a_second_host_has_its_own_name_everywhere(self, alarmed: Phone) -> None:
        before = self.tree(alarmed)
        alarmed.answers("curl", "OK\n")
        done = alarmed.install("NAME=cabin", "URL=http://cabin.example:10785")
        assert done.returncode == 0, done.stderr
        scheduled, asked, tested = alarmed.calls()
        assert scheduled[:3] == ["termux-job-scheduler", "--script", f"{alarmed.programs}-cabin/job"]
        job = scheduled[scheduled.index("--job-id") + 1]
        assert job != "10785"
        assert asked[-1] == "http://cabin.example:10785/api/v1/status?format=line"
        assert tested[tested.index("-i") + 1] == "openclaw-auth-cabin-test"
        after = self.tree(alarmed)
        assert before.items() <= after.items()
        assert {name for name in after.keys() - before.keys() if "cabin" not in name} == set()

        alarmed.answers("curl", EXPIRED)
        assert alarmed.run(alarmed.home / ".local/share/openclaw-auth-cabin/job").returncode == 0
        shown = alarmed.calls()[-1]
        assert shown[shown.index("-i") + 1] == "openclaw-auth-cabin"
        assert shown[shown.index("-t") + 1] == "OpenClaw cabin: EXPIRED anthropic:default"
        alarmed.tap(shown, "button3-action")
        assert alarmed.calls()[0] == ["termux-notification-remove", "openclaw-auth-cabin"]

        assert alarmed.sh(alarmed.home / ".local/share/openclaw-auth-cabin/install.sh", "--uninstall").returncode == 0
        assert self.tree(alarmed) == before

    @pytest.mark.parametrize("name", ["a b", "../x", "a" * 16, "$(id)"])
    def test_a_name_that_is_no_name(self, tmp_path: Path, shell: Path, name: str) -> None:
        phone = Phone(tmp_path, shell)
        assert phone.install(f"NAME={name}", f"URL={URL}").returncode == 64
        assert phone.calls() == []

    def test_a_certificate_of_ones_own(self, phone: Phone) -> None:
        file = phone.home / "ca.pem"
        file.write_text("")
        phone.install(f"URL={URL}", f"CA={file}")
        phone.calls()
        phone.do("job")
        (asked,) = phone.calls()
        assert asked == [*ASK_URL[:-1], "--cacert", str(file), ASK_URL[-1]]
        file.unlink()
        assert "cannot be read" in phone.do("job").stderr

    # --- boot, installing, undoing ---------------------------------------------------------------

    def test_boot_schedules_the_job_and_restores_the_notification(self, alarmed: Phone) -> None:
        assert alarmed.run(alarmed.home / ".termux/boot/openclaw-auth").returncode == 0
        assert alarmed.calls() == [schedule(alarmed), ASK_URL, expired(alarmed)]

    def test_boot_into_all_well_removes_nothing(self, alarmed: Phone) -> None:
        alarmed.answers("curl", "OK\n")
        alarmed.run(alarmed.home / ".termux/boot/openclaw-auth")
        assert alarmed.calls() == [schedule(alarmed), ASK_URL]

    def test_boot_offline_is_quiet(self, phone: Phone) -> None:
        phone.answers("curl", "", 6)
        assert phone.run(phone.home / ".termux/boot/openclaw-auth").returncode == 0
        assert phone.calls() == [schedule(phone), ASK_URL]

    def tree(self, phone: Phone) -> dict[str, tuple[int, str]]:
        files = [path for path in phone.home.rglob("*") if path.is_file()]
        return {str(path.relative_to(phone.home)): (path.stat().st_mode & 0o777, path.read_text()) for path in files}

    def test_installed_twice_is_installed_once(self, phone: Phone) -> None:
        first = self.tree(phone)
        assert {name: mode for name, (mode, _) in first.items() if "state" not in name} == {
            ".config/openclaw-auth/config": 0o600,
            ".local/share/openclaw-auth/install.sh": 0o700,
            ".local/share/openclaw-auth/job": 0o700,
            ".local/share/openclaw-auth/openclaw-auth": 0o700,
            ".local/share/openclaw-auth/reauth": 0o700,
            ".shortcuts/openclaw-auth": 0o700,
            ".termux/boot/openclaw-auth": 0o700,
        }
        assert first[".config/openclaw-auth/config"][1] == f"URL={URL}\nSSH=me@host\n"
        assert {(phone.home / name).stat().st_mode & 0o777 for name in (".shortcuts", ".termux/boot")} == {0o700}
        for script in (phone.download / "install.sh", phone.programs / "install.sh"):
            done = phone.sh(script)
            assert (done.returncode, done.stdout, done.stderr) == (0, f"Installed. The status now:\nOK\n{SENT}", "")
            assert phone.calls() == [schedule(phone), ASK_URL, FIND, TEST]
            assert self.tree(phone) == first

    def test_uninstall_removes_everything_that_was_installed(self, alarmed: Phone) -> None:
        other = alarmed.home / ".shortcuts/other"
        other.write_text("mine")
        for removed in ([["termux-job-scheduler", "--cancel", "--job-id", "10785"], REMOVE], []):
            assert alarmed.sh(alarmed.download / "install.sh", "--uninstall").returncode == 0
            assert alarmed.calls() == removed
            assert list(self.tree(alarmed)) == [".shortcuts/other"]
            assert not (alarmed.prefix / "bin/openclaw-auth").exists()

    def test_the_installed_installer_undoes_itself(self, phone: Phone) -> None:
        assert phone.sh(phone.programs / "install.sh", "--uninstall").returncode == 0
        assert self.tree(phone) == {}

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            ([], 64, "name the host"),
            (["--purge"], 64, "usage"),
            (["SSH=me@host", "PASSWORD=PLANTED"], 78, "a line is not one of URL="),
            (["COMMAND=x"], 78, "set URL= or SSH="),
            (["URL=host:10785"], 78, "must begin with http://"),
            (["URL=http://me:PLANTED@host"], 78, "~/.netrc"),
            (["URL=http://host/'; touch pwned '"], 78, "an invalid character"),
            (["SSH=-oProxyCommand=touch pwned"], 78, "USER@HOST"),
            (["SSH=me@host", "COMMAND=x; touch pwned"], 78, "one word"),
            (["SSH=me@host", "STALE_HOURS=08"], 78, "number of hours"),
        ],
    )
    def test_invalid_arguments_change_nothing(
        self, tmp_path: Path, shell: Path, arguments: list[str], code: int, message: str
    ) -> None:
        phone = Phone(tmp_path, shell)
        done = phone.install(*arguments)
        assert (done.returncode, done.stdout) == (code, "")
        assert message in done.stderr
        assert "PLANTED" not in done.stderr
        assert (phone.calls(), self.tree(phone)) == ([], {})

    def test_new_arguments_replace_the_configuration_only_when_they_are_right(self, phone: Phone) -> None:
        assert phone.install("SSH=-x").returncode == 78
        assert phone.config.read_text() == f"URL={URL}\nSSH=me@host\n"
        assert phone.install("URL=https://[fd00::1]:10785/auth", "SSH=me@fd00::1").returncode == 0
        assert phone.config.read_text() == "URL=https://[fd00::1]:10785/auth\nSSH=me@fd00::1\n"

    def test_missing_termux_api_is_an_error(self, tmp_path: Path, shell: Path) -> None:
        phone = Phone(tmp_path, shell)
        (phone.prefix / "bin/termux-notification").unlink()
        done = phone.install("SSH=me@host")
        assert (done.returncode, self.tree(phone)) == (69, {})
        assert "termux-notification is missing: pkg install termux-api" in done.stderr

    # --- the configuration file ------------------------------------------------------------------

    def test_configuration_is_data(self, phone: Phone) -> None:
        phone.config.write_text("# mine\n\nSSH=me@host\nCOMMAND=/opt/x/bin/exporter\nSTALE_HOURS=12")
        done = phone.do("config")
        assert done.stdout == "URL=\nSSH=me@host\nCOMMAND=/opt/x/bin/exporter\nSTALE_HOURS=12\nCA=\n"
        phone.config.write_text("SSH=$(touch pwned)\n")
        assert phone.do("config").returncode == 78
        assert not (phone.home / "pwned").exists()

    def test_a_broken_configuration_sends_no_request_and_is_reported(self, phone: Phone) -> None:
        phone.config.write_text("URL=ftp://host\nSSH=me@host\n")
        done = phone.do("job")
        assert (done.returncode, done.stdout) == (0, "")
        problem = f"{phone.config}: URL must begin with http:// or https://"
        assert done.stderr == f"openclaw-auth: {problem}\n"
        assert phone.calls() == []
        phone.later(hours=6)
        phone.do("job")
        title, content = "OpenClaw: not checked since 2026-11-23 10:00", f"{problem}\nLast known: OK"
        assert phone.calls() == [notification(phone, title, content, "default", url=False, ssh=False)]
        for command in ("page", "reauth"):
            assert phone.do(command).returncode == 78
        assert phone.calls() == []

    def test_wrong_usage(self, phone: Phone) -> None:
        for command in ("", "ask", "--help", "load_config"):
            done = phone.do(command)
            assert (done.returncode, done.stdout) == (64, "")
            assert "usage" in done.stderr


class TestHere(Situations):
    pass


def test_termux_is_named_in_one_place() -> None:
    for script in SCRIPTS.iterdir():
        lines = script.read_text().splitlines()
        assert lines[0] == "#!/data/data/com.termux/files/usr/bin/sh"
        paths = [
            line
            for line in lines[1:]
            if re.search(r"/data/data|/(usr/)?bin/|/tmp", re.sub(r"\$PREFIX|~/\S+", "", line))
        ]
        assert [line for line in paths if not line.startswith(("PREFIX=", "HOME="))] == [
            line for line in paths if "$PREFIX/bin" in line or "%s/bin/sh" in line
        ]
        assert script.stat().st_mode & 0o111
