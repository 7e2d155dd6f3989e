"""The openclaw source against a stand-in, beside a store on this host that it reads too."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from captured import capture
from openclaw_stand_in import CAPTURE, StandIn, stand_in_at
from stores import Home

from exporter.model import CheckError, FailureReason
from exporter.sources import Fingerprint
from exporter.sources.openclaw.source import ELSEWHERE
from exporter.sources.store import local, reader
from exporter.sources.store.facts import StoreFacts
from exporter.sources.store.paths import StorePaths

FROM_STATUS = StorePaths.from_status


@pytest.fixture(autouse=True)
def _without_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StorePaths, "from_status", lambda payload: None)


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    return stand_in_at(tmp_path)


# --- the store -------------------------------------------------------------------------------------


class FakeReader:
    """Takes the place of the store's reader and records what it is asked."""

    asked: list[tuple[object, str]]
    trouble: CheckError | None

    def __init__(self, keyed_hash: Callable[[str], str], now: Callable[[], float]) -> None:
        assert now() == 1_800_000_000.0
        assert keyed_hash("x") == hashlib.sha256(b"x").hexdigest()

    def read(self, paths: object, agent: str, service: object, version: object) -> StoreFacts:
        FakeReader.asked.append((paths, agent))
        if FakeReader.trouble:
            raise FakeReader.trouble
        return StoreFacts(notes=(f"facts of {agent}",))

    def config(self, paths: object) -> None:
        """There is no configuration."""

    def fingerprint(self, paths: list[object]) -> Fingerprint:
        return Fingerprint(f"{len(paths)} stores of {paths[0]}")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> type[FakeReader]:
    FakeReader.asked, FakeReader.trouble = [], None
    monkeypatch.setattr(reader, "StoreReader", FakeReader)
    monkeypatch.setattr(StorePaths, "from_status", lambda payload: payload["auth"]["storePath"])
    return FakeReader


async def test_check_on_this_host_is_completed_from_the_store(stand_in: StandIn, store: type[FakeReader]) -> None:
    source = stand_in.source()
    before = source.fingerprint()
    assert (await source.check("main")).notes == ("facts of main",)
    first = source.fingerprint()
    await source.check("work")
    second = source.fingerprint()
    assert [found and found.is_complete for found in (before, first, second)] == [False, True, True]
    assert len({before, first, second, source.fingerprint()}) == 3
    assert store.asked == [(json.loads(CAPTURE["stdout"])["auth"]["storePath"], agent) for agent in ("main", "work")]


@pytest.mark.parametrize("agents", ["all", ["work"]])
@pytest.mark.parametrize(
    ("folder", "environ", "config"),
    [
        (".openclaw", {}, {}),
        (".clawdbot", {}, {}),
        (".openclaw-work", {"OPENCLAW_PROFILE": "work"}, {}),
        ("elsewhere", {"OPENCLAW_STATE_DIR": "~/elsewhere"}, {}),
        ("configured", {}, {"state_dir": "~/configured"}),
    ],
)
async def test_first_check_of_a_store_that_does_not_change_needs_no_second_one(
    stand_in: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    environ: dict[str, str],
    config: dict[str, str],
    agents: object,
) -> None:
    """The store is compared over the first check, although only the check finds out where it is."""
    monkeypatch.setattr(StorePaths, "from_status", FROM_STATUS)
    monkeypatch.setenv("HOME", str(stand_in.folder))
    home = Home(stand_in.folder)
    home.state_dir.rename(stand_in.folder / folder)
    home.state_dir = stand_in.folder / folder
    home.write_config({"agents": {"list": [{"id": "main"}, {"id": "work", "agentDir": f"{home.state_dir}/own"}]}})
    (home.state_dir / "own").mkdir()
    (home.state_dir / "own/auth-profiles.json").write_text('{"profiles": {}}')
    home.write_json({})
    where = {"PATH": os.environ["PATH"], "HOME": str(stand_in.folder), **environ}
    source = stand_in.source(where, agents=agents, **config)

    before = source.fingerprint()
    status = json.loads(CAPTURE["stdout"]) | {"configPath": f"{home.state_dir}/openclaw.json"}
    for agent, own in (("main", home.paths().agent_dir), ("work", home.state_dir / "own")):
        if agent in agents or agents == "all":  # type: ignore[operator]  # a list or a string
            status["auth"]["storePath"] = f"{own}/auth-profiles.json"
            stand_in.says("status", json.dumps({**status, "agentDir": str(own)}))
            await source.check(agent)
    after = source.fingerprint()

    assert before is not None
    assert after == Fingerprint(before.hash)
    assert not before.is_complete
    (home.state_dir / "own/auth-profiles.json").write_text('{"profiles": {"a": {}}}')
    assert source.fingerprint() != after
    assert stand_in.source(where, agents=agents, **config).fingerprint() != before


