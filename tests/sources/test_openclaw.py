"""The openclaw source against stand-ins: what it asks, what it remembers, and what each failure is called."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from captured import capture
from stores import Home
from waiting import LoopClock, command_has_started, until

from exporter.config import OpenClawTarget
from exporter.lib import command
from exporter.lib.command import Finished
from exporter.model import CheckError, FailureReason
from exporter.sources import Fingerprint, InMemorySourceCache, SourceContext, build
from exporter.sources.openclaw.source import ELSEWHERE, OpenClawSource, failure_of
from exporter.sources.store import local, reader
from exporter.sources.store.facts import StoreFacts
from exporter.sources.store.paths import StorePaths

SECRET = "PLANTED-SECRET-0123456789abcdef"
CAPTURE = json.loads((Path(__file__).parent.parent / "captures/openclaw-2026.9.6/token_expiring_12h.json").read_text())
DAY = 86400.0

#: Prints what the files beside it hold, and logs how it was called.
STAND_IN = """#!{python} -S
import json, os, sys
here = {here!r}
log = open(here + "/log", "a"); log.write(json.dumps([sys.argv[1:], dict(os.environ)]) + "\\n"); log.close()
name = {{"models": "status", "agents": "agents", "--version": "version"}}[sys.argv[1]]
for stream, tail in ((sys.stdout.buffer, ".out"), (sys.stderr.buffer, ".err")):
    if os.path.exists(here + "/" + name + tail):
        stream.write(open(here + "/" + name + tail, "rb").read()); stream.flush()
code = here + "/" + name + ".code"
sys.exit(int(open(code).read()) if os.path.exists(code) else 0)
"""


@dataclass
class StandIn:
    folder: Path
    clock: list[float]
    cache: InMemorySourceCache

    @property
    def path(self) -> str:
        return str(self.folder / "openclaw")

    def is_now(self, body: str, mode: int = 0o755) -> None:
        Path(self.path).write_text(body)
        Path(self.path).chmod(mode)

    def says(self, what: str, stdout: str | bytes = b"", stderr: str | bytes = b"", code: int = 0) -> None:
        for tail, text in ((".out", stdout), (".err", stderr), (".code", str(code))):
            (self.folder / (what + tail)).write_bytes(text.encode() if isinstance(text, str) else text)

    @property
    def calls(self) -> list[list[str]]:
        return [call[0] for call in self._log]

    @property
    def environ(self) -> dict[str, str]:
        seen: dict[str, str] = self._log[-1][1]
        return seen

    @property
    def _log(self) -> list[Any]:
        log = self.folder / "log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def source(self, environ: dict[str, str] | None = None, **config: Any) -> OpenClawSource:
        context = SourceContext(
            keyed_hash=lambda text: hashlib.sha256(text.encode()).hexdigest(),
            cache=self.cache,
            now=lambda: self.clock[0],
            environ=environ if environ is not None else {"PATH": os.environ["PATH"], "HOME": str(self.folder)},
        )
        target = OpenClawTarget(source="openclaw", **{"name": "t", "command": [self.path], **config})
        source = build(target, context)
        assert isinstance(source, OpenClawSource)
        return source


FROM_STATUS = StorePaths.from_status


@pytest.fixture(autouse=True)
def _without_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StorePaths, "from_status", lambda payload: None)


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    clock = [1_800_000_000.0]
    openclaw = StandIn(tmp_path, clock, InMemorySourceCache(lambda: clock[0]))
    openclaw.is_now(STAND_IN.format(python=sys.executable, here=str(tmp_path)))
    openclaw.says("status", CAPTURE["stdout"], CAPTURE["stderr"], CAPTURE["exit_code"])
    openclaw.says("agents", '[{"id": "work"}, {"id": "main", "isDefault": true}]')
    openclaw.says("version", "OpenClaw 2026.9.6 (eb377ac)\n")
    return openclaw


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
