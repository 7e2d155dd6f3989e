"""``init --systemd``: the PATH of the units outlasts the shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.setup.search_path import lasting


def program(directory: Path, name: str = "node") -> str:
    """A program in ``directory``; returns the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text("#!/bin/sh\n")
    (directory / name).chmod(0o755)
    return str(directory)


def fnm(home: Path, version: str = "v24.1.0") -> tuple[str, Path]:
    """What fnm makes for a shell, and fnm's own directory."""
    own = home / ".local/share/fnm"
    program(own / f"node-versions/{version}/installation/bin")
    shell = home / ".local/state/fnm_multishells/123_456"
    shell.parent.mkdir(parents=True)
    shell.symlink_to(own / f"node-versions/{version}/installation")
    return f"{shell}/bin", own


def test_fnm_s_directory_of_a_shell_becomes_its_default_version(tmp_path: Path) -> None:
    entry, own = fnm(tmp_path)
    (own / "aliases").mkdir()
    (own / "aliases/default").symlink_to(own / "node-versions/v24.1.0/installation")
    found = lasting({"PATH": f"{entry}:/usr/bin"})
    assert found.directories == (f"{own}/aliases/default/bin", "/usr/bin")
    assert found.notes == (f"{entry} ends with this session: the unit searches {own}/aliases/default/bin instead.",)


def test_fnm_s_directory_of_another_version_is_named_with_its_version(tmp_path: Path) -> None:
    entry, own = fnm(tmp_path)
    found = lasting({"PATH": f"{entry}:/usr/bin"})
    assert found.directories == (f"{own}/node-versions/v24.1.0/installation/bin", "/usr/bin")
    assert "node belongs to Node v24.1.0 " in found.notes[-1]


@pytest.mark.parametrize("entry", ["/run/user/1000/fnm_multishells/1_2/bin", "/run/user/1000/gone/bin"])
def test_a_directory_of_the_session_that_leads_nowhere_is_left_out(entry: str) -> None:
    found = lasting({"PATH": f"{entry}:/usr/bin"})
    assert found.directories == ("/usr/bin",)
    assert found.notes == (f"{entry} ends with this session, so the unit does not search it.",)


def test_a_program_that_only_the_session_has_is_said(tmp_path: Path) -> None:
    entry = program(tmp_path / "fnm_multishells/1_2/bin", "openclaw")
    found = lasting({"PATH": f"{entry}:{tmp_path}"})
    assert found.directories == (str(tmp_path),)
    assert found.notes[-1].startswith(f"openclaw is only in {entry}, which ends with this session. Install it where")


def test_volta_s_directory_of_one_version_becomes_its_shims(tmp_path: Path) -> None:
    shims = program(tmp_path / ".volta/bin")
    image = program(tmp_path / ".volta/tools/image/node/24.1.0/bin")
    assert lasting({"PATH": f"{image}:{shims}:/usr/bin"}).directories == (shims, "/usr/bin")


def test_nvm_s_directory_stays_and_its_version_is_said(tmp_path: Path) -> None:
    directory = program(tmp_path / ".nvm/versions/node/v24.16.0/bin", "openclaw")
    found = lasting({"PATH": f"{directory}:/usr/bin"})
    assert found.directories == (directory, "/usr/bin")
    assert found.notes[0] == (
        f"openclaw belongs to Node v24.16.0 ({directory}). After you change the version, run "
        "`openclaw-auth-exporter init --systemd` again."
    )


def test_an_ordinary_path_stays_as_it_is() -> None:
    assert lasting({"PATH": "/usr/bin:relative::/bin:/usr/bin"}) == (("/usr/bin", "/bin"), ())
    assert lasting({}) == ((), ())
