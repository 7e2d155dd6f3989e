"""``init --systemd``: the units that it installs, starts and updates."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config import load
from exporter.setup import assets, init

from .init_home import Home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Home:
    return Home(tmp_path / "a home", monkeypatch, capsys)


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
