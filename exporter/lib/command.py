"""Runs one external command, bounded in time, in output, and in what it leaves behind.

Every source that asks a command uses it, and every channel that is a command. Nothing here knows what a command
prints.

* A command leads a session of its own, so that its whole process group can be killed: at the timeout, when the caller
  is cancelled, and after a good answer, too. (A grandchild may hold the pipe open, so the end of the process counts,
  not the end of the output.)
* openclaw starts a second Node in another session. On Linux, all descendants of the command are killed with the group.
* The command is reaped only after its group was killed, so that nobody else can have been given the group's number.
* A command dies with the exporter. ``PR_SET_PDEATHSIG`` would be Linux only, needs ``preexec_fn`` (Python code between
  fork and exec, deprecated beside threads), and reaches the child but not its children. So each command has a *guard*,
  which is started before it: a shell that reads from a pipe to which only the exporter writes. When the exporter is
  gone, however it went, the shell reads end of file and kills the group. A SIGKILL may hit the exporter before it has
  named the group, so the guard knows the command's output pipe from before its start, and on Linux finds the group by
  that.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from exporter.lib import tasks, threads
from exporter.model import CheckError, FailureReason

MAX_STDOUT = 32 * 1024 * 1024  # 10,000 profiles are 10 MB
MAX_STDERR = 64 * 1024

_GRACE = 1.0  # seconds between SIGTERM and SIGKILL at the timeout
_UNKILLABLE = 5.0  # seconds to wait for a process that survives SIGKILL, because it is stuck in the kernel
_CHUNK = 64 * 1024
_PIPE_CAPACITY = 1024 * 1024  # the most that a pipe can hold when its writers are gone
_GUARD = """
below() { for pid in $(cat "/proc/$1/task/"*/children 2>/dev/null); do echo "$pid"; below "$pid"; done; }
writers() {
  ls -l /proc/[0-9]*/fd/1 2>/dev/null | while read -r line; do
    case $line in *"/fd/1 -> pipe:[$1]") line=${line##*/proc/}; echo "${line%%/*}";; esac
  done
}
read -r output || exit
if read -r group; then read -r _; else group=$(writers "$output"); fi
for pid in $group; do
  below=$(below "$pid")
  kill -s KILL -- "-$pid" $below
done
"""


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that exited. Its output is not in the repr, because it may hold secrets."""

    exit_code: int
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)
    truncated: bool  # stdout was longer than what was kept
    duration: float  # in seconds, by the monotonic clock


async def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    timeout: float,
    stdin: bytes | None = None,
    hold_stdin: bool = False,
    max_stdout: int = MAX_STDOUT,
    max_stderr: int = MAX_STDERR,
) -> Finished:
    """Run ``argv`` with exactly the environment ``env`` for at most ``timeout`` seconds.

    ``argv[0]`` is searched on the PATH of ``env``. Standard input is ``stdin``, by default empty; with ``hold_stdin``
    it stays open until the command has ended.

    The first ``max_stdout`` and ``max_stderr`` bytes of output are kept. The rest is read and discarded, so that the
    command neither blocks nor fills the memory.

    Raises CheckError: COMMAND_NOT_FOUND, PERMISSION (not executable), TIMEOUT, KILLED (by a signal that was not ours),
    OTHER (the system could not start it).
    """
    started = time.monotonic()
    # In a thread: starting takes as long as the file system of the program does.
    starting = threads.begin(partial(_begin, argv, env, wants_stdin=stdin is not None or hold_stdin), "start a command")
    try:
        async with asyncio.timeout(timeout):
            guard, process = await asyncio.shield(asyncio.wrap_future(starting))
    except TimeoutError:
        _abandon(starting)
        raise CheckError(FailureReason.TIMEOUT, f"{_name(argv)} could not be started within {timeout:g} s") from None
    except asyncio.CancelledError:
        _abandon(starting)
        raise
    assert process.stdout is not None
    assert process.stderr is not None
    tree = ProcessTree(process)
    stdout, stderr = _Reader(process.stdout.fileno(), max_stdout), _Reader(process.stderr.fileno(), max_stderr)
    feeding = tasks.begin(_feed(process, stdin or b"", hold_stdin))
    try:
        if not await _exits_within(timeout, process):
            await _in_thread(partial(tree.signal, signal.SIGTERM))
            await _exits_within(_GRACE, process)
            raise CheckError(FailureReason.TIMEOUT, f"{_name(argv)} did not answer within {timeout:g} s and was ended")
    finally:
        # After an answer, after the grace, and when the caller is cancelled, then without a grace.
        feeding.cancel()
        try:
            await _in_thread(partial(_end, guard, process, tree))
        finally:
            stdout.finish()
            stderr.finish()
            _close_pipes(process)
    code = process.returncode
    if code is None or code < 0:
        raise CheckError(FailureReason.KILLED, f"{_name(argv)} was killed by {signal_name(-(code or -9))}")
    return Finished(code, bytes(stdout.kept), bytes(stderr.kept), stdout.truncated, time.monotonic() - started)


