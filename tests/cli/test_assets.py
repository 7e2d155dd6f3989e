"""``assets``: the shipped files have the same names in a checkout and in the wheel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.cli import program
from exporter.setup import assets

ROOT = Path(__file__).parents[2]
UNIT = "deploy/systemd/openclaw-auth-exporter.service"
USER_UNIT = "deploy/systemd/user/openclaw-auth-exporter.service"
Assets = Callable[..., tuple[object, bytes, bytes]]


@pytest.fixture
def run_assets(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Assets:
    """``openclaw-auth-exporter assets ARGS``: exit code, standard output, standard error."""

    def run(*args: str) -> tuple[object, bytes, bytes]:
        monkeypatch.setattr("sys.argv", ["openclaw-auth-exporter", "assets", *args])
        return program.run(), *capfdbinary.readouterr()

    return run


def test_names_are_paths_in_the_repository() -> None:
    assert {UNIT, USER_UNIT} <= set(assets.names())
    assert assets.names() == sorted(set(assets.names()))
    for name in assets.names():
        assert assets.read(name) == (ROOT / name).read_bytes()


def test_the_end_of_a_name_is_enough_if_only_one_file_has_it() -> None:
    assert assets.read("user/openclaw-auth-exporter.service") == (ROOT / USER_UNIT).read_bytes()
    with pytest.raises(assets.AssetsError, match=f"can be {UNIT} or {USER_UNIT}: name one of them"):
        assets.read("openclaw-auth-exporter.service")


@pytest.mark.parametrize("name", ["nothing", "../pyproject.toml", "deploy", "", "deploy/systemd/../../pyproject.toml"])
def test_other_files_cannot_be_read(name: str) -> None:
    with pytest.raises(assets.AssetsError, match="there is no shipped file"):
        assets.read(name)


def test_a_second_export_writes_nothing(tmp_path: Path) -> None:
    written = assets.export(tmp_path / "assets")
    assert {str(path.relative_to(tmp_path / "assets")) for path in written} == set(assets.names())
    for path in written:
        is_script = path.read_bytes().startswith(b"#!")
        assert bool(path.stat().st_mode & 0o100) == is_script, path
    assert assets.export(tmp_path / "assets") == []


def test_export_keeps_files_that_the_user_changed(tmp_path: Path) -> None:
    (tmp_path / UNIT).parent.mkdir(parents=True)
    (tmp_path / UNIT).write_text("mine")
    with pytest.raises(assets.AssetsError, match=r"openclaw-auth-exporter.service differ from the shipped files"):
        assets.export(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / UNIT]
    assets.export(tmp_path, force=True)
    assert (tmp_path / UNIT).read_bytes() == assets.read(UNIT)


def test_export_into_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(assets.AssetsError, match="Not a directory"):
        assets.export(tmp_path / "file")


def test_list_show_and_export(tmp_path: Path, run_assets: Assets) -> None:
    assert run_assets("list") == (0, "".join(f"{name}\n" for name in assets.names()).encode(), b"")
    assert run_assets("show", UNIT) == (0, assets.read(UNIT), b"")
    code, _, stderr = run_assets("show", "nothing")
    assert code == 64
    assert b"there is no shipped file 'nothing'" in stderr
    assert run_assets("export", str(tmp_path)) == (
        0,
        f"{len(assets.names())} files written below {tmp_path}\n".encode(),
        b"",
    )
    (tmp_path / UNIT).write_text("mine")
    code, _, stderr = run_assets("export", str(tmp_path))
    assert code == 73
    assert b"--force overwrites" in stderr
    assert run_assets("export", "--force", str(tmp_path))[1] == f"1 file written below {tmp_path}\n".encode()


def test_the_wheel_contains_and_finds_the_files(tmp_path: Path) -> None:
    """The wheel is built without a network (hatchling is a test dependency) and used without the repository."""
    built = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
            *("--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", str(tmp_path), str(ROOT)),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    inside = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    shipped = {name for name in inside if name.startswith("exporter/assets/")}
    assert shipped == {f"exporter/assets/{name}" for name in assets.names()}
    assert not {name for name in inside if not name.startswith(("exporter/", "openclaw_auth_exporter-"))}

    script = (
        "import json, exporter.setup.assets as assets\n"
        "print(json.dumps([assets.__file__, {name: len(assets.read(name)) for name in assets.names()}]))"
    )
    asked = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(site)},
    )
    where, sizes = json.loads(asked.stdout)
    assert where == str(site / "exporter/setup/assets.py")
    assert sizes == {name: len(assets.read(name)) for name in assets.names()}
