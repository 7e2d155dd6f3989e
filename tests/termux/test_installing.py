"""Installing and uninstalling on a phone, and its start. Each test asserts every call to the outside exactly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from termux.phone import SCRIPTS, Phone
from termux.situations import ASK_URL, EXPIRED, FIND, REMOVE, SENT, TEST, URL, Situations, expired, schedule


@pytest.fixture
def shell() -> Path:
    return Path("/bin/sh").resolve()


class InstallSituations(Situations):
    # --- installing: what a new user may meet ----------------------------------------------------------

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

    # --- boot, installing, undoing ---------------------------------------------------------------------

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


class TestHere(InstallSituations):
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
