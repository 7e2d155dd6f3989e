"""Programs on a pseudo-terminal: their screen, keys, and that none survives."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from waiting import until

from exporter.lib import pseudo_terminal
from exporter.lib.pseudo_terminal import PseudoTerminal

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def started(command: str, until: str = "ready") -> PseudoTerminal:
    """Start a shell command and wait until it has printed a word."""
    terminal = PseudoTerminal(command, ENVIRONMENT)
    ends = time.monotonic() + 30
    while not any(until in line for line in terminal.lines):
        assert terminal.listen(0.1) or any(until in line for line in terminal.lines)
        assert time.monotonic() < ends
    return terminal


def exit_code(terminal: PseudoTerminal) -> int:
    while terminal.listen(0.1):
        pass
    return terminal.wait(5.0)


def test_the_program_has_a_wide_terminal_of_its_own_and_only_the_given_environment() -> None:
    terminal = started("test -t 0 && test -t 1 && stty size && env | sort && tty >/dev/tty && echo ready")
    assert exit_code(terminal) == 0
    shown = [line for line in terminal.lines if line]
    assert shown[0] == f"{pseudo_terminal.LINES} {pseudo_terminal.COLUMNS}"
    names = {line.partition("=")[0] for line in shown if "=" in line}
    assert names <= {"COLUMNS", "LINES", "PATH", "TERM", "PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}


def test_cursor_movements_and_wrapping_leave_the_words() -> None:
    terminal = started(r"printf 'Paste\033[1Ccode\033[5;1Hbelow\033[1;1HPASTE\n\n\n\n\n\nready'")
    assert exit_code(terminal) == 0
    assert terminal.lines[:5] == ["PASTE code", "", "", "", "below"]


def test_unknown_escapes_and_bytes_do_no_harm() -> None:
    terminal = started(r"printf '\033[>4;2m\033[?u\033P+q\033\\\377\033[999999999;9H\033[1;1Hready'")
    assert exit_code(terminal) == 0


def test_keys_reach_the_program_and_ctrl_c_interrupts_it() -> None:
    terminal = started('echo ready; read -r line; echo "got $line"; sleep 100')
    assert not terminal.reads_keys
    terminal.type("hello\r")
    while "got hello" not in terminal.lines:
        assert terminal.listen(0.1)
    terminal.type("\x03")
    assert exit_code(terminal) in (-2, 130)


def test_a_program_that_reads_single_keys_is_noticed() -> None:
    terminal = started("stty -icanon; echo ready; sleep 100")
    assert terminal.reads_keys
    assert terminal.end() < 0


def is_running(process: str) -> bool:
    """Whether a process runs; one that has ended may wait to be collected by init."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="descendants in other sessions are found in /proc")
async def test_the_end_leaves_no_process(tmp_path: Path) -> None:
    terminal = started(
        f"trap '' HUP TERM; sleep 100 & echo $! >{tmp_path}/a; setsid sleep 100 & echo $! >{tmp_path}/b; "
        f"echo $$ >{tmp_path}/c; echo ready; sleep 100"
    )
    processes = [(tmp_path / name).read_text().strip() for name in "abc"]
    assert all(map(is_running, processes))
    terminal.end()
    await until(lambda: not any(map(is_running, processes)))  # what is killed ends when the kernel gets to it


def test_ending_it_twice_closes_no_file_that_was_opened_since(tmp_path: Path) -> None:
    """Another thread may get the number of the terminal's descriptor, or the process's."""
    terminal = started("echo ready; exit 3")
    assert exit_code(terminal) == 3
    with (tmp_path / "file").open("w") as lowest, (tmp_path / "other").open("w") as next_lowest:
        assert terminal.end() == 3
        for file in (lowest, next_lowest):
            file.write("still open")
            file.flush()


def test_output_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pseudo_terminal, "MAX_OUTPUT", 50_000)
    terminal = PseudoTerminal("yes", ENVIRONMENT)
    with pytest.raises(ValueError, match="without end"):
        exit_code(terminal)
    terminal.end()


def test_the_exit_code_is_that_of_the_program() -> None:
    assert exit_code(PseudoTerminal("exit 3", ENVIRONMENT)) == 3
