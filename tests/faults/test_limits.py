"""The system refuses a descriptor, a process or a thread: a check fails, and the next one works again."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import Fakes, config, token
from stores import NOW, Home, store_of
from stores import token as stored_token

from exporter.checks.monitor import Monitor
from exporter.config import Config
from exporter.lib import command
from exporter.lib.threads import IsolatedThread
from exporter.model import CheckError, Dialect, FailureReason
from exporter.state.credentials_db import CredentialDatabase

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_check_without_free_descriptors_fails_and_the_next_one_works(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.write_local(store_of(anthropic_default=stored_token()))
    script = Path(__file__).with_name("limited.py")
    done = subprocess.run(
        [sys.executable, str(script), str(home.state_dir)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said.pop("before") == said.pop("after") == ["ok", "ok"]
    assert said.pop("left open") == ["0"]
    under_limit = [outcome for outcomes in said.values() for outcome in outcomes]
    assert set(under_limit) - {"ok"}, "no limit was low enough to be felt"
    assert "PLANTED-SECRET" not in done.stdout + done.stderr


def test_check_that_needs_more_memory_than_there_is_fails_and_the_next_one_works(tmp_path: Path) -> None:
    profiles = {f"other_{number}": stored_token(note="x" * 7000) for number in range(3000)}
    states = []
    for name, more in (("large", profiles), ("small", {})):
        (tmp_path / name).mkdir()
        home = Home(tmp_path / name)
        home.write_local(store_of(anthropic_default=stored_token(), **more))
        states.append(str(home.state_dir))
    script = str(Path(__file__).with_name("short_of_memory.py"))
    done = subprocess.run(
        [sys.executable, script, *states, "40"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["limited"]["large"] != "ok"
    assert said["after"] == {"large": "ok", "small": "ok"}
    assert "PLANTED-SECRET" not in done.stdout + done.stderr


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE])
async def test_process_that_cannot_be_forked_is_a_failed_check_with_its_reason(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> Any:
        raise OSError(number, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(CheckError) as caught:
        await command.run(["/bin/true"], env={}, timeout=5.0)
    assert caught.value.reason is FailureReason.OTHER
    assert caught.value.message == "`true` could not be started: resource temporarily unavailable"


async def test_thread_that_cannot_be_started_is_an_error_and_the_next_one_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thread = IsolatedThread("test")

    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            await thread.run(lambda: 1, 5.0)
    assert not thread.is_busy
    assert await thread.run(lambda: 1, 5.0) == 1


async def test_store_that_becomes_something_else_is_a_failed_check_until_it_is_back(tmp_path: Path) -> None:
    home = Home(tmp_path)
    path = home.write_local(store_of(anthropic_default=stored_token()))
    kept = path.rename(tmp_path / "kept.sqlite")
    made = Config.model_validate({"targets": [{"name": "home", "source": "store", "state_dir": str(home.state_dir)}]})
    monitor = Monitor(made, CredentialDatabase(None), lambda: NOW)

    async def check() -> tuple[FailureReason | None, int]:
        (target,) = (await monitor.check()).targets
        (agent,) = target.entries
        return agent.failure.reason if agent.failure else None, len(agent.profiles)

    path.symlink_to(kept)
    assert await check() == (None, 1)
    fingerprint = monitor.checkers["home"].source.fingerprint
    whole = fingerprint()
    for become in (
        lambda: path.mkdir(),
        lambda: os.mkfifo(path),
        lambda: path.symlink_to(path),
        lambda: path.symlink_to("/dev/zero"),
        lambda: path.symlink_to(tmp_path),
        lambda: path.write_bytes(b"\xff" * 9000),
    ):
        path.unlink()
        become()
        assert await check() == (FailureReason.STORE_UNREADABLE, 1), "what was known stays, and the check has failed"
        fingerprint()  # the first time it may be half a file
        assert fingerprint() != whole
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        path.symlink_to(kept)  # another folder's file, as people do who keep their state elsewhere
        assert await check() == (None, 1)


async def test_upgrade_of_openclaw_between_two_checks_is_no_change_of_a_credential() -> None:
    fakes = Fakes()
    now = NOW
    monitor = Monitor(config("home"), CredentialDatabase(None), lambda: now, fakes)
    source = fakes["home"]
    source.profiles = (token(NOW + 3e6, secret_hash="h" * 32),)
    first = (await monitor.check()).targets[0].entries[0]
    check = source.check
    for dialect in Dialect:
        now += 60.0

        async def upgraded(agent: str, dialect: Dialect = dialect) -> Any:
            return replace(await check(agent), dialect=dialect)

        source.check = upgraded  # type: ignore[method-assign]  # for this test
        after = (await monitor.check()).targets[0].entries[0]
        assert after.failure is None
        assert [p.expires_at for p in after.profiles] == [p.expires_at for p in first.profiles]
        assert {c.name for c in after.conditions} == {c.name for c in first.conditions}


async def test_upgrade_that_moves_the_credentials_between_two_checks_is_no_change_of_a_credential(
    tmp_path: Path,
) -> None:
    """From ``auth-profiles.json`` to the database of the agent, and back to an older release."""
    home = Home(tmp_path)
    stored = {"anthropic_default": stored_token(expires=(NOW + 3e6) * 1000), "openai_work": stored_token()}
    made = Config.model_validate({"targets": [{"name": "home", "source": "store", "state_dir": str(home.state_dir)}]})
    now = NOW
    monitor = Monitor(made, CredentialDatabase(None), lambda: now)

    async def seen() -> set[tuple[object, ...]]:
        (target,) = (await monitor.check()).targets
        (agent,) = target.entries
        assert agent.failure is None
        return {(p.id, p.secret_hash, p.expires_at, p.first_seen_at) for p in agent.profiles}

    json_file = home.write_json(store_of(**stored)["profiles"])
    first = await seen()
    assert len(first) == 2
    now += 3600.0
    database = home.write_local(store_of(**stored))
    json_file.unlink()
    assert await seen() == first
    now += 3600.0
    home.write_json(store_of(**stored)["profiles"])
    database.unlink()
    assert await seen() == first
