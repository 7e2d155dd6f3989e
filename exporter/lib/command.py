"""One external command: bounded in time, in output and in what it leaves behind.

Used by every source that asks a command, and by channels that are commands. Nothing here knows
what the command prints.

How a command is kept within bounds:

* It leads a session of its own, so that the whole process group can be ended: at the timeout, when
  the caller is cancelled, and after a good answer too (a grandchild may hold the pipe; the process
  is waited for, never the end of file).
* openclaw starts a second Node in a session of *its* own: whatever descends from the leader is ended
  with the group, where the system tells what does (Linux).
* The leader is reaped after its group was ended, so that the group's number cannot have been
  given to somebody else in between.
* It dies with us. ``PR_SET_PDEATHSIG`` would be Linux only, needs ``preexec_fn`` (Python code between
  fork and exec, deprecated beside threads) and reaches the child alone, while openclaw starts a
  second Node beneath itself. So a *guard* stands beside each command, there before it is: a shell that
  reads from a pipe only we write to. When we are gone, however we went, it reads the end of it and
  kills the group. (What it cannot kill is a group it was not told of: a SIGKILL that hits us in the
  instant between a command's start and the line that tells its guard leaves that command running.)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from exporter.model import CheckError, FailureReason

MAX_STDOUT = 32 * 1024 * 1024  # 10,000 profiles are 10 MB
MAX_STDERR = 64 * 1024

_GRACE = 1.0  # seconds between SIGTERM and SIGKILL at the timeout
_UNKILLABLE = 5.0  # seconds to wait for a process that even SIGKILL does not end (stuck in the kernel)
_CHUNK = 64 * 1024
_LEFTOVER = 1024 * 1024  # what a pipe can hold at the most when its writers are gone
_GUARD = """
below() { for pid in $(cat "/proc/$1/task/"*/children 2>/dev/null); do echo "$pid"; below "$pid"; done; }
read -r group || exit
read -r _
below=$(below "$group")
kill -s KILL -- "-$group" $below
"""


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ended by itself. Its output stays out of the repr: it may hold secrets."""

    exit_code: int
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)
    truncated: bool  # stdout was longer than what was kept
    duration: float  # seconds, by the monotonic clock


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

    ``argv[0]`` is looked for on the PATH of ``env``. Standard input is empty unless ``stdin`` is given;
    with ``hold_stdin`` it stays open, with nothing more to read, until the command has ended.

    Of the output the first ``max_stdout`` and ``max_stderr`` bytes are kept; the rest is read and thrown
    away, so that the command neither blocks nor fills our memory. What we look for is printed early
    or not at all: a program that logs megabytes before its answer is broken, and that is said.

    Raises LookError: COMMAND_NOT_FOUND, PERMISSION (not executable), TIMEOUT, KILLED (it died by a
    signal that was not ours), OTHER (the system could not start it).
    """
    started = time.monotonic()
    guard = _Guard()
    try:
        process = _start(argv, env, wants_stdin=stdin is not None or hold_stdin)
    except BaseException:
        guard.dismiss()
        raise
    guard.watch(process.pid)
    assert process.stdout is not None
    assert process.stderr is not None
    family = _Family(process)
    stdout, stderr = _Reader(process.stdout.fileno(), max_stdout), _Reader(process.stderr.fileno(), max_stderr)
    feeding = asyncio.ensure_future(_feed(process, stdin or b"", hold_stdin))
    try:
        try:
            async with asyncio.timeout(timeout):
                await _ended(process)
        except TimeoutError:
            await _end(process, family)
            raise CheckError(
                FailureReason.TIMEOUT, f"{_name(argv)} did not answer within {timeout:g} s and was ended"
            ) from None
    finally:
        # After an answer, after the grace, and when we are cancelled: then nobody waits for an answer
        # any more, so without a grace. The leader is not reaped yet: this is still our group.
        family.signal(signal.SIGKILL)
        feeding.cancel()
        try:
            await asyncio.wait({feeding})
            await _reap(process)
        finally:
            guard.dismiss()
            stdout.finish()
            stderr.finish()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
    code = process.returncode
    if code is None or code < 0:
        raise CheckError(FailureReason.KILLED, f"{_name(argv)} was killed by {signal_name(-(code or -9))}")
    return Finished(code, bytes(stdout.kept), bytes(stderr.kept), stdout.truncated, time.monotonic() - started)


def signal_name(number: int) -> str:
    """``SIGSEGV`` for 11; a number nobody has named stays a number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _name(argv: Sequence[str]) -> str:
    return f"`{os.path.basename(argv[0])[:64]}`"


