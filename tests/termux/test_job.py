"""The job on a phone: one notification, kept up to date, and what it does without an answer.

Each test asserts every call to the outside exactly.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from termux.phone import NOW, Phone
from termux.situations import (
    ASK_SSH,
    ASK_URL,
    CURL_ERROR,
    EXPIRED,
    EXPIRED_TITLE,
    EXPIRING,
    FIND,
    LIST,
    PATH_CHECK,
    REMOVE,
    SENT,
    SSH_ERROR,
    TEST,
    URL,
    Situations,
    expired,
    notification,
    schedule,
)


@pytest.fixture
def shell() -> Path:
    return Path("/bin/sh").resolve()


class JobSituations(Situations):
    # --- the job: one notification, kept up to date ----------------------------------------------------

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

    # --- no answer -------------------------------------------------------------------------------------

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

    # --- the configuration file ------------------------------------------------------------------------

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


class TestHere(JobSituations):
    pass
