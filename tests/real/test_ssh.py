"""The openclaw source over a real sshd on loopback: answers, refusals, timeouts, and no process left behind."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from captured import verdict

from exporter.config import OpenClawTarget, StoreTarget
from exporter.model import CheckError, FailureReason
from exporter.sources import SourceContext
from exporter.sources.openclaw.source import OpenClawSource
from exporter.sources.store.source import StoreSource

from .box import Box, opened
from .conftest import MakeHome
from .parts import CURRENT

pytestmark = pytest.mark.real

SECRET = "PLANTED-SECRET-0123456789abcdef"
CAPTURE = json.loads((Path(__file__).parent.parent / "captures/openclaw-2026.9.6/token_ok_30d.json").read_text())

OPENCLAW = """#!/bin/sh
[ "$1" = --version ] && {{ echo "OpenClaw 2026.9.6 (eb377ac)"; exit; }}
printf '%s\\0' "$@" "$OPENCLAW_STATE_DIR" "$KEY" >"{folder}/seen"
case "$*" in
  *hang*) trap '' TERM; sleep 600 & echo "$$ $!" >"{folder}/pids"; while :; do sleep 600; done;;
esac
cat "{folder}/out"; exit 2
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("box")
    with opened(folder) as there:
        (folder / "out").write_text(CAPTURE["stdout"])
        (folder / "remote").mkdir()
        (folder / "remote/open claw").write_text(OPENCLAW.format(folder=folder))
        (folder / "remote/open claw").chmod(0o755)
        yield there


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


async def test_a_check(box: Box) -> None:
    (box.folder / "env").write_text(f"KEY={SECRET}\n")
    hostile = "it's \\'; $(touch x) `touch y` \n\"é"
    source = box.source(env_file=str(box.folder / "env"), state_dir="/st ate")
    try:
        observation = await source.check(hostile)
        assert [profile.id for profile in observation.profiles] == ["anthropic:default"]
        assert (observation.openclaw_exit_code, observation.openclaw_version) == (2, "2026.9.6")
        seen = (box.folder / "seen").read_text().split("\0")
        assert seen[:-1] == ["models", "status", "--json", "--check", "--agent", hostile, "/st ate", SECRET]
        assert str(box.runtime) in box.processes()  # the connection is kept for the next check
    finally:
        await source.aclose()
    assert str(box.runtime) not in box.processes()


async def test_the_values_of_the_env_file_are_in_no_command_line(box: Box) -> None:
    (box.folder / "env").write_text(f"KEY={SECRET}\n")
    (box.folder / "pids").unlink(missing_ok=True)
    source = box.source(env_file=str(box.folder / "env"))
    check = asyncio.create_task(source.check("hang"))
    try:
        async with asyncio.timeout(60):
            while not (box.folder / "pids").exists():  # noqa: ASYNC110 - the command over there
                await asyncio.sleep(0.05)
        processes = box.processes()
        assert str(box.folder / "env") in processes
        assert SECRET not in processes
    finally:
        check.cancel()
        await asyncio.gather(check, return_exceptions=True)
        await source.aclose()


@pytest.mark.parametrize("how", ["timeout", "cancelled", "connection killed"])
async def test_nothing_is_left_on_the_remote_host(box: Box, how: str) -> None:
    (box.folder / "pids").unlink(missing_ok=True)
    source = box.source(timeout="5s" if how == "timeout" else "600s")
    check = asyncio.create_task(source.check("hang"))
    async with asyncio.timeout(60):
        while not (box.folder / "pids").exists() or not (box.folder / "pids").read_text().strip():  # noqa: ASYNC110 - same
            await asyncio.sleep(0.05)
    pids = [int(word) for word in (box.folder / "pids").read_text().split()]
    if how == "cancelled":
        check.cancel()
    if how == "connection killed":
        lines = [line for line in box.processes().splitlines() if f"ssh: {box.runtime}" in line]
        for line in lines:
            os.kill(int(line.split()[0]), 9)
        assert lines
    [outcome] = await asyncio.gather(check, return_exceptions=True)
    expected = {"timeout": FailureReason.TIMEOUT, "connection killed": FailureReason.CONNECTION}.get(how)
    assert isinstance(outcome, asyncio.CancelledError) if expected is None else isinstance(outcome, CheckError)
    assert expected is None or (isinstance(outcome, CheckError) and outcome.reason is expected)
    async with asyncio.timeout(30):
        while any(map(alive, pids)):  # noqa: ASYNC110 - what it started
            await asyncio.sleep(0.05)
        while f"{box.folder}/remote" in box.processes():  # noqa: ASYNC110 - the guards over there
            await asyncio.sleep(0.05)
    await source.aclose()


@pytest.mark.parametrize(
    ("destination", "reason"),
    [
        ("nobody", FailureReason.CONNECTION),
        ("unknown", FailureReason.CONNECTION),
        ("stranger", FailureReason.UNAUTHORIZED),
    ],
)
async def test_each_ssh_error_has_its_reason(box: Box, destination: str, reason: FailureReason) -> None:
    source = box.source(destination)
    with pytest.raises(CheckError) as caught:
        await source.check("main")
    await source.aclose()
    assert caught.value.reason is reason


async def test_a_missing_remote_command(box: Box) -> None:
    source = box.source(command=["no-such-openclaw"])
    with pytest.raises(CheckError) as caught:
        await source.check("main")
    await source.aclose()
    assert caught.value.reason is FailureReason.COMMAND_NOT_FOUND


async def test_ssh_command_and_store_have_the_same_verdict(box: Box, openclaw: MakeHome) -> None:
    """The same home, read by the local command, over ssh and from the store."""
    world = openclaw(CURRENT)
    world.paste_token("anthropic:default", "12h")
    remote = ["env", *(f"{name}={value}" for name, value in world.env.items()), str(world.command)]
    over_ssh = box.source(command=remote)
    context = SourceContext(keyed_hash=lambda text: text[::-1], environ=world.env)
    here = OpenClawSource(
        OpenClawTarget.model_validate({"source": "openclaw", "command": [str(world.command)]}), context
    )
    store = StoreSource(StoreTarget.model_validate({"source": "store", "state_dir": str(world.state)}), context)
    verdicts = []
    try:
        for source in (here, over_ssh, store):
            assert await source.agents() == ["main"]
            report = verdict(await source.check("main"))
            (profile,) = report.profiles
            said = {(c.name, c.severity, c.provider, c.profile) for c in report.conditions}
            verdicts.append((report.exit_code, said, profile.status, profile.expires_at, profile.basis))
    finally:
        await over_ssh.aclose()
    assert verdicts[0][0] == 2
    assert verdicts[1] == verdicts[0]
    assert verdicts[2] == verdicts[0]
