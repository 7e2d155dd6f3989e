"""The remote command line: nothing breaks out of it, nothing is left behind, and ssh's errors have reasons."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from waiting import LoopClock, command_has_started, until

from exporter.config import OpenClawTarget
from exporter.lib.shell import quote
from exporter.model import CheckError, FailureReason
from exporter.sources import InMemorySourceCache, SourceContext
from exporter.sources.openclaw import ssh
from exporter.sources.openclaw.source import OpenClawSource

CAPTURE = json.loads((Path(__file__).parent.parent / "captures/openclaw-2026.9.6/token_ok_30d.json").read_text())
SHELLS = [shell for shell in ("sh", "bash", "dash", "zsh", "fish", "mksh", "busybox") if shutil.which(shell)]
HOSTILE = st.text(st.sampled_from("ab -'\"\\$`;&|<>(){}[]*?!#~=%^\n\t\r\x01é\U0001f980"), min_size=1, max_size=12)
PRINT_ARGUMENTS = ["sh", "-c", 'printf "%s\\0" "$@"', "sh"]


def run_remotely(shell: str, argv: list[str], env: dict[str, str] | None = None, **more: str) -> list[bytes]:
    """What a remote login shell makes of it. The open standard input is the connection."""
    login = ["busybox", "sh", "-c"] if shell == "busybox" else [shell, "-c"]
    remote = ssh.remote_command(argv, timeout=60, **more)
    with subprocess.Popen(
        [*login, remote], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, env=env
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        printed = child.stdout.read()
        assert child.wait() == 0
    return printed.split(b"\0")[:-1]


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(
        HOSTILE | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=4
    )
)
def test_words_arrive_unchanged_whatever_they_contain(shell: str, words: list[str]) -> None:
    assert run_remotely(shell, [*PRINT_ARGUMENTS, *words]) == [word.encode() for word in words]


@pytest.mark.parametrize("shell", SHELLS)
def test_known_injections_stay_data(shell: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    tries = [
        f"'; touch {mark}; '",
        f"\\'; touch {mark} #",
        f"$(touch {mark})",
        f"`touch {mark}`",
        f"\n touch {mark} \n",
        f'"; touch {mark}; "',
        "=ls",
        "~root",
        "-n",
        "",
        "!!",
        "%self",
    ]
    assert run_remotely(shell, [*PRINT_ARGUMENTS, *tries]) == [one.encode() for one in tries]
    assert not mark.exists()


@given(HOSTILE)
def test_plain_words_stay_readable_and_others_are_quoted(word: str) -> None:
    quoted = quote(word)
    assert (quoted == word) == all((char.isascii() and char.isalnum()) or char in "_@+:,./-" for char in word)
    assert quote("models") == "models"


def test_nul_is_refused() -> None:
    with pytest.raises(CheckError, match="NUL"):
        ssh.remote_command(["openclaw", "a\0b"], timeout=1)


@pytest.mark.parametrize("shell", SHELLS)
def test_remote_command_gets_its_environment(shell: str, tmp_path: Path) -> None:
    (tmp_path / "env").write_text(
        "# comment\nPLAIN=a b # comment\n  export EXPORTED=1\nSINGLE='x # y' # z\nDOUBLE=\"it's\"\nEMPTY=\nHASH=a#b\r\n"
        "oae_limit=0\nBAD-NAME=1\n1BAD=2\n$(touch mark)=3\nDANGER=$(touch mark)`touch mark`\nLAST=no newline"
    )
    names = [
        "PLAIN",
        "EXPORTED",
        "SINGLE",
        "DOUBLE",
        "EMPTY",
        "HASH",
        "DANGER",
        "LAST",
        "NO_COLOR",
        "OPENCLAW_STATE_DIR",
    ]
    argv = ["sh", "-c", 'for name; do eval "printf \'%s\\0\' \\"\\$$name\\""; done', "sh", *names]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "FORCE_COLOR": "1"}
    seen = run_remotely(shell, argv, env, env_file="~/env", state_dir="~/st ate")
    danger = b"$(touch mark)`touch mark`"
    assert seen == [
        b"a b",
        b"1",
        b"x # y",
        b"it's",
        b"",
        b"a#b",
        danger,
        b"no newline",
        b"1",
        f"{tmp_path}/st ate".encode(),
    ]
    assert b"FORCE_COLOR" not in b"".join(run_remotely(shell, ["env", "-0"], env))
    assert not Path("mark").exists()


def test_values_of_the_env_file_are_never_on_the_command_line() -> None:
    remote = ssh.remote_command(["openclaw"], timeout=1, env_file="/secret/env")
    assert "/secret/env" in remote  # the path is; what it holds is never read here


def test_ssh_gets_its_options() -> None:
    connection = ssh.Connection("me@vps", {})
    argv = connection.argv("remote")
    folder = next(word for word in argv if word.startswith("ControlPath=")).removeprefix("ControlPath=")
    assert folder.endswith("/%C")
    assert argv[-3:] == ["--", "me@vps", "remote"]
    for option in ("BatchMode=yes", "ConnectTimeout=10", "ControlMaster=auto", "ControlPersist=60s"):
        assert argv[argv.index(option) - 1] == "-o"
    private = Path(folder).parent
    assert private.stat().st_mode & 0o777 == 0o700
    assert len(str(private)) + 1 + 40 + 17 < 104
    assert connection.close_argv() is None  # no connection was made
    (private / "socket").touch()
    assert connection.close_argv() == ["ssh", *argv[2:-3], "-O", "exit", "--", "me@vps"]
    connection.forget()
    assert not private.exists()


def test_runtime_folder_is_used_if_a_socket_path_fits(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    for runtime, fits in ((tmp_path, len(str(tmp_path)) <= 32), (long, False), (tmp_path / "none", False)):
        connection = ssh.Connection("h", {"XDG_RUNTIME_DIR": str(runtime)})
        connection.argv("x")
        assert any(runtime.glob("oae-*")) == fits
        connection.forget()


Make = Callable[..., OpenClawSource]

# --- with a stand-in for ssh -------------------------------------------------------------------------

#: Runs the remote string as sshd would: in a session of its own, standard input being the connection.
FAKE_SSH = """#!/bin/sh
for last; do :; done
printf '%s\\n' "$*" >>"{folder}/ssh.log"
setsid sh -c "$last"
"""
REMOTE_OPENCLAW = """#!/bin/sh
printf '%s\\n' "$*" >>"{folder}/openclaw.log"
[ "$1" = --version ] && {{ echo 2026.9.6; exit; }}
cat "{folder}/out"; exit 2
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    for name, body in (("ssh", FAKE_SSH), ("openclaw", REMOTE_OPENCLAW)):
        path = tmp_path / "bin" / name
        path.write_text(body.format(folder=tmp_path))
        path.chmod(0o755)
    (tmp_path / "out").write_text(CAPTURE["stdout"])
    return tmp_path


