"""``init``: the files it writes and keeps, its one question, and its undo commands."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.alerts.delivery import one_shot
from exporter.cli import main
from exporter.config import Config, Web, default_config_file, load
from exporter.config.reading import parse
from exporter.setup import assets, homes, init


class Home:
    """A home directory, a shell environment, and a fake systemctl that records its calls."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.home = home
        self.config = home / ".config/openclaw-auth-exporter/config.json5"
        self.units = home / ".config/systemd/user"
        self.bin = home / "bin"
        self.bin.mkdir(parents=True)
        self.env = {"HOME": str(home), "PATH": f"{self.bin}:/usr/bin:/bin", "USER": "alice"}
        self.systemctl("exit 0")
        self.users: list[tuple[str, Path]] = []  # others whose homes this one may read, as root

    def systemctl(self, script: str) -> None:
        file = self.bin / "systemctl"
        file.write_text(f'#!/bin/sh\necho "$*" >>"$HOME/calls"\n{script}\n')
        file.chmod(0o755)

    def calls(self) -> list[str]:
        file = self.home / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def __call__(self, *args: str, stdin: int | None = None) -> subprocess.CompletedProcess[str]:
        with (
            self._monkeypatch.context() as patch,
            open(os.devnull if stdin is None else stdin, closefd=stdin is None) as file,
        ):
            for name in set(os.environ) - set(self.env):
                patch.delenv(name)
            for name, value in self.env.items():
                patch.setenv(name, value)
            patch.setattr("sys.argv", ["openclaw-auth-exporter", "init", *args])
            patch.setattr("sys.stdin", file)
            patch.setattr(homes, "other_users", lambda: self.users)
            with pytest.raises(SystemExit) as ended:
                main()
        assert isinstance(ended.value.code, int)
        return subprocess.CompletedProcess(args, ended.value.code, *self._capsys.readouterr())

    def files(self) -> set[str]:
        """Every file below the home except the fake systemctl and its record."""
        found = {str(path.relative_to(self.home)) for path in self.home.rglob("*") if not path.is_dir()}
        return {name for name in found if not name.startswith(("bin/", "calls"))}

    def undo(self, output: str) -> None:
        """Paste the printed undo commands into a shell."""
        script = output.partition("To undo this:\n")[2]
        assert script
        subprocess.run(["sh", "-eu"], input=script, env=self.env, text=True, check=True, timeout=60)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Home:
    return Home(tmp_path / "a home", monkeypatch, capsys)


# --- the configuration -----------------------------------------------------------------------


@pytest.mark.parametrize("env_file", [None, "~/.openclaw/.env"])
@pytest.mark.parametrize("topic_file", [None, Path('/home/a "quoted" \\ one/ntfy-topic')])
def test_the_starting_configuration_is_valid(env_file: str | None, topic_file: Path | None) -> None:
    made = parse(init.starting_config(env_file, topic_file))
    (target,) = made.targets
    assert (target.name, target.source, getattr(target, "env_file", None)) == ("local", "auto", env_file)
    assert [getattr(channel, "topic_file", None) for channel in made.channels] == (
        [str(topic_file)] if topic_file else []
    )


def test_every_commented_example_is_valid() -> None:
    """No example is out of date: the file stays valid with each of them."""
    text = init.starting_config(None, None)
    examples = re.findall(r'^( *)// (\{ name: .*|"anthropic.*|\w+: .*,)$', text, re.MULTILINE)
    assert len(examples) == 12
    for indent, example in examples:
        made = text.replace(f"{indent}// {example}", indent + example)
        assert made != text
        assert parse(made) is not None


def test_the_commented_defaults_are_the_defaults() -> None:
    text = init.starting_config(None, None)
    with_them = re.sub(r"^( *)// ((interval|expiring_within|alerts|web): )", r"\1\2", text, flags=re.MULTILINE)
    assert with_them.count("//") == text.count("//") - 4
    assert parse(with_them) == parse(text)