def signal_name(number: int) -> str:
    """``SIGSEGV`` for 11; ``signal N`` for a number without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _name(argv: Sequence[str]) -> str:
    return f"`{os.path.basename(argv[0])[:64]}`"


def _begin(argv: Sequence[str], env: Mapping[str, str], *, wants_stdin: bool) -> tuple[_Guard, subprocess.Popen[bytes]]:
    """Start a command under guard. Blocks."""
    guard = _Guard()
    try:
        process = _start(argv, env, guard, wants_stdin=wants_stdin)
    except BaseException:
        guard.dismiss()
        raise
    guard.watch(process.pid)
    return guard, process


def _end(guard: _Guard, process: subprocess.Popen[bytes], tree: ProcessTree) -> None:
    """Kill what is left of a command, then reap it. Blocks: /proc may be long, and the kernel may hold a process."""
    tree.signal(signal.SIGKILL)  # the command is not reaped yet, so this is still its group
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_UNKILLABLE)
    guard.dismiss()


def _abandon(starting: Future[tuple[_Guard, subprocess.Popen[bytes]]]) -> None:
    """End a command that is started for nobody, as soon as it has been started."""

    def end() -> None:
        guard, process = starting.result()
        _end(guard, process, ProcessTree(process))
        _close_pipes(process)

    def begin(started: Future[tuple[_Guard, subprocess.Popen[bytes]]]) -> None:
        if not started.cancelled() and started.exception() is None:
            _begin_thread(end)

    starting.add_done_callback(begin)


async def _in_thread(work: Callable[[], None]) -> None:
    """Do ``work`` in a thread, to its end even if the caller is cancelled meanwhile."""
    await asyncio.shield(asyncio.wrap_future(_begin_thread(work)))


def _begin_thread(work: Callable[[], None]) -> Future[None]:
    try:
        return threads.begin(work, "end a command")
    except RuntimeError:  # no thread is left; a command that goes on would be worse than to wait here
        done: Future[None] = Future()
        work()
        done.set_result(None)
        return done


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _start(argv: Sequence[str], env: Mapping[str, str], guard: _Guard, *, wants_stdin: bool) -> subprocess.Popen[bytes]:
    # Not asyncio's subprocess: it reaps the command before we can kill its group, needs a child watcher, and on some
    # releases waits for the end of file that a grandchild holds back.
    name = _name(argv)
    try:
        with contextlib.ExitStack() as on_error:
            ours, its = map(on_error.enter_context, map(_unbuffered, os.pipe(), ("rb", "wb")))
            guard.expect(its.fileno())
            process = subprocess.Popen(
                list(argv),
                env=dict(env),
                stdin=subprocess.PIPE if wants_stdin else subprocess.DEVNULL,
                stdout=its,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
            its.close()
            process.stdout = ours
            on_error.pop_all()
            return process
    except (FileNotFoundError, NotADirectoryError):
        if shutil.which(argv[0], path=env.get("PATH", os.defpath)):
            message = f"{name} exists, but the interpreter that its first line names does not"
        elif "/" in argv[0]:
            message = f"{name} does not exist at the path that `command` gives"
        else:
            message = f"{name} was not found on PATH: install it, or write its full path in `command`"
        raise CheckError(FailureReason.COMMAND_NOT_FOUND, message) from None
    except PermissionError:
        raise CheckError(FailureReason.PERMISSION, f"{name} exists, but this user may not execute it") from None
    except (OSError, ValueError) as error:
        nul = "a NUL in its arguments or environment"  # for which Popen raises ValueError
        cause = (error.strerror or "").lower() if isinstance(error, OSError) else nul
        raise CheckError(FailureReason.OTHER, f"{name} could not be started: {cause}") from None


def _unbuffered(fd: int, mode: str) -> IO[bytes]:
    return open(fd, mode, buffering=0)


class _Guard:
    """Kills the group it watches once the exporter is gone. On a host without a shell it does nothing."""

    def __init__(self) -> None:
        self._shell: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(OSError):
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "openclaw-auth-exporter-guard"],
                env={},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,  # so that neither Ctrl-C nor the end of our own group reaches it
            )

    def expect(self, output: int) -> None:
        """Before the start of a command: the pipe, by its file descriptor, to which it will write."""
        self._tell(os.fstat(output).st_ino)

    def watch(self, group: int) -> None:
        """After the start: the command's process group."""
        self._tell(group)

    def _tell(self, number: int) -> None:
        if self._shell is not None and self._shell.stdin is not None:
            with contextlib.suppress(OSError):  # the shell has died
                self._shell.stdin.write(f"{number}\n".encode())

    def dismiss(self) -> None:
        if self._shell is not None:
            self._shell.kill()  # before its pipe is closed, or it would kill the group
            self._shell.wait()
            assert self._shell.stdin is not None
            self._shell.stdin.close()