@pytest.fixture
async def source(folder: Path) -> AsyncIterator[Make]:
    made: list[OpenClawSource] = []

    def make(**config: object) -> OpenClawSource:
        context = SourceContext(
            keyed_hash=lambda text: hashlib.sha256(text.encode()).hexdigest(),
            cache=InMemorySourceCache(lambda: 0.0),
            environ={"PATH": f"{folder}/bin:{os.environ['PATH']}"},
        )
        target = OpenClawTarget.model_validate({"source": "openclaw", "ssh": "me@vps", **config})
        made.append(OpenClawSource(target, context))
        return made[-1]

    yield make
    for over in made:
        await over.aclose()


async def test_check_over_ssh_gives_an_observation(folder: Path, source: Make) -> None:
    over = source()
    observation = await over.check("ma'in $(x)")
    assert [profile.id for profile in observation.profiles] == ["anthropic:default"]
    assert (observation.openclaw_exit_code, observation.openclaw_version) == (2, "2026.9.6")
    assert (folder / "openclaw.log").read_text().splitlines() == [
        "models status --json --check --agent ma'in $(x)",
        "--version",
    ]
    assert over.fingerprint() is None


async def test_missing_remote_command_or_env_file_has_its_reason(source: Make) -> None:
    with pytest.raises(CheckError) as caught:
        await source(command=["no-such-openclaw"]).check("main")
    assert caught.value.reason is FailureReason.COMMAND_NOT_FOUND
    with pytest.raises(CheckError, match="env_file cannot be read on the remote host") as caught:
        await source(env_file="/no/such").check("main")
    assert caught.value.reason is FailureReason.COMMAND_ERROR


