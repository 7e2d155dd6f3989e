"""The files behind an openclaw command, and that replacing them is noticed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.sources.openclaw.installation import identity, programs


class Host:
    """A folder of programs on PATH, and OpenClaw as npm installs it."""

    def __init__(self, root: Path) -> None:
        self.root, self.bin = root, root / "bin"
        self.bin.mkdir()
        self.package = root / "lib/node_modules/openclaw"
        self.install("2026.6.11")
        (self.bin / "openclaw").symlink_to(self.package / "openclaw.mjs")
        for name in ("node", "npx"):
            (self.bin / name).write_text("#!/bin/sh\n")
            (self.bin / name).chmod(0o755)

    def install(self, version: str) -> None:
        shutil.rmtree(self.package, ignore_errors=True)
        self.package.mkdir(parents=True)
        (self.package / "openclaw.mjs").write_text("#!/usr/bin/env node\n")
        (self.package / "openclaw.mjs").chmod(0o755)
        (self.package / "package.json").write_text(f'{{"name": "openclaw", "version": "{version}"}}')

    def identity(self, *command: str) -> list[object]:
        return [*identity(command, str(self.bin))]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.mark.parametrize(
    "command",
    [("openclaw",), ("npx", "openclaw"), ("node", "{script}"), ("{bin}/openclaw",), ("npx", "--yes", "openclaw")],
)
@pytest.mark.parametrize(
    "replace",
    [
        lambda host: host.install("2026.9.6"),
        lambda host: (host.package / "package.json").write_text('{"version": "2026.10.1"}'),
        lambda host: (host.package / "openclaw.mjs").unlink(),
        lambda host: os.utime(host.package / "openclaw.mjs", (5, 5)),
    ],
)
def test_replaced_openclaw_has_another_identity(
    host: Host, command: tuple[str, ...], replace: Callable[[Host], object]
) -> None:
    words = [word.format(script=host.package / "openclaw.mjs", bin=host.bin) for word in command]
    before = host.identity(*words)
    assert host.identity(*words) == before

    replace(host)

    assert host.identity(*words) != before


def test_other_version_behind_the_link_has_another_identity(host: Host) -> None:
    before = host.identity("openclaw")
    other = host.root / "versions/2026.9.6"
    shutil.copytree(host.package, other)  # with the same times
    (host.bin / "openclaw").unlink()
    (host.bin / "openclaw").symlink_to(other / "openclaw.mjs")
    assert host.identity("openclaw") != before


def test_words_that_are_no_files_name_none(host: Host) -> None:
    path = str(host.bin)
    assert list(programs(("openclaw", "--profile", "work", "/no/such/file", "openclaw\0"), path)) == [
        host.package / "openclaw.mjs"
    ]
    assert identity(("gone",), path) == []