class _Reader:
    """Keeps the first bytes of a pipe and discards the rest."""

    def __init__(self, fd: int, limit: int) -> None:
        os.set_blocking(fd, False)
        self.kept = bytearray()
        self.truncated = False
        self._fd, self._limit = fd, limit
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(fd, self._read)

    def _read(self) -> int:
        """Returns how many bytes there were: 0 at the end of file, and if there are none at present."""
        try:
            chunk = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return 0
        except OSError:
            chunk = b""
        if not chunk:
            self._loop.remove_reader(self._fd)
        room = self._limit - len(self.kept)
        self.kept += chunk[:room]
        self.truncated = self.truncated or len(chunk) > room
        return len(chunk)

    def finish(self) -> None:
        """Read what is still in the pipe, without waiting."""
        self._loop.remove_reader(self._fd)
        left = _PIPE_CAPACITY
        while left > 0 and (count := self._read()):
            left -= count


async def _feed(process: subprocess.Popen[bytes], data: bytes, hold: bool) -> None:
    """Write ``data`` as the command reads it, then close the pipe unless ``hold``."""
    pipe = process.stdin
    if pipe is None:
        return
    loop, fd = asyncio.get_running_loop(), pipe.fileno()
    os.set_blocking(fd, False)
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(fd, left[:_CHUNK]) :]
        except BlockingIOError:
            writable = loop.create_future()
            loop.add_writer(fd, _set_done, writable)
            try:
                await writable
            finally:
                loop.remove_writer(fd)
        except OSError:  # the command does not read its input, which is no failure
            break
    if not hold:
        with contextlib.suppress(OSError):
            pipe.close()


async def _exits_within(seconds: float, process: subprocess.Popen[bytes]) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await _wait_for_exit(process)
    except TimeoutError:
        return False
    return True


async def _wait_for_exit(process: subprocess.Popen[bytes]) -> None:
    """Wait until the command has exited. On Linux this does not reap it."""
    try:
        fd = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # another system, or an old Linux
        while process.poll() is None:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.02)
        return
    loop = asyncio.get_running_loop()
    exited = loop.create_future()
    loop.add_reader(fd, _set_done, exited)
    try:
        await exited
    finally:
        loop.remove_reader(fd)
        os.close(fd)


def _set_done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class ProcessTree:
    """The process group of a command, and its descendants in other groups."""

    def __init__(self, leader: subprocess.Popen[bytes]) -> None:
        self._leader = leader
        self._known: dict[int, str] = {}  # process id -> start time, because ids are reused
        self._one_at_a_time = threading.Lock()

    def signal(self, number: int) -> None:
        """Signal all processes that exist now, and those seen earlier that have lost their parent since. Blocks."""
        with self._one_at_a_time:
            self._signal(number)

    def _signal(self, number: int) -> None:
        for pid in _descendants(self._leader.pid):
            self._known.setdefault(pid, _start_time(pid))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._leader.pid, number)
        for pid, start_time in self._known.items():
            if start_time and _start_time(pid) == start_time:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)


def _descendants(pid: int) -> Iterator[int]:
    """The children of a process and their children, from /proc; on other systems than Linux none."""
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in thread.read_text().split():
                yield int(child)
                yield from _descendants(int(child))


def _start_time(pid: int) -> str:
    """When a process started, in clock ticks since boot; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