@pytest.mark.parametrize(
    ("stderr", "reason", "message"),
    [
        (
            "me@vps: Permission denied (publickey).",
            FailureReason.UNAUTHORIZED,
            "ssh to me@vps was refused: me@vps: Permission denied (publickey).",
        ),
        (
            "WARNING\nHost key verification failed.",
            FailureReason.CONNECTION,
            "ssh does not know or trust the host key of me@vps: connect once by hand",
        ),
        (
            "ssh: connect to host vps port 22: Connection refused",
            FailureReason.CONNECTION,
            "ssh could not reach me@vps: ssh: connect to host vps port 22: Connection refused",
        ),
        ("", FailureReason.CONNECTION, "ssh could not reach me@vps"),
        (
            "kex error AAAAC3NzaC1lZDI1NTE5AAAAIHh4eHh4",
            FailureReason.CONNECTION,
            "ssh could not reach me@vps: kex error <redacted>",
        ),
    ],
    ids=range(5),
)
async def test_failure_of_ssh_has_its_reason(
    folder: Path, source: Make, stderr: str, reason: FailureReason, message: str
) -> None:
    (folder / "bin" / "ssh").write_text(f"#!/bin/sh\ncat <<'E' >&2\n{stderr}\nE\nexit 255\n")
    with pytest.raises(CheckError) as caught:
        await source().check("main")
    assert (caught.value.reason, caught.value.message) == (reason, message)


STUBBORN = """#!/bin/sh
trap '' TERM
sh -c 'trap "" TERM; : >"{folder}/pids/$$"; while :; do sleep 1; done' &
: >"{folder}/pids/$$"
while :; do sleep 1; done
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


async def until_gone(pids: list[int]) -> None:
    await until(lambda: not any(map(alive, pids)))


def session(leader: int) -> list[int]:
    """The processes of a session that is over."""
    stats = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # a process may end while we look
            stats.append((int(path.parent.name), path.read_text()))
    return [pid for pid, stat in stats if stat.rpartition(")")[2].split()[3] == str(leader) and alive(pid)]


def pids_in(folder: Path) -> list[int]:
    return [int(path.name) for path in (folder / "pids").iterdir()]


async def until_started(folder: Path) -> None:
    await until(lambda: len(pids_in(folder)) == 2)


async def test_nothing_runs_on_the_remote_host_after_a_timeout(
    folder: Path, source: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "pids").mkdir()
    (folder / "bin" / "openclaw").write_text(STUBBORN.format(folder=folder))
    clock = LoopClock(monkeypatch)
    subject = asyncio.create_task(source(timeout="600s").check("main"))
    await until_started(folder)
    await command_has_started()
    clock.advance(600)
    with pytest.raises(CheckError) as caught:
        await subject
    assert caught.value.reason is FailureReason.TIMEOUT
    await until_gone(pids_in(folder))


#: A shell that has no jobs without a terminal (dash, busybox) stands where there is a setsid.
ENDINGS = [
    *((shell, "connection", "setsid") for shell in SHELLS if shell != "fish"),
    *((shell, "connection", "jobs") for shell in SHELLS if shell in ("bash", "mksh")),
    ("sh", "time", "setsid"),
    *((shell, "time", "jobs") for shell in SHELLS if shell == "bash"),
]


@pytest.mark.parametrize(("shell", "cut", "tools"), ENDINGS)
def test_remote_side_ends_without_us(folder: Path, shell: str, cut: str, tools: str) -> None:
    """It ends when the connection breaks, and when the time has passed although the connection stays."""
    (folder / "pids").mkdir()
    (folder / "bin" / "openclaw").write_text(STUBBORN.format(folder=folder))
    path = f"{folder}/bin:{os.environ['PATH']}"
    if tools == "jobs":
        for name, program in {"sleep": "sleep", "sh": shell, shell: shell}.items():
            (folder / "bin" / name).symlink_to(str(shutil.which(program)))
        path = f"{folder}/bin"
    login = ["busybox", "sh", "-c"] if shell == "busybox" else [shell, "-c"]
    if tools == "setsid" and shell in ("busybox", "mksh"):  # what `sh` is over there
        (folder / "bin" / "sh").symlink_to(str(shutil.which(shell)))
    seconds = 3 if cut == "time" else 600
    remote = ssh.remote_command(["openclaw"], timeout=seconds)
    child = subprocess.Popen(
        [*login, remote],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={"PATH": path},
    )
    assert child.stdin
    assert child.stdout
    assert child.stderr
    connection = (child.stdin, child.stdout, child.stderr)

    async def watch() -> None:
        await until_started(folder)
        if cut == "connection":
            for pipe in connection:
                pipe.close()
        await until_gone(pids_in(folder))

    try:
        asyncio.run(watch())
        assert child.wait(30) > 128
        asyncio.run(until_gone(session(child.pid)))  # the guards end a moment after what they guard
    finally:
        child.kill()
        child.wait()
        for pipe in connection:
            pipe.close()
        for pid in filter(alive, pids_in(folder)):
            os.kill(pid, signal.SIGKILL)
