"""Commands are bounded in time and output, and leave nothing behind, however they end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from waiting import LoopClock, command_has_started, until

from exporter.lib import command
from exporter.model import CheckError, FailureReason

ENV = {"PATH": os.environ.get("PATH", os.defpath)}
ROOT = str(Path(__file__).parents[2])
Script = Callable[[str], str]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    def write(body: str, name: str = "stand-in") -> str:
        path = tmp_path / name
        path.write_text(body)
        path.chmod(0o755)
        return str(path)

    return write


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def children() -> set[str]:
    """The children of this process, including zombies and those that other tests started."""
    return {pid for task in Path("/proc/self/task").glob("*/children") for pid in task.read_text().split()}


def pids(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir()]


#: Ignores SIGTERM, and so does its child, which holds the pipe. Each leaves its pid in $1.
STUBBORN = """#!/bin/sh
trap '' TERM
sh -c 'trap "" TERM; : >"$0/$$"; while :; do sleep 1; done' "$1" &
: >"$1/$$"
while :; do sleep 1; done
"""


async def test_output_and_exit_code_are_returned(script: Script) -> None:
    finished = await command.run([script("#!/bin/sh\necho out; echo err >&2; exit 2\n")], env=ENV, timeout=30)
    assert (finished.exit_code, finished.stdout, finished.stderr) == (2, b"out\n", b"err\n")
    assert not finished.truncated
    assert finished.duration >= 0
    assert "out" not in repr(finished)


async def test_environment_is_exactly_as_given_and_stdin_is_empty() -> None:
    finished = await command.run(["/bin/sh", "-c", "/usr/bin/env; cat"], env={"A": "1"}, timeout=30)
    assert b"A=1\n" in finished.stdout
    assert b"HOME=" not in finished.stdout


async def test_stdin_is_passed_whole_and_need_not_be_read() -> None:
    data = os.urandom(1_000_000)
    finished = await command.run(["cat"], env=ENV, timeout=30, stdin=data)
    assert finished.stdout == data
    assert (await command.run(["true"], env=ENV, timeout=30, stdin=data)).exit_code == 0


@pytest.mark.parametrize(("hold", "then"), [(True, b"open\n"), (False, b"closed\n")])
async def test_stdin_can_be_held_open_until_the_command_ends(hold: bool, then: bytes) -> None:
    program = "import select, sys; input(); print('closed' if select.select([0], [], [], 0.2)[0] else 'open')"
    argv = [sys.executable, "-c", program]
    finished = await command.run(argv, env=ENV, timeout=30, stdin=b"word\n", hold_stdin=hold)
    assert finished.stdout == then


@pytest.mark.parametrize(
    ("argv", "reason", "says"),
    [
        (["no-such-command-here"], FailureReason.COMMAND_NOT_FOUND, "not found on PATH"),
        (["/no/such/file"], FailureReason.COMMAND_NOT_FOUND, "does not exist"),
        (["/etc/passwd/x"], FailureReason.COMMAND_NOT_FOUND, "does not exist"),
        (["/etc/passwd"], FailureReason.PERMISSION, "may not execute"),
        (["echo", "a\0b"], FailureReason.OTHER, "NUL"),
        (["echo", "x" * 10_000_000], FailureReason.OTHER, "argument list too long"),
    ],
)
async def test_command_that_cannot_be_started(argv: list[str], reason: FailureReason, says: str) -> None:
    with pytest.raises(CheckError) as caught:
        await command.run(argv, env=ENV, timeout=30)
    assert caught.value.reason is reason
    assert says in caught.value.message


async def test_missing_interpreter_has_its_own_message(script: Script) -> None:
    with pytest.raises(CheckError, match="interpreter") as caught:
        await command.run([script("#!/no/such/interpreter\n")], env=ENV, timeout=30)
    assert caught.value.reason is FailureReason.COMMAND_NOT_FOUND


async def test_command_killed_by_a_signal(script: Script) -> None:
    with pytest.raises(CheckError, match="SIGSEGV") as caught:
        await command.run([script("#!/bin/sh\necho half; kill -SEGV $$\n")], env=ENV, timeout=30)
    assert caught.value.reason is FailureReason.KILLED


async def test_timeout_kills_a_command_that_ignores_sigterm_and_its_grandchild(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_GRACE", 0.1)  # the command ignores SIGTERM anyway
    clock, folder = LoopClock(monkeypatch), tmp_path / "pids"
    folder.mkdir()
    running = asyncio.create_task(command.run([script(STUBBORN), str(folder)], env=ENV, timeout=600))
    await until(lambda: len(pids(folder)) == 2)
    await command_has_started()
    clock.advance(600)
    with pytest.raises(CheckError, match="within 600 s") as caught:
        await running
    assert caught.value.reason is FailureReason.TIMEOUT
    await until(lambda: not any(map(alive, pids(folder))))


async def test_timeout_lets_a_command_clean_up_on_sigterm(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_GRACE", 30.0)  # enough on any machine
    body = '#!/bin/sh\ntrap \'echo tidy >"$1"; exit\' TERM\n: >"$1.up"\nwhile :; do sleep 0.05; done\n'
    clock, log = LoopClock(monkeypatch), tmp_path / "log"
    running = asyncio.create_task(command.run([script(body), str(log)], env=ENV, timeout=600))
    await until((tmp_path / "log.up").exists)
    await command_has_started()
    clock.advance(600)
    with pytest.raises(CheckError):
        await running
    assert log.read_text() == "tidy\n"


async def test_no_process_is_left_after_a_good_answer(script: Script, tmp_path: Path) -> None:
    body = '#!/bin/sh\nsh -c \'trap "" TERM; : >"$0/$$"; while :; do sleep 1; done\' "$1" &\n'
    body += 'while ! [ "$(ls "$1")" ]; do sleep 0.02; done\necho answer\n'
    folder = tmp_path / "pids"
    folder.mkdir()
    finished = await command.run([script(body), str(folder)], env=ENV, timeout=600)
    assert finished.stdout == b"answer\n"
    [left] = pids(folder)
    await until(lambda: not alive(left))


async def test_cancelling_kills_all_processes(script: Script, tmp_path: Path) -> None:
    folder = tmp_path / "pids"
    folder.mkdir()
    running = asyncio.create_task(command.run([script(STUBBORN), str(folder)], env=ENV, timeout=600))
    await until(lambda: len(pids(folder)) == 2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: not any(map(alive, pids(folder))))


async def test_hundred_megabytes_are_read_but_not_kept() -> None:
    program = "import sys; [sys.stdout.write('x' * 1_000_000) for _ in range(100)]; print('end', file=sys.stderr)"
    finished = await command.run([sys.executable, "-c", program], env=ENV, timeout=120)
    assert len(finished.stdout) == command.MAX_STDOUT
    assert finished.truncated
    assert finished.stderr == b"end\n"  # it was never blocked, so it reached its end


async def test_output_limits_are_exact(script: Script) -> None:
    program = script("#!/bin/sh\nprintf 12345; printf abcdef >&2\n")
    whole = await command.run([program], env=ENV, timeout=30, max_stdout=5, max_stderr=3)
    assert (whole.stdout, whole.stderr, whole.truncated) == (b"12345", b"abc", False)
    cut = await command.run([program], env=ENV, timeout=30, max_stdout=4)
    assert (cut.stdout, cut.truncated) == (b"1234", True)


async def test_no_file_or_process_stays_open(script: Script) -> None:
    program = script("#!/bin/sh\necho x\n")
    await command.run([program], env=ENV, timeout=30)
    before, family = len(os.listdir("/proc/self/fd")), children()
    for _ in range(3):
        await command.run([program], env=ENV, timeout=30, stdin=b"x", hold_stdin=True)
    assert len(os.listdir("/proc/self/fd")) == before
    assert children() == family  # no zombies either, of guards or commands


async def test_works_without_pidfd(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    finished = await command.run([script("#!/bin/sh\nsleep 0.1; echo x\n")], env=ENV, timeout=30)
    assert finished.stdout == b"x\n"
    with pytest.raises(CheckError, match="did not answer"):
        await command.run(["sleep", "600"], env=ENV, timeout=0.1)


#: Creates $1 once the command has started and its guard knows of it: both are the first step of `run`.
DAEMON = f"""
import asyncio, pathlib, sys
from exporter.lib import command
async def main():
    running = asyncio.ensure_future(command.run(sys.argv[2:], env={ENV!r}, timeout=600))
    await asyncio.sleep(0)
    pathlib.Path(sys.argv[1]).touch()
    await running