async def test_replaced_command_or_env_file_changes_the_fingerprint(
    stand_in: StandIn, store: type[FakeReader], tmp_path: Path
) -> None:
    env_file = tmp_path / "env"
    env_file.write_text("A=b\n")
    source = stand_in.source(env_file=str(env_file))
    await source.check("main")
    seen = [source.fingerprint(), source.fingerprint()]
    stand_in.is_now("#!/bin/sh\n")
    seen.append(source.fingerprint())
    os.unlink(stand_in.path)
    seen.append(source.fingerprint())
    env_file.write_text("ANTHROPIC_API_KEY=c\n")
    seen.append(source.fingerprint())
    assert seen[0] == seen[1]
    assert len(set(seen)) == 4
    env_file.unlink()
    with pytest.raises(CheckError):
        source.fingerprint()


async def test_store_on_a_file_system_that_hangs_costs_a_note_but_not_the_check(
    stand_in: StandIn, store: type[FakeReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(FakeReader, "read", lambda *_: go_on.wait(30))
    monkeypatch.setattr(local, "PATIENCE", 0.05)
    observation = await stand_in.source().check("main")
    assert observation.notes == ("the store could not be read: its file system did not answer within 0.05s",)
    assert len(observation.profiles) == 1
    go_on.set()


async def test_unreadable_store_costs_a_note_but_not_the_check(stand_in: StandIn, store: type[FakeReader]) -> None:
    store.trouble = CheckError(FailureReason.STORE_UNREADABLE, "it is cut off")
    observation = await stand_in.source().check("main")
    assert observation.notes == ("the store could not be read: it is cut off",)
    assert len(observation.profiles) == 1


async def test_store_that_this_user_may_not_read_is_no_empty_store(
    stand_in: StandIn, store: type[FakeReader], tmp_path: Path
) -> None:
    """OpenClaw 2026.2 to 2026.6 report a store that they may not read as empty, and its providers as missing."""
    sudo = tmp_path / "sudo"
    sudo.write_text('#!/bin/sh\nexec "$@"\n')
    sudo.chmod(0o755)
    store.trouble = CheckError(FailureReason.PERMISSION, "/store: this user may not read it")
    assert len((await stand_in.source().check("main")).profiles) == 1  # it could read the store, so we only note it
    stand_in.says("status", capture("openclaw-2026.9.6", "empty")["stdout"], code=1)
    with pytest.raises(CheckError) as caught:
        await stand_in.source().check("main")
    assert caught.value.reason is FailureReason.PERMISSION
    assert caught.value.message == "/store: this user may not read it, so OpenClaw sees no credentials there"
    observation = await stand_in.source(command=[str(sudo), stand_in.path]).check("main")
    assert observation.notes == ("the store could not be read: /store: this user may not read it",)


@pytest.mark.parametrize("runner", sorted(ELSEWHERE))
async def test_command_elsewhere_is_not_completed_from_a_store_here(
    stand_in: StandIn, store: type[FakeReader], tmp_path: Path, runner: str
) -> None:
    path = tmp_path / runner
    path.write_text('#!/bin/sh\nexec "$@"\n')
    path.chmod(0o755)
    source = stand_in.source(command=[str(path), stand_in.path])
    assert (await source.check("main")).notes == ()
    assert source.fingerprint() is None
    assert store.asked == []