def _start(argv: Sequence[str], env: Mapping[str, str], *, wants_stdin: bool) -> subprocess.Popen[bytes]:
    # Popen, not asyncio's subprocess: that one reaps the leader before we can end its group, needs a
    # child watcher, and on some releases waits for the end of file that a grandchild holds back.
    name = _name(argv)
    try:
        return subprocess.Popen(
            list(argv),
            env=dict(env),
            stdin=subprocess.PIPE if wants_stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            close_fds=True,
            start_new_session=True,
        )
    except (FileNotFoundError, NotADirectoryError):
        if shutil.which(argv[0], path=env.get("PATH", os.defpath)):
            why = f"{name} is there, but the interpreter its first line names is not"
        elif "/" in argv[0]:
            why = f"{name} does not exist where `command` says it is"
        else:
            why = f"{name} was not found on PATH: install it, or write its full path in `command`"
        raise CheckError(FailureReason.COMMAND_NOT_FOUND, why) from None
    except PermissionError:
        raise CheckError(FailureReason.PERMISSION, f"{name} is there, but this user may not execute it") from None
    except (OSError, ValueError) as error:
        what = (error.strerror or "").lower() if isinstance(error, OSError) else "a NUL in its arguments or environment"
        raise CheckError(FailureReason.OTHER, f"{name} could not be started: {what}") from None


class _Guard:
    """Kills the group it watches when this process is gone. Where there is no shell, nothing guards."""

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
                start_new_session=True,  # out of reach of a Ctrl-C and of what ends our own group
            )

    def watch(self, group: int) -> None:
        if self._shell is not None and self._shell.stdin is not None:
            with contextlib.suppress(OSError):  # the shell died: nothing guards
                self._shell.stdin.write(f"{group}\n".encode())

    def dismiss(self) -> None:
        if self._shell is not None:
            self._shell.kill()  # before its pipe is closed, or it would do its work
            self._shell.wait()
            assert self._shell.stdin is not None
            self._shell.stdin.close()


class _Reader:
    """Keeps the first bytes of a pipe and throws away the rest."""

    def __init__(self, fd: int, limit: int) -> None:
        os.set_blocking(fd, False)
        self.kept = bytearray()
        self.truncated = False
        self._fd, self._limit = fd, limit
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(fd, self._read)

    def _read(self) -> int:
        """How many bytes there were; 0 at the end and where there is nothing now."""
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
        """Take what is still in the pipe, without waiting for anybody."""
        self._loop.remove_reader(self._fd)
        left = _LEFTOVER
        while left > 0 and (got := self._read()):
            left -= got


async def _feed(process: subprocess.Popen[bytes], data: bytes, hold: bool) -> None:
    """Write ``data`` to the command as it reads, then close, unless it is to be held open."""
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
            loop.add_writer(fd, _wake, writable)
            try:
                await writable
            finally:
                loop.remove_writer(fd)
        except OSError:  # it does not want to read; that is its own affair
            break
    if not hold:
        with contextlib.suppress(OSError):
            pipe.close()


async def _ended(process: subprocess.Popen[bytes]) -> None:
    """Until the leader has ended. Does not reap it where the system can tell without."""
    try:
        fd = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # not Linux, or an old one
        while process.poll() is None:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.02)
        return
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.add_reader(fd, _wake, done)
    try:
        await done
    finally:
        loop.remove_reader(fd)
        os.close(fd)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _end(process: subprocess.Popen[bytes], family: _Family) -> None:
    """SIGTERM to all of it, a short grace. SIGKILL follows in any case."""
    family.signal(signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GRACE):
            await _ended(process)


async def _reap(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_UNKILLABLE):
            await _ended(process)
    process.poll()


class _Family:
    """The leader's group, and what descends from it in groups of its own."""

    def __init__(self, leader: subprocess.Popen[bytes]) -> None:
        self._leader = leader
        self._known: dict[int, str] = {}  # process id -> when it started: ids are given again

    def signal(self, number: signal.Signals) -> None:
        """To all that are there now, and to those that were there the last time and lost their parent."""
        for pid in _descendants(self._leader.pid):
            self._known.setdefault(pid, _started(pid))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._leader.pid, number)
        for pid, started in self._known.items():
            if started and _started(pid) == started:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)


def _descendants(pid: int) -> Iterator[int]:
    """The children of a process and theirs, from Linux' /proc; elsewhere none."""
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in tasks.read_text().split():
                yield int(child)
                yield from _descendants(int(child))


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
