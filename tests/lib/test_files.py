"""A file that a user or another program names may be anything. What is no regular file is refused; nothing waits."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.lib import files
from exporter.lib.files import NotRegularError, TooLargeError, read_regular, stat_regular


@pytest.fixture
def kinds(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """A path of each kind of thing that is no regular file."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        yield {
            "named pipe": pipe,
            "named pipe behind a link": link,
            "directory": tmp_path,
            "socket": tmp_path / "socket",
            "device": Path("/dev/zero"),
        }


@pytest.mark.parametrize("read", [lambda path: read_regular(path, 10), stat_regular])
def test_what_is_no_regular_file_is_refused_by_its_kind(kinds: dict[str, Path], read: Callable[[Path], object]) -> None:
    for kind, path in kinds.items():
        with pytest.raises(NotRegularError) as caught:
            read(path)
        assert caught.value.strerror == f"Is a {kind.partition(' behind')[0]}: put a regular file there"
        assert caught.value.filename == str(path)


def test_what_takes_the_place_after_the_comparison_is_refused_too(
    kinds: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "stat_regular", lambda *_: None)
    for kind in ("named pipe", "directory", "device"):
        with pytest.raises(NotRegularError):
            read_regular(kinds[kind], 10)


def test_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    assert read_regular(path, 10) == b"x" * 10
    with pytest.raises(TooLargeError, match="Is larger than"):
        read_regular(path, 9)
    monkeypatch.setattr(files, "stat_regular", lambda *_: None)  # it has grown since
    with pytest.raises(TooLargeError):
        read_regular(path, 9)


def test_file_whose_size_is_not_known_beforehand_is_read() -> None:
    assert b"Name:" in read_regular(Path("/proc/self/status"), 10**6)


def test_null_is_an_empty_file() -> None:
    assert read_regular(Path(os.devnull), 10) == b""


@pytest.mark.parametrize("name", ["nul\0", "half \ud800"])
def test_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotRegularError, match="no path of a file"):
        read_regular(tmp_path / name, 10)


def test_no_descriptor_is_left_or_inherited(kinds: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "stat_regular", lambda *_: None)
    before = os.listdir("/proc/self/fd")
    for path in (kinds["named pipe"], kinds["directory"]):
        with pytest.raises(NotRegularError):
            read_regular(path, 10)
    assert os.listdir("/proc/self/fd") == before
