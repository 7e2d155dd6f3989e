"""The openclaw source against a stand-in: what it runs, and what each failure is called."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from pathlib import Path
from typing import Any

import pytest
from openclaw_stand_in import CAPTURE, SECRET, StandIn, stand_in_at
from waiting import LoopClock, command_has_started, until

from exporter.lib import command
from exporter.lib.command import Finished
from exporter.model import CheckError, FailureReason
from exporter.sources.openclaw.source import failure_of
from exporter.sources.store.paths import StorePaths


@pytest.fixture(autouse=True)
def _without_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StorePaths, "from_status", lambda payload: None)


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    return stand_in_at(tmp_path)


# --- a check ---------------------------------------------------------------------------------------


async def test_one_process_answers_a_check(stand_in: StandIn) -> None:
    observation = await stand_in.source().check("main")
    assert stand_in.calls == [["models", "status", "--json", "--check", "--agent", "main"], ["--version"]]
    assert (observation.target, observation.agent, observation.source) == ("t", "main", "openclaw")
    assert observation.observed_at == 1_800_000_000.0
    assert observation.openclaw_exit_code == CAPTURE["exit_code"] == 2
    assert observation.openclaw_version == "2026.9.6"
    assert [profile.id for profile in observation.profiles] == ["anthropic:default"]


async def test_command_gets_the_environment_of_the_service(stand_in: StandIn, tmp_path: Path, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "env"
    file.write_text(
        "# the service's\nPLAIN=a b # comment\nexport EXPORTED=1\nSINGLE='x # y'\n"
        f'DOUBLE="say \\"hi\\"\\nthere" # comment\nEMPTY=\nTOKEN={SECRET}\nFORCE_COLOR=3\n'
        "nonsense\n1BAD=2\nHASH=a#b\r\n"
    )
    environ = {"PATH": os.environ["PATH"], "PLAIN": "overruled", "KEPT": "yes"}
    await stand_in.source(environ, env_file=str(file), state_dir="/state").check("main")
    expected = {"PLAIN": "a b", "EXPORTED": "1", "SINGLE": "x # y", "DOUBLE": 'say "hi"\nthere', "EMPTY": ""}
    expected |= {"TOKEN": SECRET, "HASH": "a#b", "KEPT": "yes", "NO_COLOR": "1", "OPENCLAW_STATE_DIR": "/state"}
    assert stand_in.environ.items() >= expected.items()
    assert not {"FORCE_COLOR", "nonsense", "1BAD", "HOME"} & stand_in.environ.keys()
    assert SECRET not in caplog.text


async def test_unreadable_env_file_fails_the_check(stand_in: StandIn, tmp_path: Path, monkeypatch: Any) -> None:
    with pytest.raises(CheckError, match="no such file") as caught:
        await stand_in.source(env_file=str(tmp_path / "none")).check("main")
    assert caught.value.reason is FailureReason.OTHER
    with pytest.raises(CheckError, match="is a directory"):
        await stand_in.source(env_file=str(tmp_path)).check("main")

    def refuse(*_: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "env").touch()
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(CheckError, match="may not read it") as caught:
        await stand_in.source(env_file=str(tmp_path / "env")).check("main")
    assert caught.value.reason is FailureReason.PERMISSION
    assert stand_in.calls == []


async def test_checks_of_one_agent_never_overlap_and_slots_bound_the_processes(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: list[str] = []
    most: list[int] = []

    async def run(argv: list[str], **_: Any) -> Finished:
        agent = argv[-1]
        assert agent not in running
        running.append(agent)
        most.append(len(running))
        await asyncio.sleep(0.001)
        running.remove(agent)
        return Finished(0, CAPTURE["stdout"].encode(), b"", False, 0.0)

    monkeypatch.setattr(command, "run", run)
    source = stand_in.source()

    async def check(agent: str) -> None:
        async with source.slot():
            await source.check(agent)

    await asyncio.gather(*(check(agent) for agent in ["a", "a", "b", "c", "d", "a", "b"]))
    assert max(most) == 2


# --- failures --------------------------------------------------------------------------------------

UNKNOWN = 'Unknown agent id "nope". Use "openclaw agents list" to see configured agents.'
NOTICES = "[openclaw] The CLI command failed.\n[openclaw] Reason: {}\n[openclaw] Try: openclaw doctor\n"


@pytest.mark.parametrize(
    ("stdout", "stderr", "code", "reason", "message"),
    [
        ("", f"Error: {UNKNOWN}\n", 1, FailureReason.UNKNOWN_AGENT, UNKNOWN),
        (json.dumps({"ok": False, "error": {"message": UNKNOWN}}), "", 1, FailureReason.UNKNOWN_AGENT, UNKNOWN),
        (json.dumps({"ok": False, "error": {}}), NOTICES.format(UNKNOWN), 1, FailureReason.UNKNOWN_AGENT, UNKNOWN),
        (json.dumps({"ok": False, "error": "broken"}), "", 1, FailureReason.COMMAND_ERROR, "broken"),
        ("", NOTICES.format("bad config"), 1, FailureReason.COMMAND_ERROR, "bad config"),
        (
            "",
            "a notice\n\x1b[31mError: no such container: gw\x1b[0m\n",
            1,
            FailureReason.COMMAND_ERROR,
            "no such container: gw",
        ),
        ("", "", 3, FailureReason.COMMAND_ERROR, "the command ended with exit code 3 and printed no reason"),
        ("", f"Error: token {SECRET} is bad\n", 1, FailureReason.COMMAND_ERROR, "token <redacted> is bad"),
        ("", "Error: " + "no way " * 100, 1, FailureReason.COMMAND_ERROR, ("no way " * 100)[:198] + "…"),
        ("a log line\n", "Error: bad config\n", 1, FailureReason.COMMAND_ERROR, "bad config"),
        ("", "sh: openclaw: not found\n", 127, FailureReason.COMMAND_NOT_FOUND, None),
        ("", "sh: openclaw: Permission denied\n", 126, FailureReason.PERMISSION, None),
        ("", "", 137, FailureReason.KILLED, "the command was killed by SIGKILL"),
        ("", "some notice\n", 0, FailureReason.INVALID_OUTPUT, "the command printed nothing"),
        (CAPTURE["stdout"][:-3], "", 2, FailureReason.INVALID_OUTPUT, None),
        (b"\xff\xfe\x00garbage", "", 0, FailureReason.INVALID_OUTPUT, None),
        ('{"auth":' * 200_000, "", 0, FailureReason.INVALID_OUTPUT, None),
        ('{"auth": {"oauth": 5}}', "", 0, FailureReason.INVALID_OUTPUT, None),
        (b"x" * 100_000_000, "", 0, FailureReason.INVALID_OUTPUT, "the command printed more than 32 MiB"),
        (
            "",
            CAPTURE["stdout"],
            1,
            FailureReason.COMMAND_ERROR,
            "the command ended with exit code 1 and printed no reason",
        ),
    ],
    ids=range(20),
)
async def test_command_failure_has_its_reason(
    stand_in: StandIn, stdout: str | bytes, stderr: str, code: int, reason: FailureReason, message: str | None
) -> None:
    stand_in.says("status", stdout, stderr, code)
    with pytest.raises(CheckError) as caught:
        await stand_in.source().check("nope")
    assert caught.value.reason is reason
    assert caught.value.message == message if message else caught.value.message
    assert SECRET not in str(caught.value)
    assert len(caught.value.message) <= 300
    assert len(stand_in.calls) == 1  # a failed check does not ask for the version too


async def test_ten_thousand_profiles_are_read(stand_in: StandIn) -> None:
    answer = json.loads(CAPTURE["stdout"])
    (profile,) = answer["auth"]["oauth"]["profiles"]
    many = [{**profile, "profileId": f"anthropic:{number}"} for number in range(10_000)]
    answer["auth"]["oauth"]["profiles"] = many
    answer["auth"]["oauth"]["providers"][0] |= {"profiles": many, "effectiveProfiles": many}
    stand_in.says("status", json.dumps(answer, indent=2))
    assert len((await stand_in.source().check("main")).profiles) == 10_000


async def test_log_lines_and_colours_around_the_answer_are_ignored(stand_in: StandIn) -> None:
    clean = await stand_in.source().check("main")
    noise = b"\xef\xbb\xbf[plugins] {loaded\n\x1b[2m12:00\x1b[0m \xff\n"
    stand_in.says("status", noise + CAPTURE["stdout"].encode() + b"\n\x1b[32mbye {\x1b[0m\n", "Error: a notice\n", 2)
    assert await stand_in.source().check("main") == clean


@pytest.mark.parametrize(
    ("body", "reason"),
    [("kill -KILL $$", FailureReason.KILLED), ("trap '' TERM; : >$0.up; sleep 600 & sleep 600", FailureReason.TIMEOUT)],
)
async def test_dying_or_hanging_command_has_its_reason(
    stand_in: StandIn, body: str, reason: FailureReason, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_GRACE", 0.1)  # it makes nothing of it
    clock = LoopClock(monkeypatch)
    stand_in.is_now(f"#!/bin/sh\n{body}\n")
    subject = asyncio.create_task(stand_in.source(timeout="600s").check("main"))
    await until(lambda: Path(stand_in.path + ".up").exists() or subject.done())
    await command_has_started()
    clock.advance(600)
    with pytest.raises(CheckError) as caught:
        await subject
    assert caught.value.reason is reason


async def test_missing_or_forbidden_command_has_its_reason(stand_in: StandIn) -> None:
    with pytest.raises(CheckError) as caught:
        await stand_in.source(command=["no-such-openclaw"]).check("main")
    assert caught.value.reason is FailureReason.COMMAND_NOT_FOUND
    stand_in.is_now("", 0o644)
    with pytest.raises(CheckError) as caught:
        await stand_in.source().check("main")
    assert caught.value.reason is FailureReason.PERMISSION


def test_complete_json_in_a_truncated_answer_is_used() -> None:
    unread = CheckError(FailureReason.INVALID_OUTPUT, "x")
    assert failure_of(Finished(0, b"x", b"", True, 0.0), unread).message == "the command printed more than 32 MiB"


# As 2026.5.12, 2026.6.11 and 2026.9.6 report it.
@pytest.mark.parametrize(
    ("stdout", "stderr"),
    [
        ("", "[openclaw] Could not start the CLI.\n[openclaw] Reason: EACCES: permission denied, lstat '/x/a.json'\n"),
        ('{"ok": false, "error": {"type": "cli_error", "message": "EACCES: permission denied, stat \'/x/a\'"}}', ""),
        ("", "Error: EPERM: operation not permitted, open '/x/a.json'\n"),
        ("", "permission denied while trying to connect to the Docker daemon socket at unix:///run/docker.sock\n"),
    ],
)
async def test_file_that_openclaw_may_not_read_is_a_matter_of_permission(
    stand_in: StandIn, stdout: str, stderr: str
) -> None:
    stand_in.says("status", stdout, stderr, 1)
    with pytest.raises(CheckError) as caught:
        await stand_in.source().check("main")
    assert caught.value.reason is FailureReason.PERMISSION
    assert re.search("/x/a|docker.sock", caught.value.message)


@pytest.mark.parametrize(
    ("stdout", "stderr", "needs_doctor"),
    [
        (b"", b"[openclaw] Reason: Invalid config at /h/openclaw.json:\n- agents.defaults: Invalid input", True),
        (b"", b"Config invalid at ~/.openclaw/openclaw.json.\nRun: openclaw doctor --fix", True),
        (b"", b"Error: AUTH_PROFILE_MIGRATION_REQUIRED", True),
        (b"", b"Error: connect ECONNREFUSED", False),
    ],
)
def test_refusal_that_asks_for_the_doctor_is_told_apart(stdout: bytes, stderr: bytes, needs_doctor: bool) -> None:
    unread = CheckError(FailureReason.INVALID_OUTPUT, "x")
    error = failure_of(Finished(1, stdout, stderr, False, 0.1), unread)
    assert (error.reason, error.needs_doctor) == (FailureReason.COMMAND_ERROR, needs_doctor)
    assert ("Invalid config" in error.message) <= ("agents.defaults: Invalid input" in error.message)