asyncio.run(main())
"""


async def test_commands_die_with_a_daemon_that_was_killed(script: Script, tmp_path: Path) -> None:
    folder = tmp_path / "pids"
    folder.mkdir()
    (tmp_path / "daemon.py").write_text(DAEMON)
    argv = [sys.executable, str(tmp_path / "daemon.py"), str(tmp_path / "guarded"), script(STUBBORN), str(folder)]
    parent = subprocess.Popen(argv, env={**ENV, "PYTHONPATH": ROOT})  # noqa: ASYNC220 - command.run is what it runs
    try:
        await until(lambda: (tmp_path / "guarded").exists() and len(pids(folder)) == 2)
    finally:
        parent.kill()
        parent.wait()
    await until(lambda: not any(map(alive, pids(folder))))


#: Is killed after it has started its command, before it can name it to the guard. Prints the command's process id.
DAEMON_WITHOUT_A_MOMENT = f"""
import asyncio, os, signal, sys
from exporter.lib import command
def watch(self, group):
    print(group, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
command._Guard.watch = watch
asyncio.run(command.run(sys.argv[1:], env={ENV!r}, timeout=600))
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells who has a pipe")
async def test_command_dies_with_a_daemon_that_was_killed_before_it_could_name_it(tmp_path: Path) -> None:
    (tmp_path / "daemon.py").write_text(DAEMON_WITHOUT_A_MOMENT)
    argv = [sys.executable, str(tmp_path / "daemon.py"), "sleep", "600"]
    environment = {**ENV, "PYTHONPATH": ROOT}
    daemon = subprocess.run(argv, env=environment, stdout=subprocess.PIPE, check=False)  # noqa: ASYNC221 - as above
    assert daemon.returncode == -signal.SIGKILL
    await until(lambda: not alive(int(daemon.stdout)))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux lists the descendants of a process")
@pytest.mark.parametrize("how", ["timeout", "cancelled"])
async def test_descendant_in_another_session_is_killed(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = LoopClock(monkeypatch)
    pid_file = tmp_path / "pid"
    child = (
        "import os, time, pathlib; os.setsid(); "
        "pathlib.Path(os.environ['PID_FILE']).write_text(str(os.getpid())); time.sleep(600)"
    )
    leader = f"import subprocess,sys,time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(600)"
    argv = [sys.executable, "-c", leader]
    running = asyncio.ensure_future(command.run(argv, env={"PID_FILE": str(pid_file)}, timeout=600))
    await until(lambda: pid_file.exists() and pid_file.read_text())
    pid = int(pid_file.read_text())
    if how == "cancelled":
        running.cancel()
    else:
        await command_has_started()
        clock.advance(600)
    with pytest.raises(CheckError if how == "timeout" else asyncio.CancelledError):
        await running
    await until(lambda: not alive(pid))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux lists the descendants of a process")
def test_process_that_got_the_id_of_a_dead_descendant_is_left_alone() -> None:
    leader, innocent = (subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(2))
    try:
        tree = command.ProcessTree(leader)
        tree._known[innocent.pid] = "1"  # an earlier process had this id
        tree.signal(signal.SIGKILL)
        assert leader.wait() == -signal.SIGKILL
        os.kill(innocent.pid, signal.SIGSTOP)
        assert os.waitpid(innocent.pid, os.WUNTRACED) == (innocent.pid, signal.SIGSTOP << 8 | 0x7F), "it lives"
    finally:
        innocent.kill()
        innocent.wait()


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_command_that_starts_too_late_is_killed(is_cancelled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, began, go_on, real = LoopClock(monkeypatch), threading.Event(), threading.Event(), command._start
    started: list[subprocess.Popen[bytes]] = []

    def late(*args: Any, **rest: Any) -> subprocess.Popen[bytes]:
        began.set()
        go_on.wait(60)
        started.append(real(*args, **rest))
        return started[0]

    monkeypatch.setattr(command, "_start", late)
    running = asyncio.create_task(command.run(["sleep", "60"], env=ENV, timeout=5.0))
    await until(began.is_set)
    if is_cancelled:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    else:
        clock.advance(6.0)
        with pytest.raises(CheckError, match="`sleep` could not be started within 5 s") as caught:
            await running
        assert caught.value.reason is FailureReason.TIMEOUT
    go_on.set()
    await until(lambda: started and started[0].returncode is not None)
    assert started[0].returncode == -signal.SIGKILL
