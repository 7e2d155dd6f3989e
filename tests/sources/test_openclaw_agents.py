"""The openclaw source against a stand-in: the agents and the version that it asks for and remembers."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from openclaw_stand_in import CAPTURE, SECRET, STAND_IN, StandIn, stand_in_at

from exporter.model import CheckError, FailureReason
from exporter.sources.store.paths import StorePaths

DAY = 86400.0


@pytest.fixture(autouse=True)
def _without_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StorePaths, "from_status", lambda payload: None)


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    return stand_in_at(tmp_path)


# --- agents ----------------------------------------------------------------------------------------


async def test_configured_agents_start_no_process(stand_in: StandIn) -> None:
    assert await stand_in.source(agents=["b", "a"]).agents() == ["b", "a"]
    assert stand_in.calls == []


async def test_agents_are_listed_once_a_day_with_the_default_first(stand_in: StandIn) -> None:
    for _ in range(2):
        source = stand_in.source()
        assert [*await asyncio.gather(source.agents(), source.agents())] == [["main", "work"]] * 2
    assert stand_in.calls == [["agents", "list", "--json"]]
    stand_in.clock[0] += DAY + 1
    stand_in.says("agents", b'log [x] {y}\n{"agents": [{"id": "new"}, {"id": "new"}, {"name": "x"}, 5]}\n')
    assert await stand_in.source().agents() == ["new"]


async def test_changed_target_command_or_configuration_lists_the_agents_again(
    stand_in: StandIn, tmp_path: Path
) -> None:
    await stand_in.source().agents()
    await stand_in.source(name="other").agents()
    await stand_in.source(state_dir=str(tmp_path / "state")).agents()
    assert len(stand_in.calls) == 3
    config = tmp_path / ".openclaw" / "openclaw.json"
    config.parent.mkdir()
    for text in ("{}", '{"agents": {}}'):
        config.write_text(text)
        await stand_in.source().agents()
        await stand_in.source().agents()
    assert len(stand_in.calls) == 5


@pytest.mark.parametrize(
    ("stdout", "stderr", "code", "reason"),
    [
        ("", "Error: bad config", 1, FailureReason.COMMAND_ERROR),
        ('{"ok": false, "error": {"message": "bad config"}}', "", 1, FailureReason.COMMAND_ERROR),
        ("[]", "", 0, FailureReason.INVALID_OUTPUT),
        ('[{"id": 5}, {"id": ""}, 7]', "", 0, FailureReason.INVALID_OUTPUT),
        ("", "", 0, FailureReason.INVALID_OUTPUT),
        ("[" * 200_000, "", 0, FailureReason.INVALID_OUTPUT),
        ("", "not found", 127, FailureReason.COMMAND_NOT_FOUND),
    ],
    ids=range(7),
)
async def test_unlistable_agents_have_their_reason(
    stand_in: StandIn, stdout: str, stderr: str, code: int, reason: FailureReason
) -> None:
    stand_in.says("agents", stdout, stderr, code)
    with pytest.raises(CheckError) as caught:
        await stand_in.source().agents()
    assert caught.value.reason is reason
    stand_in.says("agents", '[{"id": "main"}]')
    assert await stand_in.source().agents() == ["main"]  # a failure is not remembered


async def test_spoiled_cache_entry_is_ignored(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for note in ("", "{", "[]", '{"agents": 5, "config": null}', '{"agents": [5], "config": null}'):
        monkeypatch.setattr(stand_in.cache, "get_cached", lambda *_, note=note: note)
        assert await stand_in.source().agents() == ["main", "work"]


# --- version ---------------------------------------------------------------------------------------


async def test_version_comes_from_the_package_without_a_process(stand_in: StandIn, tmp_path: Path) -> None:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "openclaw").symlink_to(stand_in.path)
    (tmp_path / "package.json").write_text('{"name": "openclaw", "version": "2026.6.11"}')
    environ = {"PATH": f"{bin_folder}:{os.environ['PATH']}"}
    assert (await stand_in.source(environ, command=["openclaw"]).check("main")).openclaw_version == "2026.6.11"
    assert len(stand_in.calls) == 1


@pytest.mark.parametrize(
    "package", ['{"name": "else", "version": "1.2.3"}', "{", "[]", '{"name": "openclaw"}', "[" * 9999]
)
async def test_foreign_package_gives_no_version(stand_in: StandIn, tmp_path: Path, package: str) -> None:
    (tmp_path / "package.json").write_text(package)
    assert (await stand_in.source().check("main")).openclaw_version == "2026.9.6"


async def test_version_is_asked_once_for_an_unchanged_executable(stand_in: StandIn) -> None:
    for _ in range(2):
        await stand_in.source().check("main")
    stand_in.clock[0] += 20 * DAY
    await stand_in.source().check("main")
    assert stand_in.calls.count(["--version"]) == 1
    stand_in.is_now(STAND_IN.format(python=sys.executable, here=str(stand_in.folder)) + "# upgraded\n")
    stand_in.says("version", "2026.10.1\n")
    assert (await stand_in.source().check("main")).openclaw_version == "2026.10.1"


@pytest.mark.parametrize(
    ("stdout", "code"),
    [(CAPTURE["stdout"], 0), ("", 0), ("2026.9.6", 1), ("v 1", 0), (b"\xff" * 9999, 0), ("1.2.3 " + SECRET, 0)],
)
async def test_unreadable_version_is_asked_again_after_a_day(stand_in: StandIn, stdout: str | bytes, code: int) -> None:
    stand_in.says("version", stdout, code=code)
    for _ in range(2):
        assert (await stand_in.source().check("main")).openclaw_version is None
    assert stand_in.calls.count(["--version"]) == 1
    stand_in.clock[0] += DAY + 1
    stand_in.says("version", "2026.2.9")
    assert (await stand_in.source().check("main")).openclaw_version == "2026.2.9"


async def test_version_on_another_host_is_asked_daily(stand_in: StandIn, tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nshift 2\nexec "$@"\n')
    docker.chmod(0o755)
    command = [str(docker), "exec", "gw", stand_in.path]
    for days in (0, 0, 1.1):
        stand_in.clock[0] += days * DAY
        assert (await stand_in.source(command=command).check("main")).openclaw_version == "2026.9.6"
    assert stand_in.calls.count(["--version"]) == 2