def test_the_file_is_readable_by_its_owner_only_and_is_found(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    done = home()
    assert done.returncode == 0, done.stderr
    assert home.files() == {".config/openclaw-auth-exporter/config.json5"}
    assert home.config.stat().st_mode & 0o777 == 0o600
    assert home.config.parent.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("HOME", str(home.home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("OPENCLAW_AUTH_EXPORTER_CONFIG", raising=False)
    assert default_config_file() == home.config
    assert load(home.config).targets[0].name == "local"
    home.undo(done.stdout)
    assert home.files() == set()


def test_further_homes_are_proposed_and_not_checked_unasked(home: Home, tmp_path: Path) -> None:
    """A named home, and as root those of another user; not what only looks like one."""
    alice = tmp_path / "alice"
    for folder in (home.home / ".openclaw-work", alice / ".openclaw", alice / ".openclaw-lab", alice / ".openclaw.bak"):
        (folder / "agents").mkdir(parents=True)
    for folder in (home.home / ".openclaw-old", tmp_path / "bob/.openclaw"):
        folder.mkdir(parents=True)
    home.users = [("alice", alice), ("bob", tmp_path / "bob")]
    done = home()
    assert f"OpenClaw is also in {alice}/.openclaw: target alice, `runuser -u alice -- env HOME={alice} openclaw`" in (
        done.stdout
    )
    assert done.stdout.count("OpenClaw is also in ") == 3
    assert f"To check these homes too, remove the // before their targets in {home.config}." in done.stdout
    assert [target.name for target in load(home.config).targets] == ["local"]
    home.config.write_text(home.config.read_text().replace("// { name", "{ name", 3))
    commands = {target.name: getattr(target, "command", None) for target in load(home.config).targets}
    as_alice = ["runuser", "-u", "alice", "--", "env", f"HOME={alice}", "openclaw"]
    assert commands == {
        "local": None,
        "work": ["openclaw", "--profile", "work"],
        "alice": as_alice,
        "alice-lab": [*as_alice, "--profile", "lab"],
    }


@pytest.mark.parametrize(("answer", "names"), [(b"\n\n", ["local", "work"]), (b"n\n\n", ["local"])])
def test_a_user_at_a_terminal_is_asked_for_further_homes(home: Home, answer: bytes, names: list[str]) -> None:
    (home.home / ".openclaw-work").mkdir()
    (home.home / ".openclaw-work/openclaw.json").write_text("{}")
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    done = home(stdin=theirs)
    os.close(ours)
    os.close(theirs)
    assert "Check these too?" in done.stdout
    assert [target.name for target in load(home.config).targets] == names


def test_a_program_that_only_its_user_has_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / ".npm-global/bin/openclaw"
    for folder in (tmp_path / ".openclaw/agents", program.parent):
        folder.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (found,) = homes.find_homes(tmp_path / "root", [("alice", tmp_path)])
    assert found.command[-2:] == (f"PATH={program.parent}:/usr/local/bin:/usr/bin:/bin", "openclaw")


def test_only_root_looks_into_the_homes_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert homes.other_users() == []
    monkeypatch.setattr("os.geteuid", lambda: 0)
    found = dict(homes.other_users())
    assert Path(os.path.expanduser("~")) not in found.values()
    assert Path("/") not in found.values()


def test_an_existing_env_file_of_openclaw_is_named(home: Home) -> None:
    (home.home / ".openclaw").mkdir()
    (home.home / ".openclaw/.env").write_text("ANTHROPIC_API_KEY=PLANTED-SECRET-1\n")
    done = home()
    assert '{ name: "local", source: "auto", env_file: "~/.openclaw/.env" },' in home.config.read_text()
    assert "PLANTED-SECRET" not in home.config.read_text() + done.stdout + done.stderr


def test_an_existing_file_is_not_overwritten(home: Home) -> None:
    home.config.parent.mkdir(parents=True)
    home.config.write_text("mine")
    done = home()
    assert done.returncode == 73
    assert done.stderr == (
        f"Error: {home.config} already exists and was not changed; "
        "--force replaces it and keeps the old file beside it\n"
    )
    assert home.config.read_text() == "mine"


def test_a_dangling_link_counts_as_an_existing_file(home: Home) -> None:
    home.config.parent.mkdir(parents=True)
    home.config.symlink_to("gone")
    assert home().returncode == 73
    assert home.config.is_symlink()


def test_force_keeps_the_old_file_and_undo_restores_it(home: Home) -> None:
    home.config.parent.mkdir(parents=True)
    home.config.write_text("mine")
    done = home("--force")
    assert done.returncode == 0, done.stderr
    assert load(home.config)
    (kept,) = home.config.parent.glob("config.json5.before-*")
    assert kept.read_text() == "mine"
    home.undo(done.stdout)
    assert home.files() == {".config/openclaw-auth-exporter/config.json5"}
    assert home.config.read_text() == "mine"


def test_the_path_of_the_configuration() -> None:
    assert init.config_path({"OPENCLAW_AUTH_EXPORTER_CONFIG": "/etc/x.json5"}) == Path("/etc/x.json5")
    assert init.config_path({"XDG_CONFIG_HOME": "/c"}) == Path("/c/openclaw-auth-exporter/config.json5")
    assert init.config_path({}) == Path.home() / ".config/openclaw-auth-exporter/config.json5"


def test_a_directory_that_cannot_be_created_is_an_error_sentence(home: Home) -> None:
    (home.home / ".config").write_text("")
    done = home()
    assert done.returncode == 73
    assert done.stderr == f"Error: {home.config.parent}: Not a directory\n"


@pytest.mark.parametrize(("answer", "wants"), [(b"y\nn\n", True), (b"\n", False)])
def test_a_user_at_a_terminal_is_asked_for_a_phone(home: Home, answer: bytes, wants: bool) -> None:
    terminal, its_end = pty.openpty()
    try:
        os.write(terminal, answer)
        done = home(stdin=its_end)
    finally:
        os.close(terminal)
        os.close(its_end)
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("?") == 1 + 2 * wants
    topic_file = home.config.parent / "ntfy-topic"
    assert topic_file.exists() == wants
    made = load(home.config)
    assert len(made.channels) == wants
    if wants:
        topic = topic_file.read_text().strip()
        assert re.fullmatch(r"openclaw-[-_A-Za-z0-9]{24}", topic)
        assert made.channels[0].read_secret("topic") == topic
        assert f"subscribe to the topic {topic}\n" in done.stdout
        assert f"https://ntfy.sh/{topic} " in done.stdout
        assert "To test it later: `openclaw-auth-exporter notify test`." in done.stdout
        assert topic_file.stat().st_mode & 0o777 == 0o600
    home.undo(done.stdout)
    assert home.files() == set()


@pytest.mark.parametrize(
    ("problem", "was_pressed", "said"),
    [
        (None, True, "phone: the phone has answered."),
        (None, False, "phone: no answer. If the phone stayed silent, check the topic."),
        ("HTTP 500", False, "phone: FAILED: HTTP 500. Try again: `openclaw-auth-exporter notify test`."),
        (KeyboardInterrupt(), False, "To test it later: `openclaw-auth-exporter notify test`."),
    ],
)
def test_a_phone_that_has_subscribed_is_rung_until_it_answers(
    home: Home, monkeypatch: pytest.MonkeyPatch, problem: str | BaseException | None, was_pressed: bool, said: str
) -> None:
    async def ring(config: Config, name: str, now: float, rung: Callable[[], None]) -> tuple[str | None, bool]:
        if problem is None:
            rung()
        if isinstance(problem, BaseException):
            raise problem
        return problem, was_pressed

    monkeypatch.setattr(one_shot, "ring", ring)
    terminal, its_end = pty.openpty()
    try:
        os.write(terminal, b"y\ny\n")
        done = home(stdin=its_end)
    finally:
        os.close(terminal)
        os.close(its_end)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout + done.stderr
    assert ("Press 'I see it' in the notification" in done.stdout) == (problem is None)
    home.undo(done.stdout)
    assert home.files() == set()


def test_the_code_for_the_camera_is_square_and_without_escapes() -> None:
    lines = init.qr_code(init.topic_link("openclaw-abc")).splitlines()
    assert {len(line) for line in lines} == {len(lines[0])}
    assert 2 * len(lines) - len(lines[0]) in (0, 1)
    assert set("".join(lines)) <= set("█▀▄ ")


@pytest.mark.parametrize(
    ("web", "address"),
    [
        ({}, "http://127.0.0.1:10785/"),
        ({"listen": "0.0.0.0:80"}, "http://127.0.0.1:80/"),
        ({"listen": "[::1]:81"}, "http://[::1]:81/"),
        ({"listen": "rack7:82", "tls": {"cert_file": "c", "key_file": "k"}}, "https://rack7:82/"),
        ({"external_url": "https://status.example"}, "https://status.example"),
    ],
)
def test_the_address_of_the_page(web: dict[str, Any], address: str) -> None:
    assert init.page_address(Web.model_validate(web)) == address


def test_an_existing_topic_is_kept(tmp_path: Path) -> None:
    first = init.write_topic(tmp_path / "x/ntfy-topic")
    assert init.write_topic(tmp_path / "x/ntfy-topic") == first
    assert init.write_topic(tmp_path / "y/ntfy-topic") != first


# --- the units -------------------------------------------------------------------------------

SHIPPED = {
    name: assets.read(f"deploy/systemd/user/{name}").decode()
    for name in (
        "openclaw-auth-exporter.service",
        "openclaw-auth-exporter-check.service",
        "openclaw-auth-exporter-check.timer",
    )
}


def test_the_units_are_the_shipped_ones_with_drop_ins() -> None:
    environ = {"PATH": "/nvm/bin:/usr/bin:relative::/nvm/bin", "OPENCLAW_STATE_DIR": "/o", "ANTHROPIC_API_KEY": "no"}
    home = Path.home() / ".config/openclaw-auth-exporter/config.json5"
    files = init.unit_files(["/opt/x/openclaw-auth-exporter"], environ, home)
    drop_ins = {name: text for name, text in files.items() if name.endswith(".conf")}
    assert {name: text for name, text in files.items() if name not in drop_ins} == SHIPPED
    head = [
        "# Written by `openclaw-auth-exporter init --systemd`, which overwrites it. Write your own changes elsewhere.",
        "[Service]",
        'Environment="OPENCLAW_STATE_DIR=/o"',
        'Environment="PATH=/nvm/bin:/usr/bin"',
    ]
    assert {name: text.splitlines() for name, text in drop_ins.items()} == {
        "openclaw-auth-exporter.service.d/10-init.conf": [
            *head,
            "ExecStart=",
            'ExecStart="/opt/x/openclaw-auth-exporter" serve',
        ],
        "openclaw-auth-exporter-check.service.d/10-init.conf": [
            *head,
            "ExecStart=",
            'ExecStart="/opt/x/openclaw-auth-exporter" check --notify',
            "ExecStartPre=",
            'ExecStartPre=/bin/sh -c \'"$$0" "$$@" config check >/dev/null || exit 70\' '
            '"/opt/x/openclaw-auth-exporter"',
        ],
    }


def test_no_exec_line_is_added_if_the_program_is_at_its_usual_path() -> None:
    expected = [str(Path.home() / ".local/bin/openclaw-auth-exporter")]
    files = init.unit_files(expected, {"PATH": "/bin"}, Path("/etc/x.json5"))
    assert files["openclaw-auth-exporter.service.d/10-init.conf"].splitlines()[1:] == [
        "[Service]",
        'Environment="OPENCLAW_AUTH_EXPORTER_CONFIG=/etc/x.json5"',
        'Environment="PATH=/bin"',
    ]


def test_characters_special_to_systemd_are_quoted() -> None:
    files = init.unit_files(
        ['/a "b" %h $HOME\\c', "-m"], {"PATH": '/p %n "q"', "OPENCLAW_HOME": "/x\nExecStart=/bin/evil"}, Path("/c d%")
    )
    lines = files["openclaw-auth-exporter.service.d/10-init.conf"].splitlines()
    assert 'ExecStart="/a \\"b\\" %%h $$HOME\\\\c" "-m" serve' in lines
    assert 'Environment="PATH=/p %%n \\"q\\""' in lines
    assert 'Environment="OPENCLAW_AUTH_EXPORTER_CONFIG=/c d%%"' in lines
    assert not [line for line in lines if "evil" in line]


def test_systemd_installs_starts_and_can_be_undone(home: Home) -> None:
    done = home("--systemd")
    assert done.returncode == 0, done.stderr
    assert home.calls() == [
        "--user show --property=Version",
        "--user daemon-reload",
        "--user enable --quiet openclaw-auth-exporter.service",
        "--user restart openclaw-auth-exporter.service",
    ]
    assert {name for name in SHIPPED if (home.units / name).read_text() == SHIPPED[name]} == set(SHIPPED)
    drop_in = (home.units / "openclaw-auth-exporter.service.d/10-init.conf").read_text()
    assert f'PATH={home.env["PATH"]}"' in drop_in
    assert "loginctl enable-linger" in done.stdout
    assert "The page: http://127.0.0.1:10785/\n" in done.stdout
    home.undo(done.stdout)
    assert home.files() == set()
    assert home.calls()[4:] == [
        "--user disable --now openclaw-auth-exporter.service openclaw-auth-exporter-check.timer",
        "--user daemon-reload",
    ]


def test_a_second_run_keeps_the_configuration_and_updates_the_units(home: Home) -> None:
    home.config.parent.mkdir(parents=True)
    home.config.write_text('{targets: [{name: "mine", source: "simulated"}]}')
    home.units.mkdir(parents=True)
    (home.units / "openclaw-auth-exporter.service").write_text("of an older release")
    done = home("--systemd")
    assert done.returncode == 0, done.stderr
    assert f"{home.config}: already exists and is kept\n" in done.stdout
    assert load(home.config).targets[0].name == "mine"
    assert (home.units / "openclaw-auth-exporter.service").read_text() == SHIPPED["openclaw-auth-exporter.service"]
    home.undo(done.stdout)
    assert home.files() == {".config/openclaw-auth-exporter/config.json5"}


def test_a_second_run_restarts_the_timer_if_the_user_chose_it(home: Home) -> None:
    timer = home.units / "timers.target.wants/openclaw-auth-exporter-check.timer"
    timer.parent.mkdir(parents=True)
    timer.symlink_to(home.units / timer.name)
    done = home("--systemd")
    assert done.returncode == 0, done.stderr
    assert home.calls() == [
        "--user show --property=Version",
        "--user daemon-reload",
        "--user enable --quiet openclaw-auth-exporter-check.timer",
        "--user restart openclaw-auth-exporter-check.timer",
    ]
    assert "openclaw-auth-exporter-check.timer: enabled instead of the daemon, as before." in done.stdout

    daemon = home.units / "default.target.wants/openclaw-auth-exporter.service"
    daemon.parent.mkdir(parents=True)
    daemon.symlink_to(home.units / daemon.name)
    assert home("--systemd").returncode == 0
    assert home.calls()[-1] == "--user restart openclaw-auth-exporter.service"


def test_systemd_with_a_bad_configuration_starts_nothing(home: Home) -> None:
    home.config.parent.mkdir(parents=True)
    home.config.write_text("{intervall: 1}")
    done = home("--systemd")
    assert done.returncode == 78
    assert "did you mean 'interval'?" in done.stderr
    assert home.calls() == ["--user show --property=Version"]


def test_nothing_is_written_if_systemd_cannot_be_reached(home: Home) -> None:
    home.systemctl("echo 'Failed to connect to bus: No medium found' >&2; exit 1")
    done = home("--systemd")
    assert done.returncode == 69
    assert "Log in as this user" in done.stderr
    assert "No medium found" in done.stderr
    assert home.files() == set()


def test_nothing_is_written_without_systemctl(home: Home) -> None:
    (home.bin / "systemctl").unlink()
    home.env["PATH"] = str(home.bin)
    done = home("--systemd")
    assert done.returncode == 69
    assert "systemctl was not found" in done.stderr
    assert home.files() == set()


def test_a_daemon_that_does_not_start_is_an_error(home: Home) -> None:
    home.systemctl('case $2 in restart) echo "Job failed" >&2; exit 1;; esac')
    done = home("--systemd")
    assert done.returncode == 69
    assert done.stderr == (
        "Error: `systemctl --user restart openclaw-auth-exporter.service` failed; see "
        "`journalctl --user -u openclaw-auth-exporter.service -e`. systemctl printed: Job failed\n"
    )
    home.undo(done.stdout)
    assert home.files() == set()
